/**
 * A graph over time: plot, legend, tooltip, keyboard and text alternative.
 *
 * Here: what belongs to one graph. Elsewhere: the canvas (`uplot.ts`), the legend (`Legend.tsx`), queries (whoever
 * asks).
 *
 * Invariant: colours are looked up again whenever the theme changes.
 */
import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { zone } from '../prefs';
import { scheme } from '../theme';
import { paletteColor, resolveColor } from './color';
import { formatDate } from './dates';
import { Legend } from './Legend';
import { plotData } from './plotdata';
import { reduce } from './reduce';
import { hideTooltip, showTooltip } from './tooltip';
import type {
  AxisOptions,
  LegendOptions,
  Series,
  SeriesStyle,
  StackMode,
  ThresholdMarks,
  TooltipOptions,
} from './types';
import { createPlot } from './uplot';
import { useBox } from './useBox';
import type { CursorAt, Plot, PlotSpec } from './uplot';
import { formatValue } from './units';
import './chart.css';

export interface TimeSeriesProps {
  series: readonly Series[];
  /** Milliseconds. */
  range: { from: number; to: number };
  unit?: string;
  decimals?: number | null;
  min?: number | null;
  max?: number | null;
  /** Pixels of plot and legend together; the parent's height where absent. */
  height?: number;
  stack?: boolean | StackMode;
  /** Opacity under the line, 0..100. */
  fill?: number;
  legend?: boolean | LegendOptions;
  tooltip?: TooltipOptions;
  thresholds?: ThresholdMarks;
  /** Milliseconds. */
  onZoom?: (from: number, to: number) => void;
  onZoomOut?: () => void;
  /** What the graph shows, for those who do not see it. */
  ariaLabel?: string;
  syncKey?: string;
}

function withDefaults(props: TimeSeriesProps): Series[] {
  const stackMode: StackMode = props.stack === true ? 'normal' : props.stack || 'none';
  return props.series.map((s) => {
    const style: SeriesStyle = {
      fill: props.fill ?? (stackMode === 'none' ? 8 : 40),
      ...(stackMode === 'none' ? {} : { stack: { mode: stackMode, group: 'A' } }),
      ...s.style,
    };
    const axis: AxisOptions = { min: props.min ?? null, max: props.max ?? null, ...s.axis };
    const unit = s.unit ?? props.unit;
    return { ...s, ...(unit ? { unit } : {}), decimals: s.decimals ?? props.decimals ?? null, style, axis };
  });
}

/** How `s` writes a value. */
export function seriesText(s: Series, value: number | null): string {
  if (s.format) return s.format(value);
  return value === null ? '–' : formatValue(s.unit, value, s.decimals);
}

function timeZone(): string | undefined {
  return zone.value === 'utc' ? 'UTC' : undefined;
}

/**
 * Which series are drawn: a click shows one alone, ctrl-click takes one away, a click on the only one shows all again.
 */
function useVisibility(series: readonly Series[]): [boolean[], (index: number, toggle: boolean) => void] {
  const [off, setOff] = useState<ReadonlySet<string>>(new Set());
  const drawn = series.map((s) => !s.hidden && !off.has(s.name));
  // All names gone from the data: an old choice must not leave the graph empty.
  const none = series.length > 0 && !drawn.some(Boolean) && series.some((s) => !s.hidden);
  const visible = none ? series.map((s) => !s.hidden) : drawn;
  const select = (index: number, toggle: boolean) => {
    const name = series[index]!.name;
    const shown = series.filter((_, i) => visible[i]);
    if (toggle) {
      const next = new Set(none ? [] : off);
      if (!next.delete(name)) next.add(name);
      setOff(next);
    } else if (shown.length === 1 && shown[0]!.name === name) setOff(new Set());
    else setOff(new Set(series.filter((s) => s.name !== name).map((s) => s.name)));
  };
  return [visible, select];
}

function tooltipRows(spec: PlotSpec, at: CursorAt, options: TooltipOptions) {
  const index = at.index!;
  const rows = spec.series.flatMap((s, i) => {
    const value = spec.data.raw[i]![index] ?? null;
    if (!spec.visible[i] || s.hideFromTooltip || value === null) return [];
    if (options.hideZeros && value === 0) return [];
    if (options.mode === 'single' && at.nearest !== null && at.nearest !== i) return [];
    return [
      { value, row: { name: s.name, value: seriesText(s, value), color: spec.colors[i]!, strong: at.nearest === i } },
    ];
  });
  const order = options.sort ?? 'desc';
  if (order !== 'none') rows.sort((a, b) => (order === 'desc' ? b.value - a.value : a.value - b.value));
  return rows.map((r) => r.row);
}

/** One sentence for each series, for screen readers. */
function Summary({ id, series, props }: { id: string; series: readonly Series[]; props: TimeSeriesProps }) {
  const tz = timeZone();
  const listed = series.filter((s) => !s.hidden).slice(0, 50);
  const pattern = 'YYYY-MM-DD HH:mm';
  return (
    <div id={id} class="chart-sr">
      <p>
        {`${formatDate(props.range.from, pattern, tz)} to ${formatDate(props.range.to, pattern, tz)}, ${series.length} series`}
        {props.unit ? `, unit ${props.unit}` : ''}. Arrow keys read values.
      </p>
      <table>
        <thead>
          <tr>
            <th>Series</th>
            <th>Last</th>
            <th>Min</th>
            <th>Max</th>
          </tr>
        </thead>
        <tbody>
          {listed.map((s, i) => (
            <tr key={i}>
              <th scope="row">{s.name}</th>
              {['lastNotNull', 'min', 'max'].map((calc) => (
                <td key={calc}>{seriesText(s, reduce(s.v, calc))}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function TimeSeries(props: TimeSeriesProps) {
  const themeNow = scheme.value;
  const tz = timeZone();
  const series = useMemo(
    () => withDefaults(props),
    [props.series, props.unit, props.decimals, props.min, props.max, props.stack, props.fill],
  );
  const colors = useMemo(
    () => series.map((s, i) => (s.color ? resolveColor(s.color) : paletteColor(i))),
    [series, themeNow],
  );
  const [visible, select] = useVisibility(series);
  const visibleKey = visible.map(Number).join('');
  const data = useMemo(() => plotData(series, visible), [series, visibleKey]);
  const [sizeRef, size] = useBox();
  const host = useRef<HTMLDivElement | null>(null);
  const plot = useRef<Plot | null>(null);
  const [focused, setFocused] = useState<number | null>(null);
  const [spoken, setSpoken] = useState('');
  const summaryId = useId();

  const spec: PlotSpec = {
    series,
    colors,
    visible,
    data,
    range: props.range,
    width: size.width,
    height: size.height,
    theme: themeNow,
    thresholds: props.thresholds,
    timeZone: tz,
    syncKey: props.syncKey,
  };
  const latest = useRef({ spec, props });
  latest.current = { spec, props };
  const drawable = size.width > 20 && size.height > 20;

  useLayoutEffect(() => {
    if (!drawable || !host.current) return;
    if (plot.current) {
      plot.current.resize(size.width, size.height);
      plot.current.update(spec);
      return;
    }
    const owner = host;
    plot.current = createPlot(host.current, spec, {
      onCursor: (at) => {
        const { spec: now, props: p } = latest.current;
        if (!at.here || at.index === null || at.x < 0 || p.tooltip?.mode === 'none') return hideTooltip(owner);
        const time = now.data.t[at.index];
        if (time === undefined) return hideTooltip(owner);
        showTooltip(
          owner,
          formatDate(time * 1000, 'YYYY-MM-DD HH:mm:ss', now.timeZone),
          tooltipRows(now, at, p.tooltip ?? {}),
          at.x,
          at.y,
        );
      },
      onZoom: props.onZoom ? (from, to) => latest.current.props.onZoom?.(from, to) : undefined,
      onZoomOut: () => latest.current.props.onZoomOut?.(),
    });
  }, [
    drawable,
    data,
    colors,
    visibleKey,
    props.range.from,
    props.range.to,
    size.width,
    size.height,
    themeNow,
    props.thresholds,
    tz,
    props.syncKey,
  ]);

  useEffect(
    () => () => {
      hideTooltip(host);
      plot.current?.destroy();
      plot.current = null;
    },
    [],
  );

  const moveTo = (index: number | null) => {
    setFocused(index);
    plot.current?.point(index);
    const t = index === null ? undefined : data.t[index];
    if (t === undefined) return setSpoken('');
    const values = series.flatMap((s, i) => {
      const v = visible[i] ? data.raw[i]![index!] : null;
      return v == null ? [] : [`${s.name} ${seriesText(s, v)}`];
    });
    setSpoken(`${formatDate(t * 1000, 'HH:mm:ss', tz)}: ${values.slice(0, 8).join(', ') || 'no data'}`);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const last = data.t.length - 1;
    if (last < 0) return;
    const stepSize = event.shiftKey ? Math.max(1, Math.round(last / 20)) : 1;
    const at = focused ?? (event.key === 'ArrowLeft' ? last + 1 : -1);
    const next = { ArrowLeft: at - stepSize, ArrowRight: at + stepSize, Home: 0, End: last }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      moveTo(Math.min(last, Math.max(0, next)));
    } else if (event.key === 'Escape' && focused !== null) moveTo(null);
  };

  const legend: LegendOptions =
    props.legend === false ? { show: false } : props.legend === true || !props.legend ? {} : props.legend;
  const right = legend.placement === 'right';
  return (
    <figure
      class={`chart${right ? ' chart-legend-right' : ''}`}
      style={props.height ? { height: `${props.height}px` } : {}}
    >
      <div class="chart-plot" ref={sizeRef}>
        {/* The canvas is an image with a description; arrow keys make it a slider over time. */}
        <div
          class="chart-canvas"
          ref={host}
          tabIndex={0}
          role="group"
          aria-roledescription="graph"
          aria-label={props.ariaLabel ?? 'Graph'}
          aria-describedby={summaryId}
          onKeyDown={onKeyDown}
          onBlur={() => focused !== null && moveTo(null)}
        />
        {series.length === 0 && <p class="chart-empty">No data</p>}
        <div class="chart-sr" aria-live="polite">
          {spoken}
        </div>
        <Summary id={summaryId} series={series} props={props} />
      </div>
      {legend.show !== false && (
        <Legend series={series} colors={colors} visible={visible} options={legend} onSelect={select} />
      )}
    </figure>
  );
}
