/**
 * Series on one time column, stacked, with the y ranges that they need.
 *
 * Here: pure functions over numbers. Elsewhere: drawing them (`uplot.ts`).
 *
 * Invariant: all columns have the length of `t`, and `t` rises.
 */
import type { AxisOptions, Series } from './types';

export type Column = (number | null)[];

export interface Band {
  /** Indices of columns (0-based): the area lies between them. */
  edge: number;
  base: number;
  /** Below zero the area grows upwards to its base. */
  below: boolean;
}

export interface PlotData {
  t: number[];
  /** As given, on the common time column: what tooltips show. */
  raw: Column[];
  /** As drawn: stacked. */
  drawn: Column[];
  bands: Band[];
}

function sameTimes(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length || a[0] !== b[0] || a[a.length - 1] !== b[b.length - 1]) return false;
  for (let i = 1; i < a.length - 1; i++) if (a[i] !== b[i]) return false;
  return true;
}

function unionTimes(series: readonly Series[]): number[] {
  const longest = series.reduce<readonly number[]>((best, s) => (s.t.length > best.length ? s.t : best), []);
  if (series.every((s) => sameTimes(s.t, longest))) return [...longest];
  const all = new Set<number>();
  for (const s of series) for (const t of s.t) all.add(t);
  return [...all].sort((a, b) => a - b);
}

/** Values of `s` on the column `t`; null where it has none. A hole in `s.t` itself is not filled in. */
function onTimes(s: Series, t: readonly number[]): Column {
  if (sameTimes(s.t, t)) return s.v;
  const column: Column = new Array<number | null>(t.length).fill(null);
  let at = 0;
  for (let i = 0; i < t.length && at < s.t.length; i++) {
    if (s.t[at] === t[i]) column[i] = s.v[at++] ?? null;
  }
  return column;
}

/** Makes gaps of at most `limit` seconds disappear by drawing straight over them. */
function bridge(column: Column, t: readonly number[], limit: number): Column {
  const bridged = [...column];
  let last = -1;
  for (let i = 0; i < column.length; i++) {
    const right = column[i];
    if (right === null || right === undefined) continue;
    const gap = last >= 0 ? t[i]! - t[last]! : Infinity;
    if (last >= 0 && i - last > 1 && gap <= limit) {
      const left = column[last]!;
      for (let j = last + 1; j < i; j++) bridged[j] = left + ((right - left) * (t[j]! - t[last]!)) / gap;
    }
    last = i;
  }
  return bridged;
}

function isBelow(column: Column): boolean {
  let negative = false;
  for (const v of column) {
    if (v === null) continue;
    if (v > 0) return false;
    if (v < 0) negative = true;
  }
  return negative;
}

interface Pile {
  total: number[];
  top: number;
}

function stackInto(data: PlotData, series: readonly Series[], visible: readonly boolean[]): void {
  const piles = new Map<string, Pile>();
  const sums = percentSums(data, series, visible);
  series.forEach((s, i) => {
    const stack = s.style?.stack;
    if (!visible[i] || !stack || stack.mode === 'none') return;
    const below = isBelow(data.drawn[i]!);
    const key = pileKey(s, below);
    const pile = piles.get(key) ?? { total: new Array<number>(data.t.length).fill(0), top: -1 };
    const sum = sums.get(key);
    data.drawn[i] = data.drawn[i]!.map((v, at) => {
      if (v === null) return null;
      pile.total[at]! += sum ? v / (sum[at] || 1) : v;
      return pile.total[at]!;
    });
    if (pile.top >= 0) data.bands.push({ edge: i, base: pile.top, below });
    pile.top = i;
    piles.set(key, pile);
  });
}

function pileKey(s: Series, below: boolean): string {
  return `${s.style?.stack?.mode}/${s.style?.stack?.group}/${s.unit ?? ''}/${below ? '-' : '+'}`;
}

function percentSums(data: PlotData, series: readonly Series[], visible: readonly boolean[]): Map<string, number[]> {
  const sums = new Map<string, number[]>();
  series.forEach((s, i) => {
    if (!visible[i] || s.style?.stack?.mode !== 'percent') return;
    const key = pileKey(s, isBelow(data.drawn[i]!));
    const sum = sums.get(key) ?? new Array<number>(data.t.length).fill(0);
    data.raw[i]!.forEach((v, at) => (sum[at]! += Math.abs(v ?? 0)));
    sums.set(key, sum);
  });
  return sums;
}

/** Joins and stacks `series`; those with `visible[i]` false keep their place and take no part in a stack. */
export function plotData(series: readonly Series[], visible: readonly boolean[]): PlotData {
  const t = unionTimes(series);
  const raw = series.map((s) => {
    const column = onTimes(s, t);
    return typeof s.style?.spanNulls === 'number' ? bridge(column, t, s.style.spanNulls) : column;
  });
  const drawn = raw.map((column, i) =>
    series[i]!.style?.negative ? column.map((v) => (v === null ? null : -v)) : column,
  );
  const data: PlotData = { t, raw, drawn, bands: [] };
  stackInto(data, series, visible);
  series.forEach((s, i) => {
    const base = s.style?.fillBelowTo ? series.findIndex((other) => other.name === s.style!.fillBelowTo) : -1;
    if (base >= 0 && base !== i && visible[i] && visible[base]) data.bands.push({ edge: i, base, below: false });
  });
  return data;
}

/** The ends of a linear y axis over data between `low` and `high` (both null where there is none). */
export function linearRange(
  low: number | null,
  high: number | null,
  axis: AxisOptions,
  fromZero: boolean,
): [number, number] {
  let min = low ?? 0;
  let max = high ?? 1;
  if (fromZero) {
    min = Math.min(0, min);
    max = Math.max(0, max);
  }
  const span = max - min;
  if (span === 0) {
    // A flat line lies in the middle of its axis, over a baseline of zero.
    if (max > 0) [min, max] = [Math.min(0, min), max * 2];
    else if (max < 0) [min, max] = [min * 2, 0];
    else max = 1;
  } else {
    const padded = min - span * 0.06;
    if (min !== 0) min = min > 0 && (padded <= 0 || min < span * 0.25) ? 0 : padded;
    if (max !== 0) max = max < 0 && max + span * 0.06 >= 0 ? 0 : max + span * 0.06;
  }
  if (axis.softMin != null) min = Math.min(axis.softMin, low ?? axis.softMin);
  if (axis.softMax != null && (high ?? axis.softMax) <= axis.softMax) max = axis.softMax;
  if (axis.centeredZero) {
    const reach = Math.max(Math.abs(min), Math.abs(max));
    [min, max] = [-reach, reach];
  }
  if (axis.min != null) min = axis.min;
  if (axis.max != null) max = axis.max;
  // Contradicting limits still give an axis.
  return max > min ? [min, max] : [min, min + Math.max(1, Math.abs(min))];
}
