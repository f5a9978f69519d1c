// Numbers and moments as short texts for people. Units of graphs are in `chart/units.ts`.
import { formatValue } from './chart/units';

const GROUPED = new Intl.NumberFormat('en-US');

/** `12,345`; `1.2 M` from a million on. */
export function count(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) < 1e6) return GROUPED.format(Math.round(value));
  for (const [unit, name] of [[1e9, 'G'], [1e6, 'M']] as const) {
    if (Math.abs(value) >= unit) return `${(value / unit).toFixed(value / unit < 100 ? 1 : 0)} ${name}`;
  }
  return GROUPED.format(value);
}

/** `3.2 GiB` */
export function bytes(value: number): string {
  return Number.isFinite(value) ? formatValue('bytes', value, value < 1024 ? 0 : 1) : '–';
}

/** A number with at most three significant decimals, as alert values are shown. */
export function plain(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  if (value !== 0 && (Math.abs(value) >= 1e9 || Math.abs(value) < 1e-4)) return value.toExponential(3);
  return String(Number(value.toPrecision(6)));
}

/** Milliseconds of an API time; null for Go's zero time, which stands for "never". */
export function moment(text: string | undefined): number | null {
  if (!text || text.startsWith('0001-')) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}

export function plural(n: number, one: string, many = one + 's'): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
