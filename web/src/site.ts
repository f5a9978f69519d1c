// What every page knows of the server: its status, asked every ten seconds while the page is visible.
import { computed, signal } from '@preact/signals';
import { ApiError, type CairnStatus, cairnStatus, isAbort, reachable } from './api';
import { setTenant, tenant } from './prefs';
import { refreshNow } from './range';

const EVERY_MS = 10_000;
const WHEN_LOST_MS = 3_000;
const HOME_TENANT = 'anonymous';

export const siteStatus = signal<CairnStatus | null>(null);

/** True once the server was asked, whatever it said. */
export const statusTried = signal(false);

interface Reading {
  at: number;
  appended: number;
}

/** Readings of the last minute, oldest first. */
const readings = signal<Reading[]>([]);
const RATE_WINDOW_MS = 60_000;

function note(status: CairnStatus, at: number): void {
  const next = { at, appended: status.storage.samplesAppended };
  const last = readings.peek().at(-1);
  // A counter that went back belongs to a process that started again.
  const kept = last && next.appended < last.appended ? [] : readings.peek();
  readings.value = [...kept.filter((reading) => at - reading.at <= RATE_WINDOW_MS), next];
}

/** Samples stored per second: over the last minute, or since the start while there is one reading only. */
export const ingestRate = computed<number | null>(() => {
  const first = readings.value[0];
  const last = readings.value.at(-1);
  if (!first || !last) return null;
  if (last.at > first.at) return ((last.appended - first.appended) * 1000) / (last.at - first.at);
  const started = siteStatus.value?.startedAt ?? last.at;
  return last.at - started > 1000 ? (last.appended * 1000) / (last.at - started) : null;
});

/** Polls until the returned function is called. */
export function startSite(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const next = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => void poll(), reachable.peek() ? EVERY_MS : WHEN_LOST_MS);
  };
  const abort = new AbortController();
  const poll = async (): Promise<void> => {
    if (!document.hidden) {
      try {
        const status = await cairnStatus(abort.signal);
        note(status, Date.now());
        siteStatus.value = status;
      } catch (error) {
        if (isAbort(error)) return;
        // The server wants a tenant and none was chosen yet: scrapes, rules and the host belong to this one.
        if (error instanceof ApiError && error.status === 401 && !tenant.peek()) {
          setTenant(HOME_TENANT);
          queueMicrotask(refreshNow);
          void poll();
          return;
        }
        // `reachable` says whether the server answered; an error answer keeps the last known state.
      }
    }
    if (!document.hidden) statusTried.value = true;
    if (!abort.signal.aborted) next();
  };
  void poll();
  // Whichever request notices the loss, or the return: the rhythm changes at once, and what failed is asked again.
  let known = reachable.peek();
  const stop = reachable.subscribe((now) => {
    if (now === known) return;
    known = now;
    if (now) queueMicrotask(refreshNow);
    else next();
  });
  return () => {
    stop();
    abort.abort();
    clearTimeout(timer);
  };
}
