/**
 * Gauges: an arc with a needle's worth of colour, or bars, for values between a least and a most.
 *
 * Here: drawing. Elsewhere: reducing, thresholds and formatting (`field.ts`).
 */
import { scheme } from '../theme';
import { readable, resolveColor, token, withAlpha } from './color';
import { displayText, fieldRange } from './field';
import type { DisplayValue, FieldOptions, Thresholds, ValueRange } from './field';
import { textWidth } from './measure';
import { formatValue } from './units';
import { useBox } from './useBox';

export interface GaugeValue {
  name: string;
  value: DisplayValue;
  options: FieldOptions;
  range?: ValueRange;
}

export interface GaugeProps {
  values: readonly GaugeValue[];
  markers?: boolean;
  labels?: boolean;
}

const START = -120;
const SWEEP = 240;

function point(cx: number, cy: number, r: number, degrees: number): string {
  const a = ((degrees - 90) * Math.PI) / 180;
  return `${(cx + r * Math.cos(a)).toFixed(2)} ${(cy + r * Math.sin(a)).toFixed(2)}`;
}

function arc(cx: number, cy: number, r: number, from: number, to: number): string {
  return `M ${point(cx, cy, r, START + from * SWEEP)} A ${r} ${r} 0 ${(to - from) * SWEEP > 180 ? 1 : 0} 1 ${point(cx, cy, r, START + to * SWEEP)}`;
}

const clamp = (n: number) => Math.min(1, Math.max(0, n));

/** Threshold steps as fractions of the range, with their colours. */
export function thresholdBands(
  thresholds: Thresholds | undefined,
  range: ValueRange,
): { from: number; to: number; color: string }[] {
  const steps = thresholds?.steps ?? [];
  const at = (value: number) =>
    clamp(thresholds!.mode === 'percentage' ? value / 100 : (value - range.min) / (range.max - range.min));
  return steps
    .map((step, i) => ({
      from: i === 0 ? 0 : at(step.value),
      to: i + 1 < steps.length ? at(steps[i + 1]!.value) : 1,
      color: resolveColor(step.color),
    }))
    .filter((b) => b.to > b.from);
}

function Arc({
  item,
  width,
  height,
  props,
  many,
}: {
  item: GaugeValue;
  width: number;
  height: number;
  props: GaugeProps;
  many: boolean;
}) {
  const named = many;
  const nameHeight = named ? 18 : 0;
  // The arc ends 30 degrees below the middle: half a radius, plus the stroke and the band of thresholds around it.
  const r = Math.max(12, Math.min((width - 18) / 2.26, (height - nameHeight - 18) / 1.76));
  const thickness = r * 0.26;
  const tall = r * 1.76 + 10;
  const [cx, cy] = [width / 2, Math.max(0, (height - nameHeight - tall) / 2) + r + thickness / 2 + 8];
  const bands =
    props.markers !== false ? thresholdBands(item.options.thresholds, fieldRange(item.options, item.range)) : [];
  const color = item.value.color ?? token('accent');
  const text = displayText(item.value) || '–';
  const fontSize = Math.min(r * 0.46, ((r - thickness / 2) * 1.75) / Math.max(1, textWidth(text, 650)));
  const label = `${item.name ? `${item.name}: ` : ''}${text}`;
  return (
    <svg class="gauge" width={width} height={height} role="img" aria-label={label}>
      <title>{label}</title>
      <path d={arc(cx, cy, r, 0, 1)} fill="none" stroke={token('surface-3')} stroke-width={thickness} />
      {item.value.fraction > 0.002 && (
        <path d={arc(cx, cy, r, 0, item.value.fraction)} fill="none" stroke={color} stroke-width={thickness} />
      )}
      {bands.map((b, i) => (
        <path
          key={i}
          d={arc(cx, cy, r + thickness / 2 + 5, b.from, b.to)}
          fill="none"
          stroke={b.color}
          stroke-width={Math.max(3, thickness * 0.16)}
        />
      ))}
      {props.labels &&
        bands.slice(1).map((b, i) => {
          const range = fieldRange(item.options, item.range);
          const [x, y] = point(cx, cy, r + thickness / 2 + 18, START + b.from * SWEEP).split(' ');
          return (
            <text key={i} x={x} y={y} class="gauge-label" text-anchor="middle">
              {formatValue(item.options.unit, range.min + b.from * (range.max - range.min), item.options.decimals)}
            </text>
          );
        })}
      <text
        x={cx}
        y={cy + fontSize * 0.36}
        text-anchor="middle"
        font-size={fontSize}
        font-weight="650"
        fill={readable(color)}
      >
        {text}
      </text>
      {named && (
        <text x={cx} y={height - 5} text-anchor="middle" class="gauge-name">
          {item.name.length * 6.6 > width
            ? `${item.name.slice(0, Math.max(3, Math.floor(width / 6.6) - 1))}…`
            : item.name}
        </text>
      )}
    </svg>
  );
}

export function Gauge(props: GaugeProps) {
  void scheme.value;
  const [ref, box] = useBox();
  const count = Math.max(1, props.values.length);
  const columns =
    box.width >= box.height
      ? Math.min(count, Math.max(1, Math.round(Math.sqrt((count * box.width) / Math.max(1, box.height)))))
      : 1;
  const rows = Math.ceil(count / columns);
  return (
    <div class="gauges" ref={ref}>
      {box.width > 0 &&
        props.values.map((item, i) => (
          <Arc
            key={i}
            item={item}
            width={Math.floor(box.width / columns)}
            height={Math.max(70, Math.floor(box.height / rows))}
            props={props}
            many={props.values.length > 1}
          />
        ))}
      {props.values.length === 0 && <p class="chart-empty">No data</p>}
    </div>
  );
}

export interface BarGaugeProps {
  values: readonly GaugeValue[];
  orientation?: 'auto' | 'horizontal' | 'vertical';
  mode?: 'gradient' | 'lcd' | 'basic';
}

function fillOf(item: GaugeValue, mode: BarGaugeProps['mode'], vertical: boolean): string {
  const color = item.value.color ?? token('accent');
  return mode === 'gradient'
    ? `linear-gradient(${vertical ? 'to top' : 'to right'}, ${withAlpha(color, 0.35)}, ${color})`
    : color;
}

/** Bars with name and value; the filled part is the value's place between least and most. */
export function BarGauge({ values, orientation = 'auto', mode = 'gradient' }: BarGaugeProps) {
  void scheme.value;
  const [ref, box] = useBox();
  const vertical =
    orientation === 'vertical' ||
    (orientation === 'auto' && box.width > box.height * 1.6 && values.length > 1 && box.height > 140);
  return (
    <div class={vertical ? 'bars vertical' : box.width < 240 ? 'bars narrow' : 'bars'} ref={ref} role="list">
      {values.map((item, i) => {
        const part = `${(item.value.fraction * 100).toFixed(1)}%`;
        return (
          <div class="bar" key={i} role="listitem">
            {(values.length > 1 || item.name) && (
              <span class="bar-name" title={item.name}>
                {item.name}
              </span>
            )}
            <span class={mode === 'lcd' ? 'bar-track lcd' : 'bar-track'}>
              <span
                class="bar-fill"
                style={{ [vertical ? 'height' : 'width']: part, background: fillOf(item, mode, vertical) }}
              />
            </span>
            <span class="bar-value" style={{ color: readable(item.value.color ?? token('text')) }}>
              {displayText(item.value) || '–'}
            </span>
          </div>
        );
      })}
      {values.length === 0 && <p class="chart-empty">No data</p>}
    </div>
  );
}
