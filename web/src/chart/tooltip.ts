/**
 * The box beside the pointer that lists values at one instant.
 *
 * Here: one element for the whole page, filled by hand because it changes with every mouse move.
 * Elsewhere: which rows it shows (`TimeSeries.tsx`).
 */

export interface TooltipRow {
  name: string;
  value: string;
  color: string;
  strong: boolean;
}

const ROWS_MAX = 24;

let box: HTMLDivElement | undefined;
let owner: unknown;

function element(): HTMLDivElement {
  if (!box) {
    box = document.createElement('div');
    box.className = 'chart-tip';
    box.setAttribute('aria-hidden', 'true');
    document.body.append(box);
  }
  return box;
}

function cell(className: string, text: string): HTMLElement {
  const span = document.createElement('span');
  span.className = className;
  span.textContent = text;
  return span;
}

function rowElement(row: TooltipRow): HTMLElement {
  const line = document.createElement('div');
  line.className = row.strong ? 'chart-tip-row strong' : 'chart-tip-row';
  const swatch = cell('chart-swatch', '');
  swatch.style.background = row.color;
  line.append(swatch, cell('chart-tip-name', row.name), cell('chart-tip-value', row.value));
  return line;
}

/** Shows rows beside (`x`, `y`) of the window. Rows beyond the cap are counted, the strong one always stays. */
export function showTooltip(by: unknown, title: string, rows: readonly TooltipRow[], x: number, y: number): void {
  owner = by;
  const tip = element();
  const strong = rows.findIndex((r) => r.strong);
  const from = Math.max(0, Math.min(strong - ROWS_MAX + 3, rows.length - ROWS_MAX));
  const shown = rows.slice(from, from + ROWS_MAX);
  tip.replaceChildren(cell('chart-tip-time', title), ...shown.map(rowElement));
  if (rows.length > shown.length) tip.append(cell('chart-tip-more', `and ${rows.length - shown.length} more`));
  tip.style.display = 'block';
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 18 + width > innerWidth ? Math.max(4, x - width - 18) : x + 18;
  const top = Math.max(4, Math.min(y + 14, innerHeight - height - 6));
  tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
}

/** Hides the box if `by` shows it. */
export function hideTooltip(by: unknown): void {
  if (box && owner === by) box.style.display = 'none';
}
