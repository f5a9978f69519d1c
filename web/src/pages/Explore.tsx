// Explore: write expressions, see them as a graph or a table; everything is in the URL.
//
// Here: the list of queries and the controls. Elsewhere: the editor, the URL, running and results (`explore/`).
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { history } from '../explore/completion';
import { QueryField } from '../explore/QueryField';
import { QueryError, Results } from '../explore/Results';
import { type Outcome, runAll } from '../explore/run';
import { type ExploreState, fromPrometheus, letter, type Query, readExplore, type Tab, writeExplore } from '../explore/url';
import { savePref } from '../prefs';
import { range, refreshCount, refreshNow, setRangeDefaults } from '../range';
import { navigate, place } from '../router';
import { useShortcuts } from '../shortcuts';
import { formatDuration } from '../time';
import { Icon } from '../ui/icons';
import { Card, Empty, ErrorNote, Loading, Page } from '../ui/Page';
import { RangePicker } from '../ui/RangePicker';
import { useLoad } from '../ui/useLoad';
import '../styles/explore.css';

const STEPS = [1, 5, 15, 30, 60, 300, 900, 3600, 21600, 86400];
const HISTORY_MAX = 50;
const EXAMPLES = [
  { expr: 'up', text: 'which targets answer' },
  { expr: '100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m])))', text: 'CPU in percent' },
  { expr: 'topk(10, count by (__name__) ({__name__=~".+"}))', text: 'metrics with the most series' },
];

function remember(exprs: string[]): void {
  const list = [...exprs.filter((expr) => expr.trim()), ...history()];
  savePref('history', JSON.stringify([...new Set(list)].slice(0, HISTORY_MAX)));
}

function show(state: ExploreState, replace = false): void {
  navigate(place.peek().path, writeExplore(state, place.peek().params), replace);
}

function QueryRow(props: {
  query: Query;
  index: number;
  only: boolean;
  focus: boolean;
  outcome: Outcome | undefined;
  onChange: (query: Query) => void;
  onRun: () => void;
  onCopy: () => void;
  onRemove: () => void;
}): JSX.Element {
  const { query, index } = props;
  const name = letter(index);
  return (
    <div class={query.hidden ? 'query hidden-query' : 'query'}>
      <div class="query-line">
        <span class="letter" aria-hidden="true">
          {name}
        </span>
        <QueryField
          label={`Expression ${name}`}
          value={query.expr}
          focus={props.focus}
          onInput={(expr) => props.onChange({ ...query, expr })}
          onRun={props.onRun}
        />
        <div class="query-tools">
          <button
            type="button"
            class="button ghost small icon-only"
            aria-label={`${query.hidden ? 'Show' : 'Hide'} ${name}`}
            title={query.hidden ? 'Show' : 'Hide'}
            onClick={() => props.onChange({ ...query, hidden: !query.hidden })}
          >
            <Icon name={query.hidden ? 'eyeOff' : 'eye'} size={17} />
          </button>
          <button type="button" class="button ghost small icon-only" aria-label={`Duplicate ${name}`} title="Duplicate" onClick={props.onCopy}>
            <Icon name="copy" size={16} />
          </button>
          {!props.only && (
            <button type="button" class="button ghost small icon-only" aria-label={`Remove ${name}`} title="Remove" onClick={props.onRemove}>
              <Icon name="close" size={16} />
            </button>
          )}
        </div>
      </div>
      {props.outcome?.error !== undefined && <QueryError error={props.outcome.error} expr={props.outcome.expr} />}
    </div>
  );
}

function StepSelect({ state }: { state: ExploreState }): JSX.Element {
  const options = state.step !== null && !STEPS.includes(state.step) ? [...STEPS, state.step].sort((a, b) => a - b) : STEPS;
  return (
    <label class="step">
      <span>Resolution</span>
      <select value={state.step ?? ''} onChange={(event) => show({ ...state, step: Number(event.currentTarget.value) || null })}>
        <option value="">auto</option>
        {options.map((step) => (
          <option key={step} value={step}>
            {formatDuration(step)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Tabs({ state }: { state: ExploreState }): JSX.Element {
  const choose = (tab: Tab): void => show({ ...state, tab });
  const onKey = (event: KeyboardEvent): void => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    choose(state.tab === 'graph' ? 'table' : 'graph');
    const list = event.currentTarget as HTMLElement;
    requestAnimationFrame(() => list.querySelector<HTMLElement>('[aria-selected=true]')?.focus());
  };
  return (
    <div class="segmented" role="tablist" aria-label="Result as" onKeyDown={onKey}>
      {(['graph', 'table'] as const).map((tab) => (
        <button
          key={tab}
          id={`tab-${tab}`}
          type="button"
          role="tab"
          aria-selected={state.tab === tab}
          aria-controls="result"
          tabIndex={state.tab === tab ? 0 : -1}
          onClick={() => choose(tab)}
        >
          {tab === 'graph' ? 'Graph' : 'Table'}
        </button>
      ))}
    </div>
  );
}

function Start({ onPick }: { onPick: (expr: string) => void }): JSX.Element {
  const past = history().slice(0, 6);
  return (
    <Card>
      <Empty icon="explore" title="Ask your data a question">
        Type an expression above and press Enter, or begin with one of these.
      </Empty>
      <ul class="starts">
        {EXAMPLES.map((example) => (
          <li key={example.expr}>
            <button type="button" onClick={() => onPick(example.expr)}>
              <code>{example.expr}</code>
              <span>{example.text}</span>
            </button>
          </li>
        ))}
        {past.map((expr) => (
          <li key={expr}>
            <button type="button" onClick={() => onPick(expr)}>
              <code>{expr}</code>
              <span>ran here before</span>
            </button>
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** The queries as edited; they go into the URL, and so are run, on demand only. */
function useDraft(state: ExploreState): [Query[], (queries: Query[]) => void] {
  const key = JSON.stringify(state.queries);
  const [draft, setDraft] = useState({ key, queries: state.queries });
  // Back, forward or a link: the URL wins over what was typed.
  if (draft.key !== key) setDraft({ key, queries: state.queries });
  return [draft.key === key ? draft.queries : state.queries, (queries) => setDraft({ key, queries })];
}

export function ExplorePage(): JSX.Element {
  const { params } = place.value;
  const translated = fromPrometheus(params);
  useEffect(() => {
    if (translated) navigate(place.peek().path, translated, true);
    setRangeDefaults({});
  }, [translated?.toString()]);
  const state = readExplore(translated ?? params);
  const [draft, setDraft] = useDraft(state);
  const latest = useRef(draft);
  latest.current = draft;
  const [focusOn, setFocusOn] = useState(state.queries[0]?.expr ? -1 : 0);
  const result = useRef<HTMLDivElement>(null);
  const asked = JSON.stringify(state);
  const loaded = useLoad(
    (signal) => runAll(state, range.peek(), result.current?.clientWidth || window.innerWidth, signal),
    [asked, range.value.from, range.value.to, refreshCount.value],
  );
  const run = (queries = latest.current): void => {
    remember(queries.map((query) => query.expr));
    if (JSON.stringify(queries) === JSON.stringify(state.queries)) refreshNow();
    else show({ ...state, queries });
  };
  const runRef = useRef(run);
  runRef.current = run;
  useShortcuts(() => [{ keys: 'ctrl+enter', text: 'Run the queries', group: 'Explore', run: () => runRef.current() }]);
  const change = (index: number, query: Query): void => {
    const next = latest.current.map((old, i) => (i === index ? query : old));
    // Hiding is no edit of the text: it takes effect at once.
    if (query.hidden !== latest.current[index]?.hidden) run(next);
    else setDraft(next);
  };
  const insert = (at: number, query: Query): void => {
    setFocusOn(at);
    setDraft([...latest.current.slice(0, at), query, ...latest.current.slice(at)]);
  };
  const ran = loaded.data;
  // An answer to other queries must not put its errors under these.
  const current = ran?.tab === state.tab ? ran : undefined;
  const outcomeOf = (index: number): Outcome | undefined =>
    current?.outcomes.find((outcome) => outcome.index === index && outcome.expr === state.queries[index]?.expr);
  const empty = state.queries.every((query) => !query.expr.trim());
  const edited = JSON.stringify(draft) !== JSON.stringify(state.queries);
  return (
    <Page title="Explore" actions={<RangePicker />}>
      <div class="stack">
        <Card class="queries">
          {draft.map((query, index) => (
            <QueryRow
              key={index}
              query={query}
              index={index}
              only={draft.length === 1}
              focus={index === focusOn}
              outcome={outcomeOf(index)}
              onChange={(next) => change(index, next)}
              onRun={() => run()}
              onCopy={() => insert(index + 1, query)}
              onRemove={() => run(draft.filter((_, i) => i !== index))}
            />
          ))}
          <div class="query-actions">
            <button type="button" class="button" onClick={() => insert(draft.length, { expr: '', hidden: false })}>
              <Icon name="plus" size={16} /> Add query
            </button>
            <span class="grow" />
            <StepSelect state={state} />
            <button type="button" class={edited ? 'button primary changed' : 'button primary'} title="Run (Enter or Ctrl Enter)" onClick={() => run()}>
              <Icon name="play" size={15} /> Run
            </button>
          </div>
        </Card>
        {empty ? (
          <Start onPick={(expr) => run([{ expr, hidden: false }])} />
        ) : (
          <Card class="result-card">
            <div class="result-head">
              <Tabs state={state} />
              {loaded.loading && ran && <span class="spinner" role="status" aria-label="Loading" />}
            </div>
            <div ref={result} id="result" role="tabpanel" aria-labelledby={`tab-${state.tab}`} aria-busy={loaded.loading}>
              {loaded.error !== undefined && <ErrorNote error={loaded.error} />}
              {current ? <Results ran={current} /> : loaded.loading && <Loading what="series" />}
            </div>
          </Card>
        )}
      </div>
    </Page>
  );
}
