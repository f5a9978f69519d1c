// Status: what this server is, how it was started, what it stores and where the cardinality is.
import type { ComponentChildren, JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { buildInfo, configText, flags, type NameCount, runtimeInfo, tsdbStatus } from '../api';
import { bytes, count, moment } from '../format';
import { formatTime } from '../prefs';
import { refreshCount } from '../range';
import { link, place } from '../router';
import { ingestRate, siteStatus } from '../site';
import { humanDuration } from '../time';
import { Card, ErrorNote, Loading, Page } from '../ui/Page';
import { CopyButton, found, SearchField } from '../ui/Parts';
import { type Loaded, useLoad } from '../ui/useLoad';
import '../styles/lists.css';
import '../styles/status.css';

const SECTIONS = [
  { path: '/status', label: 'Overview' },
  { path: '/status/tsdb', label: 'Storage' },
  { path: '/status/config', label: 'Configuration' },
  { path: '/status/flags', label: 'Flags' },
];

/** Prometheus' own paths for the same things. */
const ALIASES: Record<string, string> = {
  '/tsdb-status': '/status/tsdb', '/config': '/status/config', '/flags': '/status/flags',
};

function Show<T>({ loaded, what, children }: { loaded: Loaded<T>; what: string; children: (data: T) => ComponentChildren }): JSX.Element {
  if (loaded.data !== undefined) return <>{children(loaded.data)}</>;
  return loaded.loading ? <Loading what={what} /> : <ErrorNote error={loaded.error} />;
}

function Facts({ rows, wide = false }: { rows: [string, ComponentChildren][]; wide?: boolean }): JSX.Element {
  return (
    <dl class={wide ? 'status-facts wide' : 'status-facts'}>
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** `storageRetention` as `Storage retention`. */
export function spaced(name: string): string {
  const words = name.replace(/([a-z])([A-Z])/g, '$1 $2').replace(/_/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1).replace(/ [A-Z](?=[a-z])/g, (letter) => letter.toLowerCase());
}

function shown(value: unknown): string {
  if (typeof value === 'number') return count(value);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value !== 'string' || value === '') return value === '' ? '–' : JSON.stringify(value);
  const time = /^\d{4}-\d{2}-\d{2}T/.test(value) ? moment(value) : null;
  return time === null ? value : formatTime(time);
}

function Overview(): JSX.Element {
  const build = useLoad((signal) => buildInfo(signal), [refreshCount.value]);
  const runtime = useLoad((signal) => runtimeInfo(signal), [refreshCount.value]);
  const status = siteStatus.value;
  return (
    <div class="status-grid">
      {status && (
        <Card title="Site">
          <Facts
            rows={[
              ['Version', status.version],
              ['Started', `${formatTime(status.startedAt)} (${humanDuration((Date.now() - status.startedAt) / 1000)} ago)`],
              ['Configuration file', status.configFile ?? 'none: built-in defaults'],
              ['Tenants', status.multitenancy ? (status.tenants?.join(', ') ?? 'on') : 'one'],
              ['Series in memory', count(status.storage.headSeries)],
              ['Ingestion', ingestRate.value === null ? '–' : `${count(ingestRate.value)} samples/s`],
              ['Blocks', `${count(status.storage.blocks)} (${bytes(status.storage.blockBytes)})`],
              ['Write-ahead log', bytes(status.storage.walBytes)],
              ['Oldest sample', status.storage.minTime === null ? 'none' : formatTime(status.storage.minTime)],
              ['Retention', status.storage.retention],
            ]}
          />
        </Card>
      )}
      <Card title="Runtime">
        <Show loaded={runtime} what="runtime information">
          {(data) => <Facts rows={Object.entries(data).map(([name, value]) => [spaced(name), shown(value)])} />}
        </Show>
      </Card>
      <Card title="Build">
        <Show loaded={build} what="build information">
          {(data) => <Facts rows={Object.entries(data).map(([name, value]) => [spaced(name), shown(value)])} />}
        </Show>
      </Card>
    </div>
  );
}

function Ranking({ title, rows, total, unit }: { title: string; rows: NameCount[]; total?: number; unit?: (n: number) => string }): JSX.Element {
  const most = Math.max(1, ...rows.map((row) => row.value));
  const write = unit ?? count;
  return (
    <Card title={title}>
      <table class="ranking">
        <tbody>
          {rows.map((row) => (
            <tr key={row.name}>
              <td class="mono">
                {row.name}
                <span class="rank-bar" style={{ width: `${(row.value / most) * 100}%` }} />
              </td>
              <td class="num">{write(row.value)}</td>
              {total !== undefined && <td class="num mute">{((row.value / Math.max(total, 1)) * 100).toFixed(1)} %</td>}
            </tr>
          ))}
          {rows.length === 0 && (
            <tr>
              <td class="mute">Nothing stored yet.</td>
            </tr>
          )}
        </tbody>
      </table>
    </Card>
  );
}

function Storage(): JSX.Element {
  const tsdb = useLoad((signal) => tsdbStatus(signal), [refreshCount.value]);
  return (
    <Show loaded={tsdb} what="storage statistics">
      {({ headStats: head, ...top }) => (
        <div class="stack">
          <Card title="Head" aside="samples in memory, not yet in a block">
            <Facts
              wide
              rows={[
                ['Series', count(head.numSeries)],
                ['Chunks', count(head.chunkCount)],
                ['Label pairs', count(head.numLabelPairs)],
                ['From', head.minTime > 0 && head.minTime < 1e15 ? formatTime(head.minTime) : '–'],
                ['To', head.maxTime > 0 ? formatTime(head.maxTime) : '–'],
              ]}
            />
          </Card>
          <div class="status-grid">
            <Ranking title="Series by metric name" rows={top.seriesCountByMetricName} total={head.numSeries} />
            <Ranking title="Series by label pair" rows={top.seriesCountByLabelValuePair} total={head.numSeries} />
            <Ranking title="Values by label name" rows={top.labelValueCountByLabelName} />
            <Ranking title="Memory by label name" rows={top.memoryInBytesByLabelName} unit={bytes} />
          </div>
        </div>
      )}
    </Show>
  );
}

function Config(): JSX.Element {
  const config = useLoad((signal) => configText(signal), [refreshCount.value]);
  return (
    <Show loaded={config} what="configuration">
      {(yaml) => (
        <Card
          title={siteStatus.value?.configFile ?? 'Configuration in use'}
          aside={<CopyButton text={yaml} label="Copy the configuration" />}
        >
          <pre class="config" tabIndex={0}>{yaml}</pre>
        </Card>
      )}
    </Show>
  );
}

function Flags(): JSX.Element {
  const loaded = useLoad((signal) => flags(signal), [refreshCount.value]);
  const search = place.value.params.get('q') ?? '';
  const rows = useMemo(
    () => Object.entries(loaded.data ?? {}).filter(([name, value]) => found(search, `${name} ${value}`)),
    [loaded.data, search],
  );
  return (
    <Show loaded={loaded} what="flags">
      {() => (
        <>
          <div class="filters">
            <SearchField label="Search flags" />
          </div>
          <Card>
            <div class="table-wrap" tabIndex={0} role="region" aria-label="Flags">
              <table class="flags">
                <thead>
                  <tr>
                    <th scope="col">Flag</th>
                    <th scope="col">Value</th>
                  </tr>
                </thead>
                <tbody>
                  {rows.map(([name, value]) => (
                    <tr key={name}>
                      <td class="mono">--{name}</td>
                      <td class="mono pre">{value || <span class="mute">(empty)</span>}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </Card>
        </>
      )}
    </Show>
  );
}

export function StatusPage(): JSX.Element {
  const path = ALIASES[place.value.path] ?? place.value.path;
  return (
    <Page title="Status">
      <nav class="tabs" aria-label="Sections">
        {SECTIONS.map((section) => (
          <a key={section.path} href={link(section.path)} aria-current={section.path === path ? 'page' : undefined}>
            {section.label}
          </a>
        ))}
      </nav>
      {path === '/status/tsdb' ? <Storage /> : path === '/status/config' ? <Config /> : path === '/status/flags' ? <Flags /> : <Overview />}
    </Page>
  );
}
