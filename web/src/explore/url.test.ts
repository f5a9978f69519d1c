// Explore's URL: round trips, and the links that Prometheus writes.
import { describe, expect, test } from 'vitest';
import { mistake } from './parseError';
import { type ExploreState, fromPrometheus, readExplore, writeExplore } from './url';

describe('round trips', () => {
  const states: ExploreState[] = [
    { queries: [{ expr: '', hidden: false }], tab: 'graph', step: null },
    { queries: [{ expr: 'up{job="a&b=c"} > 0 # 100 %', hidden: false }], tab: 'table', step: null },
    { queries: [{ expr: 'up', hidden: true }, { expr: '', hidden: false }, { expr: 'rate(x[5m])\n/ 2', hidden: false }], tab: 'graph', step: 30 },
    { queries: [{ expr: 'up', hidden: false }], tab: 'graph', step: 0.25 },
  ];
  test.each(states)('%o', (state) => {
    const text = writeExplore(state, new URLSearchParams()).toString();
    expect(readExplore(new URLSearchParams(text))).toEqual(state);
  });

  test('the range and other parameters stay, old queries go', () => {
    const before = new URLSearchParams('g0.expr=a&g1.expr=b&from=now-3h&theme=dark&tab=table&step=15');
    const after = writeExplore({ queries: [{ expr: 'c', hidden: false }], tab: 'graph', step: null }, before);
    expect(after.toString()).toBe('g0.expr=c&from=now-3h&theme=dark');
  });
});

describe('links of Prometheus', () => {
  const cases: [from: string, to: string][] = [
    ['g0.expr=up&g0.tab=0&g0.range_input=1h', 'g0.expr=up&from=now-1h&to=now'],
    ['g0.expr=up&g0.tab=1', 'g0.expr=up&tab=table'],
    ['g0.expr=up&g0.tab=table&g0.show_tree=0', 'g0.expr=up&tab=table'],
    ['g0.expr=up&g0.tab=0&g0.step_input=30&g0.range_input=90m', 'g0.expr=up&step=30&from=now-90m&to=now'],
    ['g0.expr=up&g0.tab=0&g0.range_input=1h&g0.end_input=2026-05-13+14:00:00', 'g0.expr=up&from=1778677200000&to=1778680800000'],
    ['g0.expr=a&g0.tab=0&g1.expr=b&g1.tab=0&g1.range_input=2d', 'g0.expr=a&g1.expr=b'],
    ['g0.expr=up&g0.stacked=0&g0.display_mode=lines&g0.show_exemplars=0&g0.range_input=1w', 'g0.expr=up&from=now-7d&to=now'],
  ];
  test.each(cases)('%s', (from, to) => expect(fromPrometheus(new URLSearchParams(from))?.toString()).toBe(to));

  test.each(['', 'g0.expr=up', 'g0.expr=up&tab=table&from=now-1h&to=now', 'g0.expr=up&g0.hide=1'])('%s is ours already', (query) => {
    expect(fromPrometheus(new URLSearchParams(query))).toBeNull();
  });

  test('a translated link is not translated again', () => {
    const once = fromPrometheus(new URLSearchParams(cases[0]?.[0]));
    expect(once && fromPrometheus(once)).toBeNull();
  });
});

describe('places of mistakes', () => {
  test.each([
    ['invalid parameter "query": 1:5: parse error: unexpected x', 'sum(x', { text: 'unexpected x', column: 4, lineNumber: 1, line: 'sum(x' }],
    ['2:1: parse error: unexpected <op:/>', 'a\n/ b', { text: 'unexpected <op:/>', column: 0, lineNumber: 2, line: '/ b' }],
    ['1:99: parse error: end', 'up', { text: 'end', column: 2, lineNumber: 1, line: 'up' }],
  ])('%s', (message, expr, { text, ...at }) => expect(mistake(message, expr)).toEqual({ text, at }));

  test.each([
    ['query timed out in expression evaluation', 'up'],
    ['7:1: parse error: beyond the text', 'up'],
    ['dial tcp 10.0.0.1:9090: refused', 'up'],
  ])('%s has none', (message, expr) => expect(mistake(message, expr)).toEqual({ text: message, at: null }));
});
