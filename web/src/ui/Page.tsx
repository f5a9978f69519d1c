// The parts every page is made of: heading, card, empty and error states, badges.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { ApiError, errorText } from '../api';
import { Icon, type IconName } from './icons';

export function Page(props: {
  title: string;
  /** Drawn beside the heading. */
  actions?: ComponentChildren;
  /** One line under the heading. */
  lead?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  useEffect(() => {
    document.title = `${props.title} · Cairn`;
  }, [props.title]);
  return (
    <>
      <header class="page-head">
        <div>
          <h1>{props.title}</h1>
          {props.lead !== undefined && <p class="lead">{props.lead}</p>}
        </div>
        {props.actions !== undefined && <div class="page-actions">{props.actions}</div>}
      </header>
      {props.children}
    </>
  );
}

export function Card(props: {
  title?: ComponentChildren;
  aside?: ComponentChildren;
  children?: ComponentChildren;
  class?: string;
}): JSX.Element {
  return (
    <section class={`card ${props.class ?? ''}`}>
      {props.title !== undefined && (
        <header class="card-head">
          <h2>{props.title}</h2>
          {props.aside !== undefined && <div class="card-aside">{props.aside}</div>}
        </header>
      )}
      {props.children}
    </section>
  );
}

export function Empty(props: { icon: IconName; title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <Icon name={props.icon} size={28} />
      <p class="empty-title">{props.title}</p>
      {props.children !== undefined && <div class="empty-text">{props.children}</div>}
    </div>
  );
}

export function ErrorNote({ error }: { error: unknown }): JSX.Element {
  return (
    <div class="note bad" role="alert">
      <Icon name="cross" />
      <div>
        {error instanceof ApiError && error.errorType !== 'network' && <strong>{error.errorType}: </strong>}
        <span class="pre">{errorText(error)}</span>
      </div>
    </div>
  );
}

export type Tone = 'ok' | 'warn' | 'bad' | 'mute';

const TONE_ICON: Record<Tone, IconName> = { ok: 'check', warn: 'pending', bad: 'cross', mute: 'dot' };

/** A state in words, with an icon and a colour; never the colour alone. */
export function State({ tone, children }: { tone: Tone; children: ComponentChildren }): JSX.Element {
  return (
    <span class={`state ${tone}`}>
      <Icon name={TONE_ICON[tone]} size={14} />
      {children}
    </span>
  );
}

export function LabelList({ labels, without = [] }: { labels: Record<string, string>; without?: string[] }): JSX.Element {
  const names = Object.keys(labels)
    .filter((name) => !without.includes(name))
    .sort();
  return (
    <span class="labels">
      {names.map((name) => (
        <span class="label" key={name}>
          {name}=<b>{labels[name]}</b>
        </span>
      ))}
    </span>
  );
}

export function Loading({ what }: { what: string }): JSX.Element {
  return (
    <p class="loading" role="status">
      <span class="spinner" aria-hidden="true" /> Loading {what}…
    </p>
  );
}
