// Targets: what is scraped, by pool, and why a target is down.
import type { JSX } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import { type Target, targets } from '../api';
import { plural } from '../format';
import { refreshCount, setRangeDefaults } from '../range';
import { place } from '../router';
import { humanDuration, parseDuration } from '../time';
import { Card, Empty, ErrorNote, LabelList, Loading, Page, State, type Tone } from '../ui/Page';
import { Ago, Choice, found, Long, SearchField } from '../ui/Parts';
import { RefreshControl } from '../ui/RangePicker';
import { useLoad } from '../ui/useLoad';
import '../styles/lists.css';

interface Pool {
  name: string;
  targets: Target[];
  up: number;
  total: number;
}

const TONES: Record<Target['health'], Tone> = { up: 'ok', down: 'bad', unknown: 'mute' };

/** Pools that hold a wanted target, those with something down first; inside a pool too. */
export function pools(all: Target[], health: string, search: string): Pool[] {
  const byName = new Map<string, Pool>();
  for (const target of all) {
    const pool = byName.get(target.scrapePool) ?? { name: target.scrapePool, targets: [], up: 0, total: 0 };
    byName.set(target.scrapePool, pool);
    pool.total++;
    if (target.health === 'up') pool.up++;
    if (health !== 'all' && target.health !== health) continue;
    const text = `${target.scrapePool} ${target.scrapeUrl} ${target.lastError} ${Object.entries(target.labels).join(' ').replaceAll(',', '=')}`;
    if (found(search, text)) pool.targets.push(target);
  }
  const order = (target: Target): number => (target.health === 'down' ? 0 : target.health === 'unknown' ? 1 : 2);
  for (const pool of byName.values()) pool.targets.sort((a, b) => order(a) - order(b));
  const sick = (pool: Pool): number => (pool.up < pool.total ? 0 : 1);
  return [...byName.values()]
    .filter((pool) => pool.targets.length > 0)
    .sort((a, b) => sick(a) - sick(b) || a.name.localeCompare(b.name));
}

/** A link where a browser can follow it; built-in collectors have no page. */
function Endpoint({ url }: { url: string }): JSX.Element {
  if (!/^https?:/.test(url)) return <span class="endpoint mono">{url}</span>;
  return (
    <a class="endpoint mono" href={url} target="_blank" rel="noreferrer">
      {url}
    </a>
  );
}

function TargetRow({ target, now }: { target: Target; now: number }): JSX.Element {
  const timeout = parseDuration(target.scrapeTimeout) ?? Infinity;
  const slow = target.lastScrapeDuration > timeout * 0.8;
  return (
    <li class="target">
      <div class="target-main">
        <div class="target-state">
          <State tone={TONES[target.health]}>{target.health}</State>
        </div>
        <div class="grow">
          <Endpoint url={target.scrapeUrl} />
          <LabelList labels={target.labels} />
        </div>
        <dl class="facts">
          <div>
            <dt>Last scrape</dt>
            <dd>
              <Ago at={target.lastScrape} now={now} />
            </dd>
          </div>
          <div>
            <dt>Took</dt>
            <dd class={slow ? 'warn-text' : undefined} title={slow ? `Near the timeout of ${target.scrapeTimeout}` : undefined}>
              {humanDuration(target.lastScrapeDuration)}
            </dd>
          </div>
          <div>
            <dt>Every</dt>
            <dd>{target.scrapeInterval}</dd>
          </div>
        </dl>
      </div>
      {target.lastError !== '' && (
        <p class="note bad pre">
          <span>
            <strong>Last error: </strong>
            {target.lastError}
          </span>
        </p>
      )}
    </li>
  );
}

function rowKey(target: Target): string {
  return target.scrapeUrl + JSON.stringify(target.labels);
}

export function TargetsPage(): JSX.Element {
  useEffect(() => setRangeDefaults({ refresh: '10s' }), []);
  const { data, error, loading } = useLoad((signal) => targets(signal), [refreshCount.value]);
  const health = place.value.params.get('health') ?? 'all';
  const search = place.value.params.get('q') ?? '';
  const active = data?.activeTargets ?? [];
  const shown = useMemo(() => pools(active, health, search), [data, health, search]);
  const countOf = (wanted: Target['health']): number => active.filter((target) => target.health === wanted).length;
  // The same node again tells the renderer that a row is as it was: a key in the search draws only what comes and goes.
  const rows = useMemo(() => {
    const now = Date.now();
    return new Map(active.map((target) => [target, <TargetRow key={rowKey(target)} target={target} now={now} />]));
  }, [data]);
  return (
    <Page
      title="Targets"
      lead={data && `${plural(active.length, 'target')}, ${countOf('up')} up, ${countOf('down')} down`}
      actions={<RefreshControl />}
    >
      <div class="filters">
        <Choice
          param="health"
          label="Health"
          options={[
            { value: 'all', text: 'All' },
            { value: 'down', text: <>Down <span class="count plain">{countOf('down')}</span></> },
            { value: 'up', text: 'Up' },
            { value: 'unknown', text: 'Unknown' },
          ]}
        />
        <SearchField label="Search labels, addresses, errors" />
      </div>
      {error !== undefined && <ErrorNote error={error} />}
      {!data && loading && <Loading what="targets" />}
      {data && shown.length === 0 && (
        <Empty icon="target" title={active.length ? 'No target matches' : 'No targets yet'}>
          {active.length ? 'Widen the search or the filter.' : 'Targets come from scrape_configs in the configuration file.'}
        </Empty>
      )}
      <div class="stack">
        {shown.map((pool) => (
          <Card
            key={pool.name}
            title={pool.name}
            aside={<State tone={pool.up === pool.total ? 'ok' : 'bad'}>{`${pool.up} of ${pool.total} up`}</State>}
          >
            <Long items={pool.targets} first={100} what="targets">
              {(items) => <ul class="target-list">{items.map((target) => rows.get(target))}</ul>}
            </Long>
          </Card>
        ))}
      </div>
    </Page>
  );
}
