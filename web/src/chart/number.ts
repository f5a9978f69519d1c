/**
 * Numbers as text: how many decimals a value deserves, and scaling by factors.
 *
 * Here: the decimals rule (three significant digits unless told otherwise) and the scaled formatter that most units
 * share.
 * Elsewhere: which unit scales how (`units.ts`), dates (`dates.ts`).
 */

export interface Formatted {
  text: string;
  prefix?: string;
  suffix?: string;
}

/** `null` and `undefined` both mean "as many as the value deserves". */
export type Decimals = number | null | undefined;

export type Formatter = (value: number, decimals?: Decimals, timeZone?: string) => Formatted;

export function joinFormatted(f: Formatted): string {
  return `${f.prefix ?? ''}${f.text}${f.suffix ?? ''}`;
}

/** Decimals that leave about three significant digits; none for a whole number. */
function autoDecimals(value: number): number {
  if (value % 1 === 0) return 0;
  const abs = Math.abs(value);
  let decimals = 1 - Math.floor(Math.log10(abs));
  // 1.23 keeps two decimals, 10.3 keeps one: a leading digit group above 2.25 earns one more.
  if (abs * 10 ** decimals > 2.25) decimals++;
  return Math.max(0, decimals);
}

export function toFixed(value: number, decimals?: Decimals): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '-∞';
  const digits = Math.min(20, Math.max(0, Math.round(decimals ?? autoDecimals(value))));
  if (value === 0) return (0).toFixed(digits);
  const factor = 10 ** digits;
  const rounded = Math.round(value * factor) / factor;
  const text = String(rounded);
  if (text.includes('e')) return text;
  // -0.001 with no decimals reads 0, not -0.
  return rounded === 0 ? (0).toFixed(digits) : rounded.toFixed(digits);
}

/**
 * A formatter that divides by `factor` until the number is readable; `offset` is the index of the suffix of factor^0.
 */
export function scaled(factor: number, suffixes: readonly string[], offset = 0): Formatter {
  return (value, decimals) => {
    if (!Number.isFinite(value)) return { text: toFixed(value) };
    const power = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)) / Math.log10(factor) + 1e-12);
    const bounded = Math.min(Math.max(power, -offset), suffixes.length - offset - 1);
    return { text: toFixed(value / factor ** bounded, decimals), suffix: suffixes[offset + bounded] ?? '' };
  };
}

/** A formatter that only appends `unit`. */
export function plain(unit: string): Formatter {
  return (value, decimals) => ({ text: toFixed(value, decimals), ...(unit ? { suffix: ` ${unit}` } : {}) });
}

/** Decimals shown by an axis whose ticks lie `increment` apart. */
export function decimalsOfIncrement(increment: number): number {
  const text = String(Number(increment.toPrecision(12)));
  if (text.includes('e-')) return Number(text.split('e-')[1]);
  const dot = text.indexOf('.');
  return dot < 0 ? 0 : text.length - dot - 1;
}
