// Shown for a path that names no page.
import type { JSX } from 'preact';
import { link, place } from '../router';
import { Empty, Page } from '../ui/Page';

export function NotFound(): JSX.Element {
  return (
    <Page title="No such page">
      <Empty icon="search" title={`Nothing lives at ${place.value.path}`}>
        <a href={link('/')}>Go home</a>
      </Empty>
    </Page>
  );
}
