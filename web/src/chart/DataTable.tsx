/**
 * A table of formatted values: sortable, with coloured cells and bars.
 *
 * Here: columns, sorting, cell looks. Elsewhere: where rows come from and how a value reads (the columns' own
 * functions).
 */
import { useMemo, useState } from 'preact/hooks';
import { scheme } from '../theme';
import { readable, textOn, withAlpha } from './color';
import { displayText } from './field';
import type { DisplayValue } from './field';

export interface TableColumn {
  name: string;
  values: readonly unknown[];
  display: (value: unknown) => DisplayValue;
  numeric: boolean;
  align?: 'left' | 'center' | 'right';
  width?: number;
  cell?: 'text' | 'color-text' | 'color-background' | 'gauge';
  link?: (row: number) => { url: string; title: string; newTab: boolean } | undefined;
}

export interface TableSort {
  column: number;
  desc: boolean;
}

export interface DataTableProps {
  columns: readonly TableColumn[];
  initialSort?: TableSort | null;
  label?: string;
  header?: boolean;
}

/** Rows drawn before "show more". */
const ROWS_MAX = 200;

function compare(a: unknown, b: unknown): number {
  const empty = (v: unknown) => v === null || v === undefined || v === '' || (typeof v === 'number' && Number.isNaN(v));
  if (empty(a) || empty(b)) return empty(a) && empty(b) ? 0 : empty(a) ? 1 : -1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function sortedRows(columns: readonly TableColumn[], sort: TableSort | null): number[] {
  const length = columns.reduce((n, c) => Math.max(n, c.values.length), 0);
  const rows = Array.from({ length }, (_, i) => i);
  const by = sort ? columns[sort.column] : undefined;
  if (!by) return rows;
  return rows.sort((a, b) => (sort!.desc ? -1 : 1) * compare(by.values[a], by.values[b]));
}

function Cell({ column, row }: { column: TableColumn; row: number }) {
  const value = column.display(column.values[row]);
  const text = displayText(value);
  const link = column.link?.(row);
  const content = link ? (
    <a href={link.url} title={link.title} {...(link.newTab ? { target: '_blank', rel: 'noreferrer' } : {})}>
      {text || link.title}
    </a>
  ) : (
    text
  );
  const align = column.align ?? (column.numeric ? 'right' : 'left');
  if (column.cell === 'gauge' && !Number.isNaN(value.numeric)) {
    return (
      <td style={{ textAlign: align }}>
        <span class="cell-gauge">
          <span class="bar-track">
            <span
              class="bar-fill"
              style={{ width: `${(value.fraction * 100).toFixed(1)}%`, background: value.color ?? 'var(--accent)' }}
            />
          </span>
          <span class="cell-value">{content}</span>
        </span>
      </td>
    );
  }
  const color = value.color && column.cell === 'color-text' ? { color: readable(value.color) } : {};
  const clear = value.color === undefined || /, 0\)$/.test(value.color);
  const background =
    !clear && column.cell === 'color-background'
      ? { background: withAlpha(value.color!, 1), color: textOn(value.color!) }
      : {};
  return (
    <td style={{ textAlign: align, ...color, ...background }} title={text.length > 40 ? text : undefined}>
      {content}
    </td>
  );
}

export function DataTable({ columns, initialSort = null, label, header = true }: DataTableProps) {
  void scheme.value;
  const [sort, setSort] = useState<TableSort | null>(initialSort);
  const [all, setAll] = useState(false);
  const rows = useMemo(() => sortedRows(columns, sort), [columns, sort]);
  if (columns.length === 0 || rows.length === 0) return <p class="chart-empty">No data</p>;
  const shown = all ? rows : rows.slice(0, ROWS_MAX);
  const next = (i: number): TableSort | null =>
    sort?.column !== i
      ? { column: i, desc: columns[i]!.numeric }
      : sort.desc === columns[i]!.numeric
        ? { column: i, desc: !sort.desc }
        : null;
  return (
    <div class="data-table" tabIndex={0} role="group" aria-label={label ?? 'Table'}>
      <table>
        {header && (
          <thead>
            <tr>
              {columns.map((c, i) => {
                const on = sort?.column === i;
                const align = c.align ?? (c.numeric ? 'right' : 'left');
                return (
                  <th
                    key={i}
                    scope="col"
                    aria-sort={on ? (sort!.desc ? 'descending' : 'ascending') : 'none'}
                    style={{ textAlign: align, ...(c.width ? { minWidth: `${Math.min(c.width, 400)}px` } : {}) }}
                  >
                    <button type="button" onClick={() => setSort(next(i))}>
                      {c.name || ' '}
                      <span class="sort-mark" aria-hidden="true">
                        {on ? (sort!.desc ? '↓' : '↑') : ''}
                      </span>
                    </button>
                  </th>
                );
              })}
            </tr>
          </thead>
        )}
        <tbody>
          {shown.map((row) => (
            <tr key={row}>
              {columns.map((c, i) => (
                <Cell key={i} column={c} row={row} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > shown.length && (
        <button type="button" class="chart-more" onClick={() => setAll(true)}>
          Show all {rows.length} rows
        </button>
      )}
    </div>
  );
}
