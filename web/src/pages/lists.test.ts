// Filtering and order of the lists: what is wrong comes first.
import { expect, test } from 'vitest';
import type { Rule, RuleGroup, Target } from '../api';
import { found } from '../ui/Parts';
import { wantedGroups } from './Alerts';
import { filterRules } from './Rules';
import { spaced } from './Status';
import { pools } from './Targets';

function target(scrapePool: string, instance: string, health: Target['health'], lastError = ''): Target {
  return {
    discoveredLabels: {}, labels: { instance, job: scrapePool }, scrapePool, scrapeUrl: `http://${instance}/metrics`, globalUrl: '',
    lastError, lastScrape: '', lastScrapeDuration: 0, health, scrapeInterval: '15s', scrapeTimeout: '10s',
  };
}

const TARGETS = [target('a', 'a1', 'up'), target('b', 'b1', 'up'), target('b', 'b2', 'down', 'connection refused'), target('c', 'c1', 'unknown')];

test('pools with trouble come first, and in them the targets that are down', () => {
  expect(pools(TARGETS, 'all', '').map((pool) => pool.name)).toEqual(['b', 'c', 'a']);
  expect(pools(TARGETS, 'all', '')[0]?.targets.map((t) => t.labels.instance)).toEqual(['b2', 'b1']);
});

test('a filter hides targets but not the count of its pool', () => {
  const [pool] = pools(TARGETS, 'down', '');
  expect(pool).toMatchObject({ name: 'b', up: 1, total: 2 });
  expect(pool?.targets).toHaveLength(1);
});

test.each([['refused', ['b2']], ['job=a', ['a1']], ['B1 metrics', ['b1']], ['nothing', []]])('search %s', (words, instances) => {
  expect(pools(TARGETS, 'all', words).flatMap((pool) => pool.targets.map((t) => t.labels.instance))).toEqual(instances);
});

function rule(name: string, more: Partial<Rule>): Rule {
  return { type: 'alerting', name, query: 'up == 0', health: 'ok', evaluationTime: 0, lastEvaluation: '', ...more };
}
const group = (name: string, ...rules: Rule[]): RuleGroup => ({ name, file: 'f', interval: 15, rules, evaluationTime: 0, lastEvaluation: '' });

const GROUPS = [
  group('calm', rule('Quiet', { state: 'inactive' }), rule('ratio', { type: 'recording', health: 'err' })),
  group('loud', rule('Soon', { state: 'pending' }), rule('Now', { state: 'firing', labels: { severity: 'critical' } })),
];

test('alerts: firing before pending before inactive, recording rules left out', () => {
  expect(wantedGroups(GROUPS, 'all', '').map((g) => g.rules.map((r) => r.name))).toEqual([['Now', 'Soon'], ['Quiet']]);
  expect(wantedGroups(GROUPS, 'pending', '').map((g) => g.rules.map((r) => r.name))).toEqual([['Soon']]);
  expect(wantedGroups(GROUPS, 'all', 'critical').map((g) => g.name)).toEqual(['loud']);
});

test('rules: groups with a failing rule first', () => {
  expect(filterRules([...GROUPS].reverse(), 'all', '').map((g) => g.name)).toEqual(['calm', 'loud']);
  expect(filterRules(GROUPS, 'failing', '').flatMap((g) => g.rules.map((r) => r.name))).toEqual(['ratio']);
  expect(filterRules(GROUPS, 'recording', '').flatMap((g) => g.rules)).toHaveLength(1);
});

test('a search finds all words in any order', () => {
  expect(found('B a', 'xa xb')).toBe(true);
  expect(found('', 'x')).toBe(true);
  expect(found('a c', 'xa xb')).toBe(false);
});

test.each([['startTime', 'Start time'], ['CWD', 'CWD'], ['GOMAXPROCS', 'GOMAXPROCS'], ['build_user', 'Build user'], ['storageRetention', 'Storage retention']])(
  '%s reads %s',
  (name, text) => expect(spaced(name)).toBe(text),
);
