import { expect, test } from 'vitest';
import { linearRange, plotData } from './plotdata';
import type { Series } from './types';

const stack = { stack: { mode: 'normal' as const, group: 'A' } };
const series = (name: string, t: number[], v: (number | null)[], style: Series['style'] = {}): Series => ({
  name,
  t,
  v,
  style,
});

test('series with other times meet on one column', () => {
  const data = plotData([series('a', [1, 2], [10, 20]), series('b', [2, 3], [5, 6])], [true, true]);
  expect(data.t).toEqual([1, 2, 3]);
  expect(data.raw).toEqual([
    [10, 20, null],
    [null, 5, 6],
  ]);
});

test('a stack adds up, leaves gaps and skips what is not shown', () => {
  const list = [
    series('a', [1, 2], [1, 2], stack),
    series('b', [1, 2], [9, 9], stack),
    series('c', [1, 2], [4, null], stack),
  ];
  const data = plotData(list, [true, false, true]);
  expect(data.drawn).toEqual([
    [1, 2],
    [9, 9],
    [5, null],
  ]);
  expect(data.bands).toEqual([{ edge: 2, base: 0, below: false }]);
  expect(data.raw[2]).toEqual([4, null]);
});

test('what lies below zero is piled apart', () => {
  const data = plotData(
    [series('in', [1], [3], stack), series('out', [1], [-2], stack), series('out2', [1], [-1], stack)],
    [true, true, true],
  );
  expect(data.drawn).toEqual([[3], [-2], [-3]]);
  expect(data.bands).toEqual([{ edge: 2, base: 1, below: true }]);
});

test('a negated series is drawn below zero and reads as it is', () => {
  const data = plotData(
    [series('rx', [1], [3], { negative: true }), series('tx', [1], [2], { ...stack, negative: true })],
    [true, true],
  );
  expect([data.raw, data.drawn]).toEqual([
    [[3], [2]],
    [[-3], [-2]],
  ]);
});

test('percent stacking ends at one, also over zeros', () => {
  const percent = { stack: { mode: 'percent' as const, group: 'A' } };
  const data = plotData([series('a', [1, 2], [1, 0], percent), series('b', [1, 2], [3, 0], percent)], [true, true]);
  expect(data.drawn).toEqual([
    [0.25, 0],
    [1, 0],
  ]);
});

test('a short gap is bridged, a long one stays', () => {
  const data = plotData(
    [series('a', [0, 10, 20, 30, 40, 50], [0, null, 20, null, null, 50], { spanNulls: 20 })],
    [true],
  );
  expect(data.raw[0]).toEqual([0, 10, 20, null, null, 50]);
});

test.each([
  ['zero stays the base', [0, 100], {}, [0, 106]],
  ['near zero goes to zero', [5, 100], {}, [0, 105.7]],
  ['a flat line lies mid-way', [5, 5], {}, [0, 10]],
  ['flat zero', [0, 0], {}, [0, 1]],
  ['nothing at all', [null, null], {}, [0, 1.06]],
  ['hard limits win', [5, 500], { min: 0, max: 100 }, [0, 100]],
  ['contradicting limits', [1, 2], { min: 10, max: 5 }, [10, 20]],
  ['soft maximum gives room', [0, 0.3], { softMax: 1 }, [0, 1]],
  ['soft maximum yields', [0, 2], { softMax: 1 }, [0, 2.12]],
  ['centred', [-10, 5], { centeredZero: true }, [-10.9, 10.9]],
] as const)('y axis: %s', (_name, [low, high], axis, expected) => {
  const range = linearRange(low, high, axis, false);
  expect(range[0]).toBeCloseTo(expected[0]);
  expect(range[1]).toBeCloseTo(expected[1]);
});
