// The host graphs of the home page: which expressions, over which window, and how their series are named.
//
// Here: pure functions from what is known of the scrape to expressions, and from answers to series.
// Elsewhere: asking and drawing (`pages/Home.tsx`).
import type { Labels } from './api';
import type { Series } from './chart/types';
import { formatDuration } from './time';

/** The job whose hosts are drawn, and how many there are. */
export interface HostJob {
  job: string;
  hosts: string[];
}

/** The job of the first `node_uname_info` series, with all its instances; null where no host is watched. */
export function hostJob(found: Labels[]): HostJob | null {
  const sorted = [...found].sort((a, b) => (a.job ?? '').localeCompare(b.job ?? ''));
  const job = sorted[0]?.job;
  if (job === undefined) return null;
  const hosts = sorted.filter((labels) => labels.job === job).map((labels) => labels.instance ?? '');
  return { job, hosts: [...new Set(hosts)].sort() };
}

/**
 * Window of `rate` in seconds: four scrapes, so that one lost scrape leaves no hole, and never less than a step,
 * so that no sample falls between two points.
 */
export function rateWindow(scrapeInterval: number, step: number): number {
  return Math.max(Math.ceil(4 * scrapeInterval), Math.ceil(step), 4);
}

export interface HostGraph {
  id: 'cpu' | 'memory' | 'disk' | 'network';
  title: string;
  unit: string;
  /** Upper end of the axis where the unit has one. */
  max?: number;
  exprs: { expr: string; name: (labels: Labels) => string }[];
  /** Chooses and renames series where the expressions give more than a reader wants. */
  tidy?: (series: Series[]) => Series[];
}

/** Four graphs for the hosts of one job. With one host the series are named by what they are, else by host. */
export function hostGraphs({ job, hosts }: HostJob, window: number): HostGraph[] {
  const w = formatDuration(window);
  const sel = `job=${JSON.stringify(job)}`;
  const one = hosts.length === 1;
  const host = (labels: Labels): string => labels.instance ?? '';
  const named = (text: (labels: Labels) => string) => (labels: Labels) => (one ? text(labels) : `${host(labels)} ${text(labels)}`);
  const disk = (filter: string): string =>
    `100 * (1 - node_filesystem_avail_bytes{${sel},${filter}} / node_filesystem_size_bytes{${sel},${filter}})`;
  const network = (direction: string): string =>
    `rate(node_network_${direction}_bytes_total{${sel},device!="lo"}[${w}])`;
  return [
    {
      id: 'cpu',
      title: 'CPU',
      unit: 'percent',
      max: 100,
      exprs: [
        {
          expr: `100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{${sel},mode="idle"}[${w}])))`,
          name: one ? () => 'busy' : host,
        },
      ],
    },
    {
      id: 'memory',
      title: 'Memory',
      unit: 'percent',
      max: 100,
      exprs: [
        {
          expr: `100 * (1 - node_memory_MemAvailable_bytes{${sel}} / node_memory_MemTotal_bytes{${sel}})`,
          name: one ? () => 'used' : host,
        },
      ],
    },
    {
      id: 'disk',
      title: 'Disk',
      unit: 'percent',
      max: 100,
      // In a container the root itself is an overlay: it is worth drawing where nothing else is at `/`.
      exprs: [{ expr: `${disk('fstype!~"tmpfs|overlay"')} or ${disk('mountpoint="/"')}`, name: named((l) => l.mountpoint ?? '') }],
      tidy: (series) => oneMountOfEach(series, 8),
    },
    {
      id: 'network',
      title: 'Network',
      unit: 'Bps',
      exprs: [
        { expr: network('receive'), name: named((l) => `${l.device ?? ''} received`) },
        { expr: network('transmit'), name: named((l) => `${l.device ?? ''} sent`) },
      ],
      tidy: (series) => busiest(series, 8),
    },
  ];
}

/** One series for each disk: a device mounted many times (bind mounts) is the same disk. The fullest first. */
export function oneMountOfEach(series: Series[], limit: number): Series[] {
  const byDevice = new Map<string, Series>();
  for (const s of series) {
    const key = `${s.labels?.instance} ${s.labels?.device}`;
    const other = byDevice.get(key);
    if (!other || (s.labels?.mountpoint ?? '').length < (other.labels?.mountpoint ?? '').length) byDevice.set(key, s);
  }
  return [...byDevice.values()].sort((a, b) => (b.v.at(-1) ?? 0) - (a.v.at(-1) ?? 0)).slice(0, limit);
}

/** The series with the most in them; two that are always zero where there is nothing else. */
export function busiest(series: Series[], limit: number): Series[] {
  const sum = (s: Series): number => s.v.reduce<number>((total, value) => total + (value ?? 0), 0);
  const ranked = series.map((s) => ({ s, sum: sum(s) })).sort((a, b) => b.sum - a.sum);
  const moving = ranked.filter((entry) => entry.sum > 0);
  const shown = moving.length ? moving.slice(0, limit) : ranked.slice(0, 2);
  return shown.map((entry) => entry.s);
}
