// The list of keyboard shortcuts that work on this page.
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { type Shortcut, shortcuts } from '../shortcuts';
import { Dialog } from './Dialog';

export const helpOpen = signal(false);

function byGroup(list: readonly Shortcut[]): Map<string, Shortcut[]> {
  const groups = new Map<string, Shortcut[]>();
  for (const item of list) groups.set(item.group, [...(groups.get(item.group) ?? []), item]);
  return groups;
}

export function Help(): JSX.Element | null {
  if (!helpOpen.value) return null;
  return (
    <Dialog title="Keyboard shortcuts" onClose={() => (helpOpen.value = false)}>
      <div class="help">
        {[...byGroup(shortcuts.value)].map(([group, list]) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {list.map((item) => (
                <div key={item.keys}>
                  <dt>
                    {item.keys.split(' ').map((key) => (
                      <kbd key={key}>{key.replace('ctrl+', 'Ctrl ')}</kbd>
                    ))}
                  </dt>
                  <dd>{item.text}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
