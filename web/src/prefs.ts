// Preferences of this browser: kept in localStorage where that is allowed, in memory where it is not.
import { signal, type Signal } from '@preact/signals';

const PREFIX = 'cairn.';

export function loadPref(key: string): string | null {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null; // Blocked by the browser: the default serves.
  }
}

export function savePref(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
  } catch {
    // Blocked or full: the choice lasts as long as this page.
  }
}

/** A list of texts that the browser remembers (starred boards, query history), newest first. */
export function loadList(key: string): string[] {
  try {
    const list: unknown = JSON.parse(loadPref(key) ?? '[]');
    return Array.isArray(list) ? list.filter((item) => typeof item === 'string') : [];
  } catch {
    return [];
  }
}

function chosen<T extends string>(key: string, allowed: readonly T[], fallback: T): Signal<T> {
  const stored = loadPref(key);
  return signal(allowed.includes(stored as T) ? (stored as T) : fallback);
}

export type Zone = 'browser' | 'utc';

/** Zone in which times are drawn. */
export const zone = chosen<Zone>('zone', ['browser', 'utc'], 'browser');

export function setZone(value: Zone): void {
  zone.value = value;
  savePref('zone', value);
}

/** Tenant whose data is shown; '' where the server has only one. Sent as `X-Scope-OrgID`. */
export const tenant = signal(loadPref('tenant') ?? '');

export function setTenant(value: string): void {
  tenant.value = value;
  savePref('tenant', value || null);
}

function zoneOption(): { timeZone?: string } {
  return zone.value === 'utc' ? { timeZone: 'UTC' } : {};
}

/** `2026-05-03 14:05:09` in the chosen zone; `short` leaves out the seconds. */
export function formatTime(ms: number, form: 'full' | 'short' | 'clock' = 'full'): string {
  if (!Number.isFinite(ms)) return '–';
  const clock: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...zoneOption() };
  if (form !== 'short') clock.second = '2-digit';
  const time = new Intl.DateTimeFormat('en-GB', clock).format(ms);
  if (form === 'clock') return time;
  const day: Intl.DateTimeFormatOptions = { year: 'numeric', month: '2-digit', day: '2-digit', ...zoneOption() };
  return `${new Intl.DateTimeFormat('sv-SE', day).format(ms)} ${time}`;
}
