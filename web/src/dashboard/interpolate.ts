/**
 * Variables and macros in text: `$v`, `${v}`, `${v:format}`, `[[v]]`, `[[v:format]]`.
 *
 * Here: finding and replacing, all formats. Elsewhere: what a variable stands for (`variables.ts`), macro values
 * (`interval.ts`).
 *
 * Invariant: a name that is not known stays as it was written.
 */
import { formatDate } from '../chart/dates';
import type { Choice, Variable } from './model';

export interface Scope {
  variables: readonly Variable[];
  choices: Readonly<Record<string, Choice>>;
  /** Values that win over variables: macros, repeats, fields. */
  extra?: Readonly<Record<string, string>> | undefined;
}

const REFERENCE = /\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}/g;

/** Escapes a value inside a quoted PromQL matcher. */
function escapePlain(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"');
}

/** Escapes a value inside a regular expression inside a quoted PromQL matcher. */
function escapePromRegex(value: string): string {
  return value.replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'"+?.()|]/g, (c) => (c === '"' ? '\\"' : `\\\\${c}`));
}

function escapeRegex(value: string): string {
  return value.replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&');
}

function joined(values: string[], open: string, separator: string, close: string): string {
  return values.length === 1 ? values[0]! : open + values.join(separator) + close;
}

/** As PromQL wants it: a single choice plain, several as an alternation of escaped values. */
function forPromql(variable: Variable, choice: Choice): string {
  if (choice.all && variable.allValue !== null) return variable.allValue;
  if (!variable.multi && !variable.includeAll) return escapePlain(choice.value[0] ?? '');
  return joined(choice.value.map(escapePromRegex), '(', '|', ')');
}

function urlEncode(value: string): string {
  return encodeURIComponent(value).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** A choice in one of Grafana's named formats; undefined where the format is not known. */
export function formatChoice(variable: Variable, choice: Choice, format: string): string | undefined {
  const values = choice.all && variable.allValue !== null ? [variable.allValue] : choice.value;
  const [kind, argument] = format.split(/:(.*)/s);
  switch (kind) {
    case 'raw':
      return values.join(',');
    case 'text':
      return choice.all ? 'All' : choice.text.join(' + ');
    case 'csv':
      return values.join(',');
    case 'pipe':
      return values.join('|');
    case 'glob':
      return joined(values, '{', ',', '}');
    case 'regex':
      return choice.all && variable.allValue !== null
        ? variable.allValue
        : joined(values.map(escapeRegex), '(', '|', ')');
    case 'lucene':
      return joined(
        values.map((v) => JSON.stringify(v)),
        '(',
        ' OR ',
        ')',
      );
    case 'json':
      return JSON.stringify(variable.multi ? values : (values[0] ?? ''));
    case 'distributed':
      return values.map((v, i) => (i === 0 ? v : `${variable.name}=${v}`)).join(',');
    case 'percentencode':
      return urlEncode(joined(values, '{', ',', '}'));
    case 'uriencode':
      return encodeURI(joined(values, '{', ',', '}'));
    case 'singlequote':
      return values.map((v) => `'${v.replace(/'/g, "\\'")}'`).join(',');
    case 'doublequote':
      return values.map((v) => `"${v.replace(/"/g, '\\"')}"`).join(',');
    case 'sqlstring':
      return values.map((v) => `'${v.replace(/'/g, "''")}'`).join(',');
    case 'queryparam': {
      const shown = choice.all ? ['$__all'] : choice.value;
      return shown.map((v) => `var-${urlEncode(variable.name)}=${urlEncode(v)}`).join('&');
    }
    case 'date':
      return dateText(Number(values[0]), argument);
    default:
      return undefined;
  }
}

function dateText(ms: number, format: string | undefined): string {
  if (format === 'seconds') return String(Math.round(ms / 1000));
  if (!format || format === 'iso') return Number.isFinite(ms) ? new Date(ms).toISOString() : '';
  return formatDate(ms, format);
}

function replaceAll(text: string, scope: Scope, byDefault: (variable: Variable, choice: Choice) => string): string {
  if (!text.includes('$') && !text.includes('[[')) return text;
  return text.replace(
    REFERENCE,
    (
      written,
      plain?: string,
      square?: string,
      squareFormat?: string,
      curly?: string,
      path?: string,
      format?: string,
    ) => {
      const name = plain ?? square ?? curly ?? '';
      const wanted = squareFormat ?? format;
      const fixed = scope.extra?.[path ? `${name}.${path}` : name];
      if (fixed !== undefined)
        return wanted?.startsWith('date') ? dateText(Number(fixed), wanted.split(/:(.*)/s)[1]) : fixed;
      const variable = scope.variables.find((v) => v.name === name);
      const choice = variable && scope.choices[name];
      if (!variable || !choice) return written;
      return (wanted ? formatChoice(variable, choice, wanted) : undefined) ?? byDefault(variable, choice);
    },
  );
}

/** For expressions and variable queries. */
export function interpolateQuery(text: string, scope: Scope): string {
  return replaceAll(text, scope, forPromql);
}

/** For titles and text: what a person chose. */
export function interpolateText(text: string, scope: Scope): string {
  return replaceAll(text, scope, (variable, choice) => formatChoice(variable, choice, 'text')!);
}

/** For plain values such as a least step. */
export function interpolateRaw(text: string, scope: Scope): string {
  return replaceAll(text, scope, (variable, choice) => formatChoice(variable, choice, 'raw')!);
}

/** For links: values are encoded. */
export function interpolateUrl(text: string, scope: Scope): string {
  return replaceAll(text, scope, (variable, choice) => formatChoice(variable, choice, 'percentencode')!);
}

/** Names of variables that `text` refers to. */
export function references(text: string): string[] {
  return [...text.matchAll(REFERENCE)].map((m) => m[1] ?? m[2] ?? m[4] ?? '').filter(Boolean);
}
