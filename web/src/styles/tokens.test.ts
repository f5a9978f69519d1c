// Contrast of the token sheet in both schemes: text 4.5:1, series and control borders 3:1 (WCAG 2.2 AA).
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { SERIES_COLORS } from '../theme';

const sheet = readFileSync('src/styles/tokens.css', 'utf8');
const tokens = new Map<string, [string, string]>();
for (const [, name, light, dark] of sheet.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)) {
  tokens.set(name ?? '', [light ?? '', dark ?? '']);
}

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const channel = parseInt(hex.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string, scheme: 0 | 1): number {
  const [one, two] = [a, b].map((name) => luminance(tokens.get(name)?.[scheme] ?? '#000000')) as [number, number];
  return (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
}

const SCHEMES = [['light', 0], ['dark', 1]] as const;

describe.each(SCHEMES)('%s', (_name, scheme) => {
  const grounds = ['bg', 'surface', 'surface-2'];
  const pairs: [string, string, number][] = [
    ...['text', 'text-2', 'text-3', 'accent'].flatMap((name) => grounds.map((ground): [string, string, number] => [name, ground, 4.5])),
    ...['ok', 'warn', 'bad'].flatMap((name): [string, string, number][] => [[name, `${name}-soft`, 4.5], [name, 'surface', 4.5]]),
    ['accent', 'accent-soft', 4.5], ['on-accent', 'accent', 4.5], ['on-accent', 'accent-strong', 4.5],
    ['text-2', 'surface-3', 4.5], ['axis', 'surface', 4.5], ['line-strong', 'surface', 3], ['line-strong', 'bg', 3], ['focus', 'bg', 3],
    ...Array.from({ length: SERIES_COLORS }, (_, i): [string, string, number] => [`series-${i + 1}`, 'surface', 3]),
  ];
  test.each(pairs)('%s on %s is at least %s:1', (front, back, least) => {
    expect(tokens.has(front) && tokens.has(back)).toBe(true);
    expect(contrast(front, back, scheme)).toBeGreaterThanOrEqual(least);
  });
});
