// Query answers as drawable series: numbers instead of texts, gaps as nulls, names for the legend.
import type { Labels, MatrixSeries } from './api';
import type { Series } from './chart/types';

/** `up{instance="a:9100",job="node"}`; labels sorted, name first. */
export function seriesName(labels: Labels): string {
  const { __name__: name = '', ...rest } = labels;
  const pairs = Object.keys(rest)
    .sort()
    .map((key) => `${key}=${JSON.stringify(rest[key])}`);
  return pairs.length ? `${name}{${pairs.join(', ')}}` : name || '{}';
}

/** A sample's text as a number; Prometheus writes `+Inf`, `-Inf`, `NaN`. */
export function parseValue(text: string): number {
  if (text === '+Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  return Number(text);
}

/**
 * Series on their own time column, one null put into each hole of more than `step` seconds so that lines break there.
 * Infinite and NaN values become null: a canvas cannot place them.
 */
export function toSeries(
  matrix: MatrixSeries[],
  step: number,
  name: (labels: Labels) => string = seriesName,
): Series[] {
  return matrix.map(({ metric, values = [] }) => {
    const t: number[] = [];
    const v: (number | null)[] = [];
    let last = Infinity;
    for (const [time, text] of values) {
      if (time - last > step * 1.5) {
        t.push(last + step);
        v.push(null);
      }
      const value = parseValue(text);
      t.push(time);
      v.push(Number.isFinite(value) ? value : null);
      last = time;
    }
    return { name: name(metric), labels: metric, t, v };
  });
}
