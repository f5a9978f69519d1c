// Explore's state as the URL holds it, and the links of Prometheus that mean the same.
//
// Here: pure translation. Ours: `g0.expr`, `g1.expr`, … , `tab`, `step`, and the page's `from`, `to`, `refresh`.
// Prometheus adds `g0.tab`, `g0.range_input`, `g0.end_input`, `g0.moment_input`, `g0.step_input`, `g0.res_type`, `g0.res_density`.
import { parseDuration } from '../time';

export type Tab = 'graph' | 'table';

export interface Query {
  expr: string;
  /** Left out of the graph and the table, kept in the list. */
  hidden: boolean;
}

export interface ExploreState {
  queries: Query[];
  tab: Tab;
  /** Seconds between points; null for automatic. */
  step: number | null;
}

/** More queries than this are not read from a URL. */
const QUERIES_MAX = 26;

/** What the URL asks for. Always at least one query, perhaps empty. */
export function readExplore(params: URLSearchParams): ExploreState {
  const queries: Query[] = [];
  for (let i = 0; i < QUERIES_MAX; i++) {
    const expr = params.get(`g${i}.expr`);
    if (expr === null) break;
    queries.push({ expr, hidden: params.get(`g${i}.hide`) === '1' });
  }
  if (queries.length === 0) queries.push({ expr: params.get('expr') ?? '', hidden: false });
  const given = parseDuration(params.get('step') ?? '');
  return { queries, tab: params.get('tab') === 'table' ? 'table' : 'graph', step: given && given > 0 ? given : null };
}

/** Parameters of a state, on top of what else the URL holds (range, refresh). */
export function writeExplore(state: ExploreState, others: URLSearchParams): URLSearchParams {
  const params = new URLSearchParams();
  state.queries.forEach((query, i) => {
    if (query.expr || state.queries.length > 1) params.set(`g${i}.expr`, query.expr);
    if (query.hidden) params.set(`g${i}.hide`, '1');
  });
  if (state.tab === 'table') params.set('tab', 'table');
  if (state.step !== null) params.set('step', String(state.step));
  for (const [key, value] of others) {
    if (!/^g\d+\./.test(key) && !['tab', 'step', 'expr'].includes(key)) params.append(key, value);
  }
  return params;
}

/** A Prometheus link in our words; null where the URL holds nothing of Prometheus' own. The first panel decides. */
export function fromPrometheus(params: URLSearchParams): URLSearchParams | null {
  const own = /^g\d+\.(tab|range_input|end_input|moment_input|step_input|res_type|res_density|display_mode|stacked|show_.*)$/;
  if (![...params.keys()].some((key) => own.test(key))) return null;
  const state = readExplore(params);
  const tab = params.get('g0.tab');
  state.tab = tab === '1' || tab === 'table' ? 'table' : 'graph';
  state.step = parseDuration(params.get('g0.step_input') ?? '') || state.step;
  const others = new URLSearchParams();
  for (const [key, value] of params) {
    if (!/^g\d+\./.test(key)) others.append(key, value);
  }
  const end = state.tab === 'table' ? params.get('g0.moment_input') : params.get('g0.end_input');
  const span = parseDuration(params.get('g0.range_input') ?? '') ?? 3600;
  // Prometheus writes the end in UTC without saying so.
  const endMs = end ? Date.parse(end.trim().replace(' ', 'T') + 'Z') : NaN;
  if (!Number.isNaN(endMs)) {
    others.set('from', String(endMs - span * 1000));
    others.set('to', String(endMs));
  } else if (params.has('g0.range_input')) {
    others.set('from', `now-${relative(span)}`);
    others.set('to', 'now');
  }
  return writeExplore(state, others);
}

/** One unit, as `time.ts` reads relative ends: `1h`, `90m`. */
function relative(seconds: number): string {
  for (const [unit, size] of [['d', 86400], ['h', 3600], ['m', 60]] as const) {
    if (seconds % size === 0) return `${seconds / size}${unit}`;
  }
  return `${Math.round(seconds)}s`;
}

/** A, B, C, … */
export function letter(index: number): string {
  return String.fromCharCode(65 + (index % 26));
}
