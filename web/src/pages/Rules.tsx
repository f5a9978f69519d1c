// Rules: recording and alerting rules by group, whether they evaluate and how long that takes.
import type { JSX } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import { type Rule, type RuleGroup, rules } from '../api';
import { plural } from '../format';
import { refreshCount, setRangeDefaults } from '../range';
import { place } from '../router';
import { formatDuration, humanDuration } from '../time';
import { Card, Empty, ErrorNote, LabelList, Loading, Page, State } from '../ui/Page';
import { Ago, Choice, found, Long, QueryLink, SearchField } from '../ui/Parts';
import { RefreshControl } from '../ui/RangePicker';
import { useLoad } from '../ui/useLoad';
import '../styles/lists.css';

function wanted(rule: Rule, kind: string): boolean {
  if (kind === 'failing') return rule.health === 'err';
  return kind === 'all' || rule.type === kind;
}

/** Groups with the rules that are wanted; failing ones first. */
export function filterRules(groups: RuleGroup[], kind: string, search: string): RuleGroup[] {
  const failing = (group: RuleGroup): number => (group.rules.some((rule) => rule.health === 'err') ? 0 : 1);
  return groups
    .map((group) => ({
      ...group,
      rules: group.rules.filter((rule) => wanted(rule, kind) && found(search, `${group.name} ${rule.name} ${rule.query}`)),
    }))
    .filter((group) => group.rules.length > 0)
    .sort((a, b) => failing(a) - failing(b));
}

function RuleRow({ rule, now }: { rule: Rule; now: number }): JSX.Element {
  return (
    <li class="rule record">
      <div class="record-head">
        <span class="rule-name">{rule.name}</span>
        <span class="label">{rule.type}</span>
        <span class="grow" />
        <span class="mute">
          <Ago at={rule.lastEvaluation} now={now} /> in {humanDuration(rule.evaluationTime)}
        </span>
        <State tone={rule.health === 'ok' ? 'ok' : rule.health === 'err' ? 'bad' : 'mute'}>
          {rule.health === 'err' ? 'error' : rule.health}
        </State>
      </div>
      <QueryLink expr={rule.query} />
      {rule.labels && <LabelList labels={rule.labels} />}
      {rule.lastError && <p class="note bad pre">{rule.lastError}</p>}
    </li>
  );
}

export function RulesPage(): JSX.Element {
  useEffect(() => setRangeDefaults({ refresh: '30s' }), []);
  const { data, error, loading } = useLoad((signal) => rules(undefined, signal), [refreshCount.value]);
  const kind = place.value.params.get('type') ?? 'all';
  const search = place.value.params.get('q') ?? '';
  const shown = useMemo(() => filterRules(data ?? [], kind, search), [data, kind, search]);
  const all = (data ?? []).flatMap((group) => group.rules);
  const failing = all.filter((rule) => rule.health === 'err').length;
  const now = Date.now();
  return (
    <Page
      title="Rules"
      lead={data && `${plural(all.length, 'rule')} in ${plural(data.length, 'group')}, ${failing} failing`}
      actions={<RefreshControl />}
    >
      <div class="filters">
        <Choice
          param="type"
          label="Kind"
          options={[
            { value: 'all', text: 'All' },
            { value: 'recording', text: 'Recording' },
            { value: 'alerting', text: 'Alerting' },
            { value: 'failing', text: <>Failing <span class="count plain">{failing}</span></> },
          ]}
        />
        <SearchField label="Search rules" />
      </div>
      {error !== undefined && <ErrorNote error={error} />}
      {!data && loading && <Loading what="rules" />}
      {data && shown.length === 0 && (
        <Empty icon="rules" title={all.length ? 'No rule matches' : 'No rules'}>
          {all.length ? 'Widen the search or the filter.' : 'Rules come from the files under rule_files in the configuration.'}
        </Empty>
      )}
      <div class="stack">
        {shown.map((group) => (
          <Card
            key={group.file + group.name}
            title={group.name}
            aside={
              <>
                <span class="file">{group.file}</span>
                <span title="Time the last evaluation of the group took, and how often it is evaluated">
                  {humanDuration(group.evaluationTime)} / {formatDuration(group.interval)}
                </span>
              </>
            }
          >
            <Long items={group.rules} what="rules">
              {(items) => (
                <ul class="rule-list">
                  {items.map((rule, i) => (
                    <RuleRow key={`${rule.name}${i}`} rule={rule} now={now} />
                  ))}
                </ul>
              )}
            </Long>
          </Card>
        ))}
      </div>
    </Page>
  );
}
