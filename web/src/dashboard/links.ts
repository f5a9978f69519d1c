/**
 * Links of dashboards, panels and data as URLs of this UI.
 *
 * Here: filling `${__url_time_range}`, `${__data.fields.x}` and the like, mapping `/d/<uid>/<slug>`.
 */
import { link, place } from '../router';
import type { ShownField } from './fields';
import { interpolateUrl } from './interpolate';
import type { Scope } from './interpolate';
import { formatChoice } from './interpolate';

/** Query text of the page's time range. */
function timeRange(): string {
  const { params } = place.peek();
  const own = new URLSearchParams();
  for (const key of ['from', 'to']) if (params.get(key)) own.set(key, params.get(key)!);
  return own.toString();
}

export function allVariables(scope: Scope): string {
  return scope.variables
    .flatMap((v) => {
      const choice = scope.choices[v.name];
      return choice && v.hide !== 'variable' ? [formatChoice(v, choice, 'queryparam')!] : [];
    })
    .join('&');
}

function dataValues(shown: ShownField, row: number, siblings: readonly ShownField[]): Record<string, string> {
  const value = shown.field.values[row];
  const values: Record<string, string> = {
    '__value.raw': String(value ?? ''),
    '__value.text': String(value ?? ''),
    '__value.numeric': String(value ?? ''),
    '__series.name': shown.name,
    '__field.name': shown.name,
  };
  for (const [k, v] of Object.entries(shown.field.labels ?? {})) values[`__field.labels.${k}`] = v;
  for (const s of siblings) {
    const text = String(s.field.values[row] ?? '');
    for (const name of [s.name, s.field.name]) {
      values[`__data.fields.${name}`] = text;
      values[`__data.fields["${name}"]`] = text;
    }
  }
  return Object.fromEntries(Object.entries(values).map(([k, v]) => [k, encodeURIComponent(v)]));
}

/** A safe URL for `href`; '' for schemes that could run code. */
export function safeUrl(url: string): string {
  const trimmed = url.trim();
  if (/^[a-z][a-z0-9+.-]*:/i.test(trimmed) && !/^(https?|mailto):/i.test(trimmed)) return '';
  const own = /^(?:\.{0,2}\/)?(d\/[^/?#]+)(?:\/[^?#]*)?(\?[^#]*)?$/.exec(trimmed);
  if (own) return link(`/${own[1]}`, new URLSearchParams(own[2] ?? ''));
  return trimmed.startsWith('/')
    ? link(trimmed.split('?')[0]!, new URLSearchParams(trimmed.split('?')[1] ?? ''))
    : trimmed;
}

/** `url` of a dashboard or panel link. */
export function fillUrl(
  url: string,
  scope: Scope,
  at?: { shown: ShownField; row: number; siblings: readonly ShownField[] },
): string {
  const extra = {
    ...scope.extra,
    __url_time_range: timeRange(),
    __all_variables: allVariables(scope),
    ...(at ? dataValues(at.shown, at.row, at.siblings) : {}),
  };
  // `${__data.fields["x y"]}` has quotes and brackets, which the general pattern does not take.
  const quoted = url.replace(
    /\$\{(__[\w.]+\["[^"]+"\])\}/g,
    (written, key: string) => extra[key as keyof typeof extra] ?? written,
  );
  return safeUrl(interpolateUrl(quoted, { ...scope, extra }));
}
