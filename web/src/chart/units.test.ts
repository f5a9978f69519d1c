import { describe, expect, test } from 'vitest';
import { decimalsOfIncrement } from './number';
import { formatValue, isKnownUnit } from './units';

const cases: [unit: string, value: number, expected: string, decimals?: number][] = [
  ['none', 0, '0'],
  ['none', 1234.5678, '1235'],
  ['none', 12.345, '12.3'],
  ['none', 1.2345, '1.23'],
  ['none', 0.001234, '0.00123'],
  ['none', -12.345, '-12.3'],
  ['none', 1000000, '1000000'],
  ['none', 1.005, '1.00', 2],
  ['none', 60, '60.00', 2],
  ['none', Infinity, '∞'],
  ['none', NaN, 'NaN'],
  ['short', 0, '0'],
  ['short', 999, '999'],
  ['short', 1000, '1 K'],
  ['short', 1234567, '1.23 Mil'],
  ['short', 5.6e9, '5.60 Bil'],
  ['short', -1500, '-1.50 K'],
  ['short', 0.0123, '0.0123'],
  ['percent', 12.3456, '12.3%'],
  ['percentunit', 0.123456, '12.3%'],
  ['percentunit', 0.5, '50.0%', 1],
  ['percentunit', 1, '100%'],
  ['bytes', 0, '0 B'],
  ['bytes', 1023, '1023 B'],
  ['bytes', 1024, '1 KiB'],
  ['bytes', 1536, '1.50 KiB'],
  ['bytes', 16 * 2 ** 30, '16 GiB'],
  ['bytes', 2 ** 80 * 4, '4 YiB'],
  ['decbytes', 1000, '1 kB'],
  ['decbytes', 1.5e9, '1.50 GB'],
  ['bits', 2048, '2 Kib'],
  ['decbits', 2e6, '2 Mb'],
  ['mbytes', 2048, '2 GiB'],
  ['deckbytes', 1500, '1.50 MB'],
  ['Bps', 1234, '1.23 kB/s'],
  ['binBps', 2048, '2 KiB/s'],
  ['bps', 1e9, '1 Gb/s'],
  ['Mbits', 1500, '1.50 Gb/s'],
  ['pps', 12345, '12.3 kp/s'],
  ['ops', 12.5, '12.5 ops/s'],
  ['reqps', 1500, '1.50K req/s'],
  ['iops', 3, '3 io/s'],
  ['cps', 2, '2 c/s'],
  ['rps', 0.5, '0.500 rd/s'],
  ['s', 0, '0 s'],
  ['s', 1e-9, '1 ns'],
  ['s', 0.00025, '250 µs'],
  ['s', 0.25, '250 ms'],
  ['s', 59, '59 s'],
  ['s', 60, '1 min'],
  ['s', 90, '1.50 mins'],
  ['s', 3600, '1 hour'],
  ['s', 9000, '2.50 hours'],
  ['s', 86400 * 3, '3 days'],
  ['s', 604800 * 2, '2 weeks'],
  ['s', 3.15569e7 * 2, '2 years'],
  ['ms', 5, '5 ms'],
  ['ms', 1500, '1.50 s'],
  ['ms', 90000, '1.50 mins'],
  ['µs', 1500, '1.50 ms'],
  ['ns', 1500, '1.50 µs'],
  ['m', 90, '1.50 hours'],
  ['d', 14, '2 weeks'],
  ['dtdurations', 3725, '1 hour'],
  ['dtdurations', 3725, '1 hour, 2 minutes', 1],
  ['dtdurations', 3725, '1 hour, 2 minutes, 5 seconds', 2],
  ['dtdurations', 0, '0 seconds'],
  ['dthms', 3725, '01:02:05'],
  ['dtdhms', 90000, '1 d 01:00:00'],
  ['clocks', 3725, '01h:02m:05s:000ms'],
  ['clocks', 3725, '01h:02m', 1],
  ['hertz', 2.4e9, '2.40 GHz'],
  ['celsius', 42.5, '42.5 °C'],
  ['watt', 1500, '1.50 kW'],
  ['mamp', 2500, '2.50 A'],
  ['mvolt', 500, '500 mV'],
  ['rotrpm', 1200, '1200 rpm'],
  ['dB', -3, '-3 dB'],
  ['currencyUSD', 1234, '$1.23K'],
  ['currencyEUR', 5, '€5'],
  ['GHs', 1500, '1.50 TH/s'],
  ['bool', 1, 'True'],
  ['bool_yes_no', 0, 'No'],
  ['bool:up/down', 0, 'down'],
  ['hex', 255, 'FF'],
  ['suffix:widgets', 3, '3 widgets'],
  ['prefix:#', 3, '#3'],
  ['si:kg', 1500, '1.50 Mg'],
  ['count:jobs', 1500, '1.50K jobs'],
  ['currency:CHF', 2, 'CHF2'],
  ['req/s', 4, '4 req/s'],
];

test.each(cases)('%s of %d is %s', (unit, value, expected, decimals) => {
  expect(formatValue(unit, value, decimals)).toBe(expected);
});

describe('dates', () => {
  const at = Date.UTC(2026, 4, 3, 14, 5, 9);
  test.each([
    ['dateTimeAsIso', '2026-05-03 14:05:09'],
    ['dateTimeAsUS', '05/03/2026 2:05:09 pm'],
    ['time: YYYY-MM-DD HH:mm:ss', ' 2026-05-03 14:05:09'],
    ['time:[Week] D MMM', 'Week 3 May'],
  ])('%s', (unit, expected) => expect(formatValue(unit, at, null, 'UTC')).toBe(expected));
  test('an unknown zone still shows a time', () =>
    expect(formatValue('dateTimeAsIso', at, null, 'No/Where')).toMatch(/^2026-05-0\d \d\d:05:09$/));
  test('ago', () => expect(formatValue('dateTimeFromNow', Date.now() - 3 * 3600_000)).toBe('3 hours ago'));
  test('not a date', () => expect(formatValue('dateTimeAsIso', NaN)).toBe('Invalid date'));
});

test('null shows nothing', () => expect(formatValue('bytes', null)).toBe(''));
test('names of Object.prototype are not units', () => expect(formatValue('constructor', 1)).toBe('1 constructor'));
test('known units', () => {
  expect(isKnownUnit('bytes')).toBe(true);
  expect(isKnownUnit('suffix:x')).toBe(true);
  expect(isKnownUnit('J/Th')).toBe(false);
});
test.each([
  [1, 0],
  [0.5, 1],
  [0.25, 2],
  [10, 0],
  [2.5, 1],
  [1e-7, 7],
  [0.1 + 0.2, 1],
])('ticks %d apart need %d decimals', (increment, decimals) => {
  expect(decimalsOfIncrement(increment)).toBe(decimals);
});
