/**
 * A dashboard model on screen: rows, grid, one panel alone.
 *
 * Here: sections and where panels lie. Elsewhere: a panel (`PanelCard.tsx`), the page around it (`DashboardPage.tsx`).
 */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Icon } from '../ui/icons';
import { interpolateText } from './interpolate';
import type { Scope } from './interpolate';
import { placeSections } from './layout';
import type { PlacedPanel, PlacedSection } from './layout';
import type { Choice, Dashboard } from './model';
import { PanelCard } from './PanelCard';

/** Pixels of one grid row and of the gap below it, as Grafana lays them out. */
const ROW_PX = 30;
const GAP_PX = 8;

export interface ViewProps {
  board: Dashboard;
  choices: Record<string, Choice>;
  range: { from: number; to: number };
  /** Counts refreshes. */
  tick: number;
  /** Panel to show alone. */
  viewPanel: number | null;
}

interface ScopeFor {
  scope: Scope;
  key: string;
}

/** Scopes are kept while nothing in them changes, so that panels do not ask again. */
function useScopes(board: Dashboard, choices: Record<string, Choice>): (scoped: Record<string, Choice>) => ScopeFor {
  return useMemo(() => {
    const known = new Map<string, ScopeFor>();
    return (scoped) => {
      const key = JSON.stringify([choices, scoped]);
      let found = known.get(key);
      if (!found) {
        found = {
          key,
          scope: {
            variables: board.variables,
            choices: { ...choices, ...scoped },
            extra: { __dashboard: board.title },
          },
        };
        known.set(key, found);
      }
      return found;
    };
  }, [board, JSON.stringify(choices)]);
}

function Row({
  section,
  open,
  onToggle,
  title,
}: {
  section: PlacedSection;
  open: boolean;
  onToggle: () => void;
  title: string;
}) {
  const count = section.panels.length;
  return (
    <h2 class="board-row">
      <button type="button" aria-expanded={open} onClick={onToggle}>
        <span class={open ? 'board-row-mark open' : 'board-row-mark'}>
          <Icon name="chevron" size={16} />
        </span>
        {title || 'Row'}
        {!open && <span class="mute">{count === 1 ? '1 panel' : `${count} panels`}</span>}
      </button>
    </h2>
  );
}

export function DashboardView({ board, choices, range, tick, viewPanel }: ViewProps) {
  const sections = useMemo(() => placeSections(board.sections, choices), [board, JSON.stringify(choices)]);
  const scopeFor = useScopes(board, choices);
  const [toggled, setToggled] = useState<Record<string, boolean>>({});
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => setToggled({}), [board]);
  const syncKey = board.crosshair ? `board-${board.uid}` : undefined;

  const card = (placed: PlacedPanel, full: boolean) => {
    const { scope, key } = scopeFor(placed.scoped);
    return (
      <PanelCard
        key={placed.key}
        panel={placed.panel}
        scope={scope}
        scopeKey={key}
        range={range}
        tick={tick}
        syncKey={syncKey}
        full={full}
      />
    );
  };

  if (viewPanel !== null) {
    const placed = sections.flatMap((s) => s.panels).find((p) => p.panel.id === viewPanel);
    return (
      <div class="board board-alone">
        {placed ? card(placed, true) : <p class="note warn">This dashboard has no panel {viewPanel}.</p>}
      </div>
    );
  }
  // Arrows move the focus between panels in reading order.
  const onKeyDown = (event: KeyboardEvent) => {
    if (!(event.target as Element).matches('.panel') || !/^Arrow/.test(event.key)) return;
    const all = [...(root.current?.querySelectorAll<HTMLElement>('.panel') ?? [])];
    const step = event.key === 'ArrowRight' || event.key === 'ArrowDown' ? 1 : -1;
    const next = all[all.indexOf(event.target as HTMLElement) + step];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  };
  return (
    <div class="board" ref={root} onKeyDown={onKeyDown}>
      {sections.map((section) => {
        const open = section.title === null || (toggled[section.key] ?? !section.collapsed);
        const title = interpolateText(section.title ?? '', scopeFor(section.scoped).scope);
        return (
          <div key={section.key} class="board-section">
            {section.title !== null && (
              <Row
                section={section}
                open={open}
                title={title}
                onToggle={() => setToggled({ ...toggled, [section.key]: !open })}
              />
            )}
            {open && (
              <div class="board-grid" style={{ gridAutoRows: `${ROW_PX}px`, gap: `${GAP_PX}px` }}>
                {section.panels.map((placed) => {
                  const { x, y, w, h } = placed.grid;
                  const style = {
                    '--at': `${y + 1} / ${x + 1} / span ${h} / span ${w}`,
                    '--tall': `${h * (ROW_PX + GAP_PX) - GAP_PX}px`,
                  };
                  return (
                    <div key={placed.key} class="board-cell" style={style}>
                      {card(placed, false)}
                    </div>
                  );
                })}
              </div>
            )}
          </div>
        );
      })}
    </div>
  );
}
