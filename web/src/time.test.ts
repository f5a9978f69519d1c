// Tables for the maths of time ranges. The zone of the tests is UTC (vite.config.ts).
import { describe, expect, test } from 'vitest';
import { aligned, formatDuration, humanDuration, parseDuration, parseInstant, relativeName, stepFor } from './time';

const NOW = Date.UTC(2026, 4, 13, 14, 25, 36, 789); // a Wednesday

test.each([
  ['15s', 15], ['1h30m', 5400], ['250ms', 0.25], ['2w', 1209600], ['1y', 31536000], ['90', 90], ['0.5', 0.5], ['1d12h', 129600],
  ['', null], ['h', null], ['1.5h', null], ['1h 30m', null], ['-5m', null], ['5M', null],
] as [string, number | null][])('parseDuration(%s) is %s', (text, seconds) => expect(parseDuration(text)).toBe(seconds));

test.each([
  [0, '0s'], [15, '15s'], [5400, '1h30m'], [0.25, '250ms'], [1209600, '2w'], [691200, '8d'], [-60, '-1m'], [90061, '1d1h1m1s'],
] as [number, string][])('formatDuration(%s) is %s', (seconds, text) => expect(formatDuration(seconds)).toBe(text));

test('every formatted duration reads back as the same', () => {
  for (let i = 1; i < 3000; i += 7) {
    const seconds = i * i * 0.125;
    const rounded = Math.round(seconds * 1000) / 1000;
    expect(parseDuration(formatDuration(seconds))).toBeCloseTo(rounded, 6);
  }
});

test.each([
  [0, '0 ms'], [0.00042, '0.4 ms'], [0.0124, '12 ms'], [1.84, '1.8 s'], [12.3, '12 s'], [60, '1 min'], [185, '3 min 5 s'], [1800, '30 min'], [3600, '1 h'],
  [7500, '2 h 5 min'], [90000, '1 d 1 h'], [1e7, '116 d'], [Infinity, '–'],
] as [number, string][])('humanDuration(%s) is %s', (seconds, text) => expect(humanDuration(seconds)).toBe(text));

describe('parseInstant', () => {
  const iso = (text: string): number => Date.parse(text);
  test.each([
    ['now', 'from', NOW],
    ['now-1h', 'from', NOW - 3_600_000],
    ['now-1d-2h', 'from', NOW - 26 * 3_600_000],
    ['now+5m', 'to', NOW + 300_000],
    ['now/h', 'from', iso('2026-05-13T14:00:00Z')],
    ['now/h', 'to', iso('2026-05-13T14:59:59.999Z')],
    ['now/d', 'from', iso('2026-05-13T00:00:00Z')],
    ['now-1d/d', 'to', iso('2026-05-12T23:59:59.999Z')],
    ['now/w', 'from', iso('2026-05-11T00:00:00Z')],
    ['now-1M/M', 'from', iso('2026-04-01T00:00:00Z')],
    ['now/y', 'to', iso('2026-12-31T23:59:59.999Z')],
    ['now-1y', 'from', iso('2025-05-13T14:25:36.789Z')],
    ['1778682336', 'from', 1778682336000],
    ['1778682336789', 'from', 1778682336789],
    ['2026-05-13T14:00:00Z', 'from', iso('2026-05-13T14:00:00Z')],
    ['2026-05-13 14:00', 'from', iso('2026-05-13T14:00:00')],
    ['yesterday', 'from', null],
    ['now-', 'from', null],
    ['now-1x', 'from', null],
    ['', 'from', null],
  ] as [string, 'from' | 'to', number | null][])('%s as %s', (text, end, expected) => {
    expect(parseInstant(text, NOW, end)).toBe(expected);
  });
});

describe('stepFor', () => {
  const hour = 3_600_000;
  test.each([
    [hour, 300, 1, 15],
    [300_000, 300, 1, 1],
    [24 * hour, 300, 1, 300],
    [24 * hour, 300, 600, 600],
    [365 * 24 * hour, 300, 1, 604800],
    [60_000, 300, 15, 15],
  ] as [number, number, number, number][])('%s ms at %s points, at least %s s: %s s', (span, points, min, step) => {
    expect(stepFor(NOW - span, NOW, points, min).step).toBe(step);
  });

  test('ends lie on multiples of the step, so that a refresh asks for the same instants', () => {
    const { start, end, step } = stepFor(NOW - hour, NOW, 300);
    expect(start % step).toBe(0);
    expect(end % step).toBe(0);
    expect(end * 1000).toBeLessThanOrEqual(NOW);
    expect(aligned(NOW - hour, NOW, 7).end % 7).toBe(0);
  });
});

test.each([
  ['now-1h', 'now', 'Last 1 hour'], ['now-15m', 'now', 'Last 15 minutes'], ['now-6M', 'now', 'Last 6 months'],
  ['now-1h', 'now-5m', null], ['1778682336', 'now', null], ['now/d', 'now', null],
] as [string, string, string | null][])('relativeName(%s, %s) is %s', (from, to, name) => expect(relativeName(from, to)).toBe(name));
