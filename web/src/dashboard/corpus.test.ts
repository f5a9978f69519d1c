/**
 * Every real dashboard goes through the model; what is not supported is counted and may only become less.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isKnownUnit } from '../chart/units';
import { obj } from './json';
import { placeSections } from './layout';
import { parseDashboard } from './parse';
import { questions } from './query';
import { dependencyOrder } from './variables';

const CORPUS = resolve(import.meta.dirname, '../../../../shared/dashboards');
const OWN = resolve(import.meta.dirname, '../../dashboards');
const files = existsSync(CORPUS) ? readdirSync(CORPUS).filter((f) => f.endsWith('.json')) : [];
if (files.length === 0) console.log(`skipped: no dashboards in ${CORPUS}`);

/**
 * Panels of the corpus that are shown as a table instead, by type. Lower a number when a type gets better, never raise
 * one.
 */
const NOT_DRAWN: Record<string, number> = {
  heatmap: 12,
  'state-timeline': 5,
  alertlist: 5,
  barchart: 5,
  histogram: 2,
  'status-history': 2,
};

const read = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

function walk(document: unknown) {
  const board = parseDashboard(document);
  const choices = Object.fromEntries(board.variables.map((v) => [v.name, { text: ['x'], value: ['x'], all: false }]));
  const placed = placeSections(board.sections, choices);
  const panels = placed.flatMap((s) => s.panels.map((p) => p.panel));
  const asked = panels.flatMap((p) =>
    questions(p, { variables: board.variables, choices }, { from: 0, to: 3_600_000 }, 800),
  );
  return { board, panels, asked };
}

describe.skipIf(files.length === 0)('real dashboards', () => {
  test.each(files)('%s', (file) => {
    const { board, panels, asked } = walk(read(resolve(CORPUS, file)));
    expect(board.title).not.toBe('');
    expect(panels.length).toBeGreaterThan(0);
    expect(dependencyOrder(board.variables).flat()).toHaveLength(board.variables.length);
    for (const q of asked) {
      expect(q.step).toBeGreaterThan(0);
      // Whatever is known is filled in: nothing of ours is left for the server to stumble over.
      expect(q.expr).not.toMatch(/\$\{?__(rate_)?interval|\$\{?__range/);
    }
  });

  test('no panel is lost, and what is not drawn does not grow', () => {
    const counts: Record<string, number> = {};
    let total = 0;
    for (const file of files) {
      const { board } = walk(read(resolve(CORPUS, file)));
      const panels = board.sections.flatMap((s) => s.panels);
      total += panels.length;
      for (const u of board.unsupported) {
        const type = /^panel type (.*)$/.exec(u.what)?.[1];
        if (type) counts[type] = (counts[type] ?? 0) + panels.filter((p) => p.type === type).length;
      }
    }
    expect(total).toBe(1252);
    expect(counts).toEqual(NOT_DRAWN);
  });

  test('transformations and data sources that are missing', () => {
    const what = new Set(
      files
        .flatMap((f) => walk(read(resolve(CORPUS, f))).board.unsupported.map((u) => u.what))
        .filter((w) => !w.startsWith('panel type') && !w.startsWith('annotation')),
    );
    expect([...what].sort()).toEqual([
      'ad-hoc filters',
      'server-side expressions',
      'transformation configFromData',
      'transformation groupingToMatrix',
    ]);
  });

  test('units that are shown as written', () => {
    const unknown = new Set<string>();
    for (const file of files) {
      for (const panel of walk(read(resolve(CORPUS, file))).panels) {
        const units = [
          panel.defaults.unit,
          ...panel.overrides.flatMap((o) => o.properties.filter((p) => p.id === 'unit').map((p) => p.value)),
        ];
        for (const u of units) if (typeof u === 'string' && u && !isKnownUnit(u)) unknown.add(u);
      }
    }
    expect([...unknown].sort()).toEqual(['J/Th', 'req/s']);
  });
});

describe('the dashboards that come with Cairn', () => {
  const own = readdirSync(OWN).filter((f) => f.endsWith('.json'));
  test('there are some', () => expect(own.length).toBeGreaterThanOrEqual(4));
  test.each(own)('%s', (file) => {
    const raw = obj(read(resolve(OWN, file)));
    const { board, panels } = walk(raw);
    expect(board.unsupported).toEqual([]);
    expect(raw.uid).toBe(`cairn-${file.replace('.json', '')}`);
    expect(raw.schemaVersion).toBe(39);
    expect(new Set(panels.map((p) => p.id)).size).toBe(panels.length);
    for (const p of panels) {
      expect(p.title === '' && p.type !== 'text', `a panel of ${file} has no title`).toBe(false);
      const unit = p.defaults.unit;
      if (typeof unit === 'string') expect(isKnownUnit(unit)).toBe(true);
    }
  });
});
