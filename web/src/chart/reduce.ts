/**
 * One number from many: the calculations of legends, stats and gauges.
 *
 * Here: Grafana's reducer ids over one series.
 * Elsewhere: how the result is written (`field.ts`), which reducers a panel asks for (the dashboard model).
 */

export type Values = readonly (number | null | undefined)[];

const LABELS: Record<string, string> = {
  lastNotNull: 'Last *',
  last: 'Last',
  firstNotNull: 'First *',
  first: 'First',
  min: 'Min',
  max: 'Max',
  mean: 'Mean',
  sum: 'Total',
  count: 'Count',
  range: 'Range',
  delta: 'Delta',
  step: 'Step',
  diff: 'Difference',
  diffperc: 'Difference %',
  stdDev: 'StdDev',
  variance: 'Variance',
  median: 'Median',
  changeCount: 'Change count',
  distinctCount: 'Distinct count',
  allIsZero: 'All zeros',
  allIsNull: 'All nulls',
  logmin: 'Min (above zero)',
  uniqueValues: 'All unique values',
};

export function isReducer(id: string): boolean {
  return id in LABELS || /^p\d{1,2}$/.test(id);
}

/** The name a legend column shows; percentiles read "95th %". */
export function reducerLabel(id: string): string {
  const percentile = /^p(\d{1,2})$/.exec(id)?.[1];
  if (percentile) return `${percentile}${ordinal(Number(percentile))} %`;
  return LABELS[id] ?? id;
}

function ordinal(n: number): string {
  if (n % 100 >= 11 && n % 100 <= 13) return 'th';
  return ['th', 'st', 'nd', 'rd'][n % 10] ?? 'th';
}

function numbers(values: Values): number[] {
  return values.filter((v): v is number => typeof v === 'number' && !Number.isNaN(v));
}

function percentile(values: Values, p: number): number | null {
  const sorted = numbers(values).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  return sorted[Math.round((sorted.length - 1) * (p / 100))] ?? null;
}

function variance(list: number[]): number {
  const mean = list.reduce((a, b) => a + b, 0) / list.length;
  return list.reduce((a, b) => a + (b - mean) ** 2, 0) / list.length;
}

/** Growth with counter resets left out: a drop counts as a start from zero. */
function delta(list: number[]): number {
  let total = 0;
  for (let i = 1; i < list.length; i++) {
    const step = list[i]! - list[i - 1]!;
    total += step >= 0 ? step : list[i]!;
  }
  return total;
}

/** `values` reduced by calculation `id`; null where there is nothing to reduce or the id is unknown. */
export function reduce(values: Values, id: string): number | null {
  const rank = /^p(\d{1,2})$/.exec(id)?.[1];
  if (rank) return percentile(values, Number(rank));
  if (id === 'last' || id === 'current') return values.length > 0 ? (values[values.length - 1] ?? null) : null;
  if (id === 'first') return values[0] ?? null;
  const list = numbers(values);
  if (id === 'count') return values.length;
  if (id === 'allIsNull') return list.length === 0 ? 1 : 0;
  if (list.length === 0) return null;
  const first = list[0]!;
  const last = list[list.length - 1]!;
  switch (id) {
    case 'lastNotNull':
      return last;
    case 'firstNotNull':
      return first;
    case 'min':
      return list.reduce((a, b) => Math.min(a, b), Infinity);
    case 'max':
      return list.reduce((a, b) => Math.max(a, b), -Infinity);
    case 'mean':
    case 'avg':
      return list.reduce((a, b) => a + b, 0) / list.length;
    case 'sum':
    case 'total':
      return list.reduce((a, b) => a + b, 0);
    case 'range':
      return reduce(list, 'max')! - reduce(list, 'min')!;
    case 'diff':
      return last - first;
    case 'diffperc':
      return first === 0 ? null : (last - first) / first;
    case 'delta':
      return delta(list);
    case 'step':
      return list.slice(1).reduce((low, v, i) => Math.min(low, v - list[i]!), Infinity);
    case 'median':
      return percentile(list, 50);
    case 'variance':
      return variance(list);
    case 'stdDev':
      return Math.sqrt(variance(list));
    case 'changeCount':
      return list.slice(1).filter((v, i) => v !== list[i]).length;
    case 'distinctCount':
      return new Set(list).size;
    case 'allIsZero':
      return list.every((v) => v === 0) ? 1 : 0;
    case 'logmin':
      return reduce(
        list.filter((v) => v > 0),
        'min',
      );
    default:
      return null;
  }
}
