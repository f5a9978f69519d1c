// The API as invented data, for development and unit tests. Deterministic in `now`; no state.
//
// Here: one small site: three hosts, an API server that is down, a few rules. Enough for every page to have something
// of each kind (up, down, firing, pending, failing, parse error).
export interface MockAnswer {
  status: number;
  body: unknown;
}

type Labels = Record<string, string>;

const HOSTS = ['edge-07:9100'];
const NAMES = ['up', 'node_cpu_seconds_total', 'node_memory_MemAvailable_bytes', 'node_uname_info', 'http_requests_total'];

const ok = (data: unknown): MockAnswer => ({ status: 200, body: { status: 'success', data } });
const bad = (error: string): MockAnswer => ({ status: 400, body: { status: 'error', errorType: 'bad_data', error } });

/** A wandering line between 0 and 1 that depends on nothing but its seed and the time. */
function wander(seed: number, seconds: number): number {
  const wave = (period: number, phase: number): number => Math.sin((seconds / period) * 2 * Math.PI + phase * seed);
  return 0.5 + 0.22 * wave(2700, 1.7) + 0.14 * wave(610, 2.3) + 0.07 * wave(95, 3.1);
}

function hash(text: string): number {
  let value = 7;
  for (const char of text) value = (value * 31 + char.charCodeAt(0)) % 9973;
  return value;
}

/** Label sets that an expression "selects", and the scale of their values. */
function selected(expr: string): { labels: Labels[]; scale: number } {
  const hosts = HOSTS.map((instance) => ({ instance, job: 'node' }));
  if (expr.includes('node_uname_info')) {
    return { labels: hosts.map((host) => ({ __name__: 'node_uname_info', nodename: 'edge-07', ...host })), scale: 0 };
  }
  if (expr.includes('node_filesystem')) {
    const mounts = [['/dev/nvme0n1p2', '/'], ['/dev/sda1', '/var/lib/data']];
    return { labels: hosts.flatMap((host) => mounts.map(([device, mountpoint]) => ({ ...host, device, mountpoint }) as Labels)), scale: 100 };
  }
  if (expr.includes('node_network')) {
    return { labels: hosts.flatMap((host) => ['eth0', 'wlan0'].map((device) => ({ ...host, device }))), scale: 2.4e6 };
  }
  if (/node_(cpu|memory)/.test(expr)) return { labels: hosts, scale: 100 };
  if (/^\s*nothing/.test(expr)) return { labels: [], scale: 0 };
  return { labels: targets(0).map((target) => ({ __name__: 'up', ...target.labels })), scale: 1 };
}

function parseError(expr: string): MockAnswer | null {
  const open = expr.indexOf('(');
  if (open < 0 || expr.includes(')')) return null;
  return bad(`invalid parameter "query": 1:${open + 1}: parse error: unclosed left parenthesis`);
}

function queryRange(params: URLSearchParams): MockAnswer {
  const expr = params.get('query') ?? '';
  const [start, end, step] = ['start', 'end', 'step'].map((name) => Number(params.get(name))) as [number, number, number];
  if (!(step > 0)) return bad('invalid parameter "step": zero or negative query resolution step widths are not accepted');
  const { labels, scale } = selected(expr);
  const result = labels.map((metric) => {
    const seed = hash(JSON.stringify(metric) + expr) / 100;
    const values: [number, string][] = [];
    for (let t = start; t <= end; t += step) values.push([t, String(scale === 1 ? 1 : wander(seed, t) * scale)]);
    return { metric, values };
  });
  return parseError(expr) ?? ok({ resultType: 'matrix', result });
}

function query(params: URLSearchParams, now: number): MockAnswer {
  const expr = params.get('query') ?? '';
  const time = Number(params.get('time') ?? now / 1000);
  const { labels, scale } = selected(expr);
  const result = labels.map((metric) => ({
    metric,
    value: [time, String(scale <= 1 ? 1 : wander(hash(JSON.stringify(metric)), time) * scale)],
  }));
  return parseError(expr) ?? ok({ resultType: 'vector', result });
}

interface MockTarget {
  scrapePool: string;
  labels: Labels;
  health: string;
  lastError: string;
  [more: string]: unknown;
}

function target(pool: string, instance: string, now: number, lastError = ''): MockTarget {
  return {
    discoveredLabels: { __address__: instance },
    labels: { instance, job: pool },
    scrapePool: pool,
    scrapeUrl: `http://${instance}/metrics`,
    globalUrl: `http://${instance}/metrics`,
    lastError,
    lastScrape: new Date(now - 4200).toISOString(),
    lastScrapeDuration: 0.0124,
    health: lastError ? 'down' : 'up',
    scrapeInterval: '15s',
    scrapeTimeout: '10s',
  };
}

function targets(now: number): MockTarget[] {
  return [
    ...HOSTS.map((host) => target('node', host, now)),
    target('api', '10.4.0.12:8000', now, 'Get "http://10.4.0.12:8000/metrics": dial tcp 10.4.0.12:8000: connect: connection refused'),
    target('api', '10.4.0.13:8000', now),
    target('plc', 'press-2:9200', now, 'line 14, byte 512: invalid value "n/a" after metric name "press_force_newton"'),
  ];
}

function ruleGroups(now: number): unknown[] {
  const evaluated = { evaluationTime: 0.0011, lastEvaluation: new Date(now - 6000).toISOString(), health: 'ok' };
  const down = targets(now).filter((item) => item.health === 'down');
  const alertOf = (item: MockTarget): unknown => ({
    labels: { alertname: 'InstanceDown', severity: 'critical', ...item.labels },
    annotations: { summary: `${item.labels.instance} is down`, description: 'No scrape has succeeded for a minute.' },
    state: 'firing',
    activeAt: new Date(now - 1_980_000).toISOString(),
    value: '0e+00',
  });
  return [
    {
      name: 'hosts', file: '/etc/cairn/rules/hosts.yml', interval: 15, evaluationTime: 0.002, lastEvaluation: evaluated.lastEvaluation,
      rules: [
        { type: 'alerting', name: 'InstanceDown', query: 'up == 0', duration: 60, keepFiringFor: 0, labels: { severity: 'critical' }, annotations: {}, state: 'firing', alerts: down.map(alertOf), ...evaluated },
        { type: 'alerting', name: 'DiskFillsUp', query: 'predict_linear(node_filesystem_avail_bytes[6h], 4*86400) < 0', duration: 3600, keepFiringFor: 0, labels: { severity: 'warning' }, annotations: {}, state: 'pending', alerts: [{ labels: { alertname: 'DiskFillsUp', instance: HOSTS[0], mountpoint: '/' }, annotations: { summary: 'Disk / of edge-07 is full in four days' }, state: 'pending', activeAt: new Date(now - 300_000).toISOString(), value: '-1.2e+09' }], ...evaluated },
        { type: 'alerting', name: 'HighLoad', query: 'node_load1 > 8', duration: 300, keepFiringFor: 0, labels: { severity: 'warning' }, annotations: {}, state: 'inactive', alerts: [], ...evaluated },
      ],
    },
    {
      name: 'records', file: '/etc/cairn/rules/records.yml', interval: 30, evaluationTime: 0.004, lastEvaluation: evaluated.lastEvaluation,
      rules: [
        { type: 'recording', name: 'instance:cpu:ratio', query: '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))', ...evaluated },
        { type: 'recording', name: 'job:broken', query: 'up / on (job) up', ...evaluated, health: 'err', lastError: 'found duplicate series for the match group {job="api"} on the right hand-side of the operation' },
      ],
    },
  ];
}

function cairnStatus(now: number): unknown {
  const list = targets(now);
  return {
    version: '0.1.0',
    startedAt: now - 3 * 86_400_000,
    multitenancy: false,
    storage: {
      walBytes: 18_400_000, blockBytes: 412_000_000, blocks: 9, headSeries: 4821, samplesAppended: Math.round((now - 1.7e12) / 3),
      minTime: now - 3 * 86_400_000, maxTime: now, diskFreeBytes: 61_000_000_000, diskTotalBytes: 120_000_000_000, retention: '15d',
    },
    targets: { up: list.filter((item) => item.health === 'up').length, down: list.filter((item) => item.health === 'down').length, unknown: 0 },
    alerts: { firing: 2, pending: 1 },
    rules: { failing: 1 },
    configFile: '/etc/cairn/prometheus.yml',
  };
}

function tsdb(now: number): unknown {
  const counts = (names: string[], most: number): unknown[] => names.map((name, i) => ({ name, value: Math.round(most / (i + 1)) }));
  return {
    headStats: { numSeries: 4821, numLabelPairs: 2210, chunkCount: 9642, minTime: now - 7_200_000, maxTime: now },
    seriesCountByMetricName: counts(NAMES, 1200),
    labelValueCountByLabelName: counts(['__name__', 'device', 'instance'], 640),
    memoryInBytesByLabelName: counts(['__name__', 'device', 'instance'], 48_000),
    seriesCountByLabelValuePair: counts(['job=node', 'instance=edge-07:9100', 'job=api'], 3900),
  };
}

function board(): unknown {
  const panel = { type: 'timeseries', title: 'Targets up', gridPos: { x: 0, y: 0, w: 24, h: 8 }, targets: [{ refId: 'A', expr: 'sum(up)' }] };
  return {
    meta: { uid: 'site', title: 'Site', folder: 'Cairn', source: 'built-in', readOnly: true },
    dashboard: { uid: 'site', title: 'Site', schemaVersion: 39, time: { from: 'now-1h', to: 'now' }, panels: [{ id: 1, ...panel }] },
  };
}

/** The answer to one request. `params` holds the query string and a form body together. */
export function respond(path: string, params: URLSearchParams, now: number): MockAnswer {
  const values = /^\/api\/v1\/label\/([^/]+)\/values$/.exec(path);
  if (values) return ok(values[1] === '__name__' ? NAMES : HOSTS);
  switch (path) {
    case '/api/v1/query_range': return queryRange(params);
    case '/api/v1/query': return query(params, now);
    case '/api/v1/labels': return ok(['__name__', 'instance', 'job', 'mode']);
    case '/api/v1/series': return ok([{ __name__: 'up', instance: HOSTS[0], job: 'node' }]);
    case '/api/v1/metadata': return ok({ up: [{ type: 'gauge', help: 'Whether the last scrape succeeded.', unit: '' }] });
    case '/api/v1/targets': return ok({ activeTargets: targets(now), droppedTargets: [] });
    case '/api/v1/rules': return ok({ groups: ruleGroups(now) });
    case '/api/v1/alerts': {
      const groups = ruleGroups(now) as { rules: { alerts?: unknown[] }[] }[];
      return ok({ alerts: groups.flatMap((group) => group.rules.flatMap((rule) => rule.alerts ?? [])) });
    }
    case '/api/v1/status/buildinfo': return ok({ version: '0.1.0', revision: '', branch: '', goVersion: '' });
    case '/api/v1/status/runtimeinfo': return ok({ startTime: new Date(now - 259_200_000).toISOString(), CWD: '/', reloadConfigSuccess: true, storageRetention: '15d' });
    case '/api/v1/status/flags': return ok({ 'config.file': '/etc/cairn/prometheus.yml', 'web.listen-address': '0.0.0.0:9090' });
    case '/api/v1/status/config': return ok({ yaml: 'global:\n  scrape_interval: 15s\nscrape_configs:\n  - job_name: node\n' });
    case '/api/v1/status/tsdb': return ok(tsdb(now));
    case '/api/cairn/v1/status': return { status: 200, body: cairnStatus(now) };
    case '/api/cairn/v1/dashboards': return { status: 200, body: [{ uid: 'site', title: 'Site', folder: 'Cairn', tags: ['site'], source: 'built-in' }] };
    case '/api/cairn/v1/dashboards/site': return { status: 200, body: board() };
    default: return { status: 404, body: { status: 'error', errorType: 'not_found', error: `no mock for ${path}` } };
  }
}
