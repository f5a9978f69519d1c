// The time range control: quick ranges, absolute ends, shift and zoom, refresh now and by itself.
import type { JSX } from 'preact';
import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { formatTime } from '../prefs';
import { range, rangeText, refresh, refreshNow, setRange, setRefresh, shiftRange, zoomOut } from '../range';
import { useShortcuts } from '../shortcuts';
import { parseInstant, relativeName } from '../time';
import { Icon } from './icons';
import { Menu } from './Menu';

const QUICK = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '24h', '2d', '7d', '30d', '90d', '6M', '1y'];
const REFRESH = ['', '5s', '10s', '30s', '1m', '5m', '15m'];

/** Open state is shared, so that the shortcut `t` works wherever the control is drawn. */
const open = signal(false);

function faceText(): string {
  const { from, to } = rangeText.value;
  const name = relativeName(from, to);
  if (name) return name;
  const { from: start, to: end } = range.value;
  const first = formatTime(start, 'short');
  const last = formatTime(end, 'short');
  return first.slice(0, 10) === last.slice(0, 10) ? `${first} – ${last.slice(11)}` : `${first} – ${last}`;
}

function asField(text: string): string {
  const instant = /^\d{9,}$/.test(text) ? parseInstant(text, Date.now()) : null;
  return instant === null ? text : formatTime(instant);
}

function Ends(): JSX.Element {
  const [from, setFrom] = useState(asField(rangeText.value.from));
  const [to, setTo] = useState(asField(rangeText.value.to));
  const start = parseInstant(from, Date.now(), 'from');
  const end = parseInstant(to, Date.now(), 'to');
  const wrong =
    start === null ? 'The start is not a time.' : end === null ? 'The end is not a time.' : start >= end ? 'The start is not before the end.' : '';
  const apply = (event: SubmitEvent): void => {
    event.preventDefault();
    if (wrong || start === null || end === null) return;
    setRange(from.startsWith('now') ? from : start, to.startsWith('now') ? to : end);
    open.value = false;
  };
  return (
    <form class="range-ends" onSubmit={apply}>
      <label class="field">
        <span>From</span>
        <input class="input mono" value={from} onInput={(event) => setFrom(event.currentTarget.value)} spellcheck={false} />
      </label>
      <label class="field">
        <span>To</span>
        <input class="input mono" value={to} onInput={(event) => setTo(event.currentTarget.value)} spellcheck={false} />
      </label>
      <p class={wrong ? 'hint bad' : 'hint'} role={wrong ? 'alert' : undefined}>
        {wrong || 'now-6h, now/d, 2026-05-03 14:00 or epoch'}
      </p>
      <button type="submit" class="button primary" disabled={wrong !== ''}>
        Apply
      </button>
    </form>
  );
}

export function RangePicker(): JSX.Element {
  const current = rangeText.value;
  useShortcuts(() => [
    { keys: 't t', text: 'Choose the time range', group: 'Time', run: () => (open.value = true) },
    { keys: 't z', text: 'Zoom out', group: 'Time', run: zoomOut },
    { keys: 't left', text: 'Earlier', group: 'Time', run: () => shiftRange(-1) },
    { keys: 't right', text: 'Later', group: 'Time', run: () => shiftRange(1) },
  ]);
  return (
    <div class="range-picker" role="group" aria-label="Time">
      <div class="buttons">
        <button type="button" class="button icon-only" aria-label="Earlier" title="Earlier (t left)" onClick={() => shiftRange(-1)}>
          <Icon name="left" size={18} />
        </button>
        <Menu
          label={`Time range: ${faceText()}`}
          title="Time range (t t)"
          class="range-menu"
          buttonClass="button range-face"
          open={open.value}
          onOpen={(value) => (open.value = value)}
          face={
            <>
              <Icon name="clock" size={17} />
              <span>{faceText()}</span>
            </>
          }
        >
          <div class="range-quick" role="radiogroup" aria-label="Quick ranges">
            {QUICK.map((span) => (
              <button
                key={span}
                type="button"
                role="radio"
                aria-checked={current.from === `now-${span}` && current.to === 'now'}
                onClick={() => {
                  setRange(`now-${span}`, 'now');
                  open.value = false;
                }}
              >
                {relativeName(`now-${span}`, 'now')}
              </button>
            ))}
          </div>
          <Ends />
        </Menu>
        <button type="button" class="button icon-only" aria-label="Later" title="Later (t right)" onClick={() => shiftRange(1)}>
          <Icon name="right" size={18} />
        </button>
        <button type="button" class="button icon-only" aria-label="Zoom out" title="Zoom out (t z)" onClick={zoomOut}>
          <Icon name="zoomOut" size={18} />
        </button>
      </div>
      <RefreshControl />
    </div>
  );
}

/** Refresh now, and how often it happens by itself. Pages without a time range use it alone. */
export function RefreshControl(): JSX.Element {
  const options = REFRESH.includes(refresh.value) ? REFRESH : [...REFRESH, refresh.value];
  return (
    <div class="buttons">
      <button type="button" class="button icon-only" aria-label="Refresh now" title="Refresh now (r)" onClick={refreshNow}>
        <Icon name="refresh" size={17} />
      </button>
      <select class="refresh" aria-label="Refresh by itself" value={refresh.value} onChange={(event) => setRefresh(event.currentTarget.value)}>
        {options.map((every) => (
          <option key={every} value={every}>
            {every === '' ? 'Off' : every}
          </option>
        ))}
      </select>
    </div>
  );
}
