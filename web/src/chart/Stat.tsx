/**
 * One or several numbers large enough to be read from across the room, with an optional sparkline.
 *
 * Here: layout, font size, colour modes. Elsewhere: reducing and formatting (whoever gives the values).
 */
import type { ComponentChildren } from 'preact';
import { scheme } from '../theme';
import { readable, resolveColor, textOn, token, withAlpha } from './color';
import type { DisplayValue } from './field';
import { textWidth } from './measure';
import { useBox } from './useBox';

export interface StatValue {
  name: string;
  value: DisplayValue;
  /** The series behind the number, for the sparkline. */
  spark?: readonly (number | null)[];
  href?: string;
}

export interface StatProps {
  values: readonly StatValue[];
  colorMode?: 'value' | 'background' | 'background_solid' | 'none';
  textMode?: 'auto' | 'value' | 'value_and_name' | 'name' | 'none';
  graph?: boolean;
  center?: boolean;
  orientation?: 'auto' | 'horizontal' | 'vertical';
  /** Pixels that the panel's author asked for. */
  valueSize?: number;
  titleSize?: number;
}

/** Size of prefix and suffix beside the number. */
const UNIT_SIZE = 0.62;

function Spark({
  values,
  color,
  width,
  height,
}: {
  values: readonly (number | null)[];
  color: string;
  width: number;
  height: number;
}) {
  const known = values.filter((v): v is number => v !== null);
  if (known.length < 2 || width < 30) return null;
  const min = known.reduce((a, b) => Math.min(a, b));
  const max = known.reduce((a, b) => Math.max(a, b));
  const span = max - min || 1;
  const points = values.flatMap((v, i) =>
    v === null
      ? []
      : [
          `${((i / (values.length - 1)) * width).toFixed(1)},${(height - 2 - ((v - min) / span) * (height - 4)).toFixed(1)}`,
        ],
  );
  return (
    <svg class="stat-spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      <polygon points={`0,${height} ${points.join(' ')} ${width},${height}`} fill={withAlpha(color, 0.22)} />
      <polyline points={points.join(' ')} fill="none" stroke={color} stroke-width="1.5" stroke-linejoin="round" />
    </svg>
  );
}

function Cell({
  item,
  props,
  width,
  height,
  many,
}: {
  item: StatValue;
  props: StatProps;
  width: number;
  height: number;
  many: boolean;
}) {
  const { colorMode = 'value', textMode = 'auto', graph = false } = props;
  const color = item.value.color ?? token('text');
  const solid = colorMode === 'background' || colorMode === 'background_solid';
  const clear = /rgba\(.*, 0\)$/.test(resolveColor(color));
  const filled = solid && !clear;
  const showName = textMode === 'name' || textMode === 'value_and_name' || (textMode === 'auto' && many);
  const showValue = textMode !== 'name' && textMode !== 'none';
  const { text = '–', prefix = '', suffix = '' } = item.value;
  const valueWidth = textWidth(text || '–', 650) + UNIT_SIZE * textWidth(prefix + suffix, 550);
  // The sparkline has the lower part to itself where there is room; in a low cell the number lies over it.
  const spark = graph && item.spark && item.spark.length > 1 ? Math.round(height * (height > 80 ? 0.36 : 0.45)) : 0;
  // A cell much wider than high has it beside the number.
  const beside = spark > 0 && width > height * 2.6 && !showName;
  const lift = spark > 0 && height > 80 && !beside ? Math.round(spark * 0.8) : 0;
  const wide = showName && showValue && width > height * 2.6 && height < 70;
  const padding = width < 110 ? 4 : 10;
  const room = { w: (wide ? width * 0.55 : beside ? width * 0.48 : width) - 2 * padding, h: height - lift - 6 };
  const nameSize =
    props.titleSize ?? Math.max(11, Math.min(room.h * 0.26, 26, room.w / Math.max(3, textWidth(item.name, 400))));
  const valueRoom = showName && !wide ? room.h - nameSize * 1.3 : room.h;
  const valueSize =
    props.valueSize ?? Math.max(11, Math.min(valueRoom * 0.7, (room.w / Math.max(0.8, valueWidth)) * 0.97, 52));
  const foreground = filled
    ? textOn(color)
    : colorMode === 'value' && item.value.color
      ? readable(color)
      : token('text');
  const style = {
    width: `${width}px`,
    height: `${height}px`,
    color: foreground,
    paddingInline: `${padding}px`,
    paddingBottom: `${lift + 4}px`,
    ...(filled
      ? {
          background:
            colorMode === 'background_solid'
              ? color
              : `linear-gradient(120deg, ${color}, color-mix(in srgb, ${color} 80%, #000))`,
        }
      : {}),
  };
  const inner: ComponentChildren = (
    <>
      {spark > 0 && (
        <Spark
          values={item.spark!}
          color={filled ? foreground : color}
          width={beside ? Math.round(width / 2) : width}
          height={beside ? Math.round(height * 0.7) : spark}
        />
      )}
      {showName && (
        <span class="stat-name" style={{ fontSize: `${nameSize.toFixed(1)}px` }}>
          {item.name}
        </span>
      )}
      {showValue && (
        <span class="stat-value" style={{ fontSize: `${valueSize.toFixed(1)}px` }}>
          {prefix && <small>{prefix}</small>}
          {text || '–'}
          {suffix && <small>{suffix}</small>}
        </span>
      )}
    </>
  );
  const className = `stat-cell${props.center ? ' center' : ''}${wide ? ' wide' : ''}`;
  return item.href ? (
    <a class={className} style={style} href={item.href}>
      {inner}
    </a>
  ) : (
    <div class={className} style={style}>
      {inner}
    </div>
  );
}

/** Rows and columns that give each of `count` cells the most useful shape. */
function grid(
  count: number,
  width: number,
  height: number,
  orientation: StatProps['orientation'],
): { columns: number; rows: number } {
  if (orientation === 'vertical') return { columns: count, rows: 1 };
  if (orientation === 'horizontal') return { columns: 1, rows: count };
  if (width >= height) {
    const columns = Math.min(count, Math.max(1, Math.floor(width / 110)));
    return { columns, rows: Math.ceil(count / columns) };
  }
  return { columns: 1, rows: count };
}

export function Stat(props: StatProps) {
  void scheme.value; // Drawn again when the theme changes.
  const [ref, box] = useBox();
  const gap = 4;
  const { columns, rows } = grid(props.values.length || 1, box.width, box.height, props.orientation);
  const width = Math.max(1, (box.width - gap * (columns - 1)) / columns);
  const height = Math.max(30, (box.height - gap * (rows - 1)) / rows);
  return (
    <div class="stat" ref={ref}>
      {box.width > 0 &&
        props.values.map((item, i) => (
          <Cell key={i} item={item} props={props} width={width} height={height} many={props.values.length > 1} />
        ))}
      {props.values.length === 0 && <p class="chart-empty">No data</p>}
    </div>
  );
}
