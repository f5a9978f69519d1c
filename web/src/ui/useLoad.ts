// Loading for components: asks, keeps the last good answer while asking again, drops answers that came too late.
import { useEffect, useRef, useState } from 'preact/hooks';
import { isAbort } from '../api';

export interface Loaded<T> {
  data: T | undefined;
  /** The last try's error; `data` may still hold what came before. */
  error: unknown;
  loading: boolean;
}

/** Runs `load` when `deps` change; the request before it is aborted. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, deps: readonly unknown[]): Loaded<T> {
  const [state, setState] = useState<Loaded<T>>({ data: undefined, error: undefined, loading: true });
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const abort = new AbortController();
    setState((old) => (old.loading ? old : { ...old, loading: true }));
    latest.current(abort.signal).then(
      (data) => {
        if (!abort.signal.aborted) setState({ data, error: undefined, loading: false });
      },
      (error: unknown) => {
        if (!abort.signal.aborted && !isAbort(error)) setState((old) => ({ data: old.data, error, loading: false }));
      },
    );
    return () => abort.abort();
  }, deps as unknown[]);
  return state;
}

/** A number that grows every `ms` while the page is visible; put it among the deps of `useLoad`. */
export function useTick(ms: number): number {
  const [tick, setTick] = useState(0);
  useEffect(() => {
    if (ms <= 0) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) setTick((count) => count + 1);
    }, ms);
    return () => clearInterval(timer);
  }, [ms]);
  return tick;
}
