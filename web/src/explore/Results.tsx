// What Explore's queries gave: a graph of all, or a table for each.
import type { JSX } from 'preact';
import type { QueryData } from '../api';
import { TimeSeries } from '../chart/TimeSeries';
import type { Series } from '../chart/types';
import { parseValue, seriesName } from '../matrix';
import { plain, plural } from '../format';
import { formatTime } from '../prefs';
import { range, setRange, zoomOut } from '../range';
import { ErrorNote, Empty } from '../ui/Page';
import { Icon } from '../ui/icons';
import { Long } from '../ui/Parts';
import { mistake } from './parseError';
import type { Outcome, Ran } from './run';
import { letter } from './url';

/** An error with the place in the expression, where the server named one. */
export function QueryError({ error, expr }: { error: unknown; expr: string }): JSX.Element {
  const { text, at } = mistake(error instanceof Error ? error.message : String(error), expr);
  if (!at) return <ErrorNote error={error} />;
  return (
    <div class="note bad" role="alert">
      <Icon name="cross" />
      <div class="grow">
        <strong>
          Line {at.lineNumber}, column {at.column + 1}:
        </strong>{' '}
        {text}
        <pre class="where">
          {at.line}
          {'\n'}
          {' '.repeat(at.column)}^
        </pre>
      </div>
    </div>
  );
}

function Cell({ labels }: { labels: Record<string, string> }): JSX.Element {
  const { __name__: name, ...rest } = labels;
  const keys = Object.keys(rest).sort();
  return (
    <span class="series mono">
      {name}
      {(keys.length > 0 || !name) && '{'}
      {keys.map((key, i) => (
        <span key={key}>
          <span class="series-key">{key}</span>=<span class="series-value">{JSON.stringify(rest[key])}</span>
          {i < keys.length - 1 ? ', ' : ''}
        </span>
      ))}
      {(keys.length > 0 || !name) && '}'}
    </span>
  );
}

function VectorTable({ data, expr }: { data: QueryData; expr: string }): JSX.Element {
  if (data.resultType === 'scalar' || data.resultType === 'string') {
    return <Rows caption={expr} rows={[{ key: data.resultType, labels: { __name__: data.resultType }, values: [data.result[1]] }]} />;
  }
  if (data.resultType === 'matrix') {
    const rows = data.result.map((series) => ({
      key: seriesName(series.metric),
      labels: series.metric,
      values: (series.values ?? []).map(([time, value]) => `${value} @ ${formatTime(time * 1000)}`),
    }));
    return <Rows caption={expr} rows={rows} />;
  }
  const rows = data.result.map((sample) => ({
    key: seriesName(sample.metric),
    labels: sample.metric,
    values: [sample.value ? plain(parseValue(sample.value[1])) : histogramText(sample.histogram?.[1])],
    exact: sample.value?.[1],
  }));
  return <Rows caption={expr} rows={rows} />;
}

function histogramText(histogram: unknown): string {
  const { count, sum } = (histogram ?? {}) as { count?: string; sum?: string };
  return `histogram: count ${count ?? '?'}, sum ${sum ?? '?'}`;
}

interface Row {
  key: string;
  labels: Record<string, string>;
  values: string[];
  /** The value as the server wrote it. */
  exact?: string;
}

function Rows({ rows, caption }: { rows: Row[]; caption: string }): JSX.Element {
  return (
    <Long items={rows} first={300} what="rows">
      {(shown) => (
        <div class="table-wrap" tabIndex={0} role="region" aria-label={`Result of ${caption}`}>
          <table class="result">
            <caption class="sr">{caption}</caption>
            <thead>
              <tr>
                <th scope="col">Series</th>
                <th scope="col" class="num">
                  Value
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map((row) => (
                <tr key={row.key}>
                  <td>
                    <Cell labels={row.labels} />
                  </td>
                  <td class="num mono" title={row.exact}>
                    {row.values.map((value, i) => (
                      <div key={i}>{value}</div>
                    ))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Long>
  );
}

function sizeOf(outcome: Outcome): number {
  if (!outcome.data) return outcome.series.length;
  return outcome.data.resultType === 'vector' || outcome.data.resultType === 'matrix' ? outcome.data.result.length : 1;
}

function Facts({ ran }: { ran: Ran }): JSX.Element {
  const total = ran.outcomes.reduce((sum, outcome) => sum + sizeOf(outcome), 0);
  const slowest = Math.max(0, ...ran.outcomes.map((outcome) => outcome.ms));
  return (
    <p class="result-facts">
      {plural(total, 'series', 'series')}, {Math.round(slowest)} ms{ran.tab === 'graph' ? `, a point every ${ran.step.step} s` : ''}
    </p>
  );
}

export function Results({ ran }: { ran: Ran }): JSX.Element {
  const notes = ran.outcomes.flatMap((outcome) => outcome.notes.map((note) => `${letter(outcome.index)}: ${note}`));
  const good = ran.outcomes.filter((outcome) => outcome.error === undefined);
  return (
    <>
      {notes.length > 0 && (
        <div class="note warn result-notes">
          <Icon name="warning" />
          <ul>
            {notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        </div>
      )}
      {good.length > 0 && <Facts ran={ran} />}
      {good.length > 0 && (ran.tab === 'graph' ? <Graph outcomes={good} /> : <Tables outcomes={good} />)}
    </>
  );
}

function Graph({ outcomes }: { outcomes: Outcome[] }): JSX.Element {
  const series = outcomes.flatMap((outcome) => outcome.series);
  if (series.length === 0) return <NoResult />;
  return (
    <div class="result-graph" data-state="drawn">
      <TimeSeries
        series={series}
        range={range.value}
        unit={unitFor(series)}
        fill={series.length > 3 ? 0 : 8}
        height={Math.min(340 + 25 * series.length, 620)}
        legend={{ mode: 'table', calcs: ['lastNotNull', 'min', 'max'] }}
        onZoom={(from, to) => setRange(from, to)}
        onZoomOut={zoomOut}
        ariaLabel={outcomes.map((outcome) => outcome.expr).join(', ')}
      />
    </div>
  );
}

/** Prefixes from a thousand on; below one, `0.8` reads better than `800 m`. */
function unitFor(series: Series[]): string {
  return series.some((s) => s.v.some((value) => value !== null && Math.abs(value) >= 1000)) ? 'sishort' : 'none';
}

function Tables({ outcomes }: { outcomes: Outcome[] }): JSX.Element {
  return (
    <>
      {outcomes.map((outcome) => (
        <section key={outcome.index} aria-label={`Result of ${letter(outcome.index)}`}>
          {outcomes.length > 1 && (
            <h3 class="result-title">
              <span class="letter">{letter(outcome.index)}</span> <code>{outcome.expr}</code>
            </h3>
          )}
          {outcome.data && sizeOf(outcome) > 0 ? <VectorTable data={outcome.data} expr={outcome.expr} /> : <NoResult />}
        </section>
      ))}
    </>
  );
}

function NoResult(): JSX.Element {
  return (
    <Empty icon="search" title="No series">
      The expression is right, but nothing in this time range matches it.
    </Empty>
  );
}
