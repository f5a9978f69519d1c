// The API as invented data, for development and unit tests. Deterministic in `now`; no state.
export interface MockAnswer {
  status: number;
  body: unknown;
}

export function respond(path: string, _params: URLSearchParams, _now: number): MockAnswer {
  return { status: 404, body: { status: 'error', errorType: 'not_found', error: `no mock for ${path}` } };
}
