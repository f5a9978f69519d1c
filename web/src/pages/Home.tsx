// Home: the health of the site in one screen.
//
// Here: the tiles, the host's four graphs, what is wrong now, the way to the dashboards.
// Elsewhere: the expressions (`host.ts`), the polled status (`site.ts`).
import type { JSX } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import { alerts, queryInstant, queryRange, targets, type Target, type Alert } from '../api';
import { TimeSeries } from '../chart/TimeSeries';
import { listBoards } from '../dashboard/boards';
import { bytes, count, plural } from '../format';
import { type HostGraph, hostGraphs, type HostJob, hostJob, rateWindow } from '../host';
import { toSeries } from '../matrix';
import { range, refreshCount, setRange, setRangeDefaults, zoomOut } from '../range';
import { link } from '../router';
import { ingestRate, siteStatus, statusTried } from '../site';
import { parseDuration, stepFor } from '../time';
import { Icon, type IconName } from '../ui/icons';
import { Card, ErrorNote, LabelList, Page, State, type Tone } from '../ui/Page';
import { Ago } from '../ui/Parts';
import { RangePicker } from '../ui/RangePicker';
import { useLoad } from '../ui/useLoad';
import '../styles/home.css';

const GRAPH_HEIGHT = 220;
const GRAPH_POINTS = 300;

/** How old the site's data is, in seconds; null while unknown. */
function dataAge(): number | null {
  const status = siteStatus.value;
  if (!status) return null;
  const first = status.storage.minTime ?? status.startedAt;
  return Math.max(0, (Date.now() - first) / 1000);
}

/** A young site shows a short range, so that its few seconds of data can be seen. */
export function rangeForAge(age: number | null): { from: string; refresh: string } {
  if (age !== null && age < 60) return { from: 'now-5m', refresh: '2s' };
  if (age !== null && age < 180) return { from: 'now-5m', refresh: '5s' };
  if (age !== null && age < 1800) return { from: 'now-15m', refresh: '10s' };
  return { from: 'now-1h', refresh: '15s' };
}

function Tile(props: {
  icon: IconName;
  title: string;
  href: string;
  tone: Tone;
  value: string;
  detail: string;
  /** 0 to 1: a bar of how full something is. */
  full?: number;
}): JSX.Element {
  return (
    <a class={`tile ${props.tone}`} href={props.href}>
      <span class="tile-title">
        <Icon name={props.icon} size={16} /> {props.title}
      </span>
      <span class="tile-value">{props.value}</span>
      <span class="tile-detail">{props.detail}</span>
      {props.full !== undefined && (
        <span class="meter" aria-hidden="true">
          <span style={{ width: `${Math.min(100, props.full * 100)}%` }} />
        </span>
      )}
    </a>
  );
}

function Tiles(): JSX.Element {
  const status = siteStatus.value;
  if (!status) return <div class="tiles skeleton" aria-hidden="true">{[1, 2, 3, 4, 5].map((i) => <div class="tile" key={i} />)}</div>;
  const { storage } = status;
  const alerting = status.alerts ?? { firing: 0, pending: 0 };
  const health = status.targets ?? { up: 0, down: 0, unknown: 0 };
  const failing = status.rules?.failing ?? 0;
  const scraped = health.up + health.down + health.unknown;
  const stored = storage.walBytes + storage.blockBytes;
  const free = storage.diskFreeBytes;
  const total = storage.diskTotalBytes;
  const full = free !== null && total ? 1 - free / total : undefined;
  const rate = ingestRate.value;
  return (
    <div class="tiles">
      <Tile
        icon="bell"
        title="Alerts"
        href={link('/alerts')}
        tone={alerting.firing ? 'bad' : alerting.pending ? 'warn' : 'ok'}
        value={alerting.firing ? `${alerting.firing} firing` : 'All quiet'}
        detail={alerting.pending ? `${alerting.pending} pending` : 'none pending'}
      />
      <Tile
        icon="target"
        title="Targets"
        href={link('/targets')}
        tone={health.down ? 'bad' : scraped ? 'ok' : 'mute'}
        value={scraped ? `${health.up} of ${scraped} up` : 'None'}
        detail={health.down ? `${health.down} down` : health.unknown ? `${health.unknown} not scraped yet` : 'none down'}
      />
      <Tile
        icon="rules"
        title="Rules"
        href={link('/rules')}
        tone={failing ? 'bad' : 'ok'}
        value={failing ? `${failing} failing` : 'All evaluate'}
        detail={failing ? 'see the last error' : 'no errors'}
      />
      <Tile
        icon="explore"
        title="Ingestion"
        href={link('/status/tsdb')}
        tone="mute"
        value={rate === null ? '–' : `${count(rate)}/s`}
        detail={`${count(storage.headSeries)} series`}
      />
      <Tile
        icon="status"
        title="Disk"
        href={link('/status')}
        tone={full !== undefined && full > 0.95 ? 'bad' : full !== undefined && full > 0.85 ? 'warn' : 'mute'}
        value={free === null ? bytes(stored) : `${bytes(free)} free`}
        detail={`${bytes(stored)} stored · ${storage.retention}`}
        full={full}
      />
    </div>
  );
}

function GraphCard({ graph, step, young }: { graph: HostGraph; step: { step: number; start: number; end: number }; young: boolean }): JSX.Element {
  const key = graph.exprs.map((query) => query.expr).join('\n');
  const { data, error, loading } = useLoad(
    async (signal) => {
      const answers = await Promise.all(graph.exprs.map((query) => queryRange(query.expr, step, signal)));
      const series = answers.flatMap((answer, i) => toSeries(answer.data, step.step, graph.exprs[i]?.name));
      return graph.tidy ? graph.tidy(series) : series;
    },
    [key, step.start, step.end, step.step, refreshCount.value],
  );
  const drawn = data !== undefined && data.some((s) => s.t.length > 1);
  return (
    <Card
      title={graph.title}
      class="graph-card"
      aside={
        <a class="button ghost small icon-only" href={exploreLink(graph)} aria-label={`Open ${graph.title} in Explore`} title="Open in Explore">
          <Icon name="explore" size={16} />
        </a>
      }
    >
      <div class="graph" data-state={drawn ? 'drawn' : error !== undefined && !data ? 'error' : 'empty'}>
        {drawn ? (
          <TimeSeries
            series={data}
            unit={graph.unit}
            range={range.value}
            height={GRAPH_HEIGHT}
            min={0}
            max={graph.max}
            onZoom={(from, to) => setRange(from, to)}
            onZoomOut={zoomOut}
            ariaLabel={graph.title}
            syncKey="home"
          />
        ) : (
          <GraphWaiting error={error} young={young || (loading && !data)} />
        )}
        {drawn && error !== undefined && <ErrorNote error={error} />}
      </div>
    </Card>
  );
}

function GraphWaiting({ error, young }: { error: unknown; young: boolean }): JSX.Element {
  if (error !== undefined) return <ErrorNote error={error} />;
  return (
    <p class="graph-waiting" role="status">
      {young ? (
        <>
          <span class="spinner" aria-hidden="true" /> Collecting first samples…
        </>
      ) : (
        'No samples in this range.'
      )}
    </p>
  );
}

function exploreLink(graph: HostGraph): string {
  return link('/explore', Object.fromEntries(graph.exprs.map((query, i) => [`g${i}.expr`, query.expr])));
}

/** The hosts that are watched and how often they are scraped. */
async function findHosts(signal: AbortSignal): Promise<{ host: HostJob | null; interval: number }> {
  const [uname, scraped] = await Promise.all([queryInstant('node_uname_info', undefined, signal), targets(signal)]);
  const found = uname.data.resultType === 'vector' ? uname.data.result.map((sample) => sample.metric) : [];
  const host = hostJob(found);
  const target = scraped.activeTargets.find((candidate) => candidate.labels.job === host?.job);
  return { host, interval: parseDuration(target?.scrapeInterval ?? '15s') ?? 15 };
}

function HostGraphs({ young }: { young: boolean }): JSX.Element {
  const { from, to } = range.value;
  const { data, error, loading } = useLoad(findHosts, [refreshCount.value]);
  const step = stepFor(from, to, GRAPH_POINTS);
  const graphs = useMemo(
    () => (data?.host ? hostGraphs(data.host, rateWindow(data.interval, step.step)) : []),
    [JSON.stringify(data), step.step],
  );
  if (graphs.length > 0) {
    return (
      <div class="graphs">
        {graphs.map((graph) => (
          <GraphCard key={graph.id} graph={graph} step={step} young={young} />
        ))}
      </div>
    );
  }
  if (error !== undefined) return <ErrorNote error={error} />;
  return <GraphFrames young={young || loading} text="No host metrics (node_*) are scraped yet." />;
}

/** The four cards while there is nothing to draw in them. */
function GraphFrames({ young, text }: { young: boolean; text: string }): JSX.Element {
  return (
    <div class="graphs">
      {['CPU', 'Memory', 'Disk', 'Network'].map((title) => (
        <Card key={title} title={title} class="graph-card">
          <div class="graph" data-state="empty">
            {young ? <GraphWaiting error={undefined} young /> : <p class="graph-waiting">{text}</p>}
          </div>
        </Card>
      ))}
    </div>
  );
}

function FiringList({ list, now }: { list: Alert[]; now: number }): JSX.Element {
  return (
    <ul class="brief">
      {list.slice(0, 6).map((alert) => (
        <li key={JSON.stringify(alert.labels)}>
          <State tone={alert.state === 'firing' ? 'bad' : 'warn'}>{alert.state}</State>
          <div class="grow">
            <a href={link('/alerts', { q: alert.labels.alertname })}>{alert.labels.alertname}</a>
            {alert.annotations.summary ? <p class="mute">{alert.annotations.summary}</p> : <LabelList labels={alert.labels} without={['alertname']} />}
          </div>
          <span class="mute nowrap">
            <Ago at={alert.activeAt} now={now} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function DownList({ list }: { list: Target[] }): JSX.Element {
  return (
    <ul class="brief">
      {list.slice(0, 6).map((target) => (
        <li key={target.scrapeUrl}>
          <State tone="bad">down</State>
          <div class="grow">
            <a href={link('/targets', { q: target.labels.instance })}>{target.labels.instance ?? target.scrapeUrl}</a>
            <span class="mute"> {target.scrapePool}</span>
            <p class="mute clip" title={target.lastError}>{target.lastError}</p>
          </div>
        </li>
      ))}
    </ul>
  );
}

function More({ shown, total, href }: { shown: number; total: number; href: string }): JSX.Element | null {
  if (total <= shown) return null;
  return (
    <a class="brief-more" href={href}>
      {plural(total - shown, 'more')}
    </a>
  );
}

function Now(): JSX.Element {
  const active = useLoad((signal) => alerts(signal), [refreshCount.value]);
  const scraped = useLoad((signal) => targets(signal), [refreshCount.value]);
  const boards = useLoad((signal) => listBoards(signal), []);
  const firing = [...(active.data ?? [])].sort((a, b) => Number(b.state === 'firing') - Number(a.state === 'firing'));
  const down = (scraped.data?.activeTargets ?? []).filter((target) => target.health === 'down');
  const now = Date.now();
  return (
    <div class="now">
      <Card title="Active alerts" aside={<a href={link('/alerts')}>All alerts</a>}>
        {firing.length > 0 ? <FiringList list={firing} now={now} /> : <p class="brief-none">{active.data ? 'Nothing fires.' : '…'}</p>}
        <More shown={6} total={firing.length} href={link('/alerts')} />
      </Card>
      <Card title="Targets down" aside={<a href={link('/targets')}>All targets</a>}>
        {down.length > 0 ? <DownList list={down} /> : <p class="brief-none">{scraped.data ? 'Everything that is scraped answers.' : '…'}</p>}
        <More shown={6} total={down.length} href={link('/targets', { health: 'down' })} />
      </Card>
      <Card title="Dashboards" aside={<a href={link('/dashboards')}>All dashboards</a>}>
        {boards.data?.length ? (
          <ul class="brief boards">
            {boards.data.slice(0, 8).map((board) => (
              <li key={board.uid}>
                <a href={link(`/d/${encodeURIComponent(board.uid)}`)}>{board.title}</a>
                {board.folder && <span class="mute">{board.folder}</span>}
              </li>
            ))}
          </ul>
        ) : (
          <p class="brief-none">{boards.loading ? '…' : 'No dashboards yet.'}</p>
        )}
      </Card>
    </div>
  );
}

export function HomePage(): JSX.Element {
  const age = dataAge();
  const { from, refresh } = rangeForAge(age);
  useEffect(() => setRangeDefaults({ from, refresh }), [from, refresh]);
  return (
    <Page title="Home" actions={<RangePicker />}>
      <div class="stack">
        <Tiles />
        {/* The age decides the range: asking before it is known would ask everything twice. */}
        {statusTried.value ? <HostGraphs young={age !== null && age < 180} /> : <GraphFrames young text="" />}
        <Now />
      </div>
    </Page>
  );
}
