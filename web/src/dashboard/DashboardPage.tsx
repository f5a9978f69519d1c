/**
 * The page `/d/:uid`: heading, time, variables, what cannot be shown, and the panels.
 *
 * Here: loading the document, title and links. Elsewhere: the panels (`DashboardView.tsx`), the time range
 * (`../range`).
 */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { loadList, savePref } from '../prefs';
import { range, rangeText, refreshCount, setRangeDefaults } from '../range';
import { link, place, setParams } from '../router';
import { useShortcuts } from '../shortcuts';
import { Dialog } from '../ui/Dialog';
import { Icon } from '../ui/icons';
import { ErrorNote, Loading } from '../ui/Page';
import { RangePicker } from '../ui/RangePicker';
import { useLoad } from '../ui/useLoad';
import { listBoards, readBoard } from './boards';
import type { BoardDocument } from './boards';
import { DashboardView } from './DashboardView';
import { interpolateText } from './interpolate';
import type { Scope } from './interpolate';
import { allVariables, fillUrl } from './links';
import type { Dashboard, DashboardLink, Unsupported } from './model';
import { parseDashboard } from './parse';
import { useVariables } from './useVariables';
import { VariableBar } from './VariableBar';
import './dashboard.css';

const STARS = 'starred';
const RECENT = 'recent';
const RECENT_MAX = 12;

/** Names what is missing; details on request, so that a good dashboard is not shouted down. */
function Missing({ items }: { items: readonly Unsupported[] }) {
  if (items.length === 0) return null;
  return (
    <details class="board-missing">
      <summary>
        <Icon name="warning" size={15} />{' '}
        {items.length === 1
          ? `Not shown as written: ${items[0]!.what}`
          : `${items.length} things are not shown as written`}
      </summary>
      <ul>
        {items.map((u) => (
          <li key={u.what}>
            <strong>{u.what}</strong>
            {u.where.length > 0
              ? `: ${u.where.slice(0, 6).join(', ')}${u.where.length > 6 ? ` and ${u.where.length - 6} more` : ''}`
              : ''}
          </li>
        ))}
      </ul>
    </details>
  );
}

/** The query of a link that keeps time or variables. */
function keptParams(l: DashboardLink, scope: Scope): URLSearchParams {
  const params = new URLSearchParams(l.includeVars ? allVariables(scope) : '');
  const { params: here } = place.value;
  if (l.keepTime) for (const key of ['from', 'to', 'refresh']) if (here.get(key)) params.set(key, here.get(key)!);
  return params;
}

function withParams(url: string, params: URLSearchParams): string {
  const query = params.toString();
  return query ? `${url}${url.includes('?') ? '&' : '?'}${query}` : url;
}

function TagLinks({ entry, scope, uid }: { entry: DashboardLink; scope: Scope; uid: string }) {
  const boards = useLoad((signal) => listBoards(signal), []);
  const found = (boards.data ?? []).filter((b) => b.uid !== uid && entry.tags.every((t) => b.tags.includes(t)));
  return (
    <>
      {found.slice(0, 8).map((b) => (
        <a key={b.uid} class="button small ghost" href={link(`/d/${b.uid}`, keptParams(entry, scope))}>
          {b.title}
        </a>
      ))}
    </>
  );
}

function Links({ board, scope }: { board: Dashboard; scope: Scope }) {
  if (board.links.length === 0) return null;
  return (
    <nav class="board-links" aria-label="Links of this dashboard">
      {board.links.map((l, i) => {
        if (l.kind === 'dashboards') return <TagLinks key={i} entry={l} scope={scope} uid={board.uid} />;
        const url = fillUrl(l.url, scope);
        return url ? (
          <a
            key={i}
            class="button small ghost"
            href={withParams(url, keptParams(l, scope))}
            {...(l.newTab ? { target: '_blank', rel: 'noreferrer' } : {})}
          >
            {interpolateText(l.title, scope)}
          </a>
        ) : null;
      })}
    </nav>
  );
}

function Star({ uid }: { uid: string }) {
  const [stars, setStars] = useState(() => loadList(STARS));
  const on = stars.includes(uid);
  const toggle = () => {
    const next = on ? stars.filter((s) => s !== uid) : [uid, ...stars];
    savePref(STARS, JSON.stringify(next));
    setStars(next);
  };
  return (
    <button
      type="button"
      class={on ? 'button ghost icon-only star on' : 'button ghost icon-only star'}
      aria-pressed={on}
      aria-label="Star this dashboard"
      title="Star"
      onClick={toggle}
    >
      <Icon name="star" size={17} />
    </button>
  );
}

function JsonDialog({ document, onClose }: { document: BoardDocument; onClose: () => void }) {
  const text = useMemo(() => JSON.stringify(document.dashboard, null, 2), [document]);
  const url = useMemo(() => URL.createObjectURL(new Blob([text], { type: 'application/json' })), [text]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return (
    <Dialog title="Dashboard JSON" onClose={onClose} class="inspect">
      <p class="row">
        <a class="button small primary" href={url} download={`${document.meta.uid}.json`}>
          Download
        </a>
        <span class="mute">Grafana imports this file as it is.</span>
      </p>
      <pre class="inspect-json" tabIndex={0}>
        {text}
      </pre>
    </Dialog>
  );
}

function viewPanelOf(params: URLSearchParams): number | null {
  const id = /(\d+)/.exec(params.get('viewPanel') ?? '')?.[1];
  return id === undefined ? null : Number(id);
}

function Board({ document }: { document: BoardDocument }) {
  const board = useMemo(() => parseDashboard(document.dashboard), [document]);
  const now = range.value;
  const text = rangeText.value;
  const state = useVariables(board, now, `${text.from} ${text.to}`);
  const [showJson, setShowJson] = useState(false);
  const viewPanel = viewPanelOf(place.value.params);
  const kiosk = place.value.params.has('kiosk');
  useShortcuts(() => [
    {
      keys: 'd k',
      text: 'Kiosk: only the panels',
      group: 'Dashboard',
      run: () => setParams({ kiosk: place.peek().params.has('kiosk') ? null : '1' }),
    },
    {
      keys: 'esc',
      text: 'Leave one panel or kiosk',
      group: 'Dashboard',
      run: () => setParams({ viewPanel: null, kiosk: null }),
    },
    {
      keys: 'v',
      text: 'View the focused panel alone',
      group: 'Dashboard',
      run: () => {
        const id = window.document.activeElement?.closest('[data-panel-id]')?.getAttribute('data-panel-id');
        if (id) setParams({ viewPanel: viewPanelOf(place.peek().params) === null ? id : null });
      },
    },
  ]);
  const scope: Scope = { variables: board.variables, choices: state?.choices ?? {} };
  const title = interpolateText(board.title, scope);
  useEffect(() => {
    window.document.title = `${title} · Cairn`;
  }, [title]);
  return (
    <>
      <header class={kiosk ? 'board-head kiosk' : 'board-head'}>
        <div class="board-title">
          {!kiosk && (
            <p class="board-path">
              <a href={link('/dashboards')}>Dashboards</a>
              {document.meta.folder ? ` / ${document.meta.folder}` : ''}
            </p>
          )}
          <h1 title={board.description || undefined}>{title}</h1>
          {!kiosk && <Star uid={document.meta.uid} />}
          {!kiosk && (
            <button type="button" class="button ghost small" onClick={() => setShowJson(true)}>
              JSON
            </button>
          )}
        </div>
        <div class="board-time">
          {viewPanel !== null && (
            <button type="button" class="button" onClick={() => setParams({ viewPanel: null })}>
              <Icon name="left" size={16} /> All panels
            </button>
          )}
          <RangePicker />
        </div>
      </header>
      {!kiosk && state && (
        <div class="board-bar">
          <VariableBar variables={board.variables} state={state} />
          <Links board={board} scope={scope} />
        </div>
      )}
      {!kiosk && viewPanel === null && <Missing items={board.unsupported} />}
      {state ? (
        <DashboardView
          board={board}
          choices={state.choices}
          range={now}
          tick={refreshCount.value}
          viewPanel={viewPanel}
        />
      ) : (
        <Loading what="variables" />
      )}
      {showJson && <JsonDialog document={document} onClose={() => setShowJson(false)} />}
    </>
  );
}

export function DashboardPage({ parts }: { parts: Record<string, string> }) {
  const uid = parts.uid ?? '';
  const loaded = useLoad((signal) => readBoard(uid, signal), [uid]);
  const document =
    loaded.data?.meta.uid === uid || loaded.data?.meta.uid === undefined
      ? loaded.data
      : loaded.loading
        ? undefined
        : loaded.data;
  const [ready, setReady] = useState<BoardDocument | null>(null);
  useEffect(() => {
    if (!document) return;
    // The file's own range comes first: panels must not ask for another one before.
    const { time, refresh } = parseDashboard(document.dashboard);
    setRangeDefaults({ from: time.from, to: time.to, refresh });
    savePref(RECENT, JSON.stringify([uid, ...loadList(RECENT).filter((u) => u !== uid)].slice(0, RECENT_MAX)));
    setReady(document);
  }, [document]);
  useEffect(() => () => setRangeDefaults({}), []);
  if (ready && ready === document) return <Board key={uid} document={ready} />;
  if (loaded.error) return <ErrorNote error={loaded.error} />;
  return <Loading what="dashboard" />;
}
