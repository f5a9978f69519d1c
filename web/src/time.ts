// Time-range maths: texts such as `now-6h` to instants, durations to text and back, query steps.
//
// Here: pure functions; "now" is an argument. Instants are milliseconds since the epoch, durations and steps are seconds.
// Elsewhere: the range the page is looking at (`range.ts`), time zones of drawn text (`prefs.ts`).

const UNIT_SECONDS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };
const CALENDAR = ['s', 'm', 'h', 'd', 'w', 'M', 'y'] as const;
type CalendarUnit = (typeof CALENDAR)[number];

/** Seconds of a Prometheus duration (`1h30m`, `90s`, `250ms`); null where it is none. A bare number is seconds. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed);
  if (!/^(\d+(ms|[smhdwy]))+$/.test(trimmed)) return null;
  let seconds = 0;
  for (const [, count, unit] of trimmed.matchAll(/(\d+)(ms|[smhdwy])/g)) {
    seconds += Number(count) * (UNIT_SECONDS[unit ?? ''] ?? 0);
  }
  return seconds;
}

/** `5400` as `1h30m`; the form `parseDuration` reads. */
export function formatDuration(seconds: number): string {
  if (seconds === 0) return '0s';
  let left = Math.round(Math.abs(seconds) * 1000);
  let text = seconds < 0 ? '-' : '';
  for (const [unit, ms] of [['w', 604800000], ['d', 86400000], ['h', 3600000], ['m', 60000], ['s', 1000], ['ms', 1]] as const) {
    const count = Math.floor(left / ms);
    // Whole weeks only: `8d` reads better than `1w1d`.
    if (count === 0 || (unit === 'w' && left % ms !== 0)) continue;
    text += `${count}${unit}`;
    left -= count * ms;
  }
  return text;
}

/** A length of time for people: `3 s`, `4 min`, `2 h 5 min`, `12 d`. Two units at most. */
export function humanDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  const s = Math.abs(seconds);
  if (s < 1) return `${s < 0.01 ? trim(s * 1000, 1) : Math.round(s * 1000)} ms`;
  if (s < 10) return `${trim(s, 1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return two(s, 60, 'min', 1, 's', 600);
  if (s < 86400) return two(s, 3600, 'h', 60, 'min', 36000);
  return two(s, 86400, 'd', 3600, 'h', 864000);
}

function trim(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

function two(s: number, big: number, bigName: string, small: number, smallName: string, coarseFrom: number): string {
  if (s >= coarseFrom) return `${Math.round(s / big)} ${bigName}`;
  const whole = Math.floor(s / big);
  const rest = Math.floor((s - whole * big) / small);
  return rest === 0 ? `${whole} ${bigName}` : `${whole} ${bigName} ${rest} ${smallName}`;
}

export function isRelative(text: string): boolean {
  return text.trim().startsWith('now');
}

/**
 * The instant a range end names: `now`, `now-1h`, `now-1d/d`, epoch milliseconds or seconds, or an ISO date.
 * Rounding (`/d`) goes down for `from` and up for `to`. Null where the text is none of these.
 */
export function parseInstant(text: string, now: number, end: 'from' | 'to' = 'from'): number | null {
  const trimmed = text.trim();
  if (isRelative(trimmed)) return parseRelative(trimmed, now, end);
  if (/^-?\d+(\.\d+)?$/.test(trimmed)) {
    const number = Number(trimmed);
    // Seconds until the year 5138, milliseconds since 1973: what both Prometheus and Grafana put in links.
    return Math.abs(number) < 1e11 ? number * 1000 : number;
  }
  const parsed = Date.parse(/^\d{4}-\d{2}-\d{2} \d/.test(trimmed) ? trimmed.replace(' ', 'T') : trimmed);
  return Number.isNaN(parsed) ? null : parsed;
}

function parseRelative(text: string, now: number, end: 'from' | 'to'): number | null {
  const found = /^now((?:[+-]\d+(?:[smhdwMy]))*)(?:\/([smhdwMy]))?$/.exec(text.replace(/\s+/g, ''));
  if (!found) return null;
  let date = new Date(now);
  for (const [, sign, count, unit] of (found[1] ?? '').matchAll(/([+-])(\d+)([smhdwMy])/g)) {
    date = shifted(date, (sign === '-' ? -1 : 1) * Number(count), unit as CalendarUnit);
  }
  if (found[2]) date = rounded(date, found[2] as CalendarUnit, end);
  return date.getTime();
}

function shifted(date: Date, count: number, unit: CalendarUnit): Date {
  const next = new Date(date);
  if (unit === 'M') next.setMonth(next.getMonth() + count);
  else if (unit === 'y') next.setFullYear(next.getFullYear() + count);
  else if (unit === 'd' || unit === 'w') next.setDate(next.getDate() + count * (unit === 'w' ? 7 : 1));
  else next.setTime(next.getTime() + count * (UNIT_SECONDS[unit] ?? 0) * 1000);
  return next;
}

function rounded(date: Date, unit: CalendarUnit, end: 'from' | 'to'): Date {
  const start = new Date(date);
  start.setMilliseconds(0);
  if (unit !== 's') start.setSeconds(0);
  if (!'sm'.includes(unit)) start.setMinutes(0);
  if (!'smh'.includes(unit)) start.setHours(0);
  if (unit === 'w') start.setDate(start.getDate() - ((start.getDay() + 6) % 7)); // Weeks begin on Monday.
  if (unit === 'M' || unit === 'y') start.setDate(1);
  if (unit === 'y') start.setMonth(0);
  if (end === 'from') return start;
  return new Date(shifted(start, 1, unit).getTime() - 1);
}

export interface Step {
  /** Seconds between two points. */
  step: number;
  /** Seconds since the epoch, multiples of `step`, so that a refresh asks for the same instants again. */
  start: number;
  end: number;
}

/** Steps that a person would choose, so that points fall on round times. */
const NICE_STEPS = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800];

/** The smallest round step that keeps a range (ms) at no more than `points` points, and never under `minStep` seconds. */
export function stepFor(from: number, to: number, points: number, minStep = 1): Step {
  const exact = Math.max((to - from) / 1000 / Math.max(points, 1), minStep);
  const step = NICE_STEPS.find((nice) => nice >= exact) ?? Math.ceil(exact / 604800) * 604800;
  return aligned(from, to, step);
}

/** The same with a step that was chosen already. */
export function aligned(from: number, to: number, step: number): Step {
  return { step, start: Math.floor(from / 1000 / step) * step, end: Math.floor(to / 1000 / step) * step };
}

/** `Last 1 hour` for a relative range that ends now; null for all others, which need dates. */
export function relativeName(from: string, to: string): string | null {
  const found = /^now-(\d+)([smhdwMy])$/.exec(from.trim());
  if (!found || to.trim() !== 'now') return null;
  const names: Record<string, string> = {
    s: 'second', m: 'minute', h: 'hour', d: 'day', w: 'week', M: 'month', y: 'year',
  };
  const count = Number(found[1]);
  return `Last ${count} ${names[found[2] ?? '']}${count === 1 ? '' : 's'}`;
}
