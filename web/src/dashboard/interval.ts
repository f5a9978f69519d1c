/**
 * Steps and the interval macros, with Grafana's formulas for the same width, range and scrape interval.
 *
 * Here: rounding, step of a query, `$__interval`, `$__rate_interval`, `$__range`. Elsewhere: putting them into text
 * (`interpolate.ts`).
 *
 * All numbers are milliseconds unless named otherwise.
 */

/** What Grafana assumes of a data source that says nothing. */
export const SCRAPE_INTERVAL_MS = 15_000;

/** More points than this in one series are refused by Prometheus. */
const POINTS_MAX = 11_000;

/** Anything below the first number rounds to the second. */
const ROUNDING: readonly [below: number, to: number][] = [
  [10, 1],
  [15, 10],
  [35, 20],
  [75, 50],
  [150, 100],
  [350, 200],
  [750, 500],
  [1_500, 1_000],
  [3_500, 2_000],
  [7_500, 5_000],
  [12_500, 10_000],
  [17_500, 15_000],
  [25_000, 20_000],
  [45_000, 30_000],
  [90_000, 60_000],
  [210_000, 120_000],
  [450_000, 300_000],
  [750_000, 600_000],
  [1_050_000, 900_000],
  [1_500_000, 1_200_000],
  [2_700_000, 1_800_000],
  [5_400_000, 3_600_000],
  [9_000_000, 7_200_000],
  [16_200_000, 10_800_000],
  [32_400_000, 21_600_000],
  [86_400_000, 43_200_000],
  [604_800_000, 86_400_000],
  [1_814_400_000, 604_800_000],
  [3_628_800_000, 2_592_000_000],
];

export function roundInterval(ms: number): number {
  return ROUNDING.find(([below]) => ms < below)?.[1] ?? 31_536_000_000;
}

const UNITS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  M: 2_592_000_000,
  y: 31_536_000_000,
};

/**
 * `1h30m`, `15s`, a bare number of seconds, or `>1m` as a legacy least interval; undefined where it is none of these.
 */
export function intervalMs(text: string | undefined): number | undefined {
  const trimmed = (text ?? '').trim().replace(/^>/, '');
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed) * 1000;
  if (!/^(\d+(\.\d+)?(ms|[smhdwMy]))+$/.test(trimmed)) return undefined;
  let total = 0;
  for (const [, count, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwMy])/g))
    total += Number(count) * UNITS[unit!]!;
  return total > 0 ? total : undefined;
}

/** A duration as PromQL reads it, in one unit where that is exact. */
export function formatInterval(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms >= UNITS[unit]! && ms % UNITS[unit]! === 0) return `${ms / UNITS[unit]!}${unit}`;
  }
  return `${Math.max(1, Math.round(ms))}ms`;
}

export interface IntervalInput {
  from: number;
  to: number;
  /** Pixels of the panel, or its own setting. */
  maxDataPoints: number;
  /** Least interval of the panel. */
  panelMin?: number | undefined;
  /** Least step of the query as written after variables: a duration, `$__interval`, `$__rate_interval` or ''. */
  queryMin?: string;
  intervalFactor?: number;
  scrapeInterval?: number;
}

export interface Intervals {
  /** Distance of the points that are asked for. */
  step: number;
  rateInterval: number;
  range: number;
}

/** Interval of a panel before any query asks for its own: what `$__interval` means in variables and titles. */
export function panelInterval(
  input: Pick<IntervalInput, 'from' | 'to' | 'maxDataPoints' | 'panelMin' | 'scrapeInterval'>,
): number {
  const least = input.panelMin ?? input.scrapeInterval ?? SCRAPE_INTERVAL_MS;
  return Math.max(roundInterval((input.to - input.from) / Math.max(1, input.maxDataPoints)), least);
}

export function intervals(input: IntervalInput): Intervals {
  const range = input.to - input.from;
  const scrape = input.scrapeInterval ?? SCRAPE_INTERVAL_MS;
  const written = (input.queryMin ?? '').trim();
  const isMacro = /^\$\{?__(rate_)?interval\}?$/.test(written);
  const least = isMacro ? undefined : intervalMs(written);
  const calculated = Math.max(roundInterval(range / Math.max(1, input.maxDataPoints)), least ?? panelInterval(input));
  const adjusted = Math.max(calculated, roundInterval(range / POINTS_MAX));
  if (written.includes('rate_interval')) {
    const rate = rateInterval(adjusted, scrape);
    return { step: rate, rateInterval: rate, range };
  }
  const step = adjusted * (input.intervalFactor ?? 1);
  return { step, rateInterval: rateInterval(step, least ?? (isMacro ? step : scrape)), range };
}

/** At least four scrapes, so that every window of a rate holds two samples even when one is missed. */
export function rateInterval(step: number, scrape: number): number {
  return Math.max(step + scrape, 4 * scrape);
}

/** Values of the time macros, without their `$`. */
export function macros(at: Intervals, from: number, to: number): Record<string, string> {
  const seconds = Math.round(at.range / 1000);
  return {
    __interval: formatInterval(at.step),
    __interval_ms: String(at.step),
    __rate_interval: formatInterval(at.rateInterval),
    __rate_interval_ms: String(at.rateInterval),
    __range: `${seconds}s`,
    __range_s: String(seconds),
    __range_ms: String(at.range),
    __from: String(from),
    __to: String(to),
  };
}
