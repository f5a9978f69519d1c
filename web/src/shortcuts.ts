// Keyboard shortcuts: single keys and two-key sequences (`g h`), listed under `?`, silent while someone types.
//
// Here: the register and the matching. Elsewhere: what each page offers (pages register while they are shown).
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

export interface Shortcut {
  /** `?`, `r`, `g h`, `ctrl+k`. Keys as `KeyboardEvent.key` names them, lower case; arrows are `left`, `right`, `up`, `down`. */
  keys: string;
  text: string;
  group: string;
  run: () => void;
}

const SEQUENCE_MS = 1500;

/** All that works now, in the order of registering; the help dialog draws it. */
export const shortcuts = signal<readonly Shortcut[]>([]);

export function registerShortcuts(list: readonly Shortcut[]): () => void {
  shortcuts.value = [...shortcuts.peek(), ...list];
  return () => {
    shortcuts.value = shortcuts.peek().filter((item) => !list.includes(item));
  };
}

/** Registers for as long as the component is shown. `list` must be the same array while `deps` are the same. */
export function useShortcuts(list: () => readonly Shortcut[], deps: readonly unknown[] = []): void {
  useEffect(() => registerShortcuts(list()), deps as unknown[]);
}

const ARROWS: Record<string, string> = {
  arrowleft: 'left', arrowright: 'right', arrowup: 'up', arrowdown: 'down', escape: 'esc',
};

/** The text form of a key press; '' for a modifier alone. */
export function keyName(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey'>): string {
  const key = event.key.toLowerCase();
  if (key === 'control' || key === 'meta' || key === 'alt' || key === 'shift') return '';
  const name = ARROWS[key] ?? key;
  if (event.altKey) return `alt+${name}`;
  return event.ctrlKey || event.metaKey ? `ctrl+${name}` : name;
}

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.closest('.cm-editor')) return true;
  return /^(textarea|select)$/i.test(target.tagName) || (target instanceof HTMLInputElement && !/^(checkbox|radio|button)$/.test(target.type));
}

/** Listens on the document. Returns how to stop. */
export function startShortcuts(): () => void {
  let first = '';
  let firstAt = 0;
  const onKey = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || isTyping(event.target) || document.querySelector('dialog[open]')) return;
    const key = keyName(event);
    if (!key) return;
    const sequence = first && event.timeStamp - firstAt < SEQUENCE_MS ? `${first} ${key}` : '';
    const known = shortcuts.peek();
    // The latest registered wins: a page may take a key over from the frame.
    const found = known.findLast((item) => item.keys === sequence) ?? known.findLast((item) => item.keys === key);
    first = '';
    if (found) {
      event.preventDefault();
      found.run();
    } else if (!sequence && known.some((item) => item.keys.startsWith(key + ' '))) {
      first = key;
      firstAt = event.timeStamp;
    }
  };
  document.addEventListener('keydown', onKey);
  return () => document.removeEventListener('keydown', onKey);
}
