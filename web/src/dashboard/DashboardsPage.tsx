/**
 * The page `/dashboards`: all dashboards by folder, search, import.
 *
 * Here: the list and the import dialog. Elsewhere: one dashboard (`DashboardPage.tsx`).
 */
import { useMemo, useState } from 'preact/hooks';
import { ApiError, errorText } from '../api';
import { loadList } from '../prefs';
import { link, navigate } from '../router';
import { useShortcuts } from '../shortcuts';
import { Dialog } from '../ui/Dialog';
import { Icon } from '../ui/icons';
import { Card, Empty, ErrorNote, Loading, Page } from '../ui/Page';
import { useLoad } from '../ui/useLoad';
import { deleteBoard, listBoards, saveBoard } from './boards';
import type { BoardInfo } from './boards';
import { parseDashboard } from './parse';
import './dashboard.css';

/**
 * How well `text` matches `query`: letters in order, better where they are together and at word starts; 0 for no
 * match.
 */
export function fuzzyScore(text: string, query: string): number {
  const hay = text.toLowerCase();
  const needle = query.toLowerCase().replace(/\s+/g, '');
  if (needle === '') return 1;
  const whole = hay.indexOf(query.toLowerCase().trim());
  if (whole >= 0) return 1000 - whole;
  let score = 0;
  let at = -1;
  for (const char of needle) {
    const next = hay.indexOf(char, at + 1);
    if (next < 0) return 0;
    score += next === at + 1 ? 5 : /\W/.test(hay[next - 1] ?? ' ') ? 3 : 1;
    at = next;
  }
  return score;
}

const SOURCES: Record<BoardInfo['source'], string> = {
  'built-in': 'comes with Cairn',
  file: 'from a file',
  user: 'saved here',
};

function BoardRow({
  board,
  starred,
  onDelete,
}: {
  board: BoardInfo;
  starred: boolean;
  onDelete: (b: BoardInfo) => void;
}) {
  return (
    <li class="board-item">
      <a href={link(`/d/${board.uid}`)}>
        <span class="board-name">
          {starred && <Icon name="star" size={14} />} {board.title}
        </span>
        <span class="board-tags">
          {board.tags.map((t) => (
            <span class="label" key={t}>
              {t}
            </span>
          ))}
        </span>
        <span class="board-source" title={board.path}>
          {board.path ?? SOURCES[board.source]}
        </span>
      </a>
      {board.source === 'user' && (
        <button
          type="button"
          class="button ghost small icon-only"
          aria-label={`Delete ${board.title}`}
          title="Delete"
          onClick={() => onDelete(board)}
        >
          <Icon name="close" size={15} />
        </button>
      )}
    </li>
  );
}

interface Draft {
  dashboard: unknown;
  title: string;
  uid: string;
  panels: number;
  missing: string[];
}

/** Reads pasted or dropped text; throws in words. */
export function readDraft(text: string): Draft {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${errorText(error)}`);
  }
  const board = parseDashboard(document);
  const panels = board.sections.reduce((n, s) => n + s.panels.length, 0);
  if (panels === 0) throw new Error('This JSON holds no dashboard panels.');
  return {
    dashboard: document,
    title: board.title,
    uid: board.uid,
    panels,
    missing: board.unsupported.map((u) => u.what),
  };
}

function ImportDialog({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState('');
  const [folder, setFolder] = useState('');
  const [refused, setRefused] = useState<unknown>(undefined);
  const [taken, setTaken] = useState(false);
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);
  const { draft, wrong } = useMemo((): { draft?: Draft; wrong?: string } => {
    if (text.trim() === '') return {};
    try {
      return { draft: readDraft(text) };
    } catch (error) {
      return { wrong: errorText(error) };
    }
  }, [text]);
  const take = async (files: FileList | null | undefined) => {
    const file = files?.[0];
    if (file) {
      setText(await file.text());
      setTaken(false);
    }
  };
  const save = async (overwrite: boolean) => {
    if (!draft) return;
    setBusy(true);
    setRefused(undefined);
    try {
      const { uid } = await saveBoard(draft.dashboard, {
        ...(folder.trim() ? { folder: folder.trim() } : {}),
        ...(overwrite ? { overwrite } : {}),
      });
      onClose();
      navigate(`/d/${uid}`);
    } catch (error) {
      setTaken(error instanceof ApiError && error.status === 409);
      setRefused(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title="Import a dashboard" onClose={onClose}>
      <div
        class={over ? 'import-drop over' : 'import-drop'}
        onDragOver={(e) => {
          e.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(e) => {
          e.preventDefault();
          setOver(false);
          void take(e.dataTransfer?.files);
        }}
      >
        <label class="field">
          <span>Drop a Grafana JSON file here, or paste its text</span>
          <textarea
            class="input mono"
            rows={9}
            spellcheck={false}
            autofocus
            value={text}
            onInput={(e) => {
              setText(e.currentTarget.value);
              setTaken(false);
            }}
          />
        </label>
        <label class="button small import-file">
          Choose a file
          <input
            type="file"
            accept=".json,application/json"
            class="sr"
            onChange={(e) => void take(e.currentTarget.files)}
          />
        </label>
      </div>
      <label class="field import-folder">
        <span>Folder (optional)</span>
        <input class="input" value={folder} onInput={(e) => setFolder(e.currentTarget.value)} />
      </label>
      {wrong && (
        <p class="note bad" role="alert">
          {wrong}
        </p>
      )}
      {draft && (
        <div class="note">
          <div>
            <strong>{draft.title}</strong>, {draft.panels} panels.{' '}
            {draft.missing.length === 0
              ? 'Everything in it can be shown.'
              : `Not shown as written: ${draft.missing.join(', ')}.`}
          </div>
        </div>
      )}
      {refused !== undefined && <ErrorNote error={refused} />}
      <div class="row import-actions">
        {taken && (
          <button type="button" class="button" disabled={busy} onClick={() => void save(true)}>
            Replace the existing one
          </button>
        )}
        <button type="button" class="button primary" disabled={!draft || busy} onClick={() => void save(false)}>
          Import
        </button>
      </div>
    </Dialog>
  );
}

export function DashboardsPage() {
  const [version, setVersion] = useState(0);
  const boards = useLoad((signal) => listBoards(signal), [version]);
  const [query, setQuery] = useState('');
  const [importing, setImporting] = useState(false);
  const [doomed, setDoomed] = useState<BoardInfo | null>(null);
  const [failed, setFailed] = useState<unknown>(undefined);
  const starred = useMemo(() => new Set(loadList('starred')), []);
  useShortcuts(() => [{ keys: 'i', text: 'Import a dashboard', group: 'Dashboards', run: () => setImporting(true) }]);
  const folders = useMemo(() => {
    const scored = (boards.data ?? [])
      .map((b) => ({
        b,
        score: Math.max(fuzzyScore(b.title, query), fuzzyScore(`${b.folder} ${b.tags.join(' ')}`, query) / 2),
      }))
      .filter((s) => s.score > 0);
    if (query) return [['', scored.sort((x, y) => y.score - x.score).map((s) => s.b)] as const];
    const byFolder = new Map<string, BoardInfo[]>();
    for (const { b } of scored) byFolder.set(b.folder, [...(byFolder.get(b.folder) ?? []), b]);
    return [...byFolder]
      .sort(([x], [y]) => x.localeCompare(y))
      .map(
        ([name, list]) =>
          [
            name,
            list.sort(
              (x, y) => Number(starred.has(y.uid)) - Number(starred.has(x.uid)) || x.title.localeCompare(y.title),
            ),
          ] as const,
      );
  }, [boards.data, query]);
  const remove = async (board: BoardInfo) => {
    try {
      await deleteBoard(board.uid);
      setFailed(undefined);
      setVersion(version + 1);
    } catch (error) {
      setFailed(error);
    }
    setDoomed(null);
  };
  const count = boards.data?.length ?? 0;
  return (
    <Page
      title="Dashboards"
      lead="Grafana's JSON files open as they are."
      actions={
        <button type="button" class="button primary" onClick={() => setImporting(true)}>
          <Icon name="plus" size={16} /> Import
        </button>
      }
    >
      <div class="stack">
        {count > 0 && (
          <div class="search board-search">
            <Icon name="search" size={16} />
            <input
              class="input"
              type="search"
              placeholder="Search by title, folder or tag"
              aria-label="Search dashboards"
              value={query}
              onInput={(e) => setQuery(e.currentTarget.value)}
            />
          </div>
        )}
        {failed !== undefined && <ErrorNote error={failed} />}
        {boards.error !== undefined && <ErrorNote error={boards.error} />}
        {!boards.data && boards.loading && <Loading what="dashboards" />}
        {boards.data && count === 0 && (
          <Empty icon="boards" title="No dashboards yet">
            Import a Grafana JSON file to begin.
          </Empty>
        )}
        {count > 0 && query && folders[0]?.[1].length === 0 && (
          <Empty icon="search" title="Nothing matches">
            Try fewer letters.
          </Empty>
        )}
        {folders
          .filter(([, list]) => list.length > 0)
          .map(([name, list]) => (
            <Card key={name || '-'} title={query ? 'Found' : name || 'General'} aside={`${list.length}`}>
              <ul class="board-list">
                {list.map((b) => (
                  <BoardRow key={b.uid} board={b} starred={starred.has(b.uid)} onDelete={setDoomed} />
                ))}
              </ul>
            </Card>
          ))}
      </div>
      {importing && <ImportDialog onClose={() => setImporting(false)} />}
      {doomed && (
        <Dialog title={`Delete “${doomed.title}”?`} onClose={() => setDoomed(null)}>
          <p>It is taken away for everyone. Export its JSON first if it may be needed again.</p>
          <div class="row import-actions">
            <button type="button" class="button" onClick={() => setDoomed(null)}>
              Keep
            </button>
            <button type="button" class="button primary" onClick={() => void remove(doomed)}>
              Delete
            </button>
          </div>
        </Dialog>
      )}
    </Page>
  );
}
