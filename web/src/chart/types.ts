/**
 * What a graph is given. Only `name`, `t` and `v` are needed; the rest has sensible defaults.
 *
 * Here: the shapes shared by the graph's parts. Elsewhere: drawing (`uplot.ts`), joining and stacking (`plotdata.ts`).
 */

export type StackMode = 'none' | 'normal' | 'percent';
export type AxisPlacement = 'auto' | 'left' | 'right' | 'hidden';

export interface AxisOptions {
  placement?: AxisPlacement;
  label?: string;
  min?: number | null;
  max?: number | null;
  softMin?: number | null;
  softMax?: number | null;
  /** Base of a logarithmic scale; linear where absent. */
  log?: 2 | 10;
  centeredZero?: boolean;
  grid?: boolean;
}

export interface SeriesStyle {
  draw?: 'line' | 'bars' | 'points';
  interpolation?: 'linear' | 'smooth' | 'stepBefore' | 'stepAfter';
  lineWidth?: number;
  /** 0..100. */
  fill?: number;
  gradient?: 'none' | 'opacity';
  dash?: number[];
  points?: 'auto' | 'always' | 'never';
  pointSize?: number;
  /** True joins over every gap; a number joins over gaps of at most so many seconds. */
  spanNulls?: boolean | number;
  stack?: { mode: StackMode; group: string };
  /** Drawn below zero; what is read stays as it is. */
  negative?: boolean;
  /** Name of the series down to which the area is filled. */
  fillBelowTo?: string;
}

export interface Series {
  name: string;
  labels?: Record<string, string>;
  /** Unix seconds, ascending. */
  t: number[];
  /** Null where nothing is known. */
  v: (number | null)[];
  color?: string;
  /** Not drawn and not listed. */
  hidden?: boolean;
  unit?: string;
  decimals?: number | null;
  axis?: AxisOptions;
  style?: SeriesStyle;
  hideFromLegend?: boolean;
  hideFromTooltip?: boolean;
  /** How a value reads; by unit and decimals where absent. */
  format?: (value: number | null) => string;
}

export interface LegendOptions {
  show?: boolean;
  mode?: 'list' | 'table';
  placement?: 'bottom' | 'right';
  /** Reducer ids, in column order. */
  calcs?: string[];
  sortBy?: string;
  sortDesc?: boolean;
  width?: number;
}

export interface TooltipOptions {
  mode?: 'multi' | 'single' | 'none';
  sort?: 'none' | 'asc' | 'desc';
  hideZeros?: boolean;
}

/** Lines or areas at values, with concrete colours. */
export interface ThresholdMarks {
  steps: { value: number; color: string }[];
  lines?: boolean;
  areas?: boolean;
  dashed?: boolean;
}
