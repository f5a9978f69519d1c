// The frame around every page: navigation, banner, help, and the page that the URL names.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { reachable } from './api';
import { NAV, type PageComponent, type PageEntry, PAGES, pageFor } from './pages';
import { refreshNow } from './range';
import { navigate, place } from './router';
import { useShortcuts } from './shortcuts';
import { BottomBar, SideBar } from './ui/Nav';
import { ErrorNote, Loading } from './ui/Page';
import { Help, helpOpen } from './ui/Help';
import { Icon } from './ui/icons';

/** Components that are here already: warm navigation draws at once. */
const loaded = new Map<PageEntry, PageComponent>();

async function load(page: PageEntry): Promise<PageComponent> {
  const component = loaded.get(page) ?? (await page.load());
  loaded.set(page, component);
  return component;
}

function useFrameShortcuts(): void {
  useShortcuts(() => [
    ...NAV.filter((item) => item.key).map((item) => ({
      keys: `g ${item.key}`,
      text: item.label,
      group: 'Go to',
      run: () => navigate(item.path),
    })),
    { keys: '?', text: 'This list', group: 'Everywhere', run: () => (helpOpen.value = true) },
    { keys: 'r', text: 'Refresh', group: 'Everywhere', run: refreshNow },
  ]);
}

function Outlet(): JSX.Element {
  const { page, parts } = pageFor(place.value.path);
  const [, drawAgain] = useState(0);
  const [failed, setFailed] = useState<unknown>(undefined);
  const Component = loaded.get(page);
  useEffect(() => {
    if (loaded.has(page)) return undefined;
    let wanted = true;
    setFailed(undefined);
    load(page).then(
      () => wanted && drawAgain((count) => count + 1),
      (error: unknown) => wanted && setFailed(error),
    );
    return () => {
      wanted = false;
    };
  }, [page]);
  if (Component) return <Component parts={parts} />;
  return failed === undefined ? <Loading what="page" /> : <ErrorNote error={failed} />;
}

/** Fetches the other pages once the first one is drawn, so that going there is instant. */
function usePrefetch(): void {
  useEffect(() => {
    const timer = setTimeout(() => {
      for (const page of PAGES) load(page).catch(() => undefined);
    }, 3000);
    return () => clearTimeout(timer);
  }, []);
}

export function App(): JSX.Element {
  useFrameShortcuts();
  usePrefetch();
  const { page } = pageFor(place.value.path);
  return (
    <>
      <a class="skip" href="#main" onClick={focusMain}>
        Skip to content
      </a>
      <SideBar current={page.nav} />
      <div class="content">
        {!reachable.value && (
          <div class="banner" role="alert">
            <Icon name="warning" /> The server does not answer. What you see may be old; trying again every 3 seconds.
          </div>
        )}
        <main id="main" tabIndex={-1}>
          <Outlet key={page.patterns[0]} />
        </main>
      </div>
      <BottomBar current={page.nav} />
      <Help />
    </>
  );
}

function focusMain(event: MouseEvent): void {
  event.preventDefault(); // With a <base>, `#main` would name another document.
  document.getElementById('main')?.focus();
}
