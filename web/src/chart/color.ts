/**
 * Colours of data: the series palette, Grafana's colour names, continuous schemes, and what the theme says.
 *
 * Here: name -> CSS colour for the theme in force, concrete enough for a canvas.
 * Elsewhere: the tokens themselves (the token sheet); thresholds and mappings that pick a name (`field.ts`).
 *
 * Invariant: everything handed out is a concrete colour (hex or rgb), so that a canvas can use it.
 */
import { SERIES_COLORS, scheme, tokenColor } from '../theme';

/** [super-light, light, base, semi-dark, dark] for the dark theme; the light theme uses one shade darker. */
const SHADES: Record<string, readonly string[]> = {
  red: ['#FFA6B0', '#FF7383', '#F2495C', '#E02F44', '#C4162A', '#AD0317'],
  orange: ['#FFCB7D', '#FFB357', '#FF9830', '#FF780A', '#FA6400', '#E55400'],
  yellow: ['#FFF899', '#FFEE52', '#FADE2A', '#F2CC0C', '#E0B400', '#CC9D00'],
  green: ['#C8F2C2', '#96D98D', '#73BF69', '#56A64B', '#37872D', '#19730E'],
  blue: ['#C0D8FF', '#8AB8FF', '#5794F2', '#3274D9', '#1F60C4', '#1250B0'],
  purple: ['#DEB6F2', '#CA95E5', '#B877D9', '#A352CC', '#8F3BB8', '#7C2EA3'],
};
const SHADE_NAMES = ['super-light-', 'light-', '', 'semi-dark-', 'dark-'];

/** Colour stops of the continuous schemes, low to high. */
const SCHEMES: Record<string, readonly string[]> = {
  'continuous-GrYlRd': ['green', 'yellow', 'red'],
  'continuous-RdYlGr': ['red', 'yellow', 'green'],
  'continuous-BlYlRd': ['dark-blue', 'super-light-yellow', 'dark-red'],
  'continuous-YlRd': ['super-light-yellow', 'dark-red'],
  'continuous-BlPu': ['dark-blue', 'dark-purple'],
  'continuous-YlBl': ['super-light-yellow', 'dark-blue'],
  'continuous-blues': ['background', 'dark-blue'],
  'continuous-reds': ['background', 'dark-red'],
  'continuous-greens': ['background', 'dark-green'],
  'continuous-purples': ['background', 'dark-purple'],
};

const tokenCache = new Map<string, string>();

/** The concrete value of a colour token, e.g. `token('text-2')`, for the theme on screen. */
export function token(name: string): string {
  const key = `${scheme.peek()} ${name}`;
  let color = tokenCache.get(key);
  if (!color) {
    color = tokenColor(name) || '#888888';
    tokenCache.set(key, color);
  }
  return color;
}

/** The colour of the n-th series of the default palette. */
export function paletteColor(index: number): string {
  return token(`series-${(index % SERIES_COLORS) + 1}`);
}

/** The palette colour that belongs to a name, the same on every panel. */
export function colorByName(name: string): string {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash * 31 + name.charCodeAt(i)) >>> 0;
  return paletteColor(hash);
}

function namedColor(name: string, dark: boolean): string | undefined {
  for (const [hue, shades] of Object.entries(SHADES)) {
    if (!name.endsWith(hue)) continue;
    const shade = SHADE_NAMES.indexOf(name.slice(0, -hue.length));
    if (shade >= 0) return shades[dark ? shade : shade + 1];
  }
  return undefined;
}

/** A colour as a dashboard writes it (name, hex, rgb(), "text") as a concrete CSS colour. */
export function resolveColor(name: string): string {
  if (name === 'text') return token('text');
  if (name === 'transparent') return 'rgba(0, 0, 0, 0)';
  if (name === 'background' || name === 'panel-bg') return token('surface');
  return namedColor(name, scheme.peek() === 'dark') ?? name;
}

export function parseColor(color: string): [r: number, g: number, b: number, a: number] | undefined {
  const hex = /^#([0-9a-f]{3,8})$/i.exec(color)?.[1];
  if (hex) {
    const long = hex.length <= 4 ? [...hex].map((c) => c + c).join('') : hex;
    const byte = (i: number) => parseInt(long.slice(i, i + 2), 16);
    return [byte(0), byte(2), byte(4), long.length === 8 ? byte(6) / 255 : 1];
  }
  const rgb = /^rgba?\(([^)]*)\)$/i
    .exec(color)?.[1]
    ?.split(/[\s,/]+/)
    .filter(Boolean)
    .map(parseFloat);
  if (rgb && rgb.length >= 3 && rgb.every((n) => !Number.isNaN(n))) return [rgb[0]!, rgb[1]!, rgb[2]!, rgb[3] ?? 1];
  return undefined;
}

/** `color` with its opacity replaced. */
export function withAlpha(color: string, alpha: number): string {
  const parsed = parseColor(resolveColor(color));
  return parsed ? `rgba(${parsed[0]}, ${parsed[1]}, ${parsed[2]}, ${alpha})` : color;
}

function mix(a: string, b: string, at: number): string {
  const [ca, cb] = [parseColor(resolveColor(a)), parseColor(resolveColor(b))];
  if (!ca || !cb) return resolveColor(at < 0.5 ? a : b);
  const channel = (i: 0 | 1 | 2) => Math.round(ca[i] + (cb[i] - ca[i]) * at);
  return `rgb(${channel(0)}, ${channel(1)}, ${channel(2)})`;
}

/** Whether `mode` names a continuous scheme. */
export function isScheme(mode: string | undefined): boolean {
  return !!mode && (mode in SCHEMES || mode.startsWith('continuous-'));
}

/** The colour at `fraction` (0..1) of a continuous scheme. */
export function schemeColor(mode: string, fraction: number): string {
  const stops = SCHEMES[mode] ?? SCHEMES['continuous-GrYlRd']!;
  const at = Math.min(1, Math.max(0, Number.isFinite(fraction) ? fraction : 0)) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  return mix(stops[low]!, stops[low + 1]!, at - low);
}

/** Black or white, whichever reads better on `background`. */
export function textOn(background: string): string {
  const luminance = luminanceOf(resolveColor(background));
  return luminance > 0.18 ? '#0b0f16' : '#ffffff';
}

/** `color` as text on the page: moved towards the text colour until it has 4.5:1 against the surface. */
export function readable(color: string): string {
  const surface = luminanceOf(token('surface'));
  const text = token('text');
  for (let step = 0; step <= 10; step++) {
    const candidate = step === 0 ? resolveColor(color) : mix(resolveColor(color), text, step / 10);
    const own = luminanceOf(candidate);
    const ratio = (Math.max(own, surface) + 0.05) / (Math.min(own, surface) + 0.05);
    if (ratio >= 4.5) return candidate;
  }
  return text;
}

function luminanceOf(color: string): number {
  const parsed = parseColor(color);
  if (!parsed) return 0.5;
  const [r, g, b] = parsed
    .slice(0, 3)
    .map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4)) as [
    number,
    number,
    number,
  ];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
