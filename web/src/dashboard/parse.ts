/**
 * Classic JSON of today -> `Dashboard`, naming what cannot be shown.
 *
 * Here: panels, rows, variables, links, the list of what is unsupported. Elsewhere: other schemas (`migrate.ts`).
 *
 * Invariant: never throws; anything that is not understood is named in `unsupported` or read as absent.
 */
import type { FieldLink } from '../chart/field';
import { bool, isObject, list, num, obj, objects, str, strings } from './json';
import type { Json } from './json';
import { migrate } from './migrate';
import type { Dashboard, DashboardLink, Panel, Section, Target, Unsupported, Variable, VariableType } from './model';
import { KNOWN_TRANSFORMATIONS } from './transform';

/** Panel types that are drawn; all others show their data as a table. */
export const PANEL_TYPES = new Set(['timeseries', 'stat', 'gauge', 'bargauge', 'table', 'text', 'piechart']);

const VARIABLE_TYPES = new Set<VariableType>([
  'query',
  'datasource',
  'custom',
  'interval',
  'constant',
  'textbox',
  'adhoc',
]);

class Findings {
  private readonly found = new Map<string, Set<string>>();

  add(what: string, where?: string): void {
    const places = this.found.get(what) ?? new Set<string>();
    if (where !== undefined) places.add(where || 'untitled panel');
    this.found.set(what, places);
  }

  list(): Unsupported[] {
    return [...this.found].map(([what, where]) => ({ what, where: [...where] }));
  }
}

function isGrafanaOwn(source: unknown): boolean {
  const type = isObject(source) ? (source.type ?? source.uid) : source;
  return type === 'grafana' || type === 'datasource' || type === '-- Grafana --' || type === '-- Dashboard --';
}

/** The kind of a data source that is not Prometheus, where it can be told. */
function foreignSource(source: unknown): string | undefined {
  if (!isObject(source)) return undefined;
  const type = str(source.type);
  if (!type || /prometheus|mimir|cortex|thanos|victoria|datasource|^\$/i.test(type)) return undefined;
  if (/^grafana$|^-- /.test(type) || str(source.uid)?.startsWith('-- ')) return 'Grafana';
  return type;
}

function target(raw: Json, index: number): Target {
  const format = raw.format === 'table' || raw.format === 'heatmap' ? raw.format : 'time_series';
  const instant = bool(raw.instant);
  return {
    refId: str(raw.refId) ?? String.fromCharCode(65 + (index % 26)),
    expr: str(raw.expr) ?? '',
    legend: str(raw.legendFormat) ?? '',
    instant,
    range: raw.range === undefined ? !instant : bool(raw.range) || !instant,
    format,
    interval: str(raw.interval) ?? '',
    intervalFactor: Math.max(1, num(raw.intervalFactor) ?? 1),
    hidden: bool(raw.hide),
  };
}

export function links(value: unknown): FieldLink[] {
  return objects(value).flatMap((l) => {
    const url = str(l.url) ?? '';
    return url ? [{ title: str(l.title) || 'Link', url, newTab: bool(l.targetBlank) }] : [];
  });
}

function targetsOf(raw: Json, title: string, findings: Findings): { targets: Target[]; reason?: string } {
  const targets: Target[] = [];
  let reason: string | undefined;
  objects(raw.targets).forEach((t, i) => {
    const expression = isObject(t.datasource) && (t.datasource.type === '__expr__' || t.datasource.uid === '__expr__');
    if (expression) return findings.add('server-side expressions', title);
    const foreign =
      foreignSource(t.datasource) ?? (t.datasource === undefined ? foreignSource(raw.datasource) : undefined);
    if (foreign && str(t.expr) === undefined) {
      reason = `It asks the data source ${foreign}.`;
      return findings.add(`data source ${foreign}`, title);
    }
    const parsed = target(t, i);
    if (parsed.expr.trim() !== '') targets.push(parsed);
  });
  return { targets, ...(reason ? { reason } : {}) };
}

function panel(raw: Json, index: number, findings: Findings): Panel {
  const grid = obj(raw.gridPos);
  const config = obj(raw.fieldConfig);
  const type = str(raw.type) ?? 'unknown';
  const title = str(raw.title) ?? '';
  const w = Math.min(24, Math.max(1, num(grid.w) ?? 12));
  if (!PANEL_TYPES.has(type)) findings.add(`panel type ${type}`, title);
  const transformations = objects(raw.transformations)
    .filter((t) => !bool(t.disabled))
    .map((t) => ({ id: str(t.id) ?? '', options: obj(t.options) }));
  for (const t of transformations) if (!KNOWN_TRANSFORMATIONS.has(t.id)) findings.add(`transformation ${t.id}`, title);
  const { targets, reason } = targetsOf(raw, title, findings);
  const repeat = str(raw.repeat);
  return {
    id: num(raw.id) ?? 1_000_000 + index,
    type,
    title,
    description: str(raw.description) ?? '',
    grid: {
      x: Math.min(24 - w, Math.max(0, num(grid.x) ?? 0)),
      y: Math.max(0, num(grid.y) ?? 0),
      w,
      h: Math.max(1, num(grid.h) ?? 8),
    },
    transparent: bool(raw.transparent),
    targets,
    defaults: obj(config.defaults),
    overrides: objects(config.overrides).map((o) => ({
      matcher: { id: str(obj(o.matcher).id) ?? '', options: obj(o.matcher).options },
      properties: objects(o.properties).map((p) => ({ id: str(p.id) ?? '', value: p.value })),
    })),
    options: obj(raw.options),
    transformations,
    links: links(raw.links),
    ...(str(raw.interval) ? { interval: str(raw.interval)! } : {}),
    ...(num(raw.maxDataPoints) ? { maxDataPoints: num(raw.maxDataPoints)! } : {}),
    ...(str(raw.timeFrom) ? { timeFrom: str(raw.timeFrom)! } : {}),
    ...(str(raw.timeShift) ? { timeShift: str(raw.timeShift)! } : {}),
    ...(repeat
      ? {
          repeat: {
            variable: repeat,
            direction: raw.repeatDirection === 'v' ? ('v' as const) : ('h' as const),
            maxPerRow: Math.max(1, num(raw.maxPerRow) ?? 4),
          },
        }
      : {}),
    ...(reason ? { noDataReason: reason } : {}),
  };
}

const byPlace = (a: Panel, b: Panel) => a.grid.y - b.grid.y || a.grid.x - b.grid.x;

/** Rows own the panels below them until the next row; panels of a collapsed row are inside it. */
function sections(raw: Json[], findings: Findings): Section[] {
  const ordered = [...raw].sort((a, b) => (num(obj(a.gridPos).y) ?? 0) - (num(obj(b.gridPos).y) ?? 0));
  const result: Section[] = [{ key: 'top', title: null, collapsed: false, panels: [] }];
  ordered.forEach((p, i) => {
    if (p.type === 'row') {
      const repeat = str(p.repeat);
      result.push({
        key: `row-${num(p.id) ?? i}`,
        title: str(p.title) ?? '',
        collapsed: bool(p.collapsed),
        panels: objects(p.panels).map((inner, j) => panel(inner, i * 1000 + j, findings)),
        ...(repeat ? { repeat } : {}),
      });
    } else result[result.length - 1]!.panels.push(panel(p, i, findings));
  });
  for (const s of result) s.panels.sort(byPlace);
  return result.filter((s) => s.title !== null || s.panels.length > 0);
}

function queryText(value: unknown): string {
  if (typeof value === 'string') return value;
  const query = obj(value);
  return str(query.query) ?? str(query.expr) ?? '';
}

const texts = (value: unknown): string[] =>
  (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]).map(String);

function variable(raw: Json, findings: Findings): Variable | undefined {
  const name = str(raw.name);
  if (!name) return undefined;
  const given = str(raw.type) ?? 'custom';
  const type = (VARIABLE_TYPES.has(given as VariableType) ? given : 'custom') as VariableType;
  if (type !== given) findings.add(`variable type ${given}`);
  if (type === 'adhoc') findings.add('ad-hoc filters');
  const source = type === 'query' ? foreignSource(raw.datasource) : undefined;
  if (source) findings.add(`data source ${source} of variable ${name}`);
  const current = obj(raw.current);
  const hide = num(raw.hide) ?? 0;
  return {
    name,
    type,
    label: str(raw.label) || name,
    query: queryText(raw.query),
    regex: str(raw.regex) ?? '',
    sort: num(raw.sort) ?? 0,
    multi: bool(raw.multi),
    includeAll: bool(raw.includeAll),
    allValue: str(raw.allValue) || null,
    hide: hide === 2 || type === 'constant' || type === 'adhoc' ? 'variable' : hide === 1 ? 'label' : 'no',
    current: { text: texts(current.text), value: texts(current.value) },
    ...(bool(raw.auto) ? { auto: { count: num(raw.auto_count) ?? 30, min: str(raw.auto_min) ?? '10s' } } : {}),
  };
}

/** `${DS_X}` and constants that an export leaves to the importer. */
function inputs(raw: unknown): Variable[] {
  return objects(raw).flatMap((input): Variable[] => {
    const name = str(input.name);
    if (!name) return [];
    const constant = input.type === 'constant';
    const value = constant ? (str(input.value) ?? '') : 'cairn';
    return [
      {
        name,
        type: constant ? 'constant' : 'datasource',
        label: name,
        query: constant ? value : 'prometheus',
        regex: '',
        sort: 0,
        multi: false,
        includeAll: false,
        allValue: null,
        hide: 'variable',
        current: { text: [value], value: [value] },
      },
    ];
  });
}

function dashboardLink(raw: Json): DashboardLink {
  const kind = raw.type === 'dashboards' ? 'dashboards' : 'link';
  return {
    kind,
    title: str(raw.title) || (kind === 'dashboards' ? 'Dashboards' : 'Link'),
    url: str(raw.url) ?? '',
    tags: strings(raw.tags),
    newTab: bool(raw.targetBlank),
    keepTime: bool(raw.keepTime),
    includeVars: bool(raw.includeVars),
  };
}

/** Any dashboard document as a model. */
export function parseDashboard(document: unknown): Dashboard {
  const raw = migrate(document);
  const findings = new Findings();
  const time = obj(raw.time);
  const own = objects(obj(raw.templating).list)
    .map((v) => variable(v, findings))
    .filter((v) => v !== undefined);
  const names = new Set(own.map((v) => v.name));
  for (const a of objects(obj(raw.annotations).list)) {
    if (!bool(a.builtIn) && a.builtIn !== 1 && a.enable !== false && !isGrafanaOwn(a.datasource))
      findings.add(`annotation ${str(a.name) ?? ''}`.trim());
  }
  return {
    uid: str(raw.uid) ?? '',
    title: str(raw.title) || 'Untitled dashboard',
    description: str(raw.description) ?? '',
    tags: strings(raw.tags),
    time: { from: str(time.from) ?? 'now-6h', to: str(time.to) ?? 'now' },
    refresh: str(raw.refresh) ?? '',
    timezone: str(raw.timezone) ?? '',
    crosshair: (num(raw.graphTooltip) ?? 0) > 0,
    variables: [...inputs(raw.__inputs).filter((v) => !names.has(v.name)), ...own],
    sections: sections(objects(raw.panels), findings),
    links: list(raw.links).filter(isObject).map(dashboardLink),
    unsupported: findings.list(),
  };
}
