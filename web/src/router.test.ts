// Paths, parameters and the prefix the server is mounted under.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { link, match, navigate, place, setParams, startRouter } from './router';

let base: HTMLBaseElement;
let stop: () => void;

function mount(prefix: string): void {
  base = document.createElement('base');
  base.href = prefix;
  document.head.append(base);
  stop = startRouter();
}

beforeEach(() => mount('/'));
afterEach(() => {
  stop();
  base.remove();
  document.body.replaceChildren();
});

describe('match', () => {
  const cases: [pattern: string, path: string, parts: Record<string, string> | null][] = [
    ['/', '/', {}],
    ['/', '/targets', null],
    ['/targets', '/targets', {}],
    ['/targets', '/targets/x', null],
    ['/d/:uid', '/d/abc', { uid: 'abc' }],
    ['/d/:uid', '/d', null],
    ['/d/:uid/:slug', '/d/abc/my-board', { uid: 'abc', slug: 'my-board' }],
    ['/d/:uid', '/d/a%2Fb', { uid: 'a/b' }],
    ['/d/:uid', '/d/%zz', { uid: '%zz' }],
    ['*', '/anything/at/all', {}],
    ['*', '/', {}],
  ];
  test.each(cases)('%s on %s', (pattern, path, parts) => expect(match(pattern, path)).toEqual(parts));
});

describe('places', () => {
  test('a link holds the prefix, the path in code does not', () => {
    base.href = '/grafana/';
    expect(link('/explore', { 'g0.expr': 'up{job="a b"}' })).toBe('/grafana/explore?g0.expr=up%7Bjob%3D%22a+b%22%7D');
    navigate('/targets');
    expect(window.location.pathname).toBe('/grafana/targets');
    expect(place.value.path).toBe('/targets');
    base.href = '/';
  });

  test('the prefix itself is the home page, with and without its slash', () => {
    base.href = '/cairn/';
    navigate('/');
    expect(place.value.path).toBe('/');
    window.history.replaceState(null, '', '/cairn');
    window.dispatchEvent(new PopStateEvent('popstate'));
    expect(place.value.path).toBe('/');
    base.href = '/';
  });

  test('a trailing slash names the same page', () => {
    navigate('/targets/');
    expect(place.value.path).toBe('/targets');
  });

  test('setParams keeps the others and drops the empty', () => {
    navigate('/explore', { a: '1', b: '2' });
    setParams({ a: null, c: '3' });
    expect(place.value.params.toString()).toBe('b=2&c=3');
  });

  test('setParams without a change leaves no entry for the back button', () => {
    navigate('/explore', { a: '1' });
    const before = window.history.length;
    setParams({ a: '1' });
    expect(window.history.length).toBe(before);
  });
});

describe('clicks', () => {
  function click(href: string, init: MouseEventInit = {}, attributes: Record<string, string> = {}): boolean {
    const anchor = document.createElement('a');
    anchor.href = href;
    for (const [name, value] of Object.entries(attributes)) anchor.setAttribute(name, value);
    document.body.append(anchor);
    const event = new MouseEvent('click', { bubbles: true, cancelable: true, ...init });
    // What the router leaves alone must not make the test's document go anywhere.
    anchor.addEventListener('click', (e) => queueMicrotask(() => e.preventDefault()));
    anchor.dispatchEvent(event);
    return event.defaultPrevented;
  }

  test('a plain link below the prefix is followed without loading', () => {
    navigate('/');
    expect(click(link('/alerts', { state: 'firing' }))).toBe(true);
    expect(place.value.path).toBe('/alerts');
    expect(place.value.params.get('state')).toBe('firing');
  });

  test.each([
    ['with ctrl', link('/alerts'), { ctrlKey: true }, {}],
    ['to a new tab', link('/alerts'), {}, { target: '_blank' }],
    ['to another site', 'https://example.org/alerts', {}, { target: '_blank' }],
    ['to the API', '/api/v1/targets', { ctrlKey: false, metaKey: true }, {}],
    ['as a download', link('/x'), { shiftKey: true }, { download: '' }],
  ])('a click %s is left to the browser', (_name, href, init, attributes) => {
    navigate('/');
    expect(click(href, init, attributes)).toBe(false);
    expect(place.value.path).toBe('/');
  });
});
