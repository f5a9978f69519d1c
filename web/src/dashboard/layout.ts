/**
 * Where panels lie: repeats unfolded, gaps closed.
 *
 * Here: sections of a model -> sections to draw. Elsewhere: drawing them (`DashboardView.tsx`).
 *
 * Invariant: no two panels of a section overlap.
 */
import type { Choice, Grid, Panel, Section } from './model';

export interface PlacedPanel {
  key: string;
  panel: Panel;
  grid: Grid;
  /** Variables that a repeat fixes. */
  scoped: Record<string, Choice>;
}

export interface PlacedSection {
  key: string;
  title: string | null;
  collapsed: boolean;
  panels: PlacedPanel[];
  scoped: Record<string, Choice>;
}

export const COLUMNS = 24;

/** The values a repeat runs over: each chosen one. */
function repeated(choice: Choice | undefined): Choice[] {
  if (!choice) return [];
  const text = (i: number) => (choice.all ? choice.value[i]! : (choice.text[i] ?? choice.value[i]!));
  return choice.value.map((value, i) => ({ text: [text(i)], value: [value], all: false }));
}

function overlaps(a: Grid, b: Grid): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

/** Moves everything up as far as it goes, in reading order; overlapping panels are pushed below each other. */
export function compact<T extends { grid: Grid }>(items: readonly T[]): T[] {
  const placed: T[] = [];
  for (const item of [...items].sort((a, b) => a.grid.y - b.grid.y || a.grid.x - b.grid.x)) {
    const free = (y: number) => placed.every((p) => !overlaps({ ...item.grid, y }, p.grid));
    let y = item.grid.y;
    while (y > 0 && free(y - 1)) y--;
    while (!free(y)) y++;
    placed.push({ ...item, grid: { ...item.grid, y } });
  }
  return placed;
}

function unfold(
  panel: Panel,
  choices: Record<string, Choice>,
  scoped: Record<string, Choice>,
  prefix: string,
): PlacedPanel[] {
  const whole = (grid: Grid): PlacedPanel => ({ key: `${prefix}${panel.id}`, panel, grid, scoped });
  if (!panel.repeat) return [whole(panel.grid)];
  const values = repeated(choices[panel.repeat.variable]);
  if (values.length === 0) return [whole(panel.grid)];
  const { direction, maxPerRow, variable } = panel.repeat;
  const perRow = Math.min(values.length, maxPerRow);
  const w = direction === 'h' ? Math.max(1, Math.floor(COLUMNS / perRow)) : panel.grid.w;
  return values.map((choice, i) => {
    const row = direction === 'h' ? Math.floor(i / perRow) : i;
    const x = direction === 'h' ? (i % perRow) * w : panel.grid.x;
    return {
      key: `${prefix}${panel.id}-${choice.value[0]}`,
      panel,
      grid: { x, y: panel.grid.y + row * panel.grid.h, w, h: panel.grid.h },
      scoped: { ...scoped, [variable]: choice },
    };
  });
}

/** Pushes what lies below a repeat down by the rows it has grown. */
function placePanels(
  panels: readonly Panel[],
  choices: Record<string, Choice>,
  scoped: Record<string, Choice>,
  prefix: string,
): PlacedPanel[] {
  const top = panels.reduce((least, p) => Math.min(least, p.grid.y), Infinity);
  let pushed = 0;
  const placed: PlacedPanel[] = [];
  for (const panel of panels) {
    const many = unfold(panel, choices, scoped, prefix);
    const bottom = Math.max(...many.map((p) => p.grid.y + p.grid.h));
    for (const p of many) placed.push({ ...p, grid: { ...p.grid, y: p.grid.y - top + pushed } });
    pushed += Math.max(0, bottom - (panel.grid.y + panel.grid.h));
  }
  return compact(placed);
}

/** The sections to draw for the chosen values. */
export function placeSections(sections: readonly Section[], choices: Record<string, Choice>): PlacedSection[] {
  return sections.flatMap((section): PlacedSection[] => {
    const draw = (scoped: Record<string, Choice>, suffix: string): PlacedSection => ({
      key: section.key + suffix,
      title: section.title,
      collapsed: section.collapsed,
      scoped,
      panels: placePanels(section.panels, { ...choices, ...scoped }, scoped, `${section.key}${suffix}/`),
    });
    if (!section.repeat) return [draw({}, '')];
    const values = repeated(choices[section.repeat]);
    return values.length === 0
      ? [draw({}, '')]
      : values.map((choice) => draw({ [section.repeat!]: choice }, `-${choice.value[0]}`));
  });
}
