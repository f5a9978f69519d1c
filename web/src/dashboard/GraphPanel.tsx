/** The timeseries panel: Grafana's field options -> series of the graph. */
import { useMemo } from 'preact/hooks';
import { isScheme, resolveColor } from '../chart/color';
import { display, displayText } from '../chart/field';
import type { FieldOptions } from '../chart/field';
import { reduce } from '../chart/reduce';
import { TimeSeries } from '../chart/TimeSeries';
import type { AxisOptions, LegendOptions, Series, SeriesStyle, ThresholdMarks, TooltipOptions } from '../chart/types';
import { scheme } from '../theme';
import type { ShownField } from './fields';
import { bool, num, obj, str, strings } from './json';
import type { Json } from './json';
import type { Panel } from './model';

export interface GraphPanelProps {
  panel: Panel;
  fields: readonly ShownField[];
  range: { from: number; to: number };
  label: string;
  syncKey?: string | undefined;
  onZoom: (from: number, to: number) => void;
  onZoomOut: () => void;
}

const INTERPOLATIONS = new Set(['linear', 'smooth', 'stepBefore', 'stepAfter']);

function style(custom: Json): SeriesStyle {
  const stacking = obj(custom.stacking);
  const mode = stacking.mode === 'normal' || stacking.mode === 'percent' ? stacking.mode : 'none';
  // A group of false takes a series out of the stack.
  const out = stacking.group === false;
  const line = obj(custom.lineStyle);
  const dash = Array.isArray(line.dash) ? line.dash.map(num).filter((n): n is number => n !== undefined) : [];
  const gap = custom.spanNulls;
  const interpolation = str(custom.lineInterpolation);
  const points = custom.showPoints;
  return {
    draw: custom.drawStyle === 'bars' || custom.drawStyle === 'points' ? custom.drawStyle : 'line',
    interpolation: interpolation && INTERPOLATIONS.has(interpolation) ? (interpolation as 'linear') : 'linear',
    lineWidth: num(custom.lineWidth) ?? 1,
    fill: num(custom.fillOpacity) ?? 0,
    gradient: custom.gradientMode === 'opacity' || custom.gradientMode === 'hue' ? 'opacity' : 'none',
    points: points === 'always' || points === 'never' ? points : 'auto',
    pointSize: num(custom.pointSize) ?? 5,
    spanNulls: gap === true ? true : typeof gap === 'number' ? gap / 1000 : false,
    ...(line.fill === 'dash'
      ? { dash: dash.length > 0 ? dash : [10, 10] }
      : line.fill === 'dot'
        ? { dash: [0, 6] }
        : {}),
    ...(mode !== 'none' && !out ? { stack: { mode, group: str(stacking.group) ?? 'A' } } : {}),
    ...(custom.transform === 'negative-Y' ? { negative: true } : {}),
    ...(str(custom.fillBelowTo) ? { fillBelowTo: str(custom.fillBelowTo)! } : {}),
  };
}

function axis(options: FieldOptions): AxisOptions {
  const { custom } = options;
  const scaleOf = obj(custom.scaleDistribution);
  const placement = str(custom.axisPlacement);
  return {
    min: options.min ?? null,
    max: options.max ?? null,
    softMin: num(custom.axisSoftMin) ?? null,
    softMax: num(custom.axisSoftMax) ?? null,
    placement: placement === 'left' || placement === 'right' || placement === 'hidden' ? placement : 'auto',
    ...(str(custom.axisLabel) ? { label: str(custom.axisLabel)! } : {}),
    ...(scaleOf.type === 'log' ? { log: num(scaleOf.log) === 2 ? (2 as const) : (10 as const) } : {}),
    ...(bool(custom.axisCenteredZero) ? { centeredZero: true } : {}),
    ...(custom.axisGridShow === false ? { grid: false } : {}),
  };
}

/** The colour a series carries by its options; undefined leaves it to the palette by position. */
function color(options: FieldOptions, values: (number | null)[], name: string, index: number): string | undefined {
  const mode = options.color?.mode ?? 'palette-classic';
  if (mode === 'fixed' || mode === 'shades')
    return options.color?.fixed ? resolveColor(options.color.fixed) : undefined;
  if (mode === 'palette-classic') return undefined;
  if (mode === 'palette-classic-by-name' || mode === 'thresholds' || isScheme(mode)) {
    const by = options.color?.seriesBy ?? 'last';
    return display(options, reduce(values, by === 'last' ? 'lastNotNull' : by), { name, index }).color;
  }
  return undefined;
}

function toSeries(shown: ShownField): Series | undefined {
  const { options, field, frame } = shown;
  const time = frame.fields.find((f) => f.type === 'time');
  if (field.type !== 'number' || !time) return undefined;
  const { custom } = options;
  const hide = obj(custom.hideFrom);
  const zero = bool(custom.nullAsZero);
  const values = (field.values as (number | null)[]).map((v) => {
    return v === null || !Number.isFinite(v) ? (zero ? 0 : null) : v;
  });
  const own = color(options, values, shown.name, shown.index);
  const series: Series = {
    name: shown.name,
    t: (time.values as number[]).map((ms) => ms / 1000),
    v: values,
    labels: field.labels ?? {},
    hidden: bool(hide.viz),
    hideFromLegend: bool(hide.legend),
    hideFromTooltip: bool(hide.tooltip),
    decimals: options.decimals ?? null,
    axis: axis(options),
    style: custom.transform === 'constant' ? { ...style(custom), interpolation: 'stepAfter' } : style(custom),
    ...(options.unit ? { unit: options.unit } : {}),
    ...(own ? { color: own } : {}),
  };
  // Mapped values read as words.
  if ((options.mappings?.length ?? 0) > 0) series.format = (v) => displayText(display(options, v)) || '–';
  return series;
}

function marks(fields: readonly ShownField[]): ThresholdMarks | undefined {
  const first = fields.find((f) => f.field.type === 'number');
  const mode = str(obj(first?.options.custom.thresholdsStyle).mode) ?? 'off';
  const thresholds = first?.options.thresholds;
  if (mode === 'off' || !thresholds) return undefined;
  const { min, max } = first.options;
  const at = (value: number) =>
    thresholds.mode === 'percentage' && min != null && max != null && Number.isFinite(value)
      ? min + ((max - min) * value) / 100
      : value;
  return {
    steps: thresholds.steps.map((s) => ({ value: at(s.value), color: resolveColor(s.color) })),
    lines: mode.includes('line') || mode.includes('dashed'),
    areas: mode.includes('area'),
    dashed: mode.includes('dashed'),
  };
}

function legend(raw: Json): LegendOptions {
  return {
    show: raw.showLegend !== false && raw.displayMode !== 'hidden',
    mode: raw.displayMode === 'table' ? 'table' : 'list',
    placement: raw.placement === 'right' ? 'right' : 'bottom',
    calcs: strings(raw.calcs),
    ...(str(raw.sortBy) ? { sortBy: str(raw.sortBy)!, sortDesc: raw.sortDesc !== false } : {}),
    ...(num(raw.width) ? { width: num(raw.width)! } : {}),
  };
}

function tooltip(raw: Json): TooltipOptions {
  const mode = raw.mode === 'single' || raw.mode === 'none' ? raw.mode : 'multi';
  return { mode, sort: raw.sort === 'asc' || raw.sort === 'desc' ? raw.sort : 'none', hideZeros: bool(raw.hideZeros) };
}

export function GraphPanel({ panel, fields, range, label, syncKey, onZoom, onZoomOut }: GraphPanelProps) {
  const themeNow = scheme.value;
  const series = useMemo(() => fields.map(toSeries).filter((s) => s !== undefined), [fields, themeNow]);
  const thresholds = useMemo(() => marks(fields), [fields, themeNow]);
  const unit = fields.find((f) => f.field.type === 'number')?.options.unit;
  return (
    <TimeSeries
      series={series}
      range={range}
      legend={legend(obj(panel.options.legend))}
      tooltip={tooltip(obj(panel.options.tooltip))}
      ariaLabel={label}
      onZoom={onZoom}
      onZoomOut={onZoomOut}
      {...(unit ? { unit } : {})}
      {...(thresholds ? { thresholds } : {})}
      {...(syncKey ? { syncKey } : {})}
    />
  );
}
