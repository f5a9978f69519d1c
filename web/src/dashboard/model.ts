/**
 * A dashboard as the page needs it, whatever schema its file had.
 *
 * Here: types. Elsewhere: older schemas to the newest (`migrate.ts`), the newest to this (`parse.ts`).
 *
 * Invariant: reading never changes the file; the raw JSON stays what is saved.
 */
import type { FieldLink } from '../chart/field';
import type { Json } from './json';

export interface Dashboard {
  uid: string;
  title: string;
  description: string;
  tags: string[];
  time: { from: string; to: string };
  refresh: string;
  /** '' or 'browser' for the reader's zone. */
  timezone: string;
  /** Whether graphs share their crosshair. */
  crosshair: boolean;
  variables: Variable[];
  sections: Section[];
  links: DashboardLink[];
  /** What this page cannot show, by name; empty where all is shown. */
  unsupported: Unsupported[];
}

export interface Unsupported {
  /** E.g. `panel type heatmap`. */
  what: string;
  /** Titles of the panels concerned; empty where it concerns the dashboard. */
  where: string[];
}

export interface DashboardLink {
  title: string;
  url: string;
  tags: string[];
  kind: 'link' | 'dashboards';
  newTab: boolean;
  keepTime: boolean;
  includeVars: boolean;
}

/** Panels under one row heading; the first section of a dashboard may have none. */
export interface Section {
  key: string;
  title: string | null;
  collapsed: boolean;
  /** Variable by whose values the row is repeated. */
  repeat?: string;
  panels: Panel[];
}

export interface Grid {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Panel {
  id: number;
  type: string;
  title: string;
  description: string;
  grid: Grid;
  transparent: boolean;
  targets: Target[];
  defaults: Json;
  overrides: Override[];
  options: Json;
  transformations: Transformation[];
  /** Least step, as written; may hold a variable. */
  interval?: string;
  maxDataPoints?: number;
  timeFrom?: string;
  timeShift?: string;
  repeat?: { variable: string; direction: 'h' | 'v'; maxPerRow: number };
  links: FieldLink[];
  /** Why there is no data for it here, e.g. another data source. */
  noDataReason?: string;
}

export interface Target {
  refId: string;
  expr: string;
  legend: string;
  instant: boolean;
  range: boolean;
  format: 'time_series' | 'table' | 'heatmap';
  /** Least step, as written; may hold a variable. */
  interval: string;
  intervalFactor: number;
  hidden: boolean;
}

export interface Override {
  matcher: { id: string; options: unknown };
  properties: { id: string; value: unknown }[];
}

export interface Transformation {
  id: string;
  options: Json;
}

export type VariableType = 'query' | 'datasource' | 'custom' | 'interval' | 'constant' | 'textbox' | 'adhoc';

export interface Variable {
  name: string;
  label: string;
  type: VariableType;
  query: string;
  regex: string;
  /** Grafana's codes: 0 as is, odd rising, even falling; pairs alphabetical, numerical, case-blind, natural. */
  sort: number;
  multi: boolean;
  includeAll: boolean;
  allValue: string | null;
  hide: 'no' | 'label' | 'variable';
  /** Written choice; empty where the file has none. */
  current: { text: string[]; value: string[] };
  auto?: { count: number; min: string };
}

/** What a variable stands for now. */
export interface Choice {
  text: string[];
  value: string[];
  /** `All` is chosen; `value` then holds every option. */
  all: boolean;
}

export interface Option {
  text: string;
  value: string;
}
