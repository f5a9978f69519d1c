// The range in the URL: what is read, what is written, and that a round trip changes nothing.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { range, rangeText, refresh, refreshCount, refreshNow, setRange, setRangeDefaults, setRefresh, shiftRange, startRefresh, zoomOut } from './range';
import { navigate, place } from './router';

const NOW = Date.UTC(2026, 4, 13, 14, 0, 0);
let stop: () => void;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  navigate('/');
  setRangeDefaults({});
  stop = startRefresh();
  refreshNow();
});
afterEach(() => {
  stop();
  vi.useRealTimers();
});

test('a silent URL means the defaults of the page', () => {
  expect(range.value).toEqual({ from: NOW - 3_600_000, to: NOW });
  setRangeDefaults({ from: 'now-15m', refresh: '5s' });
  expect(range.value).toEqual({ from: NOW - 900_000, to: NOW });
  expect(refresh.value).toBe('5s');
});

test.each([
  ['now-6h', 'now', NOW - 6 * 3_600_000, NOW],
  ['1778000000000', '1778003600000', 1778000000000, 1778003600000],
  ['nonsense', 'now', NOW - 3_600_000, NOW],
  ['now', 'now-1h', NOW - 3_660_000, NOW - 3_600_000],
])('from=%s to=%s', (from, to, start, end) => {
  navigate('/', { from, to });
  expect(range.value).toEqual({ from: start, to: end });
});

describe('round trips', () => {
  test('an absolute range survives a reload of its URL', () => {
    setRange(1778000000123, 1778003600456);
    const url = place.value.params.toString();
    navigate('/', {});
    navigate('/', new URLSearchParams(url));
    expect(range.value).toEqual({ from: 1778000000123, to: 1778003600456 });
  });

  test('other parameters stay', () => {
    navigate('/explore', { 'g0.expr': 'up' });
    setRange('now-3h', 'now');
    setRefresh('30s');
    expect(place.value.params.toString()).toBe('g0.expr=up&from=now-3h&to=now&refresh=30s');
    expect(rangeText.value).toEqual({ from: 'now-3h', to: 'now' });
  });

  test('refresh can be switched off where the page refreshes by default', () => {
    setRangeDefaults({ refresh: '10s' });
    setRefresh('');
    expect(refresh.value).toBe('');
    expect(place.value.params.get('refresh')).toBe('off');
  });
});

test('zooming out of a range that ends now keeps it ending now', () => {
  setRange('now-1h', 'now');
  zoomOut();
  expect(rangeText.value).toEqual({ from: 'now-7200s', to: 'now' });
});

test('zooming out of an absolute range keeps its middle', () => {
  setRange(NOW - 4000, NOW - 2000);
  zoomOut();
  expect(range.value).toEqual({ from: NOW - 5000, to: NOW - 1000 });
});

test('shifting never goes past now', () => {
  setRange(NOW - 4000, NOW - 1000);
  shiftRange(1);
  expect(range.value).toEqual({ from: NOW - 3000, to: NOW });
  shiftRange(-1);
  expect(range.value).toEqual({ from: NOW - 4500, to: NOW - 1500 });
});

test('the refresh clock moves a relative range on and leaves an absolute one', () => {
  navigate('/', { refresh: '10s' });
  const before = refreshCount.value;
  vi.advanceTimersByTime(20_000);
  expect(refreshCount.value).toBe(before + 2);
  expect(range.value.to).toBe(NOW + 20_000);
  navigate('/', { refresh: '10s', from: '1778000000000', to: '1778003600000' });
  vi.advanceTimersByTime(10_000);
  expect(range.value.to).toBe(1778003600000);
});
