/**
 * The only file that knows uPlot.
 *
 * Here: a plot in an element: scales, axes, paths, bands, threshold marks, cursor and zoom events.
 * Elsewhere: joining and stacking (`plotdata.ts`), legend, tooltip and accessible text (`TimeSeries.tsx`).
 *
 * Invariant: after `destroy` nothing of the plot listens or holds memory.
 */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { formatDate } from './dates';
import { decimalsOfIncrement, joinFormatted } from './number';
import { linearRange } from './plotdata';
import type { PlotData } from './plotdata';
import { token, withAlpha } from './color';
import type { AxisOptions, Series, ThresholdMarks } from './types';
import { formatUnit, isBinaryUnit } from './units';

export interface PlotSpec {
  series: readonly Series[];
  /** Concrete colour of each series. */
  colors: readonly string[];
  visible: readonly boolean[];
  data: PlotData;
  /** Milliseconds. */
  range: { from: number; to: number };
  width: number;
  height: number;
  thresholds?: ThresholdMarks | undefined;
  timeZone?: string | undefined;
  /** Plots with the same key share their crosshair. */
  syncKey?: string | undefined;
  /** Changes whenever colours do. */
  theme: string;
}

export interface CursorAt {
  /** Index into the time column, or null where the pointer is outside. */
  index: number | null;
  /** The series nearest to the pointer, or null. */
  nearest: number | null;
  /** Pixels from the left and top of the window. */
  x: number;
  y: number;
  /** Whether the pointer is over this plot rather than over one that shares its crosshair. */
  here: boolean;
}

export interface PlotEvents {
  onCursor: (at: CursorAt) => void;
  /** Milliseconds. */
  onZoom?: ((from: number, to: number) => void) | undefined;
  onZoomOut?: (() => void) | undefined;
}

export interface Plot {
  update(spec: PlotSpec): void;
  resize(width: number, height: number): void;
  /** Puts the crosshair on a point; null takes it away. */
  point(index: number | null): void;
  destroy(): void;
}

const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';
const CHAR_WIDTH = 6.2;
const HOVER_POINTS_MAX = 60;

const DECIMAL_INCREMENTS: number[] = [];
for (let power = -12; power <= 18; power++) {
  for (const digit of [1, 2, 2.5, 5]) DECIMAL_INCREMENTS.push(Number((digit * 10 ** power).toPrecision(12)));
}
const BINARY_INCREMENTS: number[] = [];
for (let power = -4; power <= 70; power++) BINARY_INCREMENTS.push(2 ** power);

interface Scale {
  key: string;
  unit: string | undefined;
  decimals: number | null | undefined;
  axis: AxisOptions;
  side: 'left' | 'right' | 'hidden';
  fromZero: boolean;
  percent: boolean;
}

function scaleKey(s: Series): string {
  const a = s.axis ?? {};
  return `y:${s.unit ?? ''}:${a.placement === 'left' || a.placement === 'right' ? a.placement : ''}:${a.log ?? ''}:${a.label ?? ''}`;
}

/** One scale per unit and side; what its series ask for is put together. */
function scalesOf(spec: PlotSpec): Map<string, Scale> {
  const scales = new Map<string, Scale>();
  spec.series.forEach((s) => {
    if (s.hidden) return;
    const key = scaleKey(s);
    const style = s.style ?? {};
    const stacked = !!style.stack && style.stack.mode !== 'none';
    const fromZero = style.draw === 'bars' || stacked;
    const known = scales.get(key);
    if (known) {
      known.fromZero ||= fromZero;
      known.axis = mergeAxis(known.axis, s.axis ?? {});
      return;
    }
    const wanted = s.axis?.placement ?? 'auto';
    const side = wanted === 'auto' ? (scales.size === 0 ? 'left' : 'right') : wanted;
    const percent = style.stack?.mode === 'percent';
    scales.set(key, {
      key,
      unit: percent ? 'percentunit' : s.unit,
      decimals: s.decimals,
      axis: s.axis ?? {},
      side,
      fromZero,
      percent,
    });
  });
  return scales;
}

function mergeAxis(a: AxisOptions, b: AxisOptions): AxisOptions {
  const least = (x?: number | null, y?: number | null) => (x == null ? (y ?? null) : y == null ? x : Math.min(x, y));
  const most = (x?: number | null, y?: number | null) => (x == null ? (y ?? null) : y == null ? x : Math.max(x, y));
  return {
    ...b,
    ...a,
    min: least(a.min, b.min),
    max: most(a.max, b.max),
    softMin: least(a.softMin, b.softMin),
    softMax: most(a.softMax, b.softMax),
  };
}

function uplotScale(scale: Scale): uPlot.Scale {
  if (scale.axis.log) {
    const base = scale.axis.log;
    return { distr: 3, log: base, range: (_u, min, max) => uPlot.rangeLog(min ?? 1, max ?? base, base, false) };
  }
  return {
    range: (_u, min, max) => {
      if (scale.percent) return [Math.min(0, min ?? 0) < 0 ? -1 : 0, 1];
      return linearRange(min ?? null, max ?? null, scale.axis, scale.fromZero);
    },
  };
}

function tickText(scale: Scale, splits: (number | null)[], increment: number): string[] {
  const decimals = scale.decimals ?? decimalsOfIncrement(increment);
  return splits.map((v) => {
    if (v === null) return '';
    const f = formatUnit(scale.unit, v, scale.decimals == null && decimals === 0 ? undefined : decimals);
    // 60.00 % after a tick distance of 0.25: the zeros say nothing.
    const text =
      scale.decimals == null && f.text !== '' && !Number.isNaN(Number(f.text)) ? String(Number(f.text)) : f.text;
    return joinFormatted({ ...f, text });
  });
}

function yAxis(scale: Scale, first: boolean): uPlot.Axis {
  const size = (u: uPlot, values: string[] | null, index: number, cycle: number): number => {
    const axis = u.axes[index] as uPlot.Axis & { _size: number };
    if (cycle > 1) return axis._size;
    const longest = (values ?? []).reduce((n, v) => Math.max(n, v?.length ?? 0), 0);
    return Math.min(140, Math.ceil(longest * CHAR_WIDTH) + 14);
  };
  return {
    scale: scale.key,
    show: scale.side !== 'hidden',
    side: scale.side === 'right' ? 1 : 3,
    font: FONT,
    stroke: token('axis'),
    size,
    gap: 6,
    space: 28,
    incrs: scale.axis.log ? undefined : isBinaryUnit(scale.unit) ? BINARY_INCREMENTS : DECIMAL_INCREMENTS,
    ...(scale.axis.label ? { label: scale.axis.label, labelSize: 18, labelFont: FONT, labelGap: 0 } : {}),
    values: (_u, splits, _axis, _space, increment) => tickText(scale, splits, increment),
    grid: { show: scale.axis.grid ?? first, stroke: token('grid'), width: 1 },
    ticks: { show: false },
    border: { show: false },
  } as uPlot.Axis;
}

function timePattern(increment: number, span: number): string {
  if (increment < 1) return 'HH:mm:ss.SSS';
  if (increment < 60) return 'HH:mm:ss';
  if (increment < 86400) return span > 86400 ? 'MM-DD HH:mm' : 'HH:mm';
  return increment < 28 * 86400 ? 'MM-DD' : 'YYYY-MM';
}

function timeAxis(timeZone: string | undefined): uPlot.Axis {
  return {
    scale: 'x',
    font: FONT,
    stroke: token('axis'),
    size: 26,
    gap: 6,
    space: (u) => {
      const span = (u.scales.x?.max ?? 0) - (u.scales.x?.min ?? 0);
      return span > 86400 ? 92 : 62;
    },
    values: (u, splits, _axis, _space, increment) => {
      const span = (u.scales.x?.max ?? 0) - (u.scales.x?.min ?? 0);
      return splits.map((t) => formatDate(t * 1000, timePattern(increment, span), timeZone));
    },
    grid: { stroke: token('grid'), width: 1 },
    ticks: { show: false },
    border: { show: false },
  };
}

function gradient(u: uPlot, color: string, alpha: number): CanvasGradient | string {
  const { top, height } = u.bbox;
  if (!Number.isFinite(top) || !(height > 0)) return withAlpha(color, alpha);
  const fill = u.ctx.createLinearGradient(0, top, 0, top + height);
  fill.addColorStop(0, withAlpha(color, Math.min(1, alpha * 1.6)));
  fill.addColorStop(1, withAlpha(color, alpha * 0.15));
  return fill;
}

function paths(s: Series): uPlot.Series.PathBuilder | undefined {
  const style = s.style ?? {};
  if (style.draw === 'bars') return uPlot.paths.bars?.({ size: [0.8, 60], align: 0 });
  if (style.draw === 'points') return () => null;
  if (style.interpolation === 'smooth') return uPlot.paths.spline?.();
  if (style.interpolation === 'stepAfter') return uPlot.paths.stepped?.({ align: 1 });
  if (style.interpolation === 'stepBefore') return uPlot.paths.stepped?.({ align: -1 });
  return uPlot.paths.linear?.();
}

/** Points that have no neighbour would be invisible in a line. */
function lonePoints(u: uPlot, seriesIndex: number): number[] {
  const column = u.data[seriesIndex] as (number | null)[];
  const lone: number[] = [];
  for (let i = 0; i < column.length; i++) {
    if (column[i] != null && column[i - 1] == null && column[i + 1] == null) lone.push(i);
  }
  return lone;
}

function uplotSeries(s: Series, color: string, visible: boolean): uPlot.Series {
  const style = s.style ?? {};
  const bars = style.draw === 'bars';
  const alpha = (style.fill ?? (bars ? 70 : 0)) / 100;
  const always = style.points === 'always' || style.draw === 'points';
  const size = style.pointSize ?? 5;
  return {
    label: s.name,
    show: visible,
    scale: scaleKey(s),
    stroke: color,
    width: style.draw === 'points' ? 0 : (style.lineWidth ?? 1.5),
    ...(alpha > 0
      ? { fill: style.gradient === 'opacity' ? (u: uPlot) => gradient(u, color, alpha) : withAlpha(color, alpha) }
      : {}),
    ...(style.dash && style.dash.length > 0 ? { dash: style.dash } : {}),
    paths: paths(s),
    spanGaps: style.spanNulls === true,
    points: {
      show: style.points !== 'never' && !bars,
      size: always ? size : 4,
      width: 0,
      fill: color,
      stroke: color,
      ...(always ? {} : { filter: (u: uPlot, i: number) => lonePoints(u, i) }),
    },
  } as uPlot.Series;
}

function drawAreas(u: uPlot, marks: ThresholdMarks, key: string): void {
  const { ctx, bbox } = u;
  ctx.save();
  marks.steps.forEach((step, i) => {
    const next = marks.steps[i + 1];
    const bottom = step.value === -Infinity ? bbox.top + bbox.height : u.valToPos(step.value, key, true);
    const top = next ? u.valToPos(next.value, key, true) : bbox.top;
    const [y0, y1] = [Math.max(bbox.top, top), Math.min(bbox.top + bbox.height, bottom)];
    if (y1 <= y0) return;
    ctx.fillStyle = withAlpha(step.color, 0.12);
    ctx.fillRect(bbox.left, y0, bbox.width, y1 - y0);
  });
  ctx.restore();
}

function drawLines(u: uPlot, marks: ThresholdMarks, key: string): void {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.lineWidth = 1.5 * devicePixelRatio;
  if (marks.dashed) ctx.setLineDash([8 * devicePixelRatio, 6 * devicePixelRatio]);
  for (const step of marks.steps) {
    if (step.value === -Infinity) continue;
    const y = Math.round(u.valToPos(step.value, key, true));
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = withAlpha(step.color, 0.85);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}

function structureKey(spec: PlotSpec): string {
  const stacked = spec.series.some((s) => s.style?.stack && s.style.stack.mode !== 'none');
  return JSON.stringify([
    spec.theme,
    spec.timeZone,
    spec.syncKey,
    spec.thresholds,
    spec.data.bands,
    stacked ? spec.visible : spec.visible.length,
    spec.series.map((s, i) => [s.name, s.unit, s.decimals, s.axis, s.style, s.hidden, spec.colors[i]]),
  ]);
}

function options(spec: PlotSpec, events: PlotEvents): uPlot.Options {
  const scales = scalesOf(spec);
  const list = [...scales.values()];
  const firstKey = list[0]?.key ?? 'y';
  const marks = spec.thresholds;
  const few = spec.series.length <= HOVER_POINTS_MAX;
  const cursorAt = (u: uPlot): CursorAt => {
    const box = u.over.getBoundingClientRect();
    const focused = u.series.findIndex((s, i) => i > 0 && (s as { _focus?: boolean })._focus === true);
    return {
      index: u.cursor.idx ?? null,
      nearest: focused > 0 ? focused - 1 : null,
      x: box.left + (u.cursor.left ?? 0),
      y: box.top + (u.cursor.top ?? 0),
      here: u.over.matches(':hover'),
    };
  };
  return {
    width: spec.width,
    height: spec.height,
    padding: [10, list.some((s) => s.side === 'right') ? 0 : 14, 0, list.some((s) => s.side === 'left') ? 4 : 14],
    legend: { show: false },
    ms: 1e-3,
    tzDate: (t) => (spec.timeZone ? uPlot.tzDate(new Date(t * 1000), spec.timeZone) : new Date(t * 1000)),
    scales: {
      x: { time: true, auto: false },
      ...Object.fromEntries(list.map((s) => [s.key, uplotScale(s)])),
      ...(list.length === 0 ? { y: { range: [0, 1] } } : {}),
    },
    // Without an axis of ours uPlot would draw its own, in black.
    axes: [
      timeAxis(spec.timeZone),
      ...(list.length > 0 ? list.map((s, i) => yAxis(s, i === 0)) : [{ scale: 'y', show: false }]),
    ],
    series: [{}, ...spec.series.map((s, i) => uplotSeries(s, spec.colors[i]!, spec.visible[i]!))],
    bands: spec.data.bands.map((b) => ({
      series: [b.edge + 1, b.base + 1] as [number, number],
      dir: b.below ? 1 : -1,
    })),
    focus: { alpha: few ? 0.35 : 1 },
    cursor: {
      focus: { prox: few ? 18 : -1 },
      drag: { x: !!events.onZoom, y: false, setScale: false },
      points: { show: few, size: 7, width: 2 },
      bind: {
        dblclick: () => () => {
          events.onZoomOut?.();
          return null;
        },
      },
      ...(spec.syncKey ? { sync: { key: spec.syncKey, setSeries: false } } : {}),
    },
    hooks: {
      drawClear: marks?.areas ? [(u) => drawAreas(u, marks, firstKey)] : [],
      draw: marks?.lines ? [(u) => drawLines(u, marks, firstKey)] : [],
      setCursor: [(u) => events.onCursor(cursorAt(u))],
      setSeries: [(u) => events.onCursor(cursorAt(u))],
      setSelect: [
        (u) => {
          const { left, width } = u.select;
          if (width < 4) return;
          const [from, to] = [u.posToVal(left, 'x'), u.posToVal(left + width, 'x')];
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          if (to > from) events.onZoom?.(Math.round(from * 1000), Math.round(to * 1000));
        },
      ],
    },
  };
}

function columns(spec: PlotSpec): uPlot.AlignedData {
  return [spec.data.t, ...spec.data.drawn] as uPlot.AlignedData;
}

function setRange(u: uPlot, spec: PlotSpec): void {
  u.setScale('x', { min: spec.range.from / 1000, max: spec.range.to / 1000 });
}

/** Draws into `host`. Updates keep the canvas unless names, styles or colours change. */
export function createPlot(host: HTMLElement, first: PlotSpec, events: PlotEvents): Plot {
  let spec = first;
  let key = structureKey(first);
  const build = () => {
    const u = new uPlot(options(spec, events), columns(spec), host);
    setRange(u, spec);
    return u;
  };
  let plot = build();
  return {
    update(next) {
      const nextKey = structureKey(next);
      const previous = spec;
      spec = next;
      if (nextKey !== key) {
        key = nextKey;
        plot.destroy();
        plot = build();
        return;
      }
      plot.batch(() => {
        next.visible.forEach((show, i) => {
          if (show !== previous.visible[i]) plot.setSeries(i + 1, { show }, false);
        });
        plot.setData(columns(next), false);
        setRange(plot, next);
      });
    },
    resize(width, height) {
      if (width === spec.width && height === spec.height) return;
      spec = { ...spec, width, height };
      plot.setSize({ width, height });
    },
    point(index) {
      const t = index === null ? undefined : spec.data.t[index];
      if (t === undefined) plot.setCursor({ left: -10, top: -10 });
      else plot.setCursor({ left: plot.valToPos(t, 'x'), top: plot.over.clientHeight / 3 });
    },
    destroy: () => plot.destroy(),
  };
}
