/**
 * The options of each column: a panel's defaults with the overrides that match laid over them.
 *
 * Here: matchers, Grafana's field properties -> `FieldOptions`, display names. Elsewhere: showing values
 * (`chart/field.ts`).
 */
import { compileRegex } from '../chart/field';
import type { FieldColor, FieldOptions, Mapping, MappingResult, Thresholds } from '../chart/field';
import { reduce } from '../chart/reduce';
import { autoNames } from './frames';
import type { Field, Frame } from './frames';
import { isObject, num, obj, objects, str, strings } from './json';
import type { Json } from './json';
import type { Override, Panel } from './model';
import { links } from './parse';

/** A column with all that is needed to show it. */
export interface ShownField {
  field: Field;
  frame: Frame;
  /** Position among the columns that hold numbers: picks the palette colour. */
  index: number;
  name: string;
  options: FieldOptions;
}

function thresholds(value: unknown): Thresholds | undefined {
  const steps = objects(obj(value).steps).map((s, i) => ({
    value: i === 0 ? -Infinity : (num(s.value) ?? -Infinity),
    color: str(s.color) ?? 'green',
  }));
  if (steps.length === 0) return undefined;
  const base = steps[0]!;
  return {
    mode: obj(value).mode === 'percentage' ? 'percentage' : 'absolute',
    steps: [base, ...steps.slice(1).sort((a, b) => a.value - b.value)],
  };
}

function result(value: unknown): MappingResult {
  const raw = obj(value);
  const text = raw.text === undefined || raw.text === null ? undefined : String(raw.text);
  return {
    ...(text !== undefined ? { text } : {}),
    ...(str(raw.color) ? { color: str(raw.color)! } : {}),
    ...(num(raw.index) !== undefined ? { index: num(raw.index)! } : {}),
  };
}

/** Mappings in today's form and in the form of Grafana 7 (`type: 1 | 2`). */
export function mappings(value: unknown): Mapping[] {
  return objects(value).flatMap((m): Mapping[] => {
    const options = obj(m.options);
    if (m.type === 'value')
      return [{ type: 'value', options: Object.fromEntries(Object.entries(options).map(([k, v]) => [k, result(v)])) }];
    if (m.type === 'range')
      return [
        { type: 'range', from: num(options.from) ?? null, to: num(options.to) ?? null, result: result(options.result) },
      ];
    if (m.type === 'regex')
      return [{ type: 'regex', pattern: str(options.pattern) ?? '', result: result(options.result) }];
    if (m.type === 'special')
      return [{ type: 'special', match: str(options.match) ?? '', result: result(options.result) }];
    if (m.type === 2)
      return [
        { type: 'range', from: num(m.from) ?? null, to: num(m.to) ?? null, result: { text: String(m.text ?? '') } },
      ];
    if (m.type !== 1 && m.type !== undefined) return [];
    const text = { text: String(m.text ?? '') };
    return [
      m.value === 'null'
        ? { type: 'special', match: 'null', result: text }
        : { type: 'value', options: { [String(m.value)]: text } },
    ];
  });
}

function color(value: unknown): FieldColor | undefined {
  const raw = obj(value);
  const mode = str(raw.mode);
  if (!mode) return undefined;
  const by = raw.seriesBy === 'min' || raw.seriesBy === 'max' ? raw.seriesBy : 'last';
  return { mode, seriesBy: by, ...(str(raw.fixedColor) ? { fixed: str(raw.fixedColor)! } : {}) };
}

/** Sets one property, as defaults and overrides both name it. */
function setProperty(options: FieldOptions, id: string, value: unknown): void {
  if (id.startsWith('custom.')) {
    setPath(options.custom, id.slice(7).split('.'), value);
    return;
  }
  switch (id) {
    case 'unit':
      if (str(value) !== undefined) options.unit = str(value)!;
      break;
    case 'decimals':
      options.decimals = num(value) ?? null;
      break;
    case 'min':
      options.min = num(value) ?? null;
      break;
    case 'max':
      options.max = num(value) ?? null;
      break;
    case 'displayName':
      if (str(value)) options.displayName = str(value)!;
      break;
    case 'noValue':
      if (value !== undefined && value !== null) options.noValue = String(value);
      break;
    case 'color': {
      const c = color(value);
      if (c) options.color = { ...options.color, ...c };
      break;
    }
    case 'thresholds': {
      const t = thresholds(value);
      if (t) options.thresholds = t;
      break;
    }
    case 'mappings':
      options.mappings = mappings(value);
      break;
    case 'links':
      options.links = links(value);
      break;
    default:
      break;
  }
}

function setPath(target: Json, path: string[], value: unknown): void {
  const [head, ...rest] = path;
  if (!head) return;
  if (rest.length === 0) target[head] = value;
  else {
    const next = isObject(target[head]) ? { ...(target[head] as Json) } : {};
    target[head] = next;
    setPath(next, rest, value);
  }
}

export function defaultOptions(defaults: Json): FieldOptions {
  const options: FieldOptions = { custom: { ...obj(defaults.custom) } };
  for (const [id, value] of Object.entries(defaults)) if (id !== 'custom') setProperty(options, id, value);
  return options;
}

function byValue(raw: Json, field: Field): boolean {
  const value = reduce(field.values as (number | null)[], str(raw.reducer) ?? 'lastNotNull');
  const limit = num(raw.value) ?? 0;
  if (value === null) return false;
  switch (raw.op) {
    case 'eq':
    case '=':
      return value === limit;
    case 'neq':
    case '!=':
      return value !== limit;
    case 'gt':
    case '>':
      return value > limit;
    case 'gte':
    case '>=':
      return value >= limit;
    case 'lt':
    case '<':
      return value < limit;
    case 'lte':
    case '<=':
      return value <= limit;
    default:
      return false;
  }
}

/** Whether an override holds for a column. */
export function matches(matcher: Override['matcher'], shown: Pick<ShownField, 'field' | 'frame' | 'name'>): boolean {
  const names = [shown.name, shown.field.name, shown.field.legend].filter((n): n is string => n !== undefined);
  switch (matcher.id) {
    case 'byName':
      return names.includes(String(matcher.options));
    case 'byRegexp': {
      const regex = compileRegex(String(matcher.options));
      return !!regex && names.some((n) => regex.test(n) && ((regex.lastIndex = 0), true));
    }
    case 'byFrameRefID':
      return shown.frame.refId === matcher.options;
    case 'byType':
      return shown.field.type === matcher.options;
    case 'byNames': {
      const raw = obj(matcher.options);
      const listed = strings(raw.names).some((n) => names.includes(n));
      return raw.mode === 'exclude' ? !listed : listed;
    }
    case 'byValue':
      return shown.field.type === 'number' && byValue(obj(matcher.options), shown.field);
    case 'numeric':
      return shown.field.type === 'number';
    case 'time':
      return shown.field.type === 'time';
    default:
      return false;
  }
}

/** Fills `${__field.name}`, `${__field.labels.x}` and `${__series.name}` of a display name. */
function fillName(pattern: string, field: Field, name: string): string {
  return pattern
    .replace(
      /\$\{__field\.labels\.([^}]+)\}/g,
      (_all, label: string) => field.labels?.[label.replace(/^\["?|"?\]$/g, '')] ?? '',
    )
    .replace(/\$\{__field\.labels\}/g, () =>
      Object.entries(field.labels ?? {})
        .map(([k, v]) => `${k}="${v}"`)
        .join(', '),
    )
    .replace(/\$\{__(?:field|series)\.(?:name|displayName)\}/g, name);
}

/** All columns of `frames` with their options; the order of frames and columns is kept. */
export function shownFields(
  panel: Panel,
  frames: readonly Frame[],
  interpolate: (text: string) => string,
): ShownField[] {
  const flat = frames.flatMap((frame) => frame.fields.map((field) => ({ field, frame })));
  const names = autoNames(flat.map((f) => f.field));
  let numbers = 0;
  return flat.map(({ field, frame }, i) => {
    const options = defaultOptions(panel.defaults);
    const shown: ShownField = {
      field,
      frame,
      index: field.type === 'number' ? numbers++ : 0,
      name: names[i]!,
      options,
    };
    if (field.type === 'time') options.unit = 'dateTimeAsIso';
    if (field.type === 'string') delete options.unit;
    if (options.displayName && field.type === 'number')
      shown.name = fillName(interpolate(options.displayName), field, names[i]!);
    for (const override of panel.overrides) {
      if (!matches(override.matcher, { ...shown, name: names[i]! })) continue;
      for (const p of override.properties) {
        setProperty(options, p.id, p.value);
        if (p.id === 'displayName' && str(p.value)) shown.name = fillName(interpolate(str(p.value)!), field, names[i]!);
      }
    }
    return shown;
  });
}
