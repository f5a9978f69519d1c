// Small parts that several pages use: moments in time, links to Explore, search and choice fields, long lists.
import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import { moment } from '../format';
import { formatTime } from '../prefs';
import { link, place, setParams } from '../router';
import { humanDuration } from '../time';
import { Icon } from './icons';

/** `12 s ago`, with the full time on hover and for screen readers. */
export function Ago({ at, now }: { at: string | number | undefined; now: number }): JSX.Element {
  const ms = typeof at === 'number' ? at : moment(at);
  if (ms === null || ms === undefined) return <span class="mute">never</span>;
  return (
    <time dateTime={new Date(ms).toISOString()} title={formatTime(ms)}>
      {coarse(Math.max(0, now - ms) / 1000)} ago
    </time>
  );
}

/** One unit is enough for an age: `8 min`, not `8 min 18 s`. */
function coarse(seconds: number): string {
  return humanDuration(seconds).split(' ').slice(0, 2).join(' ');
}

/** An expression that opens in Explore. */
export function QueryLink({ expr, table = false }: { expr: string; table?: boolean }): JSX.Element {
  return (
    <a class="query-link mono" href={link('/explore', { 'g0.expr': expr, tab: table ? 'table' : null })} title="Open in Explore">
      {expr}
    </a>
  );
}

/** Text search whose words live in the URL parameter `q`. */
export function SearchField({ label }: { label: string }): JSX.Element {
  return (
    <label class="search">
      <span class="sr">{label}</span>
      <Icon name="search" size={16} />
      <input
        class="input"
        type="search"
        placeholder={label}
        value={place.value.params.get('q') ?? ''}
        onInput={(event) => setParams({ q: event.currentTarget.value }, true)}
      />
    </label>
  );
}

/** Whether every word of the search is in the text (both in lower case). */
export function found(search: string, text: string): boolean {
  const low = text.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => low.includes(word));
}

/** One of a few choices, kept in a URL parameter; the first is the default. */
export function Choice(props: {
  param: string;
  label: string;
  options: { value: string; text: ComponentChildren }[];
}): JSX.Element {
  const current = place.value.params.get(props.param) ?? props.options[0]?.value;
  return (
    <div class="segmented" role="group" aria-label={props.label}>
      {props.options.map((option, i) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={current === option.value}
          onClick={() => setParams({ [props.param]: i === 0 ? null : option.value }, true)}
        >
          {option.text}
        </button>
      ))}
    </div>
  );
}

/** Draws the first `first` items, the rest on request: thousands of rows must not delay the page. */
export function Long<T>(props: { items: T[]; first?: number; what: string; children: (items: T[]) => JSX.Element }): JSX.Element {
  const first = props.first ?? 200;
  const [all, setAll] = useState(false);
  const hidden = all ? 0 : props.items.length - first;
  return (
    <>
      {props.children(hidden > 0 ? props.items.slice(0, first) : props.items)}
      {hidden > 0 && (
        <button type="button" class="button ghost long-more" onClick={() => setAll(true)}>
          Show {hidden} more {props.what}
        </button>
      )}
    </>
  );
}

/** Copies a text; says so for two seconds. */
export function CopyButton({ text, label }: { text: string; label: string }): JSX.Element {
  const [said, setSaid] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid(true);
      setTimeout(() => setSaid(false), 2000);
    } catch {
      // Not allowed on plain http: the text stays selectable.
    }
  };
  return (
    <button type="button" class="button ghost small icon-only" aria-label={said ? 'Copied' : label} title={label} onClick={() => void copy()}>
      <Icon name={said ? 'check' : 'copy'} size={16} />
    </button>
  );
}
