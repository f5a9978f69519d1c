// Alerts: every alerting rule with its state, and the alerts it has active.
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { type Alert, type Rule, type RuleGroup, rules } from '../api';
import { moment, plain, plural } from '../format';
import { parseValue } from '../matrix';
import { formatTime } from '../prefs';
import { refreshCount, setRangeDefaults } from '../range';
import { place } from '../router';
import { formatDuration, humanDuration } from '../time';
import { Icon } from '../ui/icons';
import { Card, Empty, ErrorNote, LabelList, Loading, Page, State, type Tone } from '../ui/Page';
import { Ago, Choice, found, Long, QueryLink, SearchField } from '../ui/Parts';
import { RefreshControl } from '../ui/RangePicker';
import { useLoad } from '../ui/useLoad';
import '../styles/lists.css';

type AlertState = NonNullable<Rule['state']>;

const TONES: Record<AlertState, Tone> = { firing: 'bad', pending: 'warn', inactive: 'ok' };
const ORDER: Record<AlertState, number> = { firing: 0, pending: 1, inactive: 2 };

const stateOf = (rule: Rule): AlertState => rule.state ?? 'inactive';

/** Groups with the rules that are wanted, the most urgent first. */
export function wantedGroups(groups: RuleGroup[], state: string, search: string): RuleGroup[] {
  const urgency = (group: RuleGroup): number => Math.min(...group.rules.map((rule) => ORDER[stateOf(rule)]));
  return groups
    .map((group) => ({
      ...group,
      rules: group.rules
        .filter((rule) => rule.type === 'alerting' && (state === 'all' || stateOf(rule) === state))
        .filter((rule) => found(search, ruleText(group, rule)))
        .sort((a, b) => ORDER[stateOf(a)] - ORDER[stateOf(b)]),
    }))
    .filter((group) => group.rules.length > 0)
    .sort((a, b) => urgency(a) - urgency(b));
}

function ruleText(group: RuleGroup, rule: Rule): string {
  const alerts = (rule.alerts ?? []).map((alert) => Object.entries(alert.labels).map((pair) => pair.join('=')).join(' '));
  return [group.name, rule.name, rule.query, ...Object.values(rule.labels ?? {}), ...alerts].join(' ');
}

function AlertRow({ alert, rule, now }: { alert: Alert; rule: Rule; now: number }): JSX.Element {
  const since = moment(alert.activeAt);
  const text = alert.annotations.summary ?? alert.annotations.message ?? alert.annotations.description;
  const firesIn = since !== null && alert.state === 'pending' ? (rule.duration ?? 0) - (now - since) / 1000 : 0;
  return (
    <li class="alert">
      <div class="alert-head">
        <State tone={TONES[alert.state]}>{alert.state}</State>
        {text && <strong class="grow">{text}</strong>}
      </div>
      {alert.annotations.description && alert.annotations.description !== text && (
        <p class="mute pre">{alert.annotations.description}</p>
      )}
      <LabelList labels={alert.labels} without={['alertname']} />
      <p class="alert-facts">
        <span>
          Value <b class="mono">{plain(parseValue(alert.value))}</b>
        </span>
        {since !== null && (
          <span>
            Since {formatTime(since)} (<Ago at={since} now={now} />)
          </span>
        )}
        {firesIn > 0 && <span>Fires in {humanDuration(firesIn)}</span>}
        {alert.annotations.runbook_url && /^https?:/.test(alert.annotations.runbook_url) && (
          <a href={alert.annotations.runbook_url} target="_blank" rel="noreferrer">
            Runbook
          </a>
        )}
      </p>
    </li>
  );
}

function RuleRow({ rule, now }: { rule: Rule; now: number }): JSX.Element {
  const state = stateOf(rule);
  const alerts = useMemo(
    () => [...(rule.alerts ?? [])].sort((a, b) => ORDER[a.state] - ORDER[b.state]),
    [rule],
  );
  const [chosen, setChosen] = useState<boolean | null>(null);
  // Open while it needs attention, unless the reader decided otherwise.
  const open = chosen ?? state === 'firing';
  return (
    <li class="rule">
      <button type="button" class="rule-face" aria-expanded={open} onClick={() => setChosen(!open)}>
        <Icon name="chevron" size={16} />
        <span class="rule-name">{rule.name}</span>
        {rule.labels?.severity && <span class="label">{rule.labels.severity}</span>}
        {rule.health === 'err' && <State tone="bad">evaluation fails</State>}
        <span class="grow" />
        {alerts.length > 0 && <span class="mute">{plural(alerts.length, 'alert')}</span>}
        <State tone={TONES[state]}>{state}</State>
      </button>
      {rule.lastError && <p class="note bad pre rule-error">{rule.lastError}</p>}
      {open && (
        <div class="rule-body">
          <QueryLink expr={rule.query} />
          <p class="alert-facts">
            <span>For {formatDuration(rule.duration ?? 0)}</span>
            {!!rule.keepFiringFor && <span>Keeps firing for {formatDuration(rule.keepFiringFor)}</span>}
            <span>
              Evaluated <Ago at={rule.lastEvaluation} now={now} /> in {humanDuration(rule.evaluationTime)}
            </span>
          </p>
          {alerts.length > 0 && (
            <Long items={alerts} first={50} what="alerts">
              {(items) => (
                <ul class="alert-list">
                  {items.map((alert) => (
                    <AlertRow key={JSON.stringify(alert.labels)} alert={alert} rule={rule} now={now} />
                  ))}
                </ul>
              )}
            </Long>
          )}
        </div>
      )}
    </li>
  );
}

export function AlertsPage(): JSX.Element {
  useEffect(() => setRangeDefaults({ refresh: '10s' }), []);
  const { data, error, loading } = useLoad((signal) => rules('alert', signal), [refreshCount.value]);
  const state = place.value.params.get('state') ?? 'all';
  const search = place.value.params.get('q') ?? '';
  const all = useMemo(() => (data ?? []).flatMap((group) => group.rules.filter((rule) => rule.type === 'alerting')), [data]);
  const shown = useMemo(() => wantedGroups(data ?? [], state, search), [data, state, search]);
  const countOf = (wanted: AlertState): number => all.filter((rule) => stateOf(rule) === wanted).length;
  const now = Date.now();
  const choice = (value: AlertState, text: string): { value: string; text: JSX.Element } => ({
    value,
    text: <>{text} <span class="count plain">{countOf(value)}</span></>,
  });
  return (
    <Page title="Alerts" lead={data && summary(countOf('firing'), countOf('pending'), all.length)} actions={<RefreshControl />}>
      <div class="filters">
        <Choice
          param="state"
          label="State"
          options={[{ value: 'all', text: <>All</> }, choice('firing', 'Firing'), choice('pending', 'Pending'), choice('inactive', 'Inactive')]}
        />
        <SearchField label="Search rules and labels" />
      </div>
      {error !== undefined && <ErrorNote error={error} />}
      {!data && loading && <Loading what="alerts" />}
      {data && shown.length === 0 && (
        <Empty icon="bell" title={all.length ? 'No rule matches' : 'No alerting rules'}>
          {all.length ? 'Widen the search or the filter.' : 'Alerting rules come from the files under rule_files in the configuration.'}
        </Empty>
      )}
      <div class="stack">
        {shown.map((group) => (
          <Card key={group.file + group.name} title={group.name} aside={<span class="file">{group.file}</span>}>
            <ul class="rule-list">
              {group.rules.map((rule, i) => (
                <RuleRow key={`${rule.name}${i}`} rule={rule} now={now} />
              ))}
            </ul>
          </Card>
        ))}
      </div>
    </Page>
  );
}

function summary(firing: number, pending: number, total: number): string {
  if (total === 0) return '';
  if (firing === 0 && pending === 0) return `All quiet: ${plural(total, 'rule')} watch, none is active`;
  return `${firing} firing, ${pending} pending of ${plural(total, 'rule')}`;
}
