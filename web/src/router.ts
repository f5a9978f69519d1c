// Router: which page the URL names, and how code changes the URL.
//
// Here: the location as a signal, navigation, path patterns, one click handler for every plain link.
// Elsewhere: the table of pages (`app.tsx`), what the parameters mean (`range.ts`, `explore/url.ts`).
//
// Invariant: paths in code begin with '/' and know nothing of the prefix the server is mounted under; only this file adds it.
import { signal } from '@preact/signals';

export interface Place {
  /** Path below the prefix, begins with '/', no trailing slash (except the root itself). */
  path: string;
  params: URLSearchParams;
}

export type ParamPatch = Record<string, string | null | undefined>;

function basePath(): string {
  return new URL('.', document.baseURI).pathname;
}

function read(): Place {
  const base = basePath();
  const full = window.location.pathname;
  const below = full.startsWith(base) ? full.slice(base.length - 1) : full + '/' === base ? '/' : full;
  const path = below.length > 1 ? below.replace(/\/+$/, '') || '/' : '/';
  return { path, params: new URLSearchParams(window.location.search) };
}

/** The current place. Read `place.value` in a component to draw again when the URL changes. */
export const place = signal<Place>(read());

/** URL of a page for `href`, prefix included. Empty parameters are left out. */
export function link(path: string, params?: ParamPatch | URLSearchParams): string {
  const query = params instanceof URLSearchParams ? params : patched(new URLSearchParams(), params ?? {});
  const text = query.toString();
  return basePath() + path.replace(/^\//, '') + (text ? '?' + text : '');
}

function patched(params: URLSearchParams, patch: ParamPatch): URLSearchParams {
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || value === undefined || value === '') params.delete(key);
    else params.set(key, value);
  }
  return params;
}

/** Goes to a page. `replace` leaves no entry behind for the back button. */
export function navigate(path: string, params?: ParamPatch | URLSearchParams, replace = false): void {
  moveTo(link(path, params), replace);
}

/** Changes parameters of the current page and keeps the others. */
export function setParams(patch: ParamPatch, replace = false): void {
  const current = place.peek();
  const next = patched(new URLSearchParams(current.params), patch);
  if (next.toString() !== current.params.toString()) navigate(current.path, next, replace);
}

function moveTo(url: string, replace: boolean): void {
  const before = place.peek().path;
  window.history[replace ? 'replaceState' : 'pushState'](null, '', url);
  place.value = read();
  if (place.peek().path !== before) window.scrollTo(0, 0);
}

/**
 * Parts of `path` named in `pattern` (`/d/:uid`), or null where it does not match. A last `*` takes the rest.
 */
export function match(pattern: string, path: string): Record<string, string> | null {
  const want = pattern.split('/').filter(Boolean);
  const have = path.split('/').filter(Boolean);
  const parts: Record<string, string> = {};
  for (const [i, piece] of want.entries()) {
    if (piece === '*') return parts;
    const value = have[i];
    if (value === undefined) return null;
    if (piece.startsWith(':')) parts[piece.slice(1)] = decode(value);
    else if (piece !== value) return null;
  }
  return have.length === want.length ? parts : null;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // A stray % in a typed URL is not worth a crash.
  }
}

/** Follows back, forward and clicks on links that stay below the prefix. Returns how to stop. */
export function startRouter(): () => void {
  const onPop = (): void => {
    place.value = read();
  };
  window.addEventListener('popstate', onPop);
  document.addEventListener('click', onClick);
  return () => {
    window.removeEventListener('popstate', onPop);
    document.removeEventListener('click', onClick);
  };
}

function onClick(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
    return;
  }
  const anchor = (event.target as Element | null)?.closest?.('a');
  if (!anchor || anchor.target || anchor.hasAttribute('download') || anchor.origin !== window.location.origin) return;
  const base = basePath();
  if (!anchor.pathname.startsWith(base)) return;
  // The API and the pages of machines (`-/healthy`) are served by the server, not by this router.
  if (/^(api\/|-\/|metrics$|federate)/.test(anchor.pathname.slice(base.length))) return;
  event.preventDefault();
  moveTo(anchor.href, anchor.href === window.location.href);
}
