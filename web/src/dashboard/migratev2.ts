/**
 * Grafana's v2 resource schema (elements and a layout tree) -> the classic schema.
 *
 * Here: grids, rows, tabs and automatic grids; query, data source, custom, interval, constant and text variables.
 * Elsewhere: all other schemas (`migrate.ts`).
 */
import { bool, num, obj, objects, str } from './json';
import type { Json } from './json';

interface Placement {
  name: string;
  gridPos: Json;
  repeat?: Json;
}

const VARIABLE_TYPES: Record<string, string> = {
  QueryVariable: 'query',
  DatasourceVariable: 'datasource',
  CustomVariable: 'custom',
  IntervalVariable: 'interval',
  ConstantVariable: 'constant',
  TextVariable: 'textbox',
  AdhocVariable: 'adhoc',
  GroupByVariable: 'groupby',
  SwitchVariable: 'custom',
};
const SORTS = [
  'disabled',
  'alphabeticalAsc',
  'alphabeticalDesc',
  'numericalAsc',
  'numericalDesc',
  'alphabeticalCaseInsensitiveAsc',
  'alphabeticalCaseInsensitiveDesc',
  'naturalAsc',
  'naturalDesc',
];

function variable(raw: Json): Json {
  const spec = obj(raw.spec);
  const query = obj(spec.query);
  const type = VARIABLE_TYPES[str(raw.kind) ?? ''] ?? 'custom';
  return {
    ...spec,
    type,
    query: type === 'query' ? obj(query.spec) : type === 'datasource' ? (str(spec.pluginId) ?? '') : spec.query,
    hide: spec.hide === 'hideLabel' ? 1 : spec.hide === 'hideVariable' ? 2 : 0,
    sort: Math.max(0, SORTS.indexOf(str(spec.sort) ?? 'disabled')),
  };
}

function panel(element: Json, at: Placement): Json {
  const spec = obj(element.spec);
  const base = {
    id: num(spec.id) ?? 0,
    title: str(spec.title) ?? '',
    description: str(spec.description) ?? '',
    gridPos: at.gridPos,
  };
  const repeat = at.repeat
    ? { repeat: str(at.repeat.value), repeatDirection: at.repeat.direction, maxPerRow: at.repeat.maxPerRow }
    : {};
  if (element.kind === 'LibraryPanel') return { ...base, ...repeat, type: 'library-panel', options: {} };
  const data = obj(obj(spec.data).spec);
  const options = obj(data.queryOptions);
  const viz = obj(spec.vizConfig);
  const vizSpec = obj(viz.spec);
  const targets = objects(data.queries).map((q) => {
    const qs = obj(q.spec);
    const query = obj(qs.query);
    const source = obj(query.datasource);
    return {
      ...obj(query.spec),
      refId: str(qs.refId) ?? 'A',
      hide: bool(qs.hidden),
      ...(str(query.group) ? { datasource: { type: query.group, uid: str(source.name) ?? '' } } : {}),
    };
  });
  return {
    ...base,
    ...repeat,
    type: str(viz.group) ?? str(viz.kind) ?? 'unknown',
    transparent: bool(spec.transparent),
    targets,
    links: spec.links,
    transformations: objects(data.transformations).map((t) => ({
      id: str(t.group) ?? str(t.kind) ?? '',
      ...obj(t.spec),
    })),
    interval: options.interval,
    maxDataPoints: options.maxDataPoints,
    timeFrom: options.timeFrom,
    timeShift: options.timeShift,
    fieldConfig: obj(vizSpec.fieldConfig),
    options: obj(vizSpec.options),
  };
}

function gridItems(layout: Json): Placement[] {
  const spec = obj(layout.spec);
  const placed: Placement[] = [];
  if (layout.kind === 'AutoGridLayout') {
    const columns = Math.min(6, Math.max(1, num(spec.maxColumnCount) ?? 3));
    const w = Math.floor(24 / columns);
    objects(spec.items).forEach((item, i) => {
      const s = obj(item.spec);
      const gridPos = { x: (i % columns) * w, y: Math.floor(i / columns) * 9, w, h: 9 };
      placed.push({ name: str(obj(s.element).name) ?? '', gridPos, ...(s.repeat ? { repeat: obj(s.repeat) } : {}) });
    });
    return placed;
  }
  for (const item of objects(spec.items)) {
    const s = obj(item.spec);
    const gridPos = { x: num(s.x) ?? 0, y: num(s.y) ?? 0, w: num(s.width) ?? 12, h: num(s.height) ?? 8 };
    placed.push({ name: str(obj(s.element).name) ?? '', gridPos, ...(s.repeat ? { repeat: obj(s.repeat) } : {}) });
  }
  return placed;
}

interface Flat {
  title: string | null;
  collapsed: boolean;
  repeat?: string;
  items: Placement[];
}

/** Rows and tabs become rows; nesting becomes "outer / inner". */
function flatten(layout: Json, title: string | null, collapsed: boolean, repeat?: string): Flat[] {
  const spec = obj(layout.spec);
  const children =
    layout.kind === 'RowsLayout' ? objects(spec.rows) : layout.kind === 'TabsLayout' ? objects(spec.tabs) : undefined;
  if (!children) return [{ title, collapsed, ...(repeat ? { repeat } : {}), items: gridItems(layout) }];
  return children.flatMap((child, i) => {
    const s = obj(child.spec);
    const own = bool(s.hideHeader) ? null : (str(s.title) ?? `Row ${i + 1}`);
    const name = title && own ? `${title} / ${own}` : (own ?? title);
    const by = str(obj(s.repeat).value);
    return flatten(obj(s.layout), name, collapsed || bool(s.collapse), by);
  });
}

export function migrateV2(spec: Json, name: string): Json {
  const elements = obj(spec.elements);
  const panels: Json[] = [];
  let y = 0;
  let id = 200_000;
  for (const section of flatten(obj(spec.layout), null, false)) {
    const inside = section.items.map((at) => {
      const gridPos = { ...at.gridPos, y: y + 1 + (num(at.gridPos.y) ?? 0) };
      return panel(obj(elements[at.name]), { ...at, gridPos });
    });
    const bottom = inside.reduce(
      (b, p) => Math.max(b, (num(obj(p.gridPos).y) ?? 0) + (num(obj(p.gridPos).h) ?? 0)),
      y + 1,
    );
    if (section.title !== null) {
      panels.push({
        id: id++,
        type: 'row',
        title: section.title,
        collapsed: section.collapsed,
        gridPos: { x: 0, y, w: 24, h: 1 },
        ...(section.repeat ? { repeat: section.repeat } : {}),
        panels: section.collapsed ? inside : [],
      });
    }
    if (section.title === null || !section.collapsed) panels.push(...inside);
    y = bottom;
  }
  const time = obj(spec.timeSettings);
  return {
    uid: name,
    title: spec.title,
    description: spec.description,
    tags: spec.tags,
    links: spec.links,
    graphTooltip: spec.cursorSync === 'Crosshair' ? 1 : spec.cursorSync === 'Tooltip' ? 2 : 0,
    time: { from: time.from, to: time.to },
    refresh: time.autoRefresh,
    timezone: time.timezone,
    templating: { list: objects(spec.variables).map(variable) },
    annotations: {
      list: objects(spec.annotations).map((a) => ({ ...obj(a.spec), builtIn: obj(a.spec).builtIn ? 1 : 0 })),
    },
    panels,
  };
}
