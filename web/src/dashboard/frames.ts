/**
 * Answers to queries as frames: columns with a name, a type and labels.
 *
 * Here: range and instant answers to frames, names of series. Elsewhere: asking (`query.ts`), reshaping
 * (`transform.ts`),
 * options of a column (`fields.ts`).
 *
 * Invariant: all columns of a frame have the same length; times are milliseconds.
 */
import type { Labels, MatrixSeries, QueryData } from '../api';
import { parseValue } from '../matrix';
import type { Target } from './model';

export type FieldType = 'time' | 'number' | 'string';

export interface Field {
  name: string;
  type: FieldType;
  values: unknown[];
  labels?: Labels;
  /** Name made from the legend format; names the column wherever one is shown. */
  legend?: string;
}

export interface Frame {
  refId: string;
  fields: Field[];
}

export function frameLength(frame: Frame): number {
  return frame.fields[0]?.values.length ?? 0;
}

/** The expression and times that were asked, kept for "inspect". */
export interface Asked {
  refId: string;
  expr: string;
  /** Seconds. */
  step: number;
  instant: boolean;
  ms: number;
  seriesCount: number;
  warnings: string[];
}

/** Fills `{{label}}` of a legend format. */
export function legendName(format: string, labels: Labels): string {
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_all, name: string) => labels[name] ?? '');
}

export function labelsText(labels: Labels): string {
  const { __name__: name = '', ...rest } = labels;
  const pairs = Object.keys(rest)
    .sort()
    .map((k) => `${k}="${rest[k]}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(', ')}}` : name ? '' : '{}'}`;
}

/** Values on the grid `start..end` by `step` (seconds): the holes that Prometheus leaves out become nulls. */
function onGrid(series: MatrixSeries, start: number, end: number, step: number): { t: number[]; v: (number | null)[] } {
  const count = Math.max(0, Math.round((end - start) / step)) + 1;
  const t = new Array<number>(count);
  const v = new Array<number | null>(count).fill(null);
  for (let i = 0; i < count; i++) t[i] = (start + i * step) * 1000;
  for (const [time, text] of series.values ?? []) {
    const at = Math.round((time - start) / step);
    if (at < 0 || at >= count) continue;
    const value = parseValue(text);
    v[at] = Number.isNaN(value) ? null : value;
  }
  return { t, v };
}

function seriesFrame(target: Target, legend: string, labels: Labels, t: number[], v: (number | null)[]): Frame {
  const { __name__: name, ...rest } = labels;
  return {
    refId: target.refId,
    fields: [
      { name: 'Time', type: 'time', values: t },
      { name: name ?? 'Value', type: 'number', values: v, labels: rest, ...(legend ? { legend } : {}) },
    ],
  };
}

/** Range answers: one frame for each series, or one long table. */
export function rangeFrames(
  target: Target,
  matrix: MatrixSeries[],
  at: { start: number; end: number; step: number },
  legend: string,
): Frame[] {
  if (target.format === 'table') {
    const rows = matrix.flatMap((s) => (s.values ?? []).map(([t, v]) => ({ labels: s.metric, t, v })));
    return [tableFrame(target, rows)];
  }
  return matrix.map((s) => {
    const { t, v } = onGrid(s, at.start, at.end, at.step);
    return seriesFrame(target, seriesLegend(legend, s.metric, target), s.metric, t, v);
  });
}

/** Instant answers: one frame for each series, or one table with a row for each. */
export function instantFrames(target: Target, data: QueryData, legend: string): Frame[] {
  if (data.resultType === 'matrix') {
    return data.result.map((s) => {
      const points = s.values ?? [];
      return seriesFrame(
        target,
        seriesLegend(legend, s.metric, target),
        s.metric,
        points.map((p) => p[0] * 1000),
        points.map((p) => parseValue(p[1])),
      );
    });
  }
  const samples = data.resultType === 'vector' ? data.result : [{ metric: {} as Labels, value: data.result }];
  if (data.resultType === 'string') {
    const [t, text] = data.result;
    return [
      {
        refId: target.refId,
        fields: [
          { name: 'Time', type: 'time', values: [t * 1000] },
          { name: 'Value', type: 'string', values: [text] },
        ],
      },
    ];
  }
  if (target.format === 'table') {
    return [
      tableFrame(
        target,
        samples.filter((s) => s.value).map((s) => ({ labels: s.metric, t: s.value![0], v: s.value![1] })),
      ),
    ];
  }
  return samples
    .filter((s) => s.value)
    .map((s) => {
      const value = parseValue(s.value![1]);
      return seriesFrame(
        target,
        seriesLegend(legend, s.metric, target),
        s.metric,
        [s.value![0] * 1000],
        [Number.isNaN(value) ? null : value],
      );
    });
}

/** '' where the name is to be found by comparing labels. */
function seriesLegend(legend: string, labels: Labels, target: Target): string {
  if (legend === '__auto') return Object.keys(labels).length === 0 ? target.expr : '';
  if (legend === '') return Object.keys(labels).length === 0 ? target.expr : labelsText(labels);
  return legendName(legend, labels);
}

function tableFrame(target: Target, rows: { labels: Labels; t: number; v: string }[]): Frame {
  const names = [...new Set(rows.flatMap((r) => Object.keys(r.labels)))].sort();
  return {
    refId: target.refId,
    fields: [
      { name: 'Time', type: 'time', values: rows.map((r) => r.t * 1000) },
      ...names.map((name): Field => ({ name, type: 'string', values: rows.map((r) => r.labels[name] ?? null) })),
      { name: 'Value', type: 'number', values: rows.map((r) => parseValue(r.v)) },
    ],
  };
}

/** Tables of several queries are told apart: `Value #A`, `Value #B`. */
export function nameTableValues(frames: readonly Frame[], tableQueries: readonly string[]): Frame[] {
  if (tableQueries.length < 2) return [...frames];
  return frames.map((frame) =>
    tableQueries.includes(frame.refId)
      ? {
          ...frame,
          fields: frame.fields.map((f) =>
            f.name === 'Value' && f.type === 'number' && !f.labels ? { ...f, name: `Value #${frame.refId}` } : f,
          ),
        }
      : frame,
  );
}

/** Names for series without a legend: the one label that differs, else all that the series has. */
export function autoNames(fields: readonly Field[]): string[] {
  const unnamed = fields.filter((f) => !f.legend && f.labels);
  const keys = new Set(unnamed.flatMap((f) => Object.keys(f.labels!)));
  const single = keys.size === 1 ? [...keys][0]! : undefined;
  const metrics = new Set(unnamed.map((f) => f.name));
  return fields.map((f) => {
    if (f.legend) return f.legend;
    if (!f.labels || Object.keys(f.labels).length === 0) return f.name;
    if (single && metrics.size === 1) return f.labels[single] ?? f.name;
    return labelsText(f.name === 'Value' ? f.labels : { __name__: f.name, ...f.labels });
  });
}
