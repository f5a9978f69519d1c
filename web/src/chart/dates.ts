/**
 * Dates and durations as text.
 *
 * Here: pattern formatting (`YYYY-MM-DD HH:mm:ss`) in any zone, "3 hours ago", clock and duration formats.
 * Elsewhere: which unit id uses which (`units.ts`); the chosen zone (the shell's preferences).
 */
import type { Decimals, Formatted } from './number';
import { toFixed } from './number';

const partsFormatters = new Map<string, Intl.DateTimeFormat>();

function partsFormatter(timeZone: string | undefined): Intl.DateTimeFormat {
  const key = timeZone ?? '';
  let format = partsFormatters.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      ...(timeZone ? { timeZone } : {}),
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      timeZoneName: 'short',
    });
    partsFormatters.set(key, format);
  }
  return format;
}

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** `ms` by a moment-style pattern. `timeZone` is an IANA name or undefined for the browser's. Never throws. */
export function formatDate(ms: number, pattern: string, timeZone?: string): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return 'Invalid date';
  let parts: Map<string, string>;
  try {
    parts = new Map(
      partsFormatter(timeZone)
        .formatToParts(date)
        .map((p) => [p.type, p.value]),
    );
  } catch {
    return formatDate(ms, pattern); // An unknown zone name shows local time rather than nothing.
  }
  const get = (type: string) => parts.get(type) ?? '';
  const hour = Number(get('hour'));
  const month = MONTHS[Number(get('month')) - 1] ?? '';
  const tokens: Record<string, string> = {
    YYYY: get('year'),
    YY: get('year').slice(-2),
    MMMM: month,
    MMM: month.slice(0, 3),
    MM: get('month'),
    M: String(Number(get('month'))),
    DD: get('day'),
    D: String(Number(get('day'))),
    ddd: get('weekday'),
    HH: get('hour'),
    H: String(hour),
    hh: String(hour % 12 || 12).padStart(2, '0'),
    h: String(hour % 12 || 12),
    mm: get('minute'),
    m: String(Number(get('minute'))),
    ss: get('second'),
    s: String(Number(get('second'))),
    SSS: String(date.getMilliseconds()).padStart(3, '0'),
    a: hour < 12 ? 'am' : 'pm',
    A: hour < 12 ? 'AM' : 'PM',
    z: get('timeZoneName'),
  };
  return pattern.replace(
    /\[([^\]]*)\]|YYYY|YY|MMMM|MMM|MM|M|DD|D|ddd|HH|H|hh|h|mm|m|ss|s|SSS|a|A|z/g,
    (token, literal) => (literal !== undefined ? literal : (tokens[token] ?? token)),
  );
}

export function isToday(ms: number, now: number, timeZone?: string): boolean {
  return formatDate(ms, 'YYYY-MM-DD', timeZone) === formatDate(now, 'YYYY-MM-DD', timeZone);
}

const AGO: readonly [limitSeconds: number, divisor: number, one: string, many: string][] = [
  [45, 1, 'a few seconds', 'a few seconds'],
  [90, 60, 'a minute', 'minutes'],
  [45 * 60, 60, 'a minute', 'minutes'],
  [90 * 60, 3600, 'an hour', 'hours'],
  [22 * 3600, 3600, 'an hour', 'hours'],
  [36 * 3600, 86400, 'a day', 'days'],
  [26 * 86400, 86400, 'a day', 'days'],
  [45 * 86400, 30.44 * 86400, 'a month', 'months'],
  [320 * 86400, 30.44 * 86400, 'a month', 'months'],
  [548 * 86400, 365.25 * 86400, 'a year', 'years'],
  [Infinity, 365.25 * 86400, 'a year', 'years'],
];

/** "5 minutes ago", "in 2 days". */
export function fromNow(ms: number, now: number): string {
  const seconds = Math.abs(now - ms) / 1000;
  const [, divisor, one, many] = AGO.find(([limit]) => seconds < limit)!;
  const count = Math.round(seconds / divisor);
  const text = divisor === 1 || count <= 1 ? one : `${count} ${many}`;
  return ms > now ? `in ${text}` : `${text} ago`;
}

const DURATION_STEPS: readonly [name: string, ms: number][] = [
  ['year', 31_536_000_000],
  ['month', 2_592_000_000],
  ['week', 604_800_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
  ['millisecond', 1],
];

/** "1 hour, 2 minutes": the largest unit that fits and `decimals` smaller ones. */
export function duration(ms: number, decimals: Decimals, zeroUnit: string): Formatted {
  if (ms === 0) return { text: '0', suffix: ` ${zeroUnit}s` };
  if (!Number.isFinite(ms)) return { text: toFixed(ms) };
  if (ms < 0) {
    const positive = duration(-ms, decimals, zeroUnit);
    return { ...positive, suffix: `${positive.suffix ?? ''} ago` };
  }
  const words: string[] = [];
  let rest = ms;
  for (const [name, size] of DURATION_STEPS) {
    if (words.length > (decimals ?? 0)) break;
    const count = Math.floor(rest / size);
    if (count < 1 && words.length === 0) continue;
    words.push(`${count} ${name}${count === 1 ? '' : 's'}`);
    rest %= size;
  }
  return { text: words.join(', ') || `0 ${zeroUnit}s` };
}

const two = (n: number) => String(Math.floor(n)).padStart(2, '0');

/** "05:04:03", hours unbounded. */
export function hoursMinutesSeconds(seconds: number): Formatted {
  if (seconds < 0) return { text: `${hoursMinutesSeconds(-seconds).text} ago` };
  return { text: `${two(seconds / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}` };
}

/** "2 d 05:04:03". */
export function daysHoursMinutesSeconds(seconds: number): Formatted {
  if (seconds < 0) return { text: `${daysHoursMinutesSeconds(-seconds).text} ago` };
  const days = Math.floor(seconds / 86400);
  return { text: `${days > 0 ? `${days} d ` : ''}${hoursMinutesSeconds(seconds % 86400).text}` };
}

/** "02h:03m:04s": `decimals` smaller steps after the largest, all of them by default. */
export function clock(ms: number, decimals: Decimals): Formatted {
  const steps = [
    `${two(ms / 3_600_000)}h`,
    `${two((ms % 3_600_000) / 60_000)}m`,
    `${two((ms % 60_000) / 1000)}s`,
    `${String(Math.floor(ms % 1000)).padStart(3, '0')}ms`,
  ];
  const first = ms >= 3_600_000 ? 0 : ms >= 60_000 ? 1 : ms >= 1000 ? 2 : 3;
  const last = decimals === null || decimals === undefined ? steps.length : first + decimals + 1;
  return { text: steps.slice(first, last).join(':') };
}
