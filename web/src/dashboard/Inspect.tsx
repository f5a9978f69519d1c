/**
 * What a panel asked and got: queries with their variables filled in, the data as a table and CSV, the panel's JSON.
 */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { DataTable } from '../chart/DataTable';
import { display } from '../chart/field';
import { Dialog } from '../ui/Dialog';
import { autoNames, frameLength } from './frames';
import type { Frame } from './frames';
import type { Panel } from './model';
import type { PanelData } from './query';

type Tab = 'queries' | 'data' | 'panel';

/** Characters that would make a spreadsheet run a cell as a formula are kept from being first. */
function csvCell(value: unknown): string {
  const text = value === null || value === undefined ? '' : String(value);
  const safe = typeof value === 'string' && /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/** One frame as CSV, times in ISO form. */
export function frameCsv(frame: Frame): string {
  const names = autoNames(frame.fields);
  const rows = Array.from({ length: frameLength(frame) }, (_, i) =>
    frame.fields
      .map((f) => csvCell(f.type === 'time' ? new Date(Number(f.values[i])).toISOString() : f.values[i]))
      .join(','),
  );
  return [names.map(csvCell).join(','), ...rows].join('\r\n');
}

function FrameTable({ frame }: { frame: Frame }) {
  const columns = useMemo(() => {
    const names = autoNames(frame.fields);
    return frame.fields.map((f, i) => ({
      name: names[i]!,
      values: f.values,
      numeric: f.type === 'number',
      display: (v: unknown) => display({ custom: {}, ...(f.type === 'time' ? { unit: 'dateTimeAsIso' } : {}) }, v),
    }));
  }, [frame]);
  return <DataTable columns={columns} label="Data" />;
}

export function Inspect({
  title,
  data,
  error,
  panel,
  onClose,
}: {
  title: string;
  data: PanelData | null;
  error: string | null;
  panel: Panel;
  onClose: () => void;
}) {
  const [tab, setTab] = useState<Tab>('queries');
  const [frame, setFrame] = useState(0);
  const frames = data?.frames ?? [];
  const chosen = frames[Math.min(frame, frames.length - 1)];
  const csv = useMemo(
    () => (chosen && tab === 'data' ? URL.createObjectURL(new Blob([frameCsv(chosen)], { type: 'text/csv' })) : ''),
    [chosen, tab],
  );
  useEffect(
    () => () => {
      if (csv) URL.revokeObjectURL(csv);
    },
    [csv],
  );
  const tabs: [Tab, string][] = [
    ['queries', 'Queries'],
    ['data', 'Data'],
    ['panel', 'Panel JSON'],
  ];
  return (
    <Dialog title={`Inspect: ${title || 'panel'}`} onClose={onClose} class="inspect">
      <div class="segmented" role="group" aria-label="View">
        {tabs.map(([id, label]) => (
          <button key={id} type="button" aria-pressed={tab === id} onClick={() => setTab(id)}>
            {label}
          </button>
        ))}
      </div>
      {tab === 'queries' && (
        <div class="inspect-list">
          {error && <p class="note bad">{error}</p>}
          {data?.asked.map((a, i) => (
            <div key={i} class="inspect-query">
              <p class="mute">
                {a.refId} · {a.instant ? 'instant' : `every ${a.step} s`} · {a.seriesCount} series · {a.ms} ms
              </p>
              <pre class="pre">{a.expr}</pre>
              {a.warnings.map((w) => (
                <p key={w} class="note warn">
                  {w}
                </p>
              ))}
            </div>
          ))}
          {!data && !error && <p class="mute">Not asked yet.</p>}
        </div>
      )}
      {tab === 'data' && (
        <div class="inspect-data">
          <div class="row">
            {frames.length > 1 && (
              <select
                aria-label="Series"
                value={String(frame)}
                onChange={(e) => setFrame(Number(e.currentTarget.value))}
              >
                {frames.map((f, i) => (
                  <option key={i} value={String(i)}>
                    {f.refId}: {autoNames(f.fields)[f.fields.length - 1]}
                  </option>
                ))}
              </select>
            )}
            {chosen && (
              <a class="button small" href={csv} download={`${title || 'panel'}.csv`}>
                Download CSV
              </a>
            )}
          </div>
          <div class="inspect-table">
            {chosen ? <FrameTable key={frame} frame={chosen} /> : <p class="mute">No data.</p>}
          </div>
        </div>
      )}
      {tab === 'panel' && <pre class="inspect-json">{JSON.stringify(panel, null, 2)}</pre>}
    </Dialog>
  );
}
