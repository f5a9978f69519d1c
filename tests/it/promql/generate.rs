//! Random queries over the series of `data`.
//!
//! Here: a grammar with dice. Queries mostly make sense; some fail, and have to fail alike.
#![allow(dead_code, reason = "the differential test and the engine's own tests each use their part")]

use super::data::{INTERVAL_MS, SAMPLES, START_MS};
use super::random::Random;

/// Which language the queries are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// What Prometheus 3.5 knows, functions it calls experimental included.
    Prometheus35,
    /// All that 3.14 keeps behind feature flags, too.
    Extended,
}

/// Dice with a seed.
pub(crate) struct Generator {
    random: Random,
    language: Language,
}

/// Times of a query in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// Exact ones, which may stand anywhere in a query.
const EXACT_FUNCTIONS: [&str; 13] = [
    "abs",
    "ceil",
    "floor",
    "sqrt",
    "sgn",
    "deg",
    "rad",
    "round",
    "timestamp",
    "absent",
    "sort",
    "sort_desc",
    "histogram_count",
];
const CALENDAR: [&str; 8] =
    ["hour", "minute", "month", "year", "day_of_week", "day_of_month", "day_of_year", "days_in_month"];
/// Libraries differ in the last bit of these, and what is computed from them can show it: they stand outermost only.
const INEXACT_FUNCTIONS: [&str; 16] = [
    "exp", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh",
    "acosh", "atanh",
];
const RANGE_FUNCTIONS: [&str; 25] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "deriv",
    "changes",
    "resets",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "present_over_time",
    "absent_over_time",
    "mad_over_time",
    "ts_of_min_over_time",
    "ts_of_max_over_time",
    "ts_of_last_over_time",
    "rate",
    "increase",
    "sum_over_time",
];
/// Those of 3.14 that 3.5 lacks.
const NEWER_RANGE_FUNCTIONS: [&str; 2] = ["first_over_time", "ts_of_first_over_time"];
const HISTOGRAM_FUNCTIONS: [&str; 5] =
    ["histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar"];
const AGGREGATIONS: [&str; 8] = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
const FLOAT_SELECTORS: [&str; 20] = [
    "requests_total",
    "requests_total{status=\"500\"}",
    "requests_total{job=\"api\"}",
    "requests_total{job=\"web\", instance!=\"0\"}",
    "gauge",
    "gauge{instance=\"0\"}",
    "gauge2",
    "late",
    "limit",
    "spiky",
    "spiky{job=\"api\"}",
    "latency_bucket",
    "latency_bucket{le=\"+Inf\"}",
    "odd_bucket",
    "{__name__=~\"gauge|limit\"}",
    "{__name__=~\"gauge2|late\"}",
    "gauge{job=~\"w.*\"}",
    "{\"http.requests\"}",
    "{\"http.requests\", \"k8s.pod\"=~\"p.*\"}",
    "nothing",
];
const HISTOGRAM_SELECTORS: [&str; 10] = [
    "native",
    "native{job=\"api\"}",
    "native{instance=\"1\"}",
    "native_gauge",
    "custom",
    "custom{instance=\"1\"}",
    "mixed",
    "rebound",
    "{__name__=~\"native|native_gauge\"}",
    "{__name__=~\"native|custom|gauge\", instance=\"0\"}",
];
const DURATIONS: [&str; 10] = ["15s", "29s", "1m", "90s", "5m", "7m", "20m", "1h", "1m30s500ms", "4m15s"];
const GROUPINGS: [&str; 10] = [
    "",
    "",
    "by (job) ",
    "by (instance, job) ",
    "without (instance) ",
    "by (__name__) ",
    "without (status, le) ",
    "by (nothing) ",
    "by (le) ",
    "by (\"k8s.pod\", job) ",
];
const MATCHINGS: [&str; 11] = [
    "",
    "on (job, instance) ",
    "on (instance) ",
    "ignoring (status) ",
    "ignoring (status, le) ",
    "on (job, instance) group_left () ",
    "on (job, instance) group_right (status) ",
    "ignoring (status) group_left () ",
    "on (job, instance) group_left (version) ",
    "ignoring (status, le, version) group_right (version, nothing) ",
    "on () ",
];
const ARITHMETIC: [&str; 5] = ["+", "-", "*", "/", "%"];
const COMPARISONS: [&str; 6] = ["==", "!=", ">", "<", ">=", "<="];
const NUMBERS: [&str; 14] = ["0", "1", "2", "3", "0.5", "0.9", "-1", "100", "NaN", "Inf", "-Inf", "1e3", "0x10", "5m"];

impl Generator {
    pub(crate) fn new(seed: u64, language: Language) -> Self {
        Generator { random: Random(seed), language }
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.random.below(sides as u64) as usize
    }

    /// One of `sides` times, if such things are wanted at all.
    fn extends(&mut self, sides: usize) -> bool {
        self.language == Language::Extended && self.roll(sides) == 0
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.roll(words.len())]
    }

    /// Times about the data, some beside it.
    pub(crate) fn times(&mut self) -> Times {
        let length_s = (SAMPLES * INTERVAL_MS / 1000) as usize;
        let start = START_MS - 300_000 + self.roll(length_s) as i64 * 1000 + [0, 0, 0, 500][self.roll(4)];
        if self.roll(2) == 0 {
            return Times::Instant(start);
        }
        let step = [1000, 7000, 15_000, 30_000, 60_000, 61_500, 300_000][self.roll(7)];
        let end = start + step * self.roll(30) as i64 + self.roll(3) as i64 * 1000;
        Times::Range { start, end, step }
    }

    /// A query of any type that has a value at many moments.
    pub(crate) fn query(&mut self) -> String {
        match self.roll(20) {
            0 => self.scalar(3),
            1 => {
                let (function, inner) = (self.pick(&INEXACT_FUNCTIONS), self.vector(2));
                format!("{function}({inner})")
            }
            2 => {
                let (left, op, right) = (self.vector(2), self.pick(&["^", "atan2"]), self.scalar(1));
                format!("{left} {op} {right}")
            }
            3 => self.ordered(),
            4 => self.info(),
            _ => self.vector(3),
        }
    }

    /// What has an order that is promised; of an instant query.
    fn ordered(&mut self) -> String {
        let inner = self.vector(2);
        match self.roll(4) {
            0 => format!("sort({inner})"),
            1 => format!("sort_desc({inner})"),
            2 => format!("sort_by_label({inner}, \"instance\", \"job\")"),
            _ => format!("sort_by_label_desc({inner}, \"status\", \"le\")"),
        }
    }

    fn number(&mut self) -> &'static str {
        self.pick(&NUMBERS)
    }

    fn scalar(&mut self, depth: usize) -> String {
        match if depth == 0 { 0 } else { self.roll(8) } {
            0 | 1 => self.number().to_owned(),
            2 => "time()".to_owned(),
            3 | 4 => format!("scalar({})", self.vector(depth - 1)),
            5 => format!("({} {} {})", self.scalar(depth - 1), self.pick(&ARITHMETIC), self.scalar(depth - 1)),
            6 => format!("-{}", self.scalar(depth - 1)),
            _ => format!("({} {} bool {})", self.scalar(depth - 1), self.pick(&COMPARISONS), self.scalar(depth - 1)),
        }
    }

    fn modifiers(&mut self) -> String {
        if self.extends(8) {
            return format!(" offset ({} - {} * 0.5)", self.pick(&DURATIONS), self.pick(&DURATIONS));
        }
        let at = START_MS / 1000 + self.roll(6000) as i64;
        match self.roll(18) {
            0 => format!(" offset {}", self.pick(&DURATIONS)),
            1 => format!(" offset -{}", self.pick(&DURATIONS)),
            2 => format!(" @ {at}"),
            3 => " @ start()".to_owned(),
            4 => format!(" @ end() offset {}", self.pick(&DURATIONS)),
            5 => format!(" offset -{} @ {at}.5", self.pick(&DURATIONS)),
            _ => String::new(),
        }
    }

    fn series(&mut self) -> &'static str {
        if self.roll(3) == 0 { self.pick(&HISTOGRAM_SELECTORS) } else { self.pick(&FLOAT_SELECTORS) }
    }

    fn selector(&mut self) -> String {
        let smoothed = if self.extends(6) { " smoothed" } else { "" };
        self.series().to_owned() + smoothed + &self.modifiers()
    }

    fn matrix(&mut self, depth: usize) -> String {
        if depth > 0 && self.roll(4) == 0 {
            let step = self.pick(&["", "15s", "20s", "1m", "7s"]);
            let (inner, range) = (self.vector(depth - 1), self.pick(&DURATIONS));
            return format!("({inner})[{range}:{step}]{}", self.modifiers());
        }
        format!("{}[{}]{}", self.series(), self.pick(&DURATIONS), self.modifiers())
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.selector();
        }
        let next = depth - 1;
        if self.extends(4) {
            return self.extension(next);
        }
        match self.roll(24) {
            0 | 1 => self.selector(),
            2..=5 => format!("{}({})", self.range_function(), self.matrix(next)),
            6 => format!("{}({})", self.pick(&EXACT_FUNCTIONS), self.vector(next)),
            7..=9 => format!("{} {}({})", self.pick(&AGGREGATIONS), self.pick(&GROUPINGS), self.vector(next)),
            10 | 11 => {
                let (left, op, matching) = (self.vector(next), self.pick(&ARITHMETIC), self.pick(&MATCHINGS));
                format!("({left} {op} {matching}{})", self.vector(next))
            }
            12 => {
                let bool = self.pick(&["", "bool "]);
                let op = self.pick(&COMPARISONS);
                format!("({} {op} {bool}{}{})", self.vector(next), self.pick(&MATCHINGS), self.vector(next))
            }
            13 => {
                let op = self.pick(&["and", "or", "unless"]);
                let matching = self.pick(&["", "on (job) ", "on () ", "ignoring (status, le) "]);
                format!("({} {op} {matching}{})", self.vector(next), self.vector(next))
            }
            14 => format!("({} {} {})", self.vector(next), self.pick(&ARITHMETIC), self.scalar(next)),
            15 => format!("({} {} {})", self.scalar(next), self.pick(&COMPARISONS), self.vector(next)),
            16 => format!("-{}", self.vector(next)),
            17 => self.labelled(next),
            18 => self.with_number(next),
            19 => self.with_number(next),
            20 => self.of_histograms(next),
            21 => self.of_buckets(),
            22 => self.of_times(next),
            _ => format!("{}({})", self.pick(&HISTOGRAM_FUNCTIONS), self.pick(&HISTOGRAM_SELECTORS)),
        }
    }

    /// Outermost only: of all functions it changed most from version to version.
    fn info(&mut self) -> String {
        let wanted = self.pick(&["", ", {version=~\".*\"}", ", {version=~\".+\"}", ", {__name__=~\".+_info\"}"]);
        format!("info({}{wanted})", self.vector(2))
    }

    fn range_function(&mut self) -> &'static str {
        if self.extends(10) { self.pick(&NEWER_RANGE_FUNCTIONS) } else { self.pick(&RANGE_FUNCTIONS) }
    }

    fn of_histograms(&mut self, next: usize) -> String {
        let inner = match self.roll(4) {
            0 => self.vector(next),
            1 => format!("rate({}[{}])", self.pick(&HISTOGRAM_SELECTORS), self.pick(&DURATIONS)),
            2 => format!("sum {}({})", self.pick(&GROUPINGS), self.pick(&HISTOGRAM_SELECTORS)),
            _ => self.pick(&HISTOGRAM_SELECTORS).to_owned(),
        };
        match self.roll(4) {
            0 => format!("histogram_quantile({}, {inner})", self.number()),
            1 => format!("histogram_fraction({}, {}, {inner})", self.number(), self.number()),
            _ => format!("{}({inner})", self.pick(&HISTOGRAM_FUNCTIONS)),
        }
    }

    fn of_buckets(&mut self) -> String {
        let grouping = self.pick(&["sum by (le) ", "sum by (le, job) ", "avg without (instance) ", ""]);
        let inner = match self.roll(4) {
            0 => self.pick(&["odd_bucket", "latency_bucket", "{__name__=~\"latency_bucket|native\"}"]),
            1 => "rate(odd_bucket[5m])",
            _ => "rate(latency_bucket[5m])",
        };
        match self.roll(4) {
            0 => format!("histogram_fraction({}, {}, {grouping}({inner}))", self.number(), self.number()),
            _ => format!("histogram_quantile({}, {grouping}({inner}))", self.number()),
        }
    }

    fn of_times(&mut self, next: usize) -> String {
        let function = self.pick(&CALENDAR);
        match self.roll(3) {
            0 => format!("{function}()"),
            1 => format!("{function}(timestamp({}) * 1000)", self.selector()),
            _ => format!("{function}({})", self.vector(next)),
        }
    }

    fn extension(&mut self, next: usize) -> String {
        match self.roll(9) {
            0 | 1 => {
                let (function, range) = (self.pick(&["rate", "increase", "delta"]), self.pick(&DURATIONS));
                let modifier = self.pick(&["anchored", "smoothed"]);
                format!("{function}({}[{range}] {modifier}{})", self.series(), self.modifiers())
            }
            2 => {
                let (function, range) = (self.pick(&["changes", "resets"]), self.pick(&DURATIONS));
                format!("{function}({}[{range} + 7s] anchored{})", self.series(), self.modifiers())
            }
            3 | 4 => {
                let op = self.pick(&["+", "*", "==", "> bool"]);
                let fill = self.pick(&["fill(0)", "fill_left(1)", "fill_right(2)", "fill_left(3) fill_right(NaN)"]);
                format!("({} {op} {}{fill} {})", self.vector(next), self.pick(&MATCHINGS), self.vector(next))
            }
            5 => format!("({} {} {})", self.vector(next), self.pick(&["</", ">/"]), self.scalar(next)),
            6 => format!("({} + {}({}, 7))", self.vector(next), self.pick(&["max_of", "min_of"]), self.scalar(next)),
            _ => {
                let inner = self.vector(next);
                format!("histogram_quantiles({inner}, \"q\", {}, {})", self.number(), self.number())
            }
        }
    }

    fn labelled(&mut self, next: usize) -> String {
        let inner = self.vector(next);
        match self.roll(7) {
            0 => format!("label_replace({inner}, \"dst\", \"$1-x\", \"job\", \"(.).*\")"),
            1 => format!("label_replace({inner}, \"instance\", \"\", \"job\", \".*\")"),
            2 => format!("label_join({inner}, \"all\", \"/\", \"job\", \"instance\", \"status\")"),
            3 => format!("label_replace({inner}, \"new.name\", \"${{x}}_$1x\", \"instance\", \"(?P<x>[0-9]+)\")"),
            4 => format!("label_join({inner}, \"__name__\", \"\", \"job\")"),
            5 => format!("label_replace({inner}, \"job\", \"$1\", \"__name__\", \"(.+)_total|gauge(.*)\")"),
            _ => format!("label_replace({inner}, \"__name__\", \"renamed\", \"job\", \"a.*\")"),
        }
    }

    fn with_number(&mut self, next: usize) -> String {
        match self.roll(15) {
            // Of series that have no value in common: which of equal ones is first is not said.
            0 => format!("topk({}, gauge{})", self.number(), self.modifiers()),
            1 => format!("bottomk by (job) ({}, abs(gauge{}) + 1)", self.number(), self.modifiers()),
            2 => format!("quantile {}({}, {})", self.pick(&GROUPINGS), self.number(), self.vector(next)),
            3 => format!("quantile_over_time({}, {})", self.number(), self.matrix(next)),
            4 => format!("predict_linear({}, {})", self.matrix(next), self.number()),
            5 => format!("clamp({}, {}, {})", self.vector(next), self.number(), self.number()),
            6 => format!("clamp_min({}, {})", self.vector(next), self.scalar(next)),
            7 => format!("clamp_max({}, {})", self.vector(next), self.scalar(next)),
            8 => format!("round({}, {})", self.vector(next), self.number()),
            9 => format!("count_values by (job) (\"{}\", {})", self.pick(&["v", "job", "a.b"]), self.vector(next)),
            10 => {
                let (trend, smoothing) = (self.pick(&["0.1", "0.5", "0.9", "1", "0"]), self.pick(&["0.2", "0.8"]));
                format!("double_exponential_smoothing({}, {smoothing}, {trend})", self.matrix(next))
            }
            11 => format!("vector({})", self.scalar(next)),
            12 => format!("topk({}, {})", self.pick(&["1", "2", "5"]), self.pick(&["native", "gauge", "custom"])),
            // Of selectors alone: what else would be first is not said.
            _ => {
                let (op, number) = (self.pick(&["limitk", "limit_ratio"]), self.number());
                let grouping = self.pick(&GROUPINGS);
                format!("{op} {grouping}({number}, {}{})", self.series(), self.modifiers())
            }
        }
    }
}
