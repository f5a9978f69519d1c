// The time range and refresh interval of the page, kept in the URL (`from`, `to`, `refresh`).
//
// Here: reading and writing them, the clock that moves relative ranges on, zoom and shift.
// Elsewhere: parsing of texts (`time.ts`), the control that shows it (`ui/RangePicker.tsx`).
//
// Invariant: `range` changes only when the URL, the defaults or the refresh clock change, never by reading it.
import { computed, effect, signal } from '@preact/signals';
import { place, setParams } from './router';
import { isRelative, parseDuration, parseInstant } from './time';

export interface Range {
  /** Milliseconds since the epoch. */
  from: number;
  to: number;
}

export interface RangeDefaults {
  from: string;
  to: string;
  /** '' for no refresh, else a duration such as `10s`. */
  refresh: string;
}

const PLAIN: RangeDefaults = { from: 'now-1h', to: 'now', refresh: '' };

const defaults = signal<RangeDefaults>(PLAIN);
const now = signal(Date.now());

/** What a page shows while its URL says nothing. A page calls this when it is entered. */
export function setRangeDefaults(value: Partial<RangeDefaults>): void {
  const next = { ...PLAIN, ...value };
  const old = defaults.peek();
  if (next.from !== old.from || next.to !== old.to || next.refresh !== old.refresh) defaults.value = next;
}

/** The ends as texts (`now-1h`, `now`, epoch milliseconds). */
export const rangeText = computed(() => {
  const { params } = place.value;
  return { from: params.get('from') || defaults.value.from, to: params.get('to') || defaults.value.to };
});

/** `''` or a duration text. */
export const refresh = computed(() => {
  const given = place.value.params.get('refresh');
  if (given === 'off') return '';
  return given && parseDuration(given) ? given : defaults.value.refresh;
});

/** The range as instants. Moves on with every refresh where it is relative. */
export const range = computed<Range>(() => {
  const { from, to } = rangeText.value;
  const start = parseInstant(from, now.value, 'from') ?? now.value - 3600_000;
  const end = parseInstant(to, now.value, 'to') ?? now.value;
  return start < end ? { from: start, to: end } : { from: end - 60_000, to: end };
});

/** Counts refreshes; read it to ask again also where the range is absolute. */
export const refreshCount = signal(0);

/** Asks everything again now. */
export function refreshNow(): void {
  now.value = Date.now();
  refreshCount.value++;
}

/** Looks at another range. Each change is a step for the back button. */
export function setRange(from: string | number, to: string | number): void {
  now.value = Date.now();
  setParams({ from: text(from), to: text(to) });
}

function text(end: string | number): string {
  return typeof end === 'number' ? String(Math.round(end)) : end;
}

export function setRefresh(value: string): void {
  setParams({ refresh: value || (defaults.peek().refresh ? 'off' : null) }, true);
}

/** Twice as much time around the same middle; a range that ends now keeps doing so. */
export function zoomOut(): void {
  const { from, to } = range.peek();
  const span = to - from;
  if (rangeText.peek().to === 'now') setRange(`now-${Math.round((2 * span) / 1000)}s`, 'now');
  else setRange(from - span / 2, to + span / 2);
}

/** Half a range back (-1) or on (+1); never past now. */
export function shiftRange(direction: -1 | 1): void {
  const { from, to } = range.peek();
  const half = ((to - from) / 2) * direction;
  const end = Math.min(to + half, Date.now());
  setRange(end - (to - from), end);
}

/** Starts the refresh clock. Hidden pages rest, and catch up when they are seen again. Returns how to stop. */
export function startRefresh(): () => void {
  const stop = effect(() => {
    const every = (parseDuration(refresh.value) ?? 0) * 1000;
    if (every <= 0) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) refreshNow();
    }, every);
    return () => clearInterval(timer);
  });
  const onVisible = (): void => {
    if (!document.hidden && refresh.peek() && isRelative(rangeText.peek().to)) refreshNow();
  };
  document.addEventListener('visibilitychange', onVisible);
  // Entering a page or following a link shows the newest data of a relative range.
  const stopPlace = place.subscribe(() => (now.value = Date.now()));
  return () => {
    stop();
    stopPlace();
    document.removeEventListener('visibilitychange', onVisible);
  };
}
