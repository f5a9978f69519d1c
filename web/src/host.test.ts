// Which expressions the home page asks, and what becomes of the answers.
import { expect, test } from 'vitest';
import { busiest, hostGraphs, hostJob, oneMountOfEach, rateWindow } from './host';
import { toSeries, seriesName, parseValue } from './matrix';
import { rangeForAge } from './pages/Home';

test('the first job with node_uname_info is drawn, with all its hosts', () => {
  const found = [
    { job: 'node', instance: 'b' }, { job: 'node', instance: 'a' }, { job: 'other', instance: 'c' }, { job: 'node', instance: 'a' },
  ];
  expect(hostJob(found)).toEqual({ job: 'node', hosts: ['a', 'b'] });
  expect(hostJob([])).toBeNull();
});

test.each([[15, 12, 60], [5, 1, 20], [1, 1, 4], [15, 300, 300], [0.5, 1, 4]])(
  'scraped every %s s, a point every %s s: rate over %s s',
  (interval, step, window) => expect(rateWindow(interval, step)).toBe(window),
);

test('there are four graphs, each over the job and the window', () => {
  const graphs = hostGraphs({ job: 'my"job', hosts: ['a'] }, 60);
  expect(graphs.map((graph) => graph.id)).toEqual(['cpu', 'memory', 'disk', 'network']);
  for (const { expr } of graphs.flatMap((graph) => graph.exprs)) expect(expr).toContain('job="my\\"job"');
  expect(graphs[0]?.exprs[0]?.expr).toContain('[1m]');
});

test('series are named by host as soon as there are two', () => {
  const disk = (hosts: string[]): string | undefined =>
    hostGraphs({ job: 'node', hosts }, 60)[2]?.exprs[0]?.name({ instance: 'a', mountpoint: '/data' });
  expect(disk(['a'])).toBe('/data');
  expect(disk(['a', 'b'])).toBe('a /data');
});

const line = (labels: Record<string, string>, ...v: number[]) => ({ name: labels.mountpoint ?? labels.device ?? '', labels, t: v.map((_, i) => i), v });

test('a device mounted many times is one disk, under its shortest path; the fullest first', () => {
  const tidy = oneMountOfEach(
    [
      line({ device: 'sda', mountpoint: '/etc/hosts' }, 20),
      line({ device: 'sda', mountpoint: '/' }, 20),
      line({ device: 'sdb', mountpoint: '/data' }, 70),
    ],
    8,
  );
  expect(tidy.map((s) => s.name)).toEqual(['/data', '/']);
});

test('silent devices are left out where others speak', () => {
  const speaking = line({ device: 'eth0' }, 0, 5);
  const silent = ['a', 'b', 'c'].map((device) => line({ device }, 0, 0));
  expect(busiest([...silent, speaking], 8)).toEqual([speaking]);
  expect(busiest(silent, 8)).toHaveLength(2);
});

test.each([[null, 'now-1h'], [5, 'now-5m'], [100, 'now-5m'], [600, 'now-15m'], [86400, 'now-1h']])('data of %s s is shown over %s', (age, from) => {
  expect(rangeForAge(age).from).toBe(from);
});

test('a hole longer than a step breaks the line, values that cannot be drawn become gaps', () => {
  const [series] = toSeries([{ metric: { __name__: 'up', b: '2', a: '1' }, values: [[10, '1'], [20, '+Inf'], [60, '3']] }], 10);
  expect(series).toMatchObject({ name: 'up{a="1", b="2"}', t: [10, 20, 30, 60], v: [1, null, null, 3] });
});

test('names and values as Prometheus writes them', () => {
  expect(seriesName({})).toBe('{}');
  expect(seriesName({ __name__: 'up' })).toBe('up');
  expect(seriesName({ a: 'say "x"' })).toBe('{a="say \\"x\\""}');
  expect([parseValue('-Inf'), parseValue('1e+3'), parseValue('NaN')]).toEqual([-Infinity, 1000, NaN]);
});
