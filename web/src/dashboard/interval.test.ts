import { expect, test } from 'vitest';
import { formatInterval, intervalMs, intervals, macros, panelInterval, rateInterval, roundInterval } from './interval';

const HOUR = 3_600_000;

test.each([
  [5, 1],
  [12, 10],
  [20, 20],
  [60, 50],
  [120, 100],
  [300, 200],
  [600, 500],
  [1_400, 1_000],
  [3_000, 2_000],
  [7_000, 5_000],
  [12_000, 10_000],
  [16_000, 15_000],
  [22_000, 20_000],
  [40_000, 30_000],
  [80_000, 60_000],
  [200_000, 120_000],
  [400_000, 300_000],
  [700_000, 600_000],
  [1_000_000, 900_000],
  [1_400_000, 1_200_000],
  [2_600_000, 1_800_000],
  [5_000_000, 3_600_000],
  [8_000_000, 7_200_000],
  [16_000_000, 10_800_000],
  [30_000_000, 21_600_000],
  [80_000_000, 43_200_000],
  [600_000_000, 86_400_000],
  [1_000_000_000, 604_800_000],
  [3_000_000_000, 2_592_000_000],
  [4_000_000_000, 31_536_000_000],
])('%d ms rounds to %d', (ms, expected) => expect(roundInterval(ms)).toBe(expected));

test.each([
  ['15s', 15_000],
  ['1h30m', 5_400_000],
  ['250ms', 250],
  ['>1m', 60_000],
  ['1.5m', 90_000],
  ['30', 30_000],
  ['', undefined],
  ['$x', undefined],
  ['1q', undefined],
])('interval %s', (text, expected) => expect(intervalMs(text)).toBe(expected));

test.each([
  [15_000, '15s'],
  [60_000, '1m'],
  [90_000, '90s'],
  [3_600_000, '1h'],
  [86_400_000, '1d'],
  [1500, '1500ms'],
])('%d reads %s', (ms, text) => expect(formatInterval(ms)).toBe(text));

/** [range, points, panel's least, query's least, factor] -> [step s, rate interval s] */
test.each([
  ['1 h on 800 px is bound by the scrape interval', HOUR, 800, undefined, '', 1, 15, 60],
  ['6 h on 800 px', 6 * HOUR, 800, undefined, '', 1, 30, 60],
  ['24 h on 800 px', 24 * HOUR, 800, undefined, '', 1, 120, 135],
  ['24 h on 600 px with a factor of 2', 24 * HOUR, 600, undefined, '', 2, 240, 255],
  ['panel minimum', HOUR, 800, 60_000, '', 1, 60, 75],
  ['query minimum sets the scrape interval of the rate', HOUR, 800, undefined, '1m', 1, 60, 240],
  ['query minimum below the scrape interval', HOUR, 800, undefined, '5s', 1, 5, 20],
  ['step of $__rate_interval', HOUR, 800, undefined, '$__rate_interval', 1, 60, 60],
  ['7 d on 1000 px', 7 * 24 * HOUR, 1000, undefined, '', 1, 600, 615],
  ['one point', HOUR, 1, undefined, '', 1, 3600, 3615],
  ['a least step too small for the range', 30 * 24 * HOUR, 1e6, undefined, '1s', 1, 300, 301],
] as const)('%s', (_name, range, maxDataPoints, panelMin, queryMin, intervalFactor, step, rate) => {
  const found = intervals({ from: 0, to: range, maxDataPoints, panelMin, queryMin, intervalFactor });
  expect([found.step / 1000, found.rateInterval / 1000]).toEqual([step, rate]);
});

test('a rate window holds four scrapes', () =>
  expect([rateInterval(15_000, 15_000), rateInterval(60_000, 15_000)]).toEqual([60_000, 75_000]));
test('interval of a panel', () => expect(panelInterval({ from: 0, to: HOUR, maxDataPoints: 10 })).toBe(300_000));
test('macros', () => {
  expect(macros({ step: 30_000, rateInterval: 60_000, range: HOUR }, 0, HOUR)).toEqual({
    __interval: '30s',
    __interval_ms: '30000',
    __rate_interval: '1m',
    __rate_interval_ms: '60000',
    __range: '3600s',
    __range_s: '3600',
    __range_ms: '3600000',
    __from: '0',
    __to: '3600000',
  });
});
