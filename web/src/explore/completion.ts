// What the editor's completion asks the server.
//
// Here: the client that codemirror-promql calls. Few names are fetched once; where there are many, each prefix is
// searched by the server, so that 50,000 names neither travel nor are searched in the browser.
import type { Matcher } from '@prometheus-io/codemirror-promql/dist/esm/types';
import { type Labels, labelNames, labelValues, metricMetadata, request } from '../api';
import { loadList } from '../prefs';

/** Up to so many metric names live in the browser. */
export const NAMES_MAX = 5000;
const FOUND_MAX = 200;
const FRESH_MS = 60_000;

type Metadata = Record<string, { type: string; help: string; unit: string }[]>;

/** A value that is asked again after a minute. */
function cached<T>(ask: () => Promise<T>): () => Promise<T> {
  let at = 0;
  let value: Promise<T> | undefined;
  return () => {
    if (!value || Date.now() - at > FRESH_MS) {
      at = Date.now();
      value = ask();
      value.catch(() => (value = undefined));
    }
    return value;
  };
}

function selector(metric: string | undefined, matchers: Matcher[] | undefined, without?: string): string[] {
  const parts = (matchers ?? [])
    .filter((matcher) => matcher.name !== without && !matcher.matchesEmpty())
    .map((matcher) => `${matcher.name}${matcher.type}${JSON.stringify(matcher.value)}`);
  if (!metric && parts.length === 0) return [];
  return [`${metric ?? ''}{${parts.join(',')}}`];
}

/** Whether the last list of names was cut: typing on must ask again then. */
export interface CompletionClient {
  labelNames(metric?: string): Promise<string[]>;
  labelValues(name: string, metric?: string, matchers?: Matcher[]): Promise<string[]>;
  metricMetadata(): Promise<Metadata>;
  series(metric: string, matchers?: Matcher[], label?: string): Promise<Map<string, string>[]>;
  metricNames(prefix?: string): Promise<string[]>;
  flags(): Promise<Record<string, string>>;
  destroy(): void;
  manyNames(): boolean;
}

export function completionClient(): CompletionClient {
  let many = false;
  const allNames = cached(() => labelValues('__name__', { limit: NAMES_MAX + 1 }));
  const metadata = cached(async () => (many ? {} : await metricMetadata()));
  return {
    labelNames: async (metric) => (await labelNames(selector(metric, []))).filter((name) => name !== '__name__'),
    labelValues: (name, metric, matchers) => labelValues(name, { match: selector(metric, matchers, name), limit: 1000 }),
    metricMetadata: metadata,
    series: async (metric, matchers) => {
      const answer = await request<{ data: Labels[] }>('api/v1/series', { 'match[]': selector(metric, matchers), limit: 500 });
      return answer.data.map((labels) => new Map(Object.entries(labels)));
    },
    metricNames: async (prefix) => {
      const names = await allNames();
      many = names.length > NAMES_MAX;
      if (!many || !prefix) return names.slice(0, NAMES_MAX);
      const pattern = `(?i).*${prefix.replace(/[^a-zA-Z0-9_]/g, '.')}.*`;
      return labelValues('__name__', { match: [`{__name__=~"${pattern}"}`], limit: FOUND_MAX });
    },
    flags: async () => ({}),
    destroy: () => undefined,
    manyNames: () => many,
  };
}

/** Expressions that were run here, newest first. */
export const history = (): string[] => loadList('history');
