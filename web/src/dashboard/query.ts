/**
 * Asking for a panel's data: steps, macros, one request for identical questions, cancelling.
 *
 * Here: from a panel and a range to frames. Elsewhere: HTTP (`../api`), reading answers (`frames.ts`).
 *
 * Invariant: an identical question that is under way is not asked again, and it is cancelled when nobody waits any
 * more.
 */
import { queryInstant, queryRange } from '../api';
import type { Answer } from '../api';
import { instantFrames, nameTableValues, rangeFrames } from './frames';
import type { Asked, Frame } from './frames';
import { interpolateQuery, interpolateRaw, interpolateText } from './interpolate';
import type { Scope } from './interpolate';
import { intervalMs, intervals, macros, panelInterval } from './interval';
import type { Panel, Target } from './model';

export interface PanelData {
  frames: Frame[];
  asked: Asked[];
  /** What was asked for, milliseconds; other than the page's where the panel has its own. */
  range: { from: number; to: number };
}

interface Flight {
  promise: Promise<unknown>;
  abort: AbortController;
  waiting: number;
}

const flights = new Map<string, Flight>();

/** Joins a request with the same key or starts it; it is aborted when all who wait have aborted. */
function shared<T>(key: string, abort: AbortSignal, start: (signal: AbortSignal) => Promise<T>): Promise<T> {
  if (abort.aborted) return Promise.reject(new DOMException('Aborted', 'AbortError'));
  let flight = flights.get(key);
  if (!flight || flight.abort.signal.aborted) {
    const own = new AbortController();
    const started: Flight = { abort: own, waiting: 0, promise: start(own.signal) };
    const forget = () => {
      if (flights.get(key) === started) flights.delete(key);
    };
    started.promise.then(forget, forget);
    flights.set(key, started);
    flight = started;
  }
  const joined = flight;
  joined.waiting++;
  return new Promise<T>((resolve, reject) => {
    const leave = () => {
      joined.waiting--;
      if (joined.waiting === 0) joined.abort.abort();
      reject(new DOMException('Aborted', 'AbortError'));
    };
    abort.addEventListener('abort', leave, { once: true });
    joined.promise.then(
      (value) => {
        abort.removeEventListener('abort', leave);
        resolve(value as T);
      },
      (error: unknown) => {
        abort.removeEventListener('abort', leave);
        reject(error);
      },
    );
  });
}

/** `timeFrom` ("2h", "now/d" is not a length and is ignored) and `timeShift` ("1d") of a panel. */
export function panelRange(
  panel: Pick<Panel, 'timeFrom' | 'timeShift'>,
  range: { from: number; to: number },
): { from: number; to: number } {
  const length = intervalMs(panel.timeFrom?.replace(/^now-/, ''));
  const shift = intervalMs(panel.timeShift) ?? 0;
  const from = length === undefined ? range.from : range.to - length;
  return { from: from - shift, to: range.to - shift };
}

export interface Question {
  target: Target;
  expr: string;
  legend: string;
  instant: boolean;
  /** Seconds, multiples of the step. */
  start: number;
  end: number;
  step: number;
}

/** What a panel asks over `range` when it is `width` pixels wide. */
export function questions(panel: Panel, scope: Scope, range: { from: number; to: number }, width: number): Question[] {
  const at = panelRange(panel, range);
  const maxDataPoints = panel.maxDataPoints ?? Math.max(1, Math.round(width));
  const panelMin = intervalMs(interpolateRaw(panel.interval ?? '', scope));
  const common = { ...at, maxDataPoints, panelMin };
  return panel.targets
    .filter((t) => !t.hidden)
    .flatMap((target): Question[] => {
      const queryMin = interpolateRaw(target.interval, scope);
      const found = intervals({ ...common, queryMin, intervalFactor: target.intervalFactor });
      const full: Scope = { ...scope, extra: { ...macros(found, at.from, at.to), ...scope.extra } };
      const step = found.step / 1000;
      const base = {
        target,
        expr: interpolateQuery(target.expr, full).trim(),
        legend: target.legend === '__auto' ? '__auto' : interpolateText(target.legend, full),
        step,
        start: Math.floor(at.from / 1000 / step) * step,
        end: Math.floor(at.to / 1000 / step) * step,
      };
      const both = target.instant && target.range;
      return [{ ...base, instant: target.instant && !both }, ...(both ? [{ ...base, instant: true }] : [])];
    });
}

/** Scope with the panel's own `$__interval` and friends, for titles and text. */
export function panelScope(panel: Panel, scope: Scope, range: { from: number; to: number }, width: number): Scope {
  const at = panelRange(panel, range);
  const step = panelInterval({
    ...at,
    maxDataPoints: panel.maxDataPoints ?? Math.max(1, Math.round(width)),
    panelMin: intervalMs(interpolateRaw(panel.interval ?? '', scope)),
  });
  return {
    ...scope,
    extra: {
      ...macros({ step, rateInterval: Math.max(step + 15_000, 60_000), range: at.to - at.from }, at.from, at.to),
      ...scope.extra,
    },
  };
}

async function askOne(q: Question, at: { to: number }, abort: AbortSignal): Promise<{ frames: Frame[]; asked: Asked }> {
  const started = performance.now();
  const asked = (count: number, answer: Answer<unknown>): Asked => ({
    refId: q.target.refId,
    expr: q.expr,
    step: q.step,
    instant: q.instant,
    ms: Math.round(performance.now() - started),
    seriesCount: count,
    warnings: [...answer.warnings, ...answer.infos],
  });
  if (q.instant) {
    const time = at.to / 1000;
    const answer = await shared(`i ${time} ${q.expr}`, abort, (signal) => queryInstant(q.expr, time, signal));
    const frames = instantFrames(q.target, answer.data, q.legend);
    return { frames, asked: asked(Array.isArray(answer.data.result) ? answer.data.result.length : 0, answer) };
  }
  const span = { start: q.start, end: q.end, step: q.step };
  const answer = await shared(`r ${q.start} ${q.end} ${q.step} ${q.expr}`, abort, (signal) =>
    queryRange(q.expr, span, signal),
  );
  return { frames: rangeFrames(q.target, answer.data, span, q.legend), asked: asked(answer.data.length, answer) };
}

/** All of a panel's data; one failing query fails the panel, in its own words. */
export async function loadPanel(
  panel: Panel,
  scope: Scope,
  range: { from: number; to: number },
  width: number,
  abort: AbortSignal,
): Promise<PanelData> {
  const at = panelRange(panel, range);
  const asked = questions(panel, scope, range, width);
  const answers = await Promise.all(asked.map((q) => askOne(q, at, abort)));
  const tables = [...new Set(asked.filter((q) => q.target.format === 'table').map((q) => q.target.refId))];
  return {
    frames: nameTableValues(
      answers.flatMap((a) => a.frames),
      tables,
    ),
    asked: answers.map((a) => a.asked),
    range: at,
  };
}
