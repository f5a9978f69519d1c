/**
 * Older and newer schemas -> the classic schema of today (gridPos, fieldConfig, timeseries/stat/table).
 *
 * Here: `rows` layout, graph, singlestat, table-old, grafana-piechart, and the v2 resource schema. The one place that
 * knows them.
 * Elsewhere: reading the result (`parse.ts`).
 *
 * Invariant: the input is not changed; what is already of today passes through as it is.
 */
import { bool, isObject, list, num, obj, objects, str, strings } from './json';
import type { Json } from './json';
import { migrateV2 } from './migratev2';

/** The classic JSON of today for any raw dashboard document. */
export function migrate(raw: unknown): Json {
  let dashboard = obj(raw);
  // A whole API answer or a resource around the dashboard is taken off.
  if (isObject(dashboard.dashboard) && !('panels' in dashboard)) dashboard = dashboard.dashboard as Json;
  if (isObject(dashboard.spec) && typeof dashboard.apiVersion === 'string') {
    return /dashboard\.grafana\.app\/v2/.test(dashboard.apiVersion)
      ? migrateV2(dashboard.spec as Json, str(obj(dashboard.metadata).name) ?? '')
      : migrate({ uid: str(obj(dashboard.metadata).name), ...(dashboard.spec as Json) });
  }
  if (isObject(dashboard.elements) && isObject(dashboard.layout)) return migrateV2(dashboard, '');
  const panels =
    Array.isArray(dashboard.rows) && !Array.isArray(dashboard.panels)
      ? fromRows(objects(dashboard.rows))
      : objects(dashboard.panels);
  return { ...dashboard, panels: panels.map(migratePanel) };
}

const ROW_UNIT = 38;

function rowHeight(value: unknown): number {
  const pixels = num(typeof value === 'string' ? value.replace('px', '') : value) ?? 250;
  return Math.max(3, Math.ceil(pixels / ROW_UNIT));
}

/** Twelve columns of `span` and rows of pixels become a grid of 24 columns. */
function fromRows(rows: Json[]): Json[] {
  const headed = rows.some((row) => bool(row.collapse) || bool(row.showTitle) || !!row.repeat);
  const panels: Json[] = [];
  let y = 0;
  let id = 100_000;
  for (const row of rows) {
    const height = rowHeight(row.height);
    const placed: Json[] = [];
    let head: Json | undefined;
    if (headed) {
      head = {
        id: id++,
        type: 'row',
        title: str(row.title) ?? '',
        collapsed: bool(row.collapse),
        gridPos: { x: 0, y, w: 24, h: 1 },
        panels: [],
      };
      if (str(row.repeat)) head.repeat = row.repeat;
      y += 1;
    }
    let x = 0;
    let lineTop = y;
    let lineHeight = 0;
    for (const panel of objects(row.panels)) {
      const w = Math.min(24, Math.max(1, Math.round((num(panel.span) ?? 4) * 2)));
      const h = panel.height ? rowHeight(panel.height) : height;
      if (x + w > 24) {
        x = 0;
        lineTop += lineHeight;
        lineHeight = 0;
      }
      placed.push({
        ...panel,
        gridPos: { x, y: lineTop, w, h },
        ...(panel.minSpan ? { maxPerRow: 12 / (num(panel.minSpan) || 12) } : {}),
      });
      x += w;
      lineHeight = Math.max(lineHeight, h);
    }
    y = lineTop + lineHeight;
    if (head && head.collapsed) panels.push({ ...head, panels: placed });
    else panels.push(...(head ? [head] : []), ...placed);
  }
  return panels;
}

/** One panel (and those inside a collapsed row) in today's form. */
export function migratePanel(panel: Json): Json {
  switch (panel.type) {
    case 'row':
      return { ...panel, panels: objects(panel.panels).map(migratePanel) };
    case 'graph':
      return fromGraph(panel);
    case 'singlestat':
    case 'grafana-singlestat-panel':
      return fromSinglestat(panel);
    case 'table':
      return Array.isArray(panel.styles) && !panel.fieldConfig ? fromTableOld(panel) : panel;
    case 'table-old':
      return fromTableOld(panel);
    case 'grafana-piechart-panel':
      return fromPiechart(panel);
    case 'text':
      return panel.options
        ? panel
        : { ...panel, options: { mode: panel.mode ?? 'markdown', content: panel.content ?? '' } };
    default:
      return panel;
  }
}

const CALCS: Record<string, string> = {
  current: 'lastNotNull',
  avg: 'mean',
  min: 'min',
  max: 'max',
  total: 'sum',
  first: 'firstNotNull',
  delta: 'delta',
  diff: 'diff',
  range: 'range',
  name: 'lastNotNull',
};

function thresholdSteps(steps: { value: number; color: string }[], base: string): Json {
  return { mode: 'absolute', steps: [{ color: base, value: null }, ...steps] };
}

// ---- graph -> timeseries

const NULL_MODES: Record<string, Json> = {
  connected: { spanNulls: true },
  'null as zero': { spanNulls: true, nullAsZero: true },
};

function graphStyle(panel: Json): Json {
  const draw = bool(panel.bars) ? 'bars' : panel.lines === false && bool(panel.points) ? 'points' : 'line';
  const fill = num(panel.fill) ?? 1;
  const stack = bool(panel.stack) ? (bool(panel.percentage) ? 'percent' : 'normal') : 'none';
  return {
    drawStyle: draw,
    lineWidth: num(panel.linewidth) ?? 1,
    fillOpacity: draw === 'bars' ? 100 : fill * 10,
    gradientMode: (num(panel.fillGradient) ?? 0) > 0 ? 'opacity' : 'none',
    lineInterpolation: bool(panel.steppedLine) ? 'stepAfter' : 'linear',
    showPoints: bool(panel.points) ? 'always' : 'never',
    pointSize: (num(panel.pointradius) ?? 2) * 2 + 1,
    stacking: { mode: stack, group: 'A' },
    ...(bool(panel.dashes)
      ? { lineStyle: { fill: 'dash', dash: [num(panel.dashLength) ?? 10, num(panel.spaceLength) ?? 10] } }
      : {}),
    ...(NULL_MODES[str(panel.nullPointMode) ?? ''] ?? { spanNulls: false }),
  };
}

function graphAxis(axis: Json): { custom: Json; field: Json } {
  const custom: Json = { axisLabel: str(axis.label) ?? '' };
  if (axis.show === false) custom.axisPlacement = 'hidden';
  const log = num(axis.logBase) ?? 1;
  if (log > 1) custom.scaleDistribution = { type: 'log', log };
  const field: Json = {};
  if (str(axis.format)) field.unit = axis.format;
  for (const key of ['min', 'max', 'decimals']) {
    const value = num(axis[key]);
    if (value !== undefined) field[key] = value;
  }
  return { custom, field };
}

function seriesOverride(raw: Json, right: { custom: Json; field: Json }, base: Json): Json | undefined {
  const alias = str(raw.alias);
  if (!alias) return undefined;
  const properties: Json[] = [];
  const set = (id: string, value: unknown) => properties.push({ id, value });
  for (const [key, value] of Object.entries(raw)) {
    if (key === 'color') set('color', { mode: 'fixed', fixedColor: value });
    else if (key === 'fill') set('custom.fillOpacity', (num(value) ?? 0) * 10);
    else if (key === 'linewidth') set('custom.lineWidth', num(value) ?? 1);
    else if (key === 'lines' && value === false && !bool(raw.bars))
      set('custom.drawStyle', bool(raw.points) || base.showPoints === 'always' ? 'points' : 'line');
    else if (key === 'lines' && value === true) set('custom.drawStyle', 'line');
    else if (key === 'bars' && value === true) set('custom.drawStyle', 'bars');
    else if (key === 'points') set('custom.showPoints', bool(value) ? 'always' : 'never');
    else if (key === 'pointradius') set('custom.pointSize', (num(value) ?? 2) * 2 + 1);
    else if (key === 'steppedLine' && bool(value)) set('custom.lineInterpolation', 'stepAfter');
    else if (key === 'dashes' && bool(value))
      set('custom.lineStyle', { fill: 'dash', dash: [num(raw.dashLength) ?? 10, num(raw.spaceLength) ?? 10] });
    else if (key === 'stack')
      set('custom.stacking', {
        mode: value === false ? 'none' : 'normal',
        group: typeof value === 'string' ? value : 'A',
      });
    else if (key === 'transform' && value === 'negative-Y') set('custom.transform', 'negative-Y');
    else if (key === 'fillBelowTo') set('custom.fillBelowTo', value);
    else if (key === 'legend' && value === false) set('custom.hideFrom', { legend: true, tooltip: false, viz: false });
    else if (key === 'yaxis' && num(value) === 2) {
      set('custom.axisPlacement', 'right');
      for (const [id, v] of Object.entries(right.field)) set(id, v);
      if (right.custom.axisLabel) set('custom.axisLabel', right.custom.axisLabel);
    }
  }
  const regex = /^\/.*\/[a-z]*$/.test(alias);
  return { matcher: { id: regex ? 'byRegexp' : 'byName', options: alias }, properties };
}

function graphLegend(raw: Json): Json {
  const calcs = ['min', 'max', 'avg', 'current', 'total'].filter((key) => bool(raw[key])).map((key) => CALCS[key]!);
  const table = bool(raw.alignAsTable);
  const sortBy = str(raw.sort);
  return {
    showLegend: raw.show !== false,
    displayMode: table ? 'table' : 'list',
    placement: bool(raw.rightSide) ? 'right' : 'bottom',
    calcs: raw.values === false ? [] : calcs,
    ...(sortBy ? { sortBy: CALCS[sortBy] ?? sortBy, sortDesc: raw.sortDesc !== false } : {}),
    ...(num(raw.sideWidth) ? { width: num(raw.sideWidth) } : {}),
  };
}

function graphThresholds(raw: Json[]): { thresholds?: Json; style?: string } {
  const marks = raw.filter((t) => num(t.value) !== undefined);
  if (marks.length === 0) return {};
  const color = (t: Json) => {
    const mode = str(t.colorMode);
    if (mode === 'custom') return str(t.lineColor) ?? str(t.fillColor) ?? 'red';
    return mode === 'ok' ? 'green' : mode === 'warning' ? 'orange' : 'red';
  };
  // "below 5 is red" is a red base with a transparent step at 5.
  const steps = marks.filter((t) => t.op !== 'lt').map((t) => ({ value: num(t.value)!, color: color(t) }));
  const below = marks.find((t) => t.op === 'lt');
  if (below) steps.push({ value: num(below.value)!, color: 'transparent' });
  steps.sort((a, b) => a.value - b.value);
  const area = marks.some((t) => bool(t.fill));
  const line = marks.some((t) => bool(t.line));
  return {
    thresholds: thresholdSteps(steps, below ? color(below) : 'transparent'),
    style: area && line ? 'line+area' : area ? 'area' : 'line',
  };
}

function fromGraph(panel: Json): Json {
  const axes = objects(panel.yaxes);
  const left = graphAxis(axes[0] ?? {});
  const right = graphAxis(axes[1] ?? {});
  const style = graphStyle(panel);
  const marks = graphThresholds(objects(panel.thresholds));
  const tooltip = obj(panel.tooltip);
  const colors = Object.entries(obj(panel.aliasColors)).map(([name, color]) => ({
    matcher: { id: 'byName', options: name },
    properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: color } }],
  }));
  const overrides = objects(panel.seriesOverrides)
    .map((o) => seriesOverride(o, right, style))
    .filter((o) => o !== undefined);
  const histogram = obj(panel.xaxis).mode === 'histogram';
  return {
    ...panel,
    type: histogram ? 'histogram' : 'timeseries',
    fieldConfig: {
      defaults: {
        color: { mode: 'palette-classic' },
        ...left.field,
        ...(num(panel.decimals) !== undefined ? { decimals: num(panel.decimals) } : {}),
        ...(marks.thresholds ? { thresholds: marks.thresholds } : {}),
        custom: { ...style, ...left.custom, ...(marks.style ? { thresholdsStyle: { mode: marks.style } } : {}) },
      },
      overrides: [...colors, ...overrides],
    },
    options: {
      legend: graphLegend(obj(panel.legend)),
      tooltip: {
        mode: tooltip.shared === false ? 'single' : 'multi',
        sort: tooltip.sort === 1 ? 'asc' : tooltip.sort === 2 ? 'desc' : 'none',
      },
    },
  };
}

// ---- singlestat -> stat or gauge

function oldMappings(panel: Json): Json[] {
  const ranges = num(panel.mappingType) === 2;
  const out: Json[] = [];
  for (const map of ranges ? objects(panel.rangeMaps) : objects(panel.valueMaps)) {
    const text = str(map.text) ?? '';
    const isNull = ranges ? map.from === 'null' : map.value === 'null';
    if (isNull) out.push({ type: 'special', options: { match: 'null', result: { text } } });
    else if (ranges)
      out.push({ type: 'range', options: { from: num(map.from) ?? null, to: num(map.to) ?? null, result: { text } } });
    else out.push({ type: 'value', options: { [String(map.value)]: { text } } });
  }
  return out;
}

function fromSinglestat(panel: Json): Json {
  const gauge = obj(panel.gauge);
  const isGauge = bool(gauge.show);
  const limits = String(panel.thresholds ?? '')
    .split(',')
    .map(num)
    .filter((n): n is number => n !== undefined);
  const colors = strings(panel.colors);
  const steps = limits.map((value, i) => ({ value, color: colors[i + 1] ?? 'red' }));
  const coloured = isGauge || bool(panel.colorBackground) || bool(panel.colorValue);
  const affix = [str(panel.prefix), str(panel.postfix)];
  const calc = CALCS[str(panel.valueName) ?? 'avg'] ?? 'mean';
  const defaults: Json = {
    unit: str(panel.format) ?? 'none',
    mappings: oldMappings(panel),
    color: coloured ? { mode: 'thresholds' } : { mode: 'fixed', fixedColor: 'text' },
    thresholds: thresholdSteps(steps, colors[0] ?? 'green'),
    ...(num(panel.decimals) !== undefined ? { decimals: num(panel.decimals) } : {}),
    ...(isGauge ? { min: num(gauge.minValue) ?? 0, max: num(gauge.maxValue) ?? 100 } : {}),
    ...(str(panel.nullText) ? { noValue: panel.nullText } : {}),
  };
  return {
    ...panel,
    type: isGauge ? 'gauge' : 'stat',
    fieldConfig: { defaults, overrides: [] },
    options: {
      reduceOptions: { calcs: [calc], fields: '', values: false },
      colorMode: bool(panel.colorBackground) ? 'background' : 'value',
      graphMode: bool(obj(panel.sparkline).show) ? 'area' : 'none',
      textMode: panel.valueName === 'name' ? 'name' : 'value',
      justifyMode: 'center',
      ...(affix[0] || affix[1] ? { affix: { prefix: affix[0] ?? '', postfix: affix[1] ?? '' } } : {}),
      showThresholdMarkers: gauge.thresholdMarkers !== false,
      showThresholdLabels: bool(gauge.thresholdLabels),
    },
  };
}

// ---- table-old -> table

function tableStyle(style: Json): Json | undefined {
  const pattern = str(style.pattern);
  if (!pattern) return undefined;
  const properties: Json[] = [];
  const set = (id: string, value: unknown) => properties.push({ id, value });
  if (str(style.alias)) set('displayName', style.alias);
  if (style.type === 'hidden') set('custom.hidden', true);
  if (style.type === 'number' && str(style.unit)) set('unit', style.unit);
  if (style.type === 'date') set('unit', `time: ${str(style.dateFormat) ?? 'YYYY-MM-DD HH:mm:ss'}`);
  if (num(style.decimals) !== undefined) set('decimals', num(style.decimals));
  if (str(style.align) && style.align !== 'auto') set('custom.align', style.align);
  const mode = str(style.colorMode);
  if (mode && mode !== 'null') {
    const colors = strings(style.colors);
    const steps = list(style.thresholds)
      .map(num)
      .filter((n): n is number => n !== undefined)
      .map((value, i) => ({ value, color: colors[i + 1] ?? 'red' }));
    set('thresholds', thresholdSteps(steps, colors[0] ?? 'green'));
    set('custom.cellOptions', { type: mode === 'value' ? 'color-text' : 'color-background' });
  }
  if (bool(style.link) && str(style.linkUrl)) {
    set('links', [
      { title: str(style.linkTooltip) ?? '', url: style.linkUrl, targetBlank: bool(style.linkTargetBlank) },
    ]);
  }
  const regex = /^\/.*\/[a-z]*$/.test(pattern);
  return { matcher: { id: regex ? 'byRegexp' : 'byName', options: pattern }, properties };
}

function fromTableOld(panel: Json): Json {
  const styles = objects(panel.styles)
    .map(tableStyle)
    .filter((s) => s !== undefined);
  const sort = obj(panel.sort);
  const series = str(panel.transform) === 'timeseries_aggregations';
  const columns = objects(panel.columns).map((c) => CALCS[str(c.value) ?? ''] ?? str(c.value) ?? 'lastNotNull');
  const transformations = series
    ? [{ id: 'reduce', options: { reducers: columns.length > 0 ? columns : ['lastNotNull'] } }]
    : objects(panel.targets).length > 1
      ? [{ id: 'merge', options: {} }]
      : [];
  return {
    ...panel,
    type: 'table',
    targets: objects(panel.targets).map((t) => (series ? t : { ...t, format: t.format ?? 'table' })),
    fieldConfig: { defaults: { custom: {} }, overrides: styles },
    options: {
      showHeader: true,
      ...(num(sort.col) !== undefined ? { sortIndex: num(sort.col), sortDesc: sort.desc !== false } : {}),
    },
    transformations,
  };
}

function fromPiechart(panel: Json): Json {
  return {
    ...panel,
    type: 'piechart',
    fieldConfig: {
      defaults: { unit: str(panel.format) ?? 'short', color: { mode: 'palette-classic' } },
      overrides: [],
    },
    options: {
      pieType: panel.pieType === 'donut' ? 'donut' : 'pie',
      reduceOptions: { calcs: [CALCS[str(panel.valueName) ?? 'current'] ?? 'lastNotNull'], fields: '', values: false },
      legend: {
        displayMode: 'table',
        placement: panel.legendType === 'Right side' ? 'right' : 'bottom',
        showLegend: obj(panel.legend).show !== false,
        values: ['value'],
      },
    },
  };
}
