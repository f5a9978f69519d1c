// Running Explore's queries: all visible ones at once, each with its own answer or error.
import { type Answer, type MatrixSeries, type QueryData, queryInstant, queryRange, isAbort } from '../api';
import type { Series } from '../chart/types';
import { seriesName, toSeries } from '../matrix';
import { aligned, type Step, stepFor } from '../time';
import { type ExploreState, letter, type Tab } from './url';

export interface Outcome {
  /** Position in the list of queries. */
  index: number;
  expr: string;
  error?: unknown;
  /** What the Graph tab draws. */
  series: Series[];
  /** What the Table tab shows. */
  data?: QueryData;
  notes: string[];
  ms: number;
}

export interface Ran {
  tab: Tab;
  step: Step;
  outcomes: Outcome[];
}

/** Points a graph of this width shows apart. */
function pointsFor(width: number): number {
  return Math.min(1200, Math.max(120, Math.floor(width / 2.5)));
}

export function stepOf(state: ExploreState, range: { from: number; to: number }, width: number): Step {
  if (state.step !== null) return aligned(range.from, range.to, state.step);
  return stepFor(range.from, range.to, pointsFor(width));
}

/** Asks all; one query's failure leaves the others as they are. Only an abort rejects. */
export async function runAll(
  state: ExploreState,
  range: { from: number; to: number },
  width: number,
  signal: AbortSignal,
): Promise<Ran> {
  const step = stepOf(state, range, width);
  const wanted = state.queries.map((query, index) => ({ ...query, index })).filter((query) => query.expr.trim() && !query.hidden);
  const many = wanted.length > 1;
  const outcomes = await Promise.all(
    wanted.map(async ({ expr, index }): Promise<Outcome> => {
      const began = performance.now();
      const base = { index, expr, series: [], notes: [] };
      try {
        if (state.tab === 'table') {
          const answer = await queryInstant(expr, range.to / 1000, signal);
          return { ...base, data: answer.data, notes: notesOf(answer), ms: performance.now() - began };
        }
        const answer: Answer<MatrixSeries[]> = await queryRange(expr, step, signal);
        const name = (labels: Record<string, string>): string => (many ? `${letter(index)} ${seriesName(labels)}` : seriesName(labels));
        return { ...base, series: toSeries(answer.data, step.step, name), notes: notesOf(answer), ms: performance.now() - began };
      } catch (error) {
        if (isAbort(error)) throw error;
        return { ...base, error, ms: performance.now() - began };
      }
    }),
  );
  return { tab: state.tab, step, outcomes };
}

function notesOf(answer: Answer<unknown>): string[] {
  return [...answer.warnings, ...answer.infos];
}
