// @vitest-environment happy-dom
import { expect, test } from 'vitest';
import { fillUrl, safeUrl } from './links';
import { readDraft, fuzzyScore } from './DashboardsPage';
import { frameCsv } from './Inspect';

const scope = { variables: [], choices: {} };

test.each([
  ['https://example.org/a?b=1', 'https://example.org/a?b=1'],
  ['javascript:alert(1)', ''],
  [' JaVaScript:alert(1)', ''],
  ['data:text/html,x', ''],
  ['vbscript:x', ''],
  ['mailto:a@b.c', 'mailto:a@b.c'],
  ['/d/abc/some-slug?var-x=1', '/d/abc?var-x=1'],
  ['./d/abc/some-slug', '/d/abc'],
  ['d/abc', '/d/abc'],
])('link %s', (url, expected) => expect(safeUrl(url)).toBe(expected));

test('values of a row are encoded into a link', () => {
  const field = { name: 'pod', type: 'string' as const, values: ['a b&c'] };
  const shown = { field, frame: { refId: 'A', fields: [field] }, index: 0, name: 'pod', options: { custom: {} } };
  expect(fillUrl('/d/x?var-pod=${__data.fields.pod}', scope, { shown, row: 0, siblings: [shown] })).toBe(
    '/d/x?var-pod=a+b%26c',
  );
  expect(fillUrl('https://h/${__data.fields["pod"]}', scope, { shown, row: 0, siblings: [shown] })).toBe(
    'https://h/a%20b%26c',
  );
});

test('what is pasted is checked in words', () => {
  expect(() => readDraft('{')).toThrow(/not JSON/);
  expect(() => readDraft('{"a":1}')).toThrow(/no dashboard panels/);
  const draft = readDraft(
    JSON.stringify({ uid: 'u', title: 'T', panels: [{ type: 'heatmap', title: 'H', targets: [{ expr: 'x' }] }] }),
  );
  expect(draft).toMatchObject({ title: 'T', uid: 'u', panels: 1, missing: ['panel type heatmap'] });
});

test.each([
  ['System', 'sys', true],
  ['Node Exporter Full', 'nef', true],
  ['Redis', 'rds', true],
  ['Redis', 'xyz', false],
  ['Any', '', true],
])('%s is found by %s: %s', (text, query, found) => {
  expect(fuzzyScore(text, query) > 0).toBe(found);
});
test('a whole word beats scattered letters', () =>
  expect(fuzzyScore('API', 'api')).toBeGreaterThan(fuzzyScore('A PostgreSQL Instance', 'api')));

test('CSV: times, quotes, and no formulas', () => {
  const frame = {
    refId: 'A',
    fields: [
      { name: 'Time', type: 'time' as const, values: [0] },
      { name: 'n', type: 'string' as const, values: ['=cmd("x")'] },
      { name: 'v', type: 'number' as const, values: [-1.5] },
    ],
  };
  expect(frameCsv(frame)).toBe('Time,n,v\r\n1970-01-01T00:00:00.000Z,"\'=cmd(""x"")",-1.5');
});
