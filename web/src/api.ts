// The HTTP API as the pages see it: typed requests, errors in Prometheus' words, whether the server answers at all.
//
// Here: transport and shapes. Elsewhere: turning answers into drawable series (`matrix.ts`).
//
// Invariant: every URL is relative to the document's base, so the UI works under any prefix.
import { signal } from '@preact/signals';
import { tenant } from './prefs';

export type Labels = Record<string, string>;
/** Unix seconds and the value as text, as Prometheus sends it. */
export type Point = [number, string];

export interface MatrixSeries {
  metric: Labels;
  values?: Point[];
  histograms?: [number, unknown][];
}
export interface VectorSample {
  metric: Labels;
  value?: Point;
  histogram?: [number, unknown];
}
export type QueryData =
  | { resultType: 'matrix'; result: MatrixSeries[] }
  | { resultType: 'vector'; result: VectorSample[] }
  | { resultType: 'scalar'; result: Point }
  | { resultType: 'string'; result: Point };

export interface Answer<T> {
  data: T;
  warnings: string[];
  infos: string[];
}

export interface Target {
  discoveredLabels: Labels;
  labels: Labels;
  scrapePool: string;
  scrapeUrl: string;
  globalUrl: string;
  lastError: string;
  lastScrape: string;
  lastScrapeDuration: number;
  health: 'up' | 'down' | 'unknown';
  scrapeInterval: string;
  scrapeTimeout: string;
}
export interface Targets {
  activeTargets: Target[];
  droppedTargets?: unknown[];
  droppedTargetCounts?: Record<string, number>;
}

export interface Alert {
  labels: Labels;
  annotations: Labels;
  state: 'pending' | 'firing';
  activeAt?: string;
  keepFiringSince?: string;
  value: string;
}
export interface Rule {
  type: 'alerting' | 'recording';
  name: string;
  query: string;
  labels?: Labels;
  health: 'ok' | 'err' | 'unknown';
  lastError?: string;
  evaluationTime: number;
  lastEvaluation: string;
  // Alerting rules only.
  state?: 'inactive' | 'pending' | 'firing';
  duration?: number;
  keepFiringFor?: number;
  annotations?: Labels;
  alerts?: Alert[];
}
export interface RuleGroup {
  name: string;
  file: string;
  interval: number;
  rules: Rule[];
  evaluationTime: number;
  lastEvaluation: string;
}

export interface CairnStatus {
  version: string;
  startedAt: number;
  multitenancy: boolean;
  /** All of them, told to this machine alone. */
  tenants?: string[] | null;
  storage: {
    walBytes: number;
    blockBytes: number;
    blocks: number;
    headSeries: number;
    samplesAppended: number;
    minTime: number | null;
    maxTime?: number | null;
    diskFreeBytes: number | null;
    diskTotalBytes: number | null;
    retention: string;
  };
  // Counts; absent while the part that counts has not started.
  targets?: { up: number; down: number; unknown: number };
  alerts?: { firing: number; pending: number };
  rules?: { failing: number };
  configFile: string | null;
}

export interface NameCount {
  name: string;
  value: number;
}
export interface TsdbStatus {
  headStats: { numSeries: number; numLabelPairs: number; chunkCount: number; minTime: number; maxTime: number };
  seriesCountByMetricName: NameCount[];
  labelValueCountByLabelName: NameCount[];
  memoryInBytesByLabelName: NameCount[];
  seriesCountByLabelValuePair: NameCount[];
}

/** A refused or failed request. `errorType` is Prometheus' (`bad_data`, `timeout`, …) or `network` where none came. */
export class ApiError extends Error {
  constructor(
    readonly errorType: string,
    message: string,
    readonly status: number,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** False while the server cannot be reached; the frame shows a banner then. */
export const reachable = signal(true);

export type Params = Record<string, string | number | boolean | undefined | readonly string[]>;

export interface RequestOptions {
  signal?: AbortSignal;
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Sent as JSON. */
  json?: unknown;
}

function encode(params: Params): URLSearchParams {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value === undefined) continue;
    if (Array.isArray(value)) for (const item of value) query.append(key, item);
    else query.append(key, String(value));
  }
  return query;
}

/** The URL of an API path (no leading slash), for links and requests. */
export function apiUrl(path: string, params: Params = {}): string {
  const query = encode(params).toString();
  return new URL(path + (query ? '?' + query : ''), document.baseURI).toString();
}

/** One request. Resolves to the parsed JSON of a good answer; everything else becomes an [`ApiError`] (aborts pass through). */
export async function request<T>(path: string, params: Params = {}, options: RequestOptions = {}): Promise<T> {
  const method = options.method ?? 'GET';
  const headers: Record<string, string> = { accept: 'application/json' };
  if (tenant.peek()) headers['X-Scope-OrgID'] = tenant.peek();
  let body: BodyInit | undefined;
  if (options.json !== undefined) {
    headers['content-type'] = 'application/json';
    body = JSON.stringify(options.json);
  } else if (method === 'POST') {
    body = encode(params);
  }
  const url = method === 'POST' && options.json === undefined ? apiUrl(path) : apiUrl(path, params);
  let response: Response;
  try {
    response = await fetch(url, { method, headers, body, signal: options.signal, credentials: 'same-origin' });
  } catch (error) {
    if (isAbort(error)) throw error;
    reachable.value = false;
    throw new ApiError('network', 'The server does not answer.', 0);
  }
  const text = await response.text();
  // A proxy in front that lost the server answers for it without Prometheus' JSON.
  reachable.value = !(response.status === 502 || response.status === 504);
  return parse<T>(response, text);
}

function parse<T>(response: Response, text: string): T {
  let value: unknown;
  try {
    value = text === '' ? null : JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (response.ok && value !== undefined) return value as T;
  throw errorOf(response.status, response.statusText, value, text);
}

/** The error that a bad answer stands for; exported for its table of cases. */
export function errorOf(status: number, statusText: string, value: unknown, text: string): ApiError {
  if (typeof value === 'object' && value !== null) {
    const { errorType, error, message } = value as Record<string, unknown>;
    const said = typeof error === 'string' ? error : typeof message === 'string' ? message : '';
    if (said) return new ApiError(typeof errorType === 'string' ? errorType : typeOf(status), said, status);
  }
  const plain = text.trim();
  const short = plain && plain.length < 300 && !plain.startsWith('<') ? plain : `${status} ${statusText}`.trim();
  const wrongJson = status >= 200 && status < 300;
  return new ApiError(wrongJson ? 'bad_response' : typeOf(status), wrongJson ? 'The answer is not JSON.' : short, status);
}

function typeOf(status: number): string {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not_found';
  if (status === 422) return 'execution';
  if (status === 503) return 'unavailable';
  return status >= 500 ? 'internal' : 'bad_data';
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** Any thrown thing as text for people. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface Envelope<T> {
  status: 'success' | 'error';
  data: T;
  warnings?: string[];
  infos?: string[];
}

/** A request to Prometheus' API: takes the envelope off. */
async function prom<T>(path: string, params: Params, options: RequestOptions = {}): Promise<Answer<T>> {
  const envelope = await request<Envelope<T>>(`api/v1/${path}`, params, options);
  if (envelope?.status !== 'success') throw errorOf(200, '', envelope, '');
  return { data: envelope.data, warnings: envelope.warnings ?? [], infos: envelope.infos ?? [] };
}

async function data<T>(path: string, params: Params = {}, abort?: AbortSignal): Promise<T> {
  return (await prom<T>(path, params, { signal: abort })).data;
}

/** `time` in Unix seconds; left out, the server's now. POST, because expressions may be long. */
export function queryInstant(query: string, time?: number, signal?: AbortSignal): Promise<Answer<QueryData>> {
  return prom<QueryData>('query', { query, time }, { method: 'POST', signal });
}

/** `start`, `end` in Unix seconds, `step` in seconds. */
export async function queryRange(
  query: string,
  at: { start: number; end: number; step: number },
  signal?: AbortSignal,
): Promise<Answer<MatrixSeries[]>> {
  const answer = await prom<{ result: MatrixSeries[] }>('query_range', { query, ...at }, { method: 'POST', signal });
  return { ...answer, data: answer.data.result };
}

export const labelNames = (match: string[] = [], signal?: AbortSignal): Promise<string[]> =>
  data('labels', { 'match[]': match }, signal);

export const labelValues = (
  name: string,
  options: { match?: string[]; limit?: number; start?: number; end?: number } = {},
  signal?: AbortSignal,
): Promise<string[]> =>
  data(
    `label/${encodeURIComponent(name)}/values`,
    { 'match[]': options.match ?? [], limit: options.limit, start: options.start, end: options.end },
    signal,
  );

export const metricMetadata = (
  metric?: string,
  signal?: AbortSignal,
): Promise<Record<string, { type: string; help: string; unit: string }[]>> => data('metadata', { metric }, signal);

export const targets = (signal?: AbortSignal): Promise<Targets> => data('targets', {}, signal);

export const rules = async (type?: 'alert' | 'record', signal?: AbortSignal): Promise<RuleGroup[]> =>
  (await data<{ groups: RuleGroup[] }>('rules', { type }, signal)).groups;

export const alerts = async (signal?: AbortSignal): Promise<Alert[]> =>
  (await data<{ alerts: Alert[] }>('alerts', {}, signal)).alerts;

export const buildInfo = (signal?: AbortSignal): Promise<Labels> => data('status/buildinfo', {}, signal);
export const runtimeInfo = (signal?: AbortSignal): Promise<Record<string, unknown>> => data('status/runtimeinfo', {}, signal);
export const flags = (signal?: AbortSignal): Promise<Labels> => data('status/flags', {}, signal);
export const configText = async (signal?: AbortSignal): Promise<string> =>
  (await data<{ yaml: string }>('status/config', {}, signal)).yaml;
export const tsdbStatus = (signal?: AbortSignal): Promise<TsdbStatus> => data('status/tsdb', {}, signal);

export const cairnStatus = (signal?: AbortSignal): Promise<CairnStatus> => request('api/cairn/v1/status', {}, { signal });
