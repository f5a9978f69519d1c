/**
 * A panel's data as what its type draws.
 *
 * Here: options of each panel type -> properties of the chart components. Elsewhere: chrome, loading and errors
 * (`PanelCard.tsx`).
 *
 * Invariant: a type that is not known shows its data as a table, under its own name.
 */
import { useMemo } from 'preact/hooks';
import { DataTable } from '../chart/DataTable';
import type { TableColumn, TableSort } from '../chart/DataTable';
import { display, displayText } from '../chart/field';
import type { DisplayValue, FieldOptions, ValueRange } from '../chart/field';
import type { GaugeValue } from '../chart/Gauge';
import { reduce } from '../chart/reduce';
import { Stat } from '../chart/Stat';
import type { StatProps } from '../chart/Stat';
import { zone } from '../prefs';
import { setRange, zoomOut } from '../range';
import { lazy } from '../ui/lazy';
import { shownFields } from './fields';
import type { ShownField } from './fields';
import { interpolateText } from './interpolate';
import type { Scope } from './interpolate';
import { bool, num, obj, objects, str, strings } from './json';
import type { Json } from './json';
import { fillUrl } from './links';
import type { Panel } from './model';
import { PANEL_TYPES } from './parse';
import type { PanelData } from './query';
import { GraphPanel } from './GraphPanel';
import { transform } from './transform';

export interface BodyProps {
  panel: Panel;
  data: PanelData;
  scope: Scope;
  title: string;
  syncKey?: string | undefined;
}

const Gauge = lazy(async () => (await import('../chart/Gauge')).Gauge);
const BarGauge = lazy(async () => (await import('../chart/Gauge')).BarGauge);
const PieChart = lazy(async () => (await import('../chart/PieChart')).PieChart);
const TextPanel = lazy(async () => (await import('./TextPanel')).TextPanel);

const timeZone = () => (zone.value === 'utc' ? 'UTC' : undefined);

interface Reduced {
  shown: ShownField;
  name: string;
  value: DisplayValue;
  options: FieldOptions;
  range: ValueRange;
  spark: (number | null)[];
  row: number;
}

function dataRange(fields: readonly ShownField[]): ValueRange {
  let [min, max] = [Infinity, -Infinity];
  for (const { field } of fields) {
    for (const v of field.values) {
      if (typeof v !== 'number') continue;
      min = Math.min(min, v);
      max = Math.max(max, v);
    }
  }
  return Number.isFinite(min) ? { min, max } : { min: 0, max: 100 };
}

/** Which columns a stat or gauge reads: all numbers, those that match, or text where that is asked for. */
function wantedFields(all: readonly ShownField[], wanted: string): ShownField[] {
  if (wanted === '') return all.filter((f) => f.field.type === 'number');
  if (wanted === '/.*/') return all.filter((f) => f.field.type !== 'time');
  const regex = /^\/(.*)\/([a-z]*)$/.exec(wanted);
  const test = (name: string) => {
    try {
      return regex ? new RegExp(regex[1]!, regex[2]).test(name) : name === wanted;
    } catch {
      return false;
    }
  };
  return all.filter((f) => test(f.name) || test(f.field.name));
}

/** The values of a stat, gauge or pie, by `reduceOptions`. */
function reduced(panel: Panel, all: readonly ShownField[]): Reduced[] {
  const rule = obj(panel.options.reduceOptions);
  const calcs = strings(rule.calcs);
  const fields = wantedFields(all, str(rule.fields) ?? '');
  const isText = (f: ShownField) => f.field.type === 'string';
  const range = dataRange(fields);
  const tz = timeZone();
  const make = (shown: ShownField, raw: unknown, name: string, row: number): Reduced => ({
    shown,
    name,
    row,
    options: shown.options,
    range,
    value: display(shown.options, raw, { range, name: shown.name, index: shown.index, timeZone: tz }),
    spark: isText(shown) ? [] : (shown.field.values as (number | null)[]),
  });
  if (bool(rule.values)) {
    const limit = num(rule.limit) ?? 25;
    return fields.flatMap((shown) =>
      shown.field.values.slice(0, limit).map((v, row) => {
        const texts = all
          .filter((f) => f.frame === shown.frame && f.field.type === 'string')
          .map((f) => String(f.field.values[row] ?? ''));
        return make(shown, v, texts.join(' ') || shown.name, row);
      }),
    );
  }
  return fields.flatMap((shown) => {
    if (isText(shown))
      return [
        make(
          shown,
          shown.field.values[shown.field.values.length - 1] ?? null,
          shown.name,
          shown.field.values.length - 1,
        ),
      ];
    return (calcs.length > 0 ? calcs : ['lastNotNull']).map((c) =>
      make(shown, reduce(shown.field.values as (number | null)[], c), shown.name, shown.field.values.length - 1),
    );
  });
}

/** An explicit "no data" as Grafana words it: the panel's `noValue`. */
function orNoValue(panel: Panel, values: Reduced[]): Reduced[] {
  const text = str(panel.defaults.noValue);
  if (values.length > 0 || text === undefined) return values;
  const options: FieldOptions = { custom: {}, noValue: text };
  const shown: ShownField = {
    field: { name: '', type: 'number', values: [] },
    frame: { refId: 'A', fields: [] },
    index: 0,
    name: '',
    options,
  };
  return [
    {
      shown,
      name: '',
      value: { ...display(options, null), color: 'rgba(0, 0, 0, 0)' },
      options,
      range: { min: 0, max: 100 },
      spark: [],
      row: 0,
    },
  ];
}

function StatPanel({ panel, fields, scope }: { panel: Panel; fields: ShownField[]; scope: Scope }) {
  const options = panel.options;
  const affix = obj(options.affix);
  const values = orNoValue(panel, reduced(panel, fields)).map((r) => {
    const url = r.options.links?.[0]?.url;
    const value =
      str(affix.prefix) || str(affix.postfix)
        ? {
            ...r.value,
            text: `${interpolateText(str(affix.prefix) ?? '', scope)}${displayText(r.value)}${interpolateText(str(affix.postfix) ?? '', scope)}`,
            prefix: '',
            suffix: '',
          }
        : r.value;
    return {
      name: r.name,
      value,
      spark: r.spark,
      ...(url ? { href: fillUrl(url, scope, { shown: r.shown, row: r.row, siblings: fields }) } : {}),
    };
  });
  const text = obj(options.text);
  const colorMode = str(options.colorMode) as StatProps['colorMode'];
  return (
    <Stat
      values={values}
      colorMode={colorMode ?? 'value'}
      textMode={(str(options.textMode) as StatProps['textMode']) ?? 'auto'}
      graph={options.graphMode === 'area' || options.graphMode === undefined}
      center={options.justifyMode === 'center'}
      orientation={(str(options.orientation) as StatProps['orientation']) ?? 'auto'}
      {...(num(text.valueSize) ? { valueSize: num(text.valueSize)! } : {})}
      {...(num(text.titleSize) ? { titleSize: num(text.titleSize)! } : {})}
    />
  );
}

function GaugePanel({ panel, fields }: { panel: Panel; fields: ShownField[] }) {
  const values = orNoValue(panel, reduced(panel, fields)).map((r): GaugeValue => {
    // A gauge's own scale, not that of the data, unless min or max are left to it.
    const range = {
      min: r.options.min ?? 0,
      max:
        r.options.max ??
        (r.options.unit === 'percentunit' ? 1 : r.options.unit === 'percent' ? 100 : Math.max(r.range.max, 100)),
    };
    const value = display(
      { ...r.options, min: range.min, max: range.max },
      Number.isNaN(r.value.numeric) ? null : r.value.numeric,
      { name: r.name, index: r.shown.index },
    );
    return {
      name: r.name,
      value: { ...r.value, ...(value.color ? { color: value.color } : {}), fraction: value.fraction },
      options: r.options,
      range,
    };
  });
  const options = panel.options;
  if (panel.type === 'bargauge') {
    return (
      <BarGauge
        values={values}
        orientation={(str(options.orientation) as 'auto') ?? 'auto'}
        mode={(str(options.displayMode) as 'gradient') ?? 'gradient'}
      />
    );
  }
  return (
    <Gauge
      values={values}
      markers={options.showThresholdMarkers !== false}
      labels={bool(options.showThresholdLabels)}
    />
  );
}

function PiePanel({ panel, fields }: { panel: Panel; fields: ShownField[] }) {
  const legend = obj(panel.options.legend);
  const values = strings(legend.values);
  const slices = reduced(panel, fields).map((r) => {
    const palette = r.options.color?.mode === undefined || r.options.color.mode.startsWith('palette');
    return { name: r.name, value: r.value, ...(palette || !r.value.color ? {} : { color: r.value.color }) };
  });
  const hidden = legend.showLegend === false || legend.displayMode === 'hidden';
  return (
    <PieChart
      slices={slices}
      donut={panel.options.pieType === 'donut'}
      legend={hidden ? 'none' : legend.placement === 'right' ? 'right' : 'bottom'}
      showValue={values.length === 0 || values.includes('value')}
      showPercent={values.includes('percent')}
    />
  );
}

const CELLS: Record<string, TableColumn['cell']> = {
  'color-text': 'color-text',
  'color-background': 'color-background',
  'color-background-solid': 'color-background',
  gauge: 'gauge',
  'basic-gauge': 'gauge',
  'gradient-gauge': 'gauge',
  'lcd-gauge': 'gauge',
};

function column(shown: ShownField, siblings: readonly ShownField[], scope: Scope): TableColumn {
  const { options, field } = shown;
  const cell = CELLS[str(obj(options.custom.cellOptions).type) ?? str(options.custom.displayMode) ?? ''] ?? 'text';
  const align = options.custom.align;
  const range = field.type === 'number' ? dataRange([shown]) : { min: 0, max: 100 };
  const tz = timeZone();
  const target = options.links?.[0];
  return {
    name: shown.name,
    values: field.values,
    numeric: field.type === 'number',
    cell,
    display: (value) => display(options, value, { range, name: shown.name, index: shown.index, timeZone: tz }),
    ...(align === 'left' || align === 'center' || align === 'right' ? { align } : {}),
    ...(num(options.custom.width) ? { width: num(options.custom.width)! } : {}),
    ...(target
      ? {
          link: (row: number) => ({
            url: fillUrl(target.url, scope, { shown, row, siblings }),
            title: target.title,
            newTab: target.newTab,
          }),
        }
      : {}),
  };
}

/** Rows of a table panel: the frames' own, or one row for each series with its labels where only series are there. */
function TablePanel({
  panel,
  fields,
  scope,
  label,
}: {
  panel: Panel;
  fields: ShownField[];
  scope: Scope;
  label: string;
}) {
  const columns = useMemo(() => {
    const frames = [...new Set(fields.map((f) => f.frame))];
    const wide = frames.reduce(
      (best, f) => (f.fields[0]!.values.length > (best?.fields[0]!.values.length ?? -1) ? f : best),
      frames[0],
    );
    const many = frames.length > 1 && frames.every((f) => f.fields.some((c) => c.labels));
    const visible = (f: ShownField) => !bool(f.options.custom.hidden) && !bool(obj(f.options.custom.hideFrom).viz);
    if (!many)
      return fields
        .filter((f) => f.frame === wide && visible(f))
        .map((f) =>
          column(
            f,
            fields.filter((o) => o.frame === wide),
            scope,
          ),
        );
    const series = fields.filter((f) => f.field.type === 'number' && visible(f));
    const last = series.map((f) => reduce(f.field.values as (number | null)[], 'lastNotNull'));
    const first = series[0];
    return [
      {
        name: 'Series',
        values: series.map((f) => f.name),
        numeric: false,
        display: (v: unknown) => display({ custom: {} }, v),
      },
      ...(first ? [{ ...column(first, [], scope), name: 'Last', values: last }] : []),
    ] satisfies TableColumn[];
  }, [fields, scope]);
  const rule = objects(panel.options.sortBy)[0];
  const index =
    num(panel.options.sortIndex) ?? (rule ? columns.findIndex((c) => c.name === str(rule.displayName)) : -1);
  const sort: TableSort | null =
    index >= 0 && index < columns.length
      ? { column: index, desc: rule ? bool(rule.desc) : bool(panel.options.sortDesc) }
      : null;
  return <DataTable columns={columns} initialSort={sort} label={label} header={panel.options.showHeader !== false} />;
}

export function PanelBody({ panel, data, scope, title, syncKey }: BodyProps) {
  const fields = useMemo(
    () => shownFields(panel, transform(data.frames, panel.transformations), (text) => interpolateText(text, scope)),
    [panel, data, scope],
  );
  if (panel.type === 'text') return <TextPanel options={panel.options as Json} scope={scope} />;
  if (!PANEL_TYPES.has(panel.type)) {
    return (
      <div class="panel-unknown">
        <p class="note warn">
          Panels of type “{panel.type}” are not drawn yet.{panel.targets.length > 0 ? ' This is their data.' : ''}
        </p>
        {panel.targets.length > 0 && (
          <TablePanel panel={{ ...panel, options: {} }} fields={fields} scope={scope} label={title} />
        )}
      </div>
    );
  }
  switch (panel.type) {
    case 'stat':
      return <StatPanel panel={panel} fields={fields} scope={scope} />;
    case 'gauge':
    case 'bargauge':
      return <GaugePanel panel={panel} fields={fields} />;
    case 'piechart':
      return <PiePanel panel={panel} fields={fields} />;
    case 'table':
      return <TablePanel panel={panel} fields={fields} scope={scope} label={title} />;
    default:
      return (
        <GraphPanel
          panel={panel}
          fields={fields}
          range={data.range}
          label={title}
          syncKey={syncKey}
          onZoom={(from, to) => setRange(from, to)}
          onZoomOut={zoomOut}
        />
      );
  }
}
