/**
 * What variables stand for: their options, and which of them are chosen.
 *
 * Here: reading variable queries, regex, sorting, order of dependency, choosing. Elsewhere: putting values into text
 * (`interpolate.ts`), the controls (`VariableBar.tsx`).
 */
import { labelNames, labelValues, queryInstant, request } from '../api';
import { interpolateQuery, references } from './interpolate';
import type { Scope } from './interpolate';
import { intervalMs, formatInterval, roundInterval } from './interval';
import type { Choice, Option, Variable } from './model';

export const ALL = '$__all';

/** What a query variable asks the server. */
export type VariableQuery =
  | { kind: 'label_names'; match?: string }
  | { kind: 'label_values'; label: string; match?: string }
  | { kind: 'metrics'; regex: string }
  | { kind: 'query_result'; expr: string }
  | { kind: 'series'; match: string };

export function parseVariableQuery(text: string): VariableQuery {
  const query = text.trim();
  const names = /^label_names\(\s*(.*?)\s*\)$/s.exec(query);
  if (names) return { kind: 'label_names', ...(names[1] ? { match: names[1] } : {}) };
  const values = /^label_values\((.*)\)$/s.exec(query)?.[1];
  if (values !== undefined) {
    // The label is what follows the last comma outside the selector: the selector may hold commas itself.
    const comma = values.lastIndexOf(',');
    const selector = comma < 0 || values.indexOf('}', comma) >= 0 ? '' : values.slice(0, comma).trim();
    const label = (selector ? values.slice(comma + 1) : values.replace(/^\s*,/, '')).trim();
    return { kind: 'label_values', label, ...(selector ? { match: selector } : {}) };
  }
  const metrics = /^metrics\((.*)\)$/s.exec(query);
  if (metrics) return { kind: 'metrics', regex: metrics[1]!.trim() };
  const result = /^query_result\((.*)\)$/s.exec(query);
  if (result) return { kind: 'query_result', expr: result[1]!.trim() };
  return { kind: 'series', match: query };
}

function seriesText(metric: Record<string, string>): string {
  const { __name__: name, ...labels } = metric;
  const pairs = Object.entries(labels).map(([k, v]) => `${k}="${v}"`);
  return `${name ?? ''}${pairs.length > 0 ? `{${pairs.join(',')}}` : name ? '' : '{}'}`;
}

export interface Span {
  /** Unix seconds. */
  start: number;
  end: number;
}

async function ask(query: VariableQuery, span: Span, abort: AbortSignal): Promise<string[]> {
  switch (query.kind) {
    case 'label_names':
      return labelNames(query.match ? [query.match] : [], abort);
    case 'label_values':
      return labelValues(query.label, { ...(query.match ? { match: [query.match] } : {}), ...span }, abort);
    case 'metrics': {
      const all = await labelValues('__name__', span, abort);
      const regex = safeRegex(query.regex);
      return regex ? all.filter((name) => regex.test(name)) : all;
    }
    case 'query_result': {
      const { data } = await queryInstant(query.expr, span.end, abort);
      if (data.resultType === 'vector')
        return data.result.map(
          (s) => `${seriesText(s.metric)} ${s.value?.[1] ?? ''} ${Math.round((s.value?.[0] ?? 0) * 1000)}`,
        );
      return data.resultType === 'scalar' ? [data.result[1]] : [];
    }
    case 'series': {
      if (!query.match) return [];
      const answer = await request<{ data: Record<string, string>[] }>(
        'api/v1/series',
        { 'match[]': [query.match], start: span.start, end: span.end },
        { signal: abort },
      );
      return (answer.data ?? []).map(seriesText);
    }
  }
}

function safeRegex(text: string): RegExp | undefined {
  try {
    return new RegExp(text);
  } catch {
    return undefined;
  }
}

/** `/body/flags` or a bare body that must match the whole. */
function variableRegex(text: string): RegExp | undefined {
  const slashed = /^\/(.*)\/([a-z]*)$/s.exec(text.trim());
  try {
    const flags = (slashed?.[2] ?? '').replace(/[^imsu]/g, '');
    return new RegExp(slashed ? slashed[1]! : `^${text}$`, `g${flags}`);
  } catch {
    return undefined;
  }
}

/** Filters and cuts values by a variable's regex: groups `text` and `value`, else the first group, else the whole. */
export function applyRegex(values: readonly string[], regex: string): Option[] {
  const pattern = regex ? variableRegex(regex) : undefined;
  const options = values.flatMap((raw): Option[] => {
    if (!pattern) return [{ text: raw, value: raw }];
    const matches = [...raw.matchAll(pattern)];
    if (matches.length === 0) return [];
    const value = matches.find((m) => m.groups?.value)?.groups?.value;
    const text = matches.find((m) => m.groups?.text)?.groups?.text;
    if (value !== undefined || text !== undefined) return [{ text: text ?? value!, value: value ?? text! }];
    const grouped = matches.filter((m) => m.length > 1 && m[1] !== undefined);
    if (grouped.length > 1) return grouped.map((m) => ({ text: m[1]!, value: m[1]! }));
    const cut = grouped[0]?.[1] ?? raw;
    return [{ text: cut, value: cut }];
  });
  const seen = new Set<string>();
  return options.filter((o) => !seen.has(o.value) && !!seen.add(o.value));
}

const digits = (text: string) => Number(/(\d+)/.exec(text)?.[1] ?? -1);

export function sortOptions(options: Option[], code: number): Option[] {
  if (code <= 0) return options;
  const kind = Math.ceil(code / 2);
  const direction = code % 2 === 0 ? -1 : 1;
  const compare = (a: string, b: string) => {
    if (kind === 1) return a < b ? -1 : a > b ? 1 : 0;
    if (kind === 2) return digits(a) - digits(b);
    if (kind === 3) return a.toLowerCase().localeCompare(b.toLowerCase());
    return a.localeCompare(b, undefined, { numeric: true });
  };
  return [...options].sort((a, b) => direction * compare(a.text, b.text));
}

/** `a,b\,c,name : value` as options. */
export function customOptions(query: string): Option[] {
  const parts = query.match(/(?:\\,|[^,])+/g) ?? [];
  return parts.map((part) => {
    const text = part.replace(/\\,/g, ',').trim();
    const pair = /^\s*(.+)\s:\s(.+)$/s.exec(text);
    return pair ? { text: pair[1]!.trim(), value: pair[2]!.trim() } : { text, value: text };
  });
}

function intervalOptions(variable: Variable): Option[] {
  const options = (variable.query.match(/(["'])(.*?)\1|[^\s,]+/g) ?? []).map((raw) => {
    const text = raw.replace(/^["']|["']$/g, '');
    return { text, value: text };
  });
  return variable.auto ? [{ text: 'auto', value: `$__auto_interval_${variable.name}` }, ...options] : options;
}

export interface Resolved {
  options: Option[];
  error?: string;
}

/** The options of one variable; the variables it refers to are in `scope`. Errors become words. */
export async function resolveOptions(
  variable: Variable,
  scope: Scope,
  span: Span,
  abort: AbortSignal,
): Promise<Resolved> {
  switch (variable.type) {
    case 'query': {
      try {
        const query = parseVariableQuery(interpolateQuery(variable.query, scope));
        const values = await ask(query, span, abort);
        return { options: sortOptions(applyRegex(values, interpolateQuery(variable.regex, scope)), variable.sort) };
      } catch (error) {
        if (abort.aborted) throw error;
        return { options: [], error: error instanceof Error ? error.message : String(error) };
      }
    }
    case 'datasource': {
      const known = /prometheus|mimir|cortex|thanos|victoria|^$/i.test(variable.query);
      return { options: known ? [{ text: 'Cairn', value: 'cairn' }] : [] };
    }
    case 'custom':
      return { options: customOptions(variable.query) };
    case 'interval':
      return { options: intervalOptions(variable) };
    case 'constant':
      return { options: [{ text: variable.query, value: variable.query }] };
    default:
      return { options: [] };
  }
}

/** What an automatic interval stands for over `rangeMs`. */
export function autoInterval(variable: Variable, rangeMs: number): string {
  const { count = 30, min = '10s' } = variable.auto ?? {};
  return formatInterval(Math.max(roundInterval(rangeMs / count), intervalMs(min) ?? 0));
}

function choose(options: readonly Option[], values: readonly string[]): Choice {
  const texts = values.map((v) => options.find((o) => o.value === v)?.text ?? v);
  return { text: texts, value: [...values], all: false };
}

/**
 * Which options are chosen: what was `wanted` (from the URL) first, then the file's own choice, then All, then the
 * first option.
 * A value that is no option is kept only where it was asked for.
 */
export function chooseOptions(
  variable: Variable,
  options: readonly Option[],
  wanted: readonly string[] | undefined,
  rangeMs: number,
): Choice {
  const everything: Choice = { text: ['All'], value: options.map((o) => o.value), all: true };
  if (variable.type === 'textbox') {
    const value = wanted?.[0] ?? variable.current.value[0] ?? variable.query;
    return { text: [value], value: [value], all: false };
  }
  const given = wanted && wanted.length > 0 ? wanted : undefined;
  const ofFile = variable.current.value.length > 0 ? variable.current.value : variable.current.text;
  const isAll = (values: readonly string[]) => values.some((v) => v === ALL || (v === 'All' && variable.includeAll));
  if (variable.includeAll && isAll(given ?? ofFile)) return everything;
  // A file's choice counts only where it exists here; texts are tried after values, as an export may hold either.
  const existing = options
    .filter((o) => ofFile.includes(o.value) || variable.current.text.includes(o.text))
    .map((o) => o.value);
  const values = given ?? existing;
  const kept = variable.multi ? values : values.slice(0, 1);
  if (kept.length > 0) return withAuto(variable, choose(options, kept), rangeMs);
  if (variable.includeAll) return everything;
  const first = options[0];
  return withAuto(variable, first ? choose(options, [first.value]) : { text: [''], value: [''], all: false }, rangeMs);
}

function withAuto(variable: Variable, choice: Choice, rangeMs: number): Choice {
  if (variable.type !== 'interval' || !choice.value[0]?.startsWith('$__auto')) return choice;
  return { ...choice, text: ['auto'], value: [autoInterval(variable, rangeMs)] };
}

/**
 * Variables in groups: each refers only to earlier groups, so a group can be asked at once. Circles end up in the last
 * group.
 */
export function dependencyOrder(variables: readonly Variable[]): Variable[][] {
  const names = new Set(variables.map((v) => v.name));
  const waits = new Map(
    variables.map((v) => [
      v.name,
      new Set(references(`${v.query} ${v.regex}`).filter((n) => names.has(n) && n !== v.name)),
    ]),
  );
  const groups: Variable[][] = [];
  let left = [...variables];
  const done = new Set<string>();
  while (left.length > 0) {
    const ready = left.filter((v) => [...waits.get(v.name)!].every((n) => done.has(n)));
    const group = ready.length > 0 ? ready : left;
    groups.push(group);
    for (const v of group) done.add(v.name);
    left = left.filter((v) => !done.has(v.name));
  }
  return groups;
}
