// Theme: dark, light or as the system says. `public/theme.js` sets the stored choice before the first paint.
import { computed, signal } from '@preact/signals';
import { loadPref, savePref } from './prefs';

export type Theme = 'system' | 'dark' | 'light';

function initial(): Theme {
  const forced = new URLSearchParams(window.location.search).get('theme');
  const stored = forced ?? loadPref('theme');
  return stored === 'dark' || stored === 'light' ? stored : 'system';
}

const dark = window.matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(dark.matches);
dark.addEventListener?.('change', (event) => (systemDark.value = event.matches));

export const theme = signal<Theme>(initial());

/** What is on screen now. Canvas drawings read it so that they draw again when it changes. */
export const scheme = computed<'dark' | 'light'>(() =>
  theme.value === 'system' ? (systemDark.value ? 'dark' : 'light') : theme.value,
);

export function applyTheme(): void {
  const root = document.documentElement;
  if (theme.value === 'system') delete root.dataset.theme;
  else root.dataset.theme = theme.value;
}

export function setTheme(value: Theme): void {
  theme.value = value;
  savePref('theme', value === 'system' ? null : value);
  applyTheme();
}

/** The value of a colour token as the canvas understands it (`rgb(…)`), for the scheme on screen. */
export function tokenColor(name: string): string {
  // A custom property gives back `light-dark(…)` as written; only a real property is resolved.
  const probe = document.createElement('span');
  probe.style.color = `var(--${name})`;
  document.documentElement.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

export const SERIES_COLORS = 12;

/** CSS colour of the n-th series (0-based), from the token sheet. */
export function seriesColor(index: number): string {
  return `var(--series-${(index % SERIES_COLORS) + 1})`;
}

/** The whole series palette resolved for a canvas. */
export function seriesPalette(): string[] {
  return Array.from({ length: SERIES_COLORS }, (_, i) => tokenColor(`series-${i + 1}`));
}
