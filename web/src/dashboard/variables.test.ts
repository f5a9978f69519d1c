import { describe, expect, test } from 'vitest';
import { formatChoice, interpolateQuery, interpolateText, references } from './interpolate';
import type { Choice, Variable } from './model';
import {
  applyRegex,
  chooseOptions,
  customOptions,
  dependencyOrder,
  parseVariableQuery,
  sortOptions,
} from './variables';

const variable = (part: Partial<Variable>): Variable => ({
  name: 'v',
  label: 'v',
  type: 'query',
  query: '',
  regex: '',
  sort: 0,
  multi: false,
  includeAll: false,
  allValue: null,
  hide: 'no',
  current: { text: [], value: [] },
  ...part,
});
const choice = (...value: string[]): Choice => ({ text: value, value, all: false });
const options = (...values: string[]) => values.map((value) => ({ text: value, value }));

describe('text with variables', () => {
  const scope = {
    variables: [
      variable({ name: 'job' }),
      variable({ name: 'host', multi: true }),
      variable({ name: 'all', includeAll: true, allValue: '.+' }),
      variable({ name: 'every', includeAll: true, multi: true }),
    ],
    choices: {
      job: choice('a"b'),
      host: choice('10.0.0.1:9100', 'b'),
      all: { text: ['All'], value: ['x', 'y'], all: true },
      every: { text: ['All'], value: ['x', 'y+'], all: true },
    },
    extra: { __rate_interval: '1m', __from: '1000' },
  };
  test.each([
    ['up{job="$job"}', 'up{job="a\\"b"}'],
    ['up{instance=~"$host"}', 'up{instance=~"(10\\\\.0\\\\.0\\\\.1:9100|b)"}'],
    ['x{a=~"${all}"}', 'x{a=~".+"}'],
    ['x{a=~"[[every]]"}', 'x{a=~"(x|y\\\\+)"}'],
    ['rate(x[$__rate_interval])', 'rate(x[1m])'],
    ['${host:pipe} ${host:csv} ${host:glob}', '10.0.0.1:9100|b 10.0.0.1:9100,b {10.0.0.1:9100,b}'],
    ['[[host:pipe]]', '10.0.0.1:9100|b'],
    ['${host:regex}', '(10\\.0\\.0\\.1:9100|b)'],
    ['${__from:date:seconds}', '1'],
    ['$unknown ${unknown} [[unknown]] $5', '$unknown ${unknown} [[unknown]] $5'],
    ['no variables', 'no variables'],
  ])('%s', (text, expected) => expect(interpolateQuery(text, scope)).toBe(expected));
  test('titles show what was chosen', () =>
    expect(interpolateText('CPU of $host ($all)', scope)).toBe('CPU of 10.0.0.1:9100 + b (All)'));
  test('a single value of many is not put in brackets', () => {
    expect(interpolateQuery('$host', { ...scope, choices: { host: choice('a.b') } })).toBe('a\\\\.b');
  });
  test('references', () =>
    expect(references('a{x="$job", y=~"${host:pipe}"} [[all]] $__range')).toEqual(['job', 'host', 'all', '__range']));
});

test.each([
  ['raw', 'a,b'],
  ['text', 'a + b'],
  ['json', '["a","b"]'],
  ['queryparam', 'var-v=a&var-v=b'],
  ['percentencode', '%7Ba%2Cb%7D'],
  ['singlequote', "'a','b'"],
  ['doublequote', '"a","b"'],
  ['lucene', '("a" OR "b")'],
  ['distributed', 'a,v=b'],
  ['sqlstring', "'a','b'"],
  ['nonsense', undefined],
])('format %s', (format, expected) =>
  expect(formatChoice(variable({ multi: true }), choice('a', 'b'), format)).toBe(expected),
);
test('All in a link', () =>
  expect(formatChoice(variable({ includeAll: true }), { text: ['All'], value: ['a'], all: true }, 'queryparam')).toBe(
    'var-v=%24__all',
  ));

test.each([
  ['label_values(job)', { kind: 'label_values', label: 'job' }],
  ['label_values(up, job)', { kind: 'label_values', label: 'job', match: 'up' }],
  ['label_values(up{a="1",b=~"x|y"}, job) ', { kind: 'label_values', label: 'job', match: 'up{a="1",b=~"x|y"}' }],
  [
    'label_values({__name__=~"a_.*"},instance)',
    { kind: 'label_values', label: 'instance', match: '{__name__=~"a_.*"}' },
  ],
  ['label_names()', { kind: 'label_names' }],
  ['metrics(node_.*)', { kind: 'metrics', regex: 'node_.*' }],
  ['query_result(topk(5, sum(x) by (y)))', { kind: 'query_result', expr: 'topk(5, sum(x) by (y))' }],
  [
    'cnpg_collector_up{namespace=~"$namespace"}',
    { kind: 'series', match: 'cnpg_collector_up{namespace=~"$namespace"}' },
  ],
])('variable query %s', (text, expected) => expect(parseVariableQuery(text)).toEqual(expected));

test.each([
  ['no regex', ['a', 'a', 'b'], '', ['a', 'b']],
  ['filter', ['web-1', 'db-1'], '/web/', ['web-1']],
  ['bare regex matches the whole', ['argocd', 'my-argocd-x'], '.*argocd.*', ['argocd', 'my-argocd-x']],
  ['first group', ['x{namespace="a"} 1', 'x{namespace="b"} 1'], '/.*namespace="([^"]*).*/', ['a', 'b']],
  ['group named text', ['up{namespace="a",pod="p"}'], '/namespace="(?<text>[^"]+)/g', ['a']],
  ['several matches', ['a=1,b=2'], '/(\\w)=/', ['a', 'b']],
  ['a broken regex filters nothing', ['a'], '/(/', ['a']],
] as const)('regex: %s', (_name, values, regex, expected) =>
  expect(applyRegex(values, regex).map((o) => o.value)).toEqual(expected),
);
test('groups text and value', () => {
  expect(applyRegex(['name=disk,id=7'], '/name=(?<text>\\w+),id=(?<value>\\w+)/')).toEqual([
    { text: 'disk', value: '7' },
  ]);
});

test.each([
  [0, ['b', 'a10', 'a2']],
  [1, ['a10', 'a2', 'b']],
  [2, ['b', 'a2', 'a10']],
  [3, ['b', 'a2', 'a10']],
  [4, ['a10', 'a2', 'b']],
  [7, ['a2', 'a10', 'b']],
])('sort %d', (code, expected) =>
  expect(sortOptions(options('b', 'a10', 'a2'), code).map((o) => o.value)).toEqual(expected),
);

test('custom options', () => {
  expect(customOptions('a, native : -1,b\\,c')).toEqual([
    { text: 'a', value: 'a' },
    { text: 'native', value: '-1' },
    { text: 'b,c', value: 'b,c' },
  ]);
});

describe('which option is chosen', () => {
  const ofFile = { current: { text: ['b'], value: ['b'] } };
  const all = { current: { text: ['All'], value: ['$__all'] }, includeAll: true };
  test.each<[string, Partial<Variable>, string[] | undefined, string[], boolean]>([
    ['the URL wins', ofFile, ['c'], ['c'], false],
    ['then the file', ofFile, undefined, ['b'], false],
    [
      'a choice of the file that is no option here is dropped',
      { current: { text: ['zz'], value: ['zz'] } },
      undefined,
      ['a'],
      false,
    ],
    ['All of the file', all, undefined, ['a', 'b'], true],
    ['All from the URL', { includeAll: true }, ['$__all'], ['a', 'b'], true],
    ['All where nothing is chosen', { includeAll: true }, undefined, ['a', 'b'], true],
    ['several', { multi: true }, ['a', 'b'], ['a', 'b'], false],
    ['only one where one is allowed', {}, ['a', 'b'], ['a'], false],
  ])('%s', (_name, part, wanted, value, isAll) => {
    const chosen = chooseOptions(variable(part), options('a', 'b'), wanted, 3_600_000);
    expect([chosen.value, chosen.all]).toEqual([value, isAll]);
  });
  test('no options at all', () => expect(chooseOptions(variable({}), [], undefined, 1).value).toEqual(['']));
  test('automatic interval', () => {
    const auto = variable({ type: 'interval', auto: { count: 30, min: '10s' } });
    expect(chooseOptions(auto, [{ text: 'auto', value: '$__auto_interval_v' }], undefined, 3_600_000)).toEqual({
      text: ['auto'],
      value: ['2m'],
      all: false,
    });
  });
});

test('dependencies come first, circles do not hang', () => {
  const list = [
    variable({ name: 'c', query: 'x{b="$b"}' }),
    variable({ name: 'b', query: 'x{a="$a"}' }),
    variable({ name: 'a' }),
    variable({ name: 'p', query: '$q' }),
    variable({ name: 'q', query: '$p' }),
  ];
  expect(dependencyOrder(list).map((g) => g.map((v) => v.name))).toEqual([['a'], ['b'], ['c'], ['p', 'q']]);
});
