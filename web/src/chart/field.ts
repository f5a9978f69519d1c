/**
 * A field's options and how one of its values is shown: unit, decimals, mapping, threshold colour.
 *
 * Here: `FieldOptions` and `display`. Elsewhere: reading them from a dashboard (`dashboard/`), units (`units.ts`),
 * colours (`color.ts`).
 */
import { colorByName, isScheme, paletteColor, resolveColor, schemeColor } from './color';
import { joinFormatted } from './number';
import type { Formatted } from './number';
import { formatUnit } from './units';

/** Steps rise; the first begins at -Infinity. */
export interface Thresholds {
  mode: 'absolute' | 'percentage';
  steps: { value: number; color: string }[];
}

export interface MappingResult {
  text?: string;
  color?: string;
  index?: number;
}

export type Mapping =
  | { type: 'value'; options: Record<string, MappingResult> }
  | { type: 'range'; from: number | null; to: number | null; result: MappingResult }
  | { type: 'regex'; pattern: string; result: MappingResult }
  | { type: 'special'; match: string; result: MappingResult };

export interface FieldColor {
  mode: string;
  fixed?: string;
  seriesBy?: 'last' | 'min' | 'max';
}

export interface FieldLink {
  title: string;
  url: string;
  newTab: boolean;
}

export interface FieldOptions {
  unit?: string;
  decimals?: number | null;
  min?: number | null;
  max?: number | null;
  displayName?: string;
  noValue?: string;
  color?: FieldColor;
  thresholds?: Thresholds;
  mappings?: Mapping[];
  links?: FieldLink[];
  /** Options of the panel type (line width, cell type ...), by Grafana's name. */
  custom: Record<string, unknown>;
}

export interface DisplayValue extends Formatted {
  /** NaN where the value is text. */
  numeric: number;
  /** Undefined where nothing but the palette gives a colour. */
  color?: string;
  /** Position between min and max, 0..1. */
  fraction: number;
  /** Whether a mapping replaced the number. */
  mapped: boolean;
}

export const DEFAULT_THRESHOLDS: Thresholds = {
  mode: 'absolute',
  steps: [
    { value: -Infinity, color: 'green' },
    { value: 80, color: 'red' },
  ],
};

export function displayText(value: DisplayValue): string {
  return joinFormatted(value);
}

/** Compiles `/body/flags` or a bare body; undefined where it is not a valid expression. */
export function compileRegex(pattern: string): RegExp | undefined {
  const slashed = /^\/(.*)\/([a-z]*)$/s.exec(pattern);
  try {
    return slashed ? new RegExp(slashed[1]!, slashed[2]!.replace(/[^gimsuy]/g, '')) : new RegExp(`^${pattern}$`);
  } catch {
    return undefined;
  }
}

function matchesSpecial(match: string, value: unknown): boolean {
  const nan = typeof value === 'number' && Number.isNaN(value);
  const none = value === null || value === undefined;
  switch (match) {
    case 'null':
      return none;
    case 'nan':
      return nan;
    case 'null+nan':
      return none || nan;
    case 'true':
      return value === true || value === 'true';
    case 'false':
      return value === false || value === 'false';
    case 'empty':
      return value === '';
    default:
      return false;
  }
}

/** The first mapping that holds for `value`. */
export function findMapping(mappings: readonly Mapping[] | undefined, value: unknown): MappingResult | undefined {
  for (const mapping of mappings ?? []) {
    if (mapping.type === 'value') {
      if (value === null || value === undefined) continue;
      const hit = mapping.options[String(value)];
      if (hit) return hit;
    } else if (mapping.type === 'range') {
      const number =
        typeof value === 'number' ? value : typeof value === 'string' && value.trim() !== '' ? Number(value) : NaN;
      if (number >= (mapping.from ?? -Infinity) && number <= (mapping.to ?? Infinity)) return mapping.result;
    } else if (mapping.type === 'regex') {
      const regex = typeof value === 'string' || typeof value === 'number' ? compileRegex(mapping.pattern) : undefined;
      const text = String(value);
      if (!regex?.test(text)) continue;
      const replaced = mapping.result.text === undefined ? undefined : text.replace(regex, mapping.result.text);
      return { ...mapping.result, ...(replaced === undefined ? {} : { text: replaced }) };
    } else if (matchesSpecial(mapping.match, value)) return mapping.result;
  }
  return undefined;
}

export interface ValueRange {
  min: number;
  max: number;
}

/**
 * The range that percentages and gauges refer to: the options', else `data`'s, else 0..100 (0..1 for a unit fraction).
 */
export function fieldRange(options: FieldOptions, data?: ValueRange): ValueRange {
  const unitMax = options.unit === 'percentunit' ? 1 : 100;
  const min = options.min ?? data?.min ?? 0;
  const max = options.max ?? data?.max ?? unitMax;
  return { min, max: max > min ? max : min + 1 };
}

/** The threshold step that `value` lies in. */
export function thresholdIndex(thresholds: Thresholds, value: number, range: ValueRange): number {
  const at = thresholds.mode === 'percentage' ? ((value - range.min) / (range.max - range.min)) * 100 : value;
  let index = 0;
  thresholds.steps.forEach((step, i) => {
    if (i > 0 && at >= step.value) index = i;
  });
  return index;
}

function colorOf(
  options: FieldOptions,
  value: number,
  range: ValueRange,
  name: string,
  index: number,
): string | undefined {
  const mode = options.color?.mode ?? 'thresholds';
  if (mode === 'fixed' || mode === 'shades') return resolveColor(options.color?.fixed ?? 'green');
  if (isScheme(mode)) return schemeColor(mode, (value - range.min) / (range.max - range.min));
  if (mode === 'palette-classic-by-name') return colorByName(name);
  if (mode === 'palette-classic') return paletteColor(index);
  const thresholds = options.thresholds ?? DEFAULT_THRESHOLDS;
  const step = thresholds.steps[Number.isNaN(value) ? 0 : thresholdIndex(thresholds, value, range)];
  return step ? resolveColor(step.color) : undefined;
}

export interface DisplayContext {
  /** Range of the data, for percentage thresholds and gauges without min and max. */
  range?: ValueRange;
  name?: string;
  /** Position of the field, for the palette. */
  index?: number;
  timeZone?: string | undefined;
}

/** `value` as the field's options want it shown. */
export function display(options: FieldOptions, value: unknown, context: DisplayContext = {}): DisplayValue {
  const range = fieldRange(options, context.range);
  const mapping = findMapping(options.mappings, value);
  const numeric =
    typeof value === 'number'
      ? value
      : typeof value === 'boolean'
        ? Number(value)
        : typeof value === 'string' && value.trim() !== ''
          ? Number(value)
          : NaN;
  const color = mapping?.color
    ? resolveColor(mapping.color)
    : colorOf(options, numeric, range, context.name ?? '', context.index ?? 0);
  const fraction = Math.min(1, Math.max(0, (numeric - range.min) / (range.max - range.min))) || 0;
  const base = { numeric, fraction, mapped: mapping?.text !== undefined, ...(color ? { color } : {}) };
  if (mapping?.text !== undefined) return { ...base, text: mapping.text };
  if (value === null || value === undefined) return { ...base, text: options.noValue ?? '' };
  const showsText =
    options.unit === 'string' || (typeof value === 'string' && (Number.isNaN(numeric) || !options.unit));
  if (showsText) return { ...base, text: String(value) };
  if (Number.isNaN(numeric)) return { ...base, text: typeof value === 'number' ? 'NaN' : String(value) };
  return { ...base, ...formatUnit(options.unit, numeric, options.decimals, context.timeZone) };
}
