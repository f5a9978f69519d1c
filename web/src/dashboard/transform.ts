/**
 * Grafana's transformations over frames.
 *
 * Here: one function for each id, and the list of ids that are known. Elsewhere: where frames come from (`frames.ts`).
 *
 * Invariant: frames given in are not changed; an unknown id passes frames through (and `parse.ts` names it).
 */
import { compileRegex } from '../chart/field';
import { reduce, reducerLabel } from '../chart/reduce';
import { autoNames, frameLength } from './frames';
import type { Field, FieldType, Frame } from './frames';
import { bool, isObject, num, obj, objects, str, strings } from './json';
import type { Json } from './json';
import type { Transformation } from './model';

type Step = (frames: Frame[], options: Json) => Frame[];

/** Names of a frame's columns as a person sees them. */
function names(frames: readonly Frame[]): string[][] {
  const all = autoNames(frames.flatMap((f) => f.fields));
  let at = 0;
  return frames.map((f) => f.fields.map(() => all[at++]!));
}

type Row = Record<string, unknown>;

interface Table {
  columns: Map<string, FieldType>;
  rows: Row[];
}

function toFrame(table: Table, refId: string): Frame {
  const fields = [...table.columns].map(([name, type]): Field => ({
    name,
    type,
    values: table.rows.map((r) => r[name] ?? null),
  }));
  return { refId, fields };
}

/** Rows of a frame by the columns' shown names. */
function toRows(frame: Frame, shown: string[]): Row[] {
  return Array.from({ length: frameLength(frame) }, (_, i) =>
    Object.fromEntries(frame.fields.map((f, j) => [shown[j]!, f.values[i]])),
  );
}

const merge: Step = (frames) => {
  const tables = frames.filter((f) => f.fields.length > 0);
  if (tables.length < 2) return frames;
  const shown = names(tables);
  const common = shown[0]!.filter(
    (n, i) => shown.every((s) => s.includes(n)) && tables[0]!.fields[i]!.type !== 'number',
  );
  const table: Table = { columns: new Map(), rows: [] };
  const byKey = new Map<string, Row[]>();
  tables.forEach((frame, t) => {
    frame.fields.forEach((f, i) => table.columns.has(shown[t]![i]!) || table.columns.set(shown[t]![i]!, f.type));
    for (const row of toRows(frame, shown[t]!)) {
      const key = JSON.stringify(common.map((n) => row[n]));
      const known = byKey.get(key) ?? [];
      const fits = known.find((k) =>
        Object.entries(row).every(([n, v]) => k[n] === undefined || k[n] === null || v === null || k[n] === v),
      );
      if (fits) Object.assign(fits, Object.fromEntries(Object.entries(row).filter(([, v]) => v !== null)));
      else {
        table.rows.push(row);
        known.push(row);
        byKey.set(key, known);
      }
    }
  });
  return [toFrame(table, tables[0]!.refId)];
};

/** Names that occur more than once get a number each: `Time 1`, `Time 2`. */
function numbered(all: string[]): string[] {
  const counts = new Map<string, number>();
  for (const n of all) counts.set(n, (counts.get(n) ?? 0) + 1);
  const seen = new Map<string, number>();
  return all.map((n) => {
    if (counts.get(n) === 1) return n;
    const at = (seen.get(n) ?? 0) + 1;
    seen.set(n, at);
    return `${n} ${at}`;
  });
}

const join: Step = (frames, options) => {
  const shown = names(frames);
  const by = str(options.byField) ?? frames[0]?.fields.find((f) => f.type === 'time')?.name ?? 'Time';
  const usable = frames
    .map((f, i) => ({ frame: f, shown: shown[i]!, key: shown[i]!.indexOf(by) }))
    .filter((f) => f.key >= 0);
  if (usable.length === 0) return frames;
  const keys = new Map<unknown, number>();
  const rowsOf = usable.map(({ frame, key }) => frame.fields[key]!.values);
  const inner = options.mode === 'inner';
  for (const values of rowsOf) {
    for (const v of values)
      if (!keys.has(v) && (!inner || rowsOf.every((other) => other.includes(v)))) keys.set(v, keys.size);
  }
  let order = [...keys.keys()];
  const keyType = usable[0]!.frame.fields[usable[0]!.key]!.type;
  if (keyType === 'time') order = (order as number[]).sort((a, b) => a - b);
  const place = new Map(order.map((v, i) => [v, i]));
  const others = usable.flatMap(({ frame, shown: s, key }) =>
    frame.fields.flatMap((field, i) => {
      if (i === key) return [];
      const values = new Array<unknown>(order.length).fill(null);
      frame.fields[key]!.values.forEach((k, row) => {
        const at = place.get(k);
        if (at !== undefined && values[at] === null) values[at] = field.values[row];
      });
      return [{ name: s[i]!, field, values }];
    }),
  );
  const unique = numbered(others.map((o) => o.name));
  const joined = others.map((o, i): Field => ({
    ...o.field,
    name: unique[i]!,
    ...(o.field.legend ? { legend: unique[i]! } : {}),
    values: o.values,
  }));
  return [
    {
      refId: usable.map((u) => u.frame.refId).join('-'),
      fields: [{ name: by, type: keyType, values: order }, ...joined],
    },
  ];
};

const organize: Step = (frames, options) => {
  const exclude = obj(options.excludeByName);
  const include = obj(options.includeByName);
  const index = obj(options.indexByName);
  const rename = obj(options.renameByName);
  const included = Object.values(include).some((v) => v === true);
  const shown = names(frames);
  return frames.map((frame, i) => {
    const columns = frame.fields
      .map((field, j) => ({ field, name: shown[i]![j]! }))
      .filter(
        ({ name, field }) => !bool(exclude[name]) && !bool(exclude[field.name]) && (!included || bool(include[name])),
      );
    const place = (name: string) => num(index[name]) ?? Number.MAX_SAFE_INTEGER;
    if (Object.keys(index).length > 0) columns.sort((a, b) => place(a.name) - place(b.name));
    return {
      ...frame,
      fields: columns.map(({ field, name }) => {
        const next = str(rename[name]) || str(rename[field.name]);
        return next ? { ...field, name: next, legend: next } : field;
      }),
    };
  });
};

function compareValues(a: unknown, b: unknown): number {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function reorder(frame: Frame, order: number[]): Frame {
  return { ...frame, fields: frame.fields.map((f) => ({ ...f, values: order.map((i) => f.values[i]) })) };
}

const sortBy: Step = (frames, options) => {
  const rule = objects(options.sort)[0];
  const wanted = str(rule?.field);
  if (!wanted) return frames;
  const shown = names(frames);
  return frames.map((frame, i) => {
    const column = frame.fields.find((f, j) => shown[i]![j] === wanted || f.name === wanted);
    if (!column) return frame;
    const direction = bool(rule?.desc) ? -1 : 1;
    const order = column.values
      .map((_, at) => at)
      .sort((a, b) => direction * compareValues(column.values[a], column.values[b]));
    return reorder(frame, order);
  });
};

function aggregate(values: unknown[], id: string): unknown {
  if (id === 'uniqueValues') return [...new Set(values)].join(', ');
  if (id === 'allValues') return values.join(', ');
  if (id === 'count') return values.length;
  if (values.every((v) => v === null || typeof v === 'number')) return reduce(values as (number | null)[], id);
  const present = values.filter((v) => v !== null && v !== undefined);
  if (id === 'distinctCount') return new Set(values).size;
  return /^first/.test(id) ? (present[0] ?? null) : (present[present.length - 1] ?? null);
}

const groupBy: Step = (frames, options) => {
  const rules = obj(options.fields);
  const shown = names(frames);
  return frames.flatMap((frame, i): Frame[] => {
    const columns = frame.fields.map((field, j) => ({
      field,
      name: shown[i]![j]!,
      rule: obj(rules[shown[i]![j]!] ?? rules[field.name]),
    }));
    const keys = columns.filter((c) => c.rule.operation === 'groupby');
    if (keys.length === 0) return [];
    const groups = new Map<string, number[]>();
    for (let row = 0; row < frameLength(frame); row++) {
      const key = JSON.stringify(keys.map((k) => k.field.values[row]));
      groups.set(key, [...(groups.get(key) ?? []), row]);
    }
    const rows = [...groups.values()];
    const fields: Field[] = keys.map(({ field, name }) => ({
      name,
      type: field.type,
      values: rows.map((r) => field.values[r[0]!]),
    }));
    for (const { field, name, rule } of columns) {
      if (rule.operation !== 'aggregate') continue;
      for (const id of strings(rule.aggregations)) {
        const values = rows.map((r) =>
          aggregate(
            r.map((at) => field.values[at]),
            id,
          ),
        );
        fields.push({ name: `${name} (${id})`, type: /Values$/.test(id) ? 'string' : field.type, values });
      }
    }
    return [{ ...frame, fields }];
  });
};

/** The test of a name filter: listed names or a pattern. */
function nameTest(raw: unknown): ((name: string) => boolean) | undefined {
  const filter = obj(raw);
  const listed = strings(filter.names);
  const pattern = str(filter.pattern);
  if (listed.length === 0 && !pattern) return undefined;
  const regex = pattern ? compileRegex(pattern.startsWith('/') ? pattern : `/${pattern}/`) : undefined;
  return (name) => listed.includes(name) || (!!regex && regex.test(name));
}

const filterByName: Step = (frames, options) => {
  const include = nameTest(options.include);
  const exclude = nameTest(options.exclude);
  const shown = names(frames);
  return frames
    .map((frame, i) => ({
      ...frame,
      fields: frame.fields.filter((_, j) => (!include || include(shown[i]![j]!)) && !exclude?.(shown[i]![j]!)),
    }))
    .filter((f) => f.fields.length > 0);
};

const filterByRefId: Step = (frames, options) => {
  const include = str(options.include);
  const exclude = str(options.exclude);
  const test = (pattern: string, refId: string) =>
    compileRegex(pattern.startsWith('/') ? pattern : `/^(?:${pattern})$/`)?.test(refId) ?? false;
  return frames.filter((f) => (!include || test(include, f.refId)) && !(exclude && test(exclude, f.refId)));
};

const labelsToFields: Step = (frames, options) => {
  const keep = strings(options.keepLabels);
  const valueLabel = str(options.valueLabel);
  if (options.mode === 'rows') {
    return frames.map((frame) => {
      const pairs = Object.entries(frame.fields.find((f) => f.labels)?.labels ?? {}).filter(
        ([k]) => keep.length === 0 || keep.includes(k),
      );
      return {
        ...frame,
        fields: [
          { name: 'label', type: 'string', values: pairs.map((p) => p[0]) },
          { name: 'value', type: 'string', values: pairs.map((p) => p[1]) },
        ],
      };
    });
  }
  const wide = frames.map((frame): Frame => {
    const length = frameLength(frame);
    const fields: Field[] = frame.fields.filter((f) => !f.labels);
    const values: Field[] = [];
    for (const f of frame.fields) {
      if (!f.labels) continue;
      for (const [name, value] of Object.entries(f.labels)) {
        if (name === valueLabel || (keep.length > 0 && !keep.includes(name)) || fields.some((o) => o.name === name))
          continue;
        fields.push({ name, type: 'string', values: new Array<unknown>(length).fill(value) });
      }
      values.push({ name: (valueLabel ? f.labels[valueLabel] : undefined) ?? f.name, type: f.type, values: f.values });
    }
    return { ...frame, fields: [...fields, ...values] };
  });
  return merge(wide, {});
};

const seriesToRows: Step = (frames) => {
  const shown = names(frames);
  const rows = frames
    .flatMap((frame, i) => {
      const time = frame.fields.find((f) => f.type === 'time');
      return frame.fields.flatMap((f, j) =>
        f.type === 'number'
          ? f.values.map((v, at) => ({ Time: time?.values[at] ?? null, Metric: shown[i]![j], Value: v }))
          : [],
      );
    })
    .sort((a, b) => Number(b.Time) - Number(a.Time));
  return [
    toFrame(
      {
        columns: new Map([
          ['Time', 'time'],
          ['Metric', 'string'],
          ['Value', 'number'],
        ]),
        rows,
      },
      frames[0]?.refId ?? 'A',
    ),
  ];
};

const reduceFrames: Step = (frames, options) => {
  const reducers = strings(options.reducers);
  const calcs = reducers.length > 0 ? reducers : ['max'];
  const shown = names(frames);
  if (options.mode === 'reduceFields') {
    return frames.map((frame) => {
      const numeric = frame.fields.filter((f) => f.type === 'number');
      return {
        ...frame,
        fields: numeric.flatMap((f) =>
          calcs.map((c) => ({
            ...f,
            values: [reduce(f.values as (number | null)[], c)],
            ...(calcs.length > 1 ? { name: `${f.name} ${reducerLabel(c)}` } : {}),
          })),
        ),
      };
    });
  }
  const withLabels = bool(options.labelsToFields);
  const table: Table = { columns: new Map([['Field', 'string']]), rows: [] };
  const rows: Row[] = frames.flatMap((frame, i) =>
    frame.fields.flatMap((f, j) => {
      if (f.type !== 'number') return [];
      if (withLabels) for (const k of Object.keys(f.labels ?? {})) table.columns.set(k, 'string');
      return [
        {
          Field: withLabels ? f.name : shown[i]![j]!,
          ...(withLabels ? f.labels : {}),
          ...Object.fromEntries(calcs.map((c) => [reducerLabel(c), reduce(f.values as (number | null)[], c)])),
        },
      ];
    }),
  );
  for (const c of calcs) table.columns.set(reducerLabel(c), 'number');
  return [toFrame({ columns: table.columns, rows }, frames[0]?.refId ?? 'A')];
};

const OPERATORS: Record<string, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '**': (a, b) => a ** b,
};

function operand(frame: Frame, shown: string[], raw: unknown): ((row: number) => number | null) | undefined {
  const name = isObject(raw) ? String(raw.fixed ?? obj(raw.matcher).options ?? '') : String(raw ?? '');
  const field = frame.fields.find((f, i) => shown[i] === name || f.name === name);
  if (field) return (row) => (typeof field.values[row] === 'number' ? (field.values[row] as number) : null);
  const fixed = num(name);
  return fixed === undefined ? undefined : () => fixed;
}

const calculateField: Step = (frames, options) => {
  const mode = str(options.mode) ?? 'reduceRow';
  const input = mode === 'binary' && frames.length > 1 ? join(frames, {}) : frames;
  const shown = names(input);
  return input.map((frame, i) => {
    const own = shown[i]!;
    const length = frameLength(frame);
    let values: (number | null)[] | undefined;
    let name = str(options.alias) || '';
    if (mode === 'binary') {
      const rule = obj(options.binary);
      const operator = str(rule.operator) ?? '+';
      const [left, right] = [operand(frame, own, rule.left), operand(frame, own, rule.right)];
      const apply = OPERATORS[operator];
      if (!left || !right || !apply) return frame;
      values = Array.from({ length }, (_, row) => {
        const [a, b] = [left(row), right(row)];
        return a === null || b === null ? null : apply(a, b);
      });
      name ||= `${String(rule.left)} ${operator} ${String(rule.right)}`;
    } else if (mode === 'reduceRow') {
      const rule = obj(options.reduce);
      const include = strings(rule.include);
      const columns = frame.fields.filter(
        (f, j) => f.type === 'number' && (include.length === 0 || include.includes(own[j]!)),
      );
      const id = str(rule.reducer) ?? 'sum';
      values = Array.from({ length }, (_, row) =>
        reduce(
          columns.map((c) => c.values[row] as number | null),
          id,
        ),
      );
      name ||= reducerLabel(id);
    }
    if (!values) return frame;
    const added: Field = { name, type: 'number', values };
    const kept = bool(options.replaceFields) ? frame.fields.filter((f) => f.type === 'time') : frame.fields;
    return { ...frame, fields: [...kept, added] };
  });
};

const renameByRegex: Step = (frames, options) => {
  const pattern = str(options.regex) ?? '';
  const regex = compileRegex(pattern.startsWith('/') ? pattern : `/${pattern}/`);
  if (!pattern || !regex) return frames;
  const shown = names(frames);
  return frames.map((frame, i) => ({
    ...frame,
    fields: frame.fields.map((f, j) => {
      const next = shown[i]![j]!.replace(regex, str(options.renamePattern) ?? '');
      return f.type === 'time' || next === shown[i]![j] ? f : { ...f, name: next, legend: next };
    }),
  }));
};

const limit: Step = (frames, options) => {
  const count = Math.max(0, num(options.limitField) ?? 10);
  return frames.map((f) => ({ ...f, fields: f.fields.map((c) => ({ ...c, values: c.values.slice(0, count) })) }));
};

const concatenate: Step = (frames) => {
  const length = Math.max(0, ...frames.map(frameLength));
  const fields = frames
    .flatMap((f) => f.fields)
    .map((f) => ({ ...f, values: [...f.values, ...new Array<unknown>(length - f.values.length).fill(null)] }));
  const unique = numbered(fields.map((f) => f.name));
  return frames.length === 0
    ? []
    : [{ refId: frames[0]!.refId, fields: fields.map((f, i) => ({ ...f, name: unique[i]! })) }];
};

const convertFieldType: Step = (frames, options) =>
  frames.map((frame) => ({
    ...frame,
    fields: frame.fields.map((f): Field => {
      const rule = objects(options.conversions).find((c) => c.targetField === f.name || c.targetField === f.legend);
      const type = str(rule?.destinationType);
      if (type === 'number')
        return { ...f, type, values: f.values.map((v) => (v === null || v === '' ? null : Number(v))) };
      if (type === 'string') return { ...f, type, values: f.values.map((v) => (v === null ? null : String(v))) };
      if (type === 'time')
        return { ...f, type, values: f.values.map((v) => (typeof v === 'number' ? v : Date.parse(String(v)))) };
      return f;
    }),
  }));

const STEPS: Record<string, Step> = {
  merge,
  organize,
  sortBy,
  groupBy,
  labelsToFields,
  seriesToRows,
  calculateField,
  renameByRegex,
  limit,
  concatenate,
  convertFieldType,
  joinByField: join,
  seriesToColumns: join,
  filterFieldsByName: filterByName,
  filterByRefId,
  reduce: reduceFrames,
};

export const KNOWN_TRANSFORMATIONS: ReadonlySet<string> = new Set(Object.keys(STEPS));

/** `frames` after all of a panel's transformations. */
export function transform(frames: readonly Frame[], steps: readonly Transformation[]): Frame[] {
  return steps.reduce<Frame[]>((now, step) => STEPS[step.id]?.(now, step.options) ?? now, [...frames]);
}
