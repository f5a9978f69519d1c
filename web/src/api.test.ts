// How answers become values or errors, and what is sent.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError, apiUrl, errorOf, labelValues, queryInstant, queryRange, reachable, request, targets } from './api';
import { respond } from '../mock/api';
import { tenant } from './prefs';

interface Sent {
  url: URL;
  init: RequestInit;
}
let sent: Sent[] = [];

function answer(status: number, body: string): void {
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    sent.push({ url: new URL(url), init });
    return new Response(body, { status });
  });
}

const good = (data: unknown, more = {}): string => JSON.stringify({ status: 'success', data, ...more });

beforeEach(() => {
  sent = [];
  reachable.value = true;
  tenant.value = '';
});
afterEach(() => vi.unstubAllGlobals());

describe('errors', () => {
  const cases: [name: string, status: number, body: string, errorType: string, message: string][] = [
    ['in Prometheus words', 400, '{"status":"error","errorType":"bad_data","error":"1:4: parse error: x"}', 'bad_data', '1:4: parse error: x'],
    ['with status 200', 200, '{"status":"error","errorType":"timeout","error":"too slow"}', 'timeout', 'too slow'],
    ['with a message only', 404, '{"message":"dashboard not found"}', 'not_found', 'dashboard not found'],
    ['as plain text', 503, 'starting up', 'unavailable', 'starting up'],
    ['as a page of a proxy', 500, '<html><body>oops</body></html>', 'internal', '500'],
    ['empty', 422, '', 'execution', '422'],
    ['not JSON though good', 200, '<html>', 'bad_response', 'The answer is not JSON.'],
  ];
  test.each(cases)('%s', async (_name, status, body, errorType, message) => {
    answer(status, body);
    const error = await targets().then(() => null, (caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).errorType).toBe(errorType);
    expect((error as ApiError).message).toContain(message);
  });

  test('errorOf keeps the status', () => expect(errorOf(413, 'Too Large', undefined, '').status).toBe(413));
});

describe('reachability', () => {
  test('a failed connection says so, a later answer takes it back', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('failed')));
    await expect(targets()).rejects.toMatchObject({ errorType: 'network' });
    expect(reachable.value).toBe(false);
    answer(400, '{"error":"x"}');
    await expect(targets()).rejects.toThrow('x');
    expect(reachable.value).toBe(true);
  });

  test('an abort is passed on and says nothing about the server', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new DOMException('stop', 'AbortError')));
    await expect(targets()).rejects.toMatchObject({ name: 'AbortError' });
    expect(reachable.value).toBe(true);
  });
});

describe('requests', () => {
  test('a query goes as a form, whole and with its times', async () => {
    answer(200, good({ resultType: 'matrix', result: [] }, { warnings: ['w'] }));
    const got = await queryRange('up{a="&="}', { start: 10, end: 20, step: 5 });
    expect(got).toEqual({ data: [], warnings: ['w'], infos: [] });
    expect(sent[0]?.init.method).toBe('POST');
    expect(String(sent[0]?.init.body)).toBe('query=up%7Ba%3D%22%26%3D%22%7D&start=10&end=20&step=5');
  });

  test('left-out parameters are not sent', async () => {
    answer(200, good({ resultType: 'vector', result: [] }));
    await queryInstant('up');
    expect(String(sent[0]?.init.body)).toBe('query=up');
  });

  test('lists repeat, names are escaped', async () => {
    answer(200, good([]));
    await labelValues('a/b', { match: ['up', 'x'], limit: 5 });
    expect(sent[0]?.url.pathname).toBe('/api/v1/label/a%2Fb/values');
    expect(sent[0]?.url.search).toBe('?match%5B%5D=up&match%5B%5D=x&limit=5');
  });

  test('the chosen tenant is named', async () => {
    tenant.value = 'site-a';
    answer(200, '{}');
    await request('api/cairn/v1/status');
    expect(new Headers(sent[0]?.init.headers).get('X-Scope-OrgID')).toBe('site-a');
  });

  test('URLs stay below the prefix', () => {
    const base = document.createElement('base');
    base.href = '/grafana/';
    document.head.append(base);
    expect(new URL(apiUrl('api/v1/query')).pathname).toBe('/grafana/api/v1/query');
    base.remove();
  });
});

test('the mock speaks the shapes that the client reads', async () => {
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const { pathname, searchParams } = new URL(url);
    const params = init.body instanceof URLSearchParams ? init.body : searchParams;
    const { status, body } = respond(pathname, params, 1778682336000);
    return new Response(JSON.stringify(body), { status });
  });
  expect((await targets()).activeTargets.map((target) => target.health)).toContain('down');
  const { data } = await queryRange('node_network_receive_bytes_total', { start: 0, end: 60, step: 30 });
  expect(data[0]?.values).toHaveLength(3);
  await expect(queryInstant('sum(up')).rejects.toMatchObject({ errorType: 'bad_data' });
});
