// What every page knows of the server: its status, asked every ten seconds while the page is visible.
import { signal } from '@preact/signals';
import { type CairnStatus, cairnStatus, isAbort, reachable } from './api';

const EVERY_MS = 10_000;
const WHEN_LOST_MS = 3_000;

export const siteStatus = signal<CairnStatus | null>(null);

/** Polls until the returned function is called. */
export function startSite(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const abort = new AbortController();
  const poll = async (): Promise<void> => {
    if (!document.hidden) {
      try {
        siteStatus.value = await cairnStatus(abort.signal);
      } catch (error) {
        if (isAbort(error)) return;
        // `reachable` says whether the server answered; an error answer keeps the last known state.
      }
    }
    if (!abort.signal.aborted) timer = setTimeout(() => void poll(), reachable.peek() ? EVERY_MS : WHEN_LOST_MS);
  };
  void poll();
  return () => {
    abort.abort();
    clearTimeout(timer);
  };
}
