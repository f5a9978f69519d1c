/** Dashboard documents on the server: list, read, save, delete. */
import { request } from '../api';

export interface BoardInfo {
  uid: string;
  title: string;
  folder: string;
  tags: string[];
  source: 'built-in' | 'file' | 'user';
  path?: string;
}

export interface BoardDocument {
  meta: { uid: string; title: string; folder?: string; source: BoardInfo['source']; path?: string; readOnly: boolean };
  dashboard: unknown;
}

const PATH = 'api/cairn/v1/dashboards';

export async function listBoards(signal?: AbortSignal): Promise<BoardInfo[]> {
  const answer = await request<Partial<BoardInfo>[]>(PATH, {}, signal ? { signal } : {});
  return (Array.isArray(answer) ? answer : []).map((b) => ({
    uid: b.uid ?? '',
    title: b.title || 'Untitled dashboard',
    folder: b.folder ?? '',
    tags: b.tags ?? [],
    source: b.source ?? 'user',
    ...(b.path ? { path: b.path } : {}),
  }));
}

export function readBoard(uid: string, signal?: AbortSignal): Promise<BoardDocument> {
  return request<BoardDocument>(`${PATH}/${encodeURIComponent(uid)}`, {}, signal ? { signal } : {});
}

/**
 * `dashboard` is stored as it is. Resolves to its uid; refused with 409 where the uid is taken and `overwrite` is not
 * set.
 */
export function saveBoard(
  dashboard: unknown,
  options: { folder?: string; overwrite?: boolean } = {},
): Promise<{ uid: string }> {
  return request<{ uid: string }>(PATH, {}, { method: 'POST', json: { dashboard, ...options } });
}

export function deleteBoard(uid: string): Promise<unknown> {
  return request<unknown>(`${PATH}/${encodeURIComponent(uid)}`, {}, { method: 'DELETE' });
}
