/**
 * One panel on the page: heading, menu, loading, errors, and data only while it is near the screen.
 *
 * Here: when to ask, keeping the last data, saying what failed. Elsewhere: drawing (`PanelBody.tsx`), asking
 * (`query.ts`).
 *
 * Invariant: a new question cancels the one before it; an answer that came too late is dropped.
 */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { errorText, isAbort } from '../api';
import { formatTime } from '../prefs';
import { link, place, setParams } from '../router';
import { Icon } from '../ui/icons';
import { Menu } from '../ui/Menu';
import { lazy } from '../ui/lazy';
import { interpolateText } from './interpolate';
import type { Scope } from './interpolate';
import { fillUrl } from './links';
import type { Panel } from './model';
import { PanelBody } from './PanelBody';
import { loadPanel, panelScope, questions } from './query';
import type { PanelData } from './query';

/** Seldom opened: not part of the first load. */
const Inspect = lazy(async () => (await import('./Inspect')).Inspect);

/** Panels ask for data this far outside the screen, so that scrolling shows finished graphs. */
const MARGIN_PX = 300;

interface State {
  data: PanelData | null;
  error: string | null;
  loading: boolean;
  /** When `data` arrived, milliseconds. */
  at: number;
}

const EMPTY: PanelData = { frames: [], asked: [], range: { from: 0, to: 1 } };

function useNearScreen(): [(node: HTMLElement | null) => void, boolean, number] {
  const [near, setNear] = useState(false);
  const [width, setWidth] = useState(0);
  const stop = useRef<(() => void) | null>(null);
  const ref = useMemo(
    () => (node: HTMLElement | null) => {
      stop.current?.();
      stop.current = null;
      if (!node) return;
      setWidth(node.clientWidth);
      const seen = new IntersectionObserver((entries) => setNear(entries[entries.length - 1]!.isIntersecting), {
        rootMargin: `${MARGIN_PX}px`,
      });
      // Steps follow the width: small changes of it must not ask everything again.
      const sized = new ResizeObserver(() =>
        setWidth((old) => (Math.abs(old - node.clientWidth) > 40 ? node.clientWidth : old)),
      );
      seen.observe(node);
      sized.observe(node);
      stop.current = () => {
        seen.disconnect();
        sized.disconnect();
      };
    },
    [],
  );
  useEffect(() => () => stop.current?.(), []);
  return [ref, near, width];
}

function usePanelData(
  panel: Panel,
  scope: Scope,
  scopeKey: string,
  range: { from: number; to: number },
  near: boolean,
  width: number,
  tick: number,
): State {
  const [state, setState] = useState<State>({ data: null, error: null, loading: false, at: 0 });
  const loaded = useRef('');
  const key = `${scopeKey} ${range.from} ${range.to} ${width} ${tick}`;
  useEffect(() => {
    if (!near || width <= 0 || panel.targets.length === 0 || loaded.current === key) return undefined;
    const abort = new AbortController();
    setState((old) => ({ ...old, loading: true }));
    loadPanel(panel, scope, range, width, abort.signal).then(
      (data) => {
        if (abort.signal.aborted) return;
        loaded.current = key;
        setState({ data, error: null, loading: false, at: Date.now() });
      },
      (error: unknown) => {
        if (abort.signal.aborted || isAbort(error)) return;
        loaded.current = key;
        setState((old) => ({ ...old, error: errorText(error), loading: false }));
      },
    );
    return () => abort.abort();
  }, [panel, key, near]);
  return state;
}

export interface PanelCardProps {
  panel: Panel;
  scope: Scope;
  /** Changes when `scope` does. */
  scopeKey: string;
  range: { from: number; to: number };
  tick: number;
  syncKey?: string | undefined;
  full?: boolean;
}

function PanelMenu({
  panel,
  title,
  scope,
  exprs,
  full,
  onInspect,
}: {
  panel: Panel;
  title: string;
  scope: Scope;
  exprs: string[];
  full: boolean;
  onInspect: () => void;
}) {
  const [open, setOpen] = useState(false);
  const { params } = place.value;
  const explore = new URLSearchParams();
  exprs.forEach((expr, i) => explore.set(`g${i}.expr`, expr));
  for (const key of ['from', 'to']) if (params.get(key)) explore.set(key, params.get(key)!);
  const choose = (run: () => void) => () => {
    setOpen(false);
    run();
  };
  return (
    <Menu
      label={`Menu of ${title || 'panel'}`}
      open={open}
      onOpen={setOpen}
      buttonClass="panel-menu-button"
      class="panel-menu"
      face={<Icon name="more" size={16} />}
    >
      <button type="button" onClick={choose(() => setParams({ viewPanel: full ? null : String(panel.id) }))}>
        {full ? 'Back to the dashboard' : 'View alone'}
      </button>
      {panel.targets.length > 0 && (
        <button type="button" onClick={choose(onInspect)}>
          Inspect queries and data
        </button>
      )}
      {exprs.length > 0 && (
        <a href={link('/explore', explore)} onClick={() => setOpen(false)}>
          Open in Explore
        </a>
      )}
      {panel.links.map((l, i) => (
        <a
          key={i}
          href={fillUrl(l.url, scope)}
          {...(l.newTab ? { target: '_blank', rel: 'noreferrer' } : {})}
          onClick={() => setOpen(false)}
        >
          {interpolateText(l.title, scope)}
        </a>
      ))}
    </Menu>
  );
}

export function PanelCard({ panel, scope, scopeKey, range, tick, syncKey, full = false }: PanelCardProps) {
  const [ref, near, width] = useNearScreen();
  const state = usePanelData(panel, scope, scopeKey, range, near, width, tick);
  const [inspecting, setInspecting] = useState(false);
  const shownScope = useMemo(
    () => panelScope(panel, scope, range, width || 500),
    [panel, scopeKey, range.from, range.to, width],
  );
  const title = interpolateText(panel.title, shownScope);
  const description = interpolateText(panel.description, shownScope);
  const asksNothing = panel.targets.length === 0;
  const exprs = useMemo(
    () => (near ? [...new Set(questions(panel, scope, range, width || 500).map((q) => q.expr))] : []),
    [panel, scopeKey, near, range.from, range.to, width],
  );
  const warnings = [...new Set(state.data?.asked.flatMap((a) => a.warnings) ?? [])];
  const own = panel.timeFrom || panel.timeShift;
  return (
    <div
      role="group"
      class={`panel${panel.transparent ? ' transparent' : ''}${title ? '' : ' untitled'}`}
      ref={ref}
      aria-label={title || `Panel ${panel.id}`}
      data-panel-id={panel.id}
      tabIndex={-1}
    >
      <header class="panel-head">
        {title && (
          <h2 class="panel-title" title={title}>
            {title}
          </h2>
        )}
        {description && (
          <span class="panel-info" role="img" tabIndex={0} aria-label={description} title={description}>
            i
          </span>
        )}
        {own && (
          <span class="panel-own" title="This panel has a time range of its own">
            <Icon name="clock" size={12} /> {panel.timeFrom ?? ''}
            {panel.timeShift ? ` −${panel.timeShift}` : ''}
          </span>
        )}
        <span class="panel-state">
          {state.loading && <span class="spinner" role="status" aria-label="Loading" />}
          {!state.error && warnings.length > 0 && (
            <span class="panel-warning" title={warnings.join('\n')} role="img" aria-label={warnings.join('. ')}>
              <Icon name="warning" size={14} />
            </span>
          )}
        </span>
        <PanelMenu
          panel={panel}
          title={title}
          scope={shownScope}
          exprs={exprs}
          full={full}
          onInspect={() => setInspecting(true)}
        />
      </header>
      {state.error && (
        <p class="panel-error" role="alert" title={state.error}>
          <Icon name="warning" size={14} />{' '}
          <span>
            {state.error}
            {state.data ? ` (data of ${formatTime(state.at, 'clock')})` : ''}
          </span>
        </p>
      )}
      <div class="panel-body">
        {panel.noDataReason && asksNothing ? (
          <p class="chart-empty">{panel.noDataReason}</p>
        ) : (state.data || asksNothing) && near ? (
          <PanelBody panel={panel} data={state.data ?? EMPTY} scope={shownScope} title={title} syncKey={syncKey} />
        ) : null}
      </div>
      {inspecting && (
        <Inspect
          title={title}
          data={state.data}
          error={state.error}
          panel={panel}
          onClose={() => setInspecting(false)}
        />
      )}
    </div>
  );
}
