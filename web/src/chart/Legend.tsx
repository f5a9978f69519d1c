/**
 * The list or table under (or beside) a graph.
 *
 * Here: rows, calculated columns, sorting, choosing series. Elsewhere: what a choice does to the drawing
 * (`TimeSeries.tsx`).
 */
import { useMemo, useState } from 'preact/hooks';
import { reduce, reducerLabel } from './reduce';
import type { LegendOptions, Series } from './types';
import { formatValue } from './units';

/** Rows drawn before "show all": more than a person reads, few enough to draw at once. */
const ROWS_MAX = 100;

interface Row {
  index: number;
  series: Series;
  values: (number | null)[];
}

interface Sort {
  /** Column: -1 is the name. */
  column: number;
  desc: boolean;
}

interface LegendProps {
  series: readonly Series[];
  colors: readonly string[];
  visible: readonly boolean[];
  options: LegendOptions;
  onSelect: (index: number, toggle: boolean) => void;
}

function initialSort(options: LegendOptions): Sort | null {
  if (!options.sortBy) return null;
  const calcs = options.calcs ?? [];
  const wanted = options.sortBy.toLowerCase();
  const column = calcs.findIndex((id) => id.toLowerCase() === wanted || reducerLabel(id).toLowerCase() === wanted);
  if (column < 0 && wanted !== 'name') return null;
  return { column, desc: options.sortDesc ?? true };
}

function sorted(rows: Row[], sort: Sort | null): Row[] {
  if (!sort) return rows;
  const direction = sort.desc ? -1 : 1;
  return [...rows].sort((a, b) => {
    if (sort.column < 0) return direction * a.series.name.localeCompare(b.series.name, undefined, { numeric: true });
    const [x, y] = [a.values[sort.column] ?? null, b.values[sort.column] ?? null];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    return direction * (x - y);
  });
}

function text(row: Row, calc: string, value: number | null): string {
  if (calc === 'count' || calc.endsWith('Count')) return value === null ? '' : String(value);
  if (calc === 'diffperc') return formatValue('percentunit', value, 1);
  if (value === null) return '–';
  return row.series.format ? row.series.format(value) : formatValue(row.series.unit, value, row.series.decimals);
}

export function Legend({ series, colors, visible, options, onSelect }: LegendProps) {
  const calcs = options.calcs ?? [];
  const [all, setAll] = useState(false);
  const [sort, setSort] = useState<Sort | null>(() => initialSort(options));
  const calcKey = calcs.join();
  const rows = useMemo(() => {
    const listed = series.flatMap((s, index): Row[] =>
      s.hidden || s.hideFromLegend ? [] : [{ index, series: s, values: calcs.map((c) => reduce(s.v, c)) }],
    );
    return sorted(listed, sort);
  }, [series, calcKey, sort]);
  if (rows.length === 0) return null;
  const shown = all ? rows : rows.slice(0, ROWS_MAX);

  const button = (row: Row) => (
    <button
      type="button"
      class="chart-key"
      title={`${row.series.name}\nClick shows it alone, Ctrl-click takes it away`}
      aria-pressed={visible[row.index]}
      onClick={(e) => onSelect(row.index, e.ctrlKey || e.metaKey || e.shiftKey)}
    >
      <span class="chart-swatch" style={{ background: colors[row.index] }} />
      <span class="chart-key-name">{row.series.name}</span>
    </button>
  );
  const more = rows.length > shown.length && (
    <button type="button" class="chart-more" onClick={() => setAll(true)}>
      Show all {rows.length}
    </button>
  );

  if (options.mode !== 'table') {
    return (
      <div class="chart-legend list">
        {shown.map((row) => (
          <span key={row.index} class={visible[row.index] ? 'chart-item' : 'chart-item off'}>
            {button(row)}
            {calcs.map((calc, i) => (
              <span key={calc} class="chart-calc">
                <small>{reducerLabel(calc)}</small> {text(row, calc, row.values[i] ?? null)}
              </span>
            ))}
          </span>
        ))}
        {more}
      </div>
    );
  }
  const header = (label: string, column: number) => {
    const on = sort?.column === column;
    return (
      <th key={column} scope="col" aria-sort={on ? (sort!.desc ? 'descending' : 'ascending') : 'none'}>
        <button
          type="button"
          onClick={() =>
            setSort(on && !sort!.desc && column >= 0 ? null : { column, desc: on ? !sort!.desc : column >= 0 })
          }
        >
          {label}
          {on ? (sort!.desc ? ' ↓' : ' ↑') : ''}
        </button>
      </th>
    );
  };
  return (
    <div
      class="chart-legend table"
      style={options.width ? { '--legend-width': `${options.width}px` } : {}}
      tabIndex={0}
      role="group"
      aria-label="Legend"
    >
      <table>
        <thead>
          <tr>
            {header('Name', -1)}
            {calcs.map((calc, i) => header(reducerLabel(calc), i))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={row.index} class={visible[row.index] ? '' : 'off'}>
              <th scope="row">{button(row)}</th>
              {calcs.map((calc, i) => (
                <td key={calc}>{text(row, calc, row.values[i] ?? null)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {more}
    </div>
  );
}
