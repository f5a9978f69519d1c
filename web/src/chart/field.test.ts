import { expect, test } from 'vitest';
import { display, displayText, fieldRange, thresholdIndex } from './field';
import type { FieldOptions, Thresholds } from './field';
import { reduce, reducerLabel } from './reduce';

const options = (part: Partial<FieldOptions>): FieldOptions => ({ custom: {}, ...part });

test.each<[string, Partial<FieldOptions>, unknown, string]>([
  ['unit', { unit: 'bytes' }, 2048, '2 KiB'],
  ['value mapping', { mappings: [{ type: 'value', options: { '1': { text: 'Up' } } }] }, 1, 'Up'],
  ['range mapping', { mappings: [{ type: 'range', from: 5, to: null, result: { text: 'Many' } }] }, 7, 'Many'],
  [
    'range mapping misses null',
    { mappings: [{ type: 'range', from: null, to: null, result: { text: 'Any' } }] },
    null,
    '',
  ],
  ['null mapping', { mappings: [{ type: 'special', match: 'null', result: { text: 'N/A' } }] }, null, 'N/A'],
  [
    'regex mapping with a group',
    { mappings: [{ type: 'regex', pattern: '/^v(.*)$/', result: { text: 'Version $1' } }] },
    'v1.2',
    'Version 1.2',
  ],
  ['a broken regex maps nothing', { mappings: [{ type: 'regex', pattern: '(', result: { text: 'x' } }] }, 'a', 'a'],
  ['no value', { noValue: 'none' }, null, 'none'],
  ['text', {}, 'hello', 'hello'],
  ['numeric text with a unit', { unit: 'bytes' }, '1024', '1 KiB'],
])('%s', (_name, part, value, expected) => expect(displayText(display(options(part), value))).toBe(expected));

test('thresholds: absolute and percentage', () => {
  const steps = [
    { value: -Infinity, color: 'green' },
    { value: 50, color: 'yellow' },
    { value: 90, color: 'red' },
  ];
  const index = (mode: Thresholds['mode'], value: number) => thresholdIndex({ mode, steps }, value, { min: 0, max: 1 });
  expect([49, 50, 95].map((v) => index('absolute', v))).toEqual([0, 1, 2]);
  expect([0.2, 0.5, 0.95].map((v) => index('percentage', v))).toEqual([0, 1, 2]);
});

test('range of a gauge', () => {
  expect(fieldRange(options({ unit: 'percentunit' }))).toEqual({ min: 0, max: 1 });
  expect(fieldRange(options({}))).toEqual({ min: 0, max: 100 });
  expect(fieldRange(options({ min: 5, max: 5 }))).toEqual({ min: 5, max: 6 });
});

const values = [null, 4, 2, null, 8, null];
test.each([
  ['last', null],
  ['lastNotNull', 8],
  ['firstNotNull', 4],
  ['min', 2],
  ['max', 8],
  ['mean', 14 / 3],
  ['sum', 14],
  ['count', 6],
  ['range', 6],
  ['diff', 4],
  ['delta', 8],
  ['median', 4],
  ['p95', 8],
  ['distinctCount', 3],
  ['changeCount', 2],
  ['nonsense', null],
] as const)('%s', (id, expected) => expect(reduce(values, id)).toBe(expected));
test('nothing to reduce', () => expect(reduce([null], 'mean')).toBeNull());
test('percentile names', () =>
  expect(['p95', 'p1', 'p13', 'lastNotNull'].map(reducerLabel)).toEqual(['95th %', '1st %', '13th %', 'Last *']));
