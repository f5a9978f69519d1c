// Keys, sequences, and silence while someone types.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { keyName, registerShortcuts, startShortcuts } from './shortcuts';

const stops: (() => void)[] = [];
beforeEach(() => void stops.push(startShortcuts()));
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  document.body.replaceChildren();
});

function listen(keys: string): ReturnType<typeof vi.fn<() => void>> {
  const run = vi.fn<() => void>();
  stops.push(registerShortcuts([{ keys, text: keys, group: 'test', run }]));
  return run;
}

function press(key: string, init: KeyboardEventInit = {}, target: EventTarget = document): void {
  target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...init }));
}

test('a sequence runs after both keys, in this order only', () => {
  const run = listen('g h');
  press('h');
  press('g');
  expect(run).not.toHaveBeenCalled();
  press('h');
  expect(run).toHaveBeenCalledTimes(1);
});

test('a single key between breaks the sequence', () => {
  const run = listen('g h');
  const other = listen('r');
  press('g');
  press('r');
  press('h');
  expect(run).not.toHaveBeenCalled();
  expect(other).toHaveBeenCalledTimes(1);
});

test('the page takes a key over from the frame and gives it back', () => {
  const frame = listen('r');
  const page = vi.fn();
  const leave = registerShortcuts([{ keys: 'r', text: '', group: '', run: page }]);
  press('r');
  leave();
  press('r');
  expect(page).toHaveBeenCalledTimes(1);
  expect(frame).toHaveBeenCalledTimes(1);
});

test.each(['input', 'textarea', 'select'])('silent in %s', (tag) => {
  const run = listen('r');
  const field = document.createElement(tag);
  document.body.append(field);
  press('r', {}, field);
  expect(run).not.toHaveBeenCalled();
});

test('silent under an open dialog', () => {
  const run = listen('r');
  const dialog = document.createElement('dialog');
  dialog.setAttribute('open', '');
  document.body.append(dialog);
  press('r');
  expect(run).not.toHaveBeenCalled();
});

test.each([
  [{ key: 'ArrowLeft' }, 'left'], [{ key: 'Enter', ctrlKey: true }, 'ctrl+enter'], [{ key: 'K', metaKey: true }, 'ctrl+k'],
  [{ key: '?' }, '?'], [{ key: 'Shift' }, ''], [{ key: 'x', altKey: true }, 'alt+x'],
])('%o is %s', (init, name) => expect(keyName(new KeyboardEvent('keydown', init))).toBe(name));
