/**
 * The variables of the dashboard on screen: options asked in order of dependency, choices kept in the URL.
 *
 * Here: the hook. Elsewhere: reading and choosing (`variables.ts`), the controls (`VariableBar.tsx`).
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { navigate, place } from '../router';
import type { Choice, Dashboard, Option, Variable } from './model';
import { ALL, autoInterval, chooseOptions, dependencyOrder, resolveOptions } from './variables';
import type { Span } from './variables';

export interface VariableState {
  choices: Record<string, Choice>;
  options: Record<string, Option[]>;
  errors: Record<string, string>;
}

/** Values of a variable in the URL; undefined where it says nothing. */
function wanted(params: URLSearchParams, name: string): string[] | undefined {
  const values = params.getAll(`var-${name}`);
  return values.length > 0 ? values : undefined;
}

/** Writes a choice into the URL; others stay. */
export function setVariable(variable: Variable, values: readonly string[]): void {
  const { path, params } = place.peek();
  const next = new URLSearchParams(params);
  next.delete(`var-${variable.name}`);
  for (const value of values) next.append(`var-${variable.name}`, value);
  navigate(path, next);
}

async function resolveAll(
  board: Dashboard,
  params: URLSearchParams,
  span: Span,
  abort: AbortSignal,
): Promise<VariableState> {
  const state: VariableState = { choices: {}, options: {}, errors: {} };
  const rangeMs = (span.end - span.start) * 1000;
  const extra = {
    __range: `${Math.round(rangeMs / 1000)}s`,
    __range_s: String(Math.round(rangeMs / 1000)),
    __range_ms: String(rangeMs),
    __from: String(span.start * 1000),
    __to: String(span.end * 1000),
    __interval: '1m',
    __rate_interval: '5m',
    ...Object.fromEntries(
      board.variables.filter((v) => v.auto).map((v) => [`__auto_interval_${v.name}`, autoInterval(v, rangeMs)]),
    ),
  };
  for (const group of dependencyOrder(board.variables)) {
    const scope = { variables: board.variables, choices: { ...state.choices }, extra };
    const resolved = await Promise.all(group.map((v) => resolveOptions(v, scope, span, abort)));
    group.forEach((v, i) => {
      const { options, error } = resolved[i]!;
      state.options[v.name] = options;
      state.choices[v.name] = chooseOptions(v, options, wanted(params, v.name), rangeMs);
      if (error) state.errors[v.name] = error;
    });
  }
  return state;
}

/** Null until the first answers are in; after that the last state stays while new answers are on their way. */
export function useVariables(
  board: Dashboard | undefined,
  range: { from: number; to: number },
  rangeKey: string,
): VariableState | null {
  const [state, setState] = useState<VariableState | null>(null);
  const params = place.value.params;
  const key = [...params]
    .filter(([k]) => k.startsWith('var-'))
    .map((p) => p.join('='))
    .join('&');
  const latest = useRef(range);
  latest.current = range;
  useEffect(() => {
    if (!board) return undefined;
    const abort = new AbortController();
    const { from, to } = latest.current;
    resolveAll(board, params, { start: Math.floor(from / 1000), end: Math.ceil(to / 1000) }, abort.signal).then(
      (next) => {
        if (!abort.signal.aborted) setState(next);
      },
      () => undefined, // Only an abort ends here: errors of single variables are part of the state.
    );
    return () => abort.abort();
  }, [board, key, rangeKey]);
  return state;
}

export function isAll(choice: Choice | undefined): boolean {
  return choice?.all ?? false;
}

export { ALL };
