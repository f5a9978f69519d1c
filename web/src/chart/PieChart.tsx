/** Shares of a whole as a ring or a disc, with a legend that carries values. */
import { scheme } from '../theme';
import { paletteColor } from './color';
import { displayText } from './field';
import type { DisplayValue } from './field';
import { useBox } from './useBox';

export interface Slice {
  name: string;
  value: DisplayValue;
  color?: string;
}

export interface PieProps {
  slices: readonly Slice[];
  donut?: boolean;
  legend?: 'right' | 'bottom' | 'none';
  showValue?: boolean;
  showPercent?: boolean;
}

function wedge(r: number, inner: number, from: number, to: number): string {
  const at = (radius: number, part: number) => {
    const a = part * 2 * Math.PI - Math.PI / 2;
    return `${(radius * Math.cos(a)).toFixed(2)} ${(radius * Math.sin(a)).toFixed(2)}`;
  };
  // A full circle has no arc from a point to itself: stop just short of it.
  const end = Math.min(to, from + 0.9999);
  const large = end - from > 0.5 ? 1 : 0;
  return `M ${at(r, from)} A ${r} ${r} 0 ${large} 1 ${at(r, end)} L ${at(inner, end)} A ${inner} ${inner} 0 ${large} 0 ${at(inner, from)} Z`;
}

export function PieChart({
  slices,
  donut = false,
  legend = 'bottom',
  showValue = true,
  showPercent = false,
}: PieProps) {
  void scheme.value;
  const [ref, box] = useBox();
  const shown = slices
    .map((s, i) => ({ ...s, color: s.color ?? paletteColor(i), size: Math.max(0, s.value.numeric || 0) }))
    .filter((s) => s.size > 0);
  const total = shown.reduce((sum, s) => sum + s.size, 0);
  const r = Math.max(10, Math.min(box.width, box.height) / 2 - 4);
  let at = 0;
  return (
    <div class={`pie ${legend}`}>
      <div class="pie-plot" ref={ref}>
        {box.width > 0 && total > 0 && (
          <svg
            width={box.width}
            height={box.height}
            viewBox={`${-box.width / 2} ${-box.height / 2} ${box.width} ${box.height}`}
            role="img"
            aria-label={`Shares: ${shown.map((s) => `${s.name} ${displayText(s.value)}`).join(', ')}`}
          >
            {shown.map((s, i) => {
              const from = at;
              at += s.size / total;
              return (
                <path
                  key={i}
                  d={wedge(r, donut ? r * 0.6 : 0.01, from, at)}
                  fill={s.color}
                  stroke="var(--surface)"
                  stroke-width="1.5"
                >
                  <title>{`${s.name}: ${displayText(s.value)}`}</title>
                </path>
              );
            })}
          </svg>
        )}
        {total === 0 && <p class="chart-empty">No data</p>}
      </div>
      {legend !== 'none' && total > 0 && (
        <ul class="pie-legend">
          {shown.map((s, i) => (
            <li key={i}>
              <span class="chart-swatch" style={{ background: s.color }} />
              <span class="chart-key-name">{s.name}</span>
              <span class="pie-value">
                {[showValue && displayText(s.value), showPercent && `${Math.round((s.size / total) * 100)}%`]
                  .filter(Boolean)
                  .join(' · ')}
              </span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
