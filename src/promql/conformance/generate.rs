//! Random queries over the series of the differential test.
//!
//! Here: a grammar with dice. Queries mostly make sense; some fail, and have to fail alike.

/// Dice with a seed.
pub(super) struct Generator {
    state: u64,
    /// Also what Prometheus keeps behind feature flags.
    is_extended: bool,
}

const VECTOR_FUNCTIONS: [&str; 19] = [
    "abs",
    "ceil",
    "floor",
    "sqrt",
    "ln",
    "log2",
    "log10",
    "sgn",
    // No sine: of large numbers it shows the last bit of its argument.
    "atan",
    "asinh",
    "tanh",
    "deg",
    "rad",
    "round",
    "timestamp",
    "absent",
    "hour",
    "day_of_week",
    "minute",
];
const RANGE_FUNCTIONS: [&str; 20] = [
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
    "rate",
    "increase",
];
const AGGREGATIONS: [&str; 8] = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
const SELECTORS: [&str; 14] = [
    "requests_total",
    "requests_total{status=\"500\"}",
    "requests_total{job=\"api\"}",
    "gauge",
    "gauge{instance=\"0\"}",
    "gauge2",
    "late",
    "limit",
    "latency_bucket",
    "latency_bucket{le=\"+Inf\"}",
    "{__name__=~\"gauge|limit\"}",
    "{__name__=~\"gauge2|late\"}",
    "gauge{job=~\"w.*\"}",
    "nothing",
];
const DURATIONS: [&str; 8] = ["15s", "29s", "1m", "90s", "5m", "7m", "20m", "1h"];
const GROUPINGS: [&str; 8] = [
    "",
    "by (job) ",
    "by (instance, job) ",
    "without (instance) ",
    "by (__name__) ",
    "without (status, le) ",
    "by (nothing) ",
    "by (le) ",
];
const MATCHINGS: [&str; 8] = [
    "",
    "on (job, instance) ",
    "on (instance) ",
    "ignoring (status) ",
    "ignoring (status, le) ",
    "on (job, instance) group_left () ",
    "on (job, instance) group_right (status) ",
    "ignoring (status) group_left () ",
];
const ARITHMETIC: [&str; 7] = ["+", "-", "*", "/", "%", "^", "atan2"];
const COMPARISONS: [&str; 6] = ["==", "!=", ">", "<", ">=", "<="];

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Generator { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, is_extended: false }
    }

    /// Queries that also use what Prometheus keeps behind feature flags.
    pub(super) fn extended(seed: u64) -> Self {
        Generator { is_extended: true, ..Generator::new(seed) }
    }

    /// One of `sides` times, if such things are wanted at all.
    fn extends(&mut self, sides: usize) -> bool {
        self.is_extended && self.roll(sides) == 0
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 16) as usize % sides
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.roll(words.len())]
    }

    /// Start, end and step in seconds around data of `length_s` from `start_s` on.
    pub(super) fn times(&mut self, start_s: i64, length_s: i64) -> (i64, i64, i64) {
        let start = start_s - 300 + self.roll(length_s as usize) as i64;
        let step = [1, 7, 15, 30, 60, 300][self.roll(6)];
        (start, start + step * self.roll(40) as i64 + self.roll(3) as i64, step)
    }

    pub(super) fn query(&mut self) -> String {
        if self.roll(12) == 0 { self.scalar(3) } else { self.vector(3) }
    }

    fn number(&mut self) -> &'static str {
        self.pick(&["0", "1", "2", "0.5", "-1", "100", "NaN", "Inf", "1e3", "0x10", "5m"])
    }

    fn scalar(&mut self, depth: usize) -> String {
        match if depth == 0 { 0 } else { self.roll(6) } {
            0 | 1 => self.number().to_owned(),
            2 => "time()".to_owned(),
            3 => format!("scalar({})", self.vector(depth - 1)),
            4 => format!("({} {} {})", self.scalar(depth - 1), self.pick(&ARITHMETIC), self.scalar(depth - 1)),
            _ => format!("({} {} bool {})", self.scalar(depth - 1), self.pick(&COMPARISONS), self.scalar(depth - 1)),
        }
    }

    fn modifiers(&mut self) -> String {
        if self.extends(8) {
            return format!(" offset ({} - {} * 0.5)", self.pick(&DURATIONS), self.pick(&DURATIONS));
        }
        match self.roll(12) {
            0 => format!(" offset {}", self.pick(&DURATIONS)),
            1 => format!(" offset -{}", self.pick(&DURATIONS)),
            2 => format!(" @ {}", 1_700_000_100 + self.roll(6000)),
            3 => " @ start()".to_owned(),
            4 => format!(" @ end() offset {}", self.pick(&DURATIONS)),
            _ => String::new(),
        }
    }

    fn selector(&mut self) -> String {
        let smoothed = if self.extends(6) { " smoothed" } else { "" };
        self.pick(&SELECTORS).to_owned() + smoothed + &self.modifiers()
    }

    fn matrix(&mut self, depth: usize) -> String {
        if depth > 0 && self.roll(4) == 0 {
            let step = self.pick(&["", "15s", "20s", "1m", "7s"]);
            let (inner, range) = (self.vector(depth - 1), self.pick(&DURATIONS));
            return format!("({inner})[{range}:{step}]{}", self.modifiers());
        }
        format!("{}[{}]{}", self.pick(&SELECTORS), self.pick(&DURATIONS), self.modifiers())
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.selector();
        }
        let next = depth - 1;
        if self.extends(4) {
            return self.extension(next);
        }
        match self.roll(17) {
            0 => self.selector(),
            1..=4 => format!("{}({})", self.pick(&RANGE_FUNCTIONS), self.matrix(next)),
            5 => format!("{}({})", self.pick(&VECTOR_FUNCTIONS), self.vector(next)),
            6 | 7 => format!("{} {}({})", self.pick(&AGGREGATIONS), self.pick(&GROUPINGS), self.vector(next)),
            8 => format!(
                "({} {} {}{})",
                self.vector(next),
                self.pick(&ARITHMETIC),
                self.pick(&MATCHINGS),
                self.vector(next)
            ),
            9 => {
                let bool = self.pick(&["", "bool "]);
                let op = self.pick(&COMPARISONS);
                format!("({} {op} {bool}{}{})", self.vector(next), self.pick(&MATCHINGS), self.vector(next))
            }
            10 => {
                let op = self.pick(&["and", "or", "unless"]);
                let matching = self.pick(&["", "on (job) ", "on () ", "ignoring (status, le) "]);
                format!("({} {op} {matching}{})", self.vector(next), self.vector(next))
            }
            11 => format!("({} {} {})", self.vector(next), self.pick(&ARITHMETIC), self.scalar(next)),
            12 => format!("({} {} {})", self.scalar(next), self.pick(&COMPARISONS), self.vector(next)),
            13 => format!("-{}", self.vector(next)),
            14 => self.labelled(next),
            15 => self.with_number(next),
            _ => {
                let grouping = self.pick(&["sum by (le) ", "sum by (le, job) ", "avg without (instance) ", ""]);
                format!(
                    "histogram_quantile({}, {grouping}(rate(latency_bucket[5m])))",
                    self.pick(&["0.5", "0.9", "0", "1", "2", "NaN"])
                )
            }
        }
    }

    fn extension(&mut self, next: usize) -> String {
        match self.roll(7) {
            0 | 1 => {
                let (function, range) = (self.pick(&["rate", "increase", "delta"]), self.pick(&DURATIONS));
                let modifier = self.pick(&["anchored", "smoothed"]);
                format!("{function}({}[{range}] {modifier}{})", self.pick(&SELECTORS), self.modifiers())
            }
            2 => {
                let (function, range) = (self.pick(&["changes", "resets"]), self.pick(&DURATIONS));
                format!("{function}({}[{range} + 7s] anchored{})", self.pick(&SELECTORS), self.modifiers())
            }
            3 | 4 => {
                let op = self.pick(&["+", "*", "==", "> bool"]);
                let fill = self.pick(&["fill(0)", "fill_left(1)", "fill_right(2)", "fill_left(3) fill_right(NaN)"]);
                format!("({} {op} {}{fill} {})", self.vector(next), self.pick(&MATCHINGS), self.vector(next))
            }
            // Of selectors alone: what else would be first is not said.
            5 => {
                let (op, number) = (self.pick(&["limitk", "limit_ratio"]), self.number());
                let grouping = self.pick(&GROUPINGS);
                format!("{op} {grouping}({number}, {}{})", self.pick(&SELECTORS), self.modifiers())
            }
            _ => {
                let wanted =
                    self.pick(&["", ", {version=~\".*\"}", ", {version=~\".+\"}", ", {__name__=~\".+_info\"}"]);
                format!("info({}{wanted})", self.vector(next))
            }
        }
    }

    fn labelled(&mut self, next: usize) -> String {
        let inner = self.vector(next);
        match self.roll(4) {
            0 => format!("label_replace({inner}, \"dst\", \"$1-x\", \"job\", \"(.).*\")"),
            1 => format!("label_replace({inner}, \"instance\", \"\", \"job\", \".*\")"),
            2 => format!("label_join({inner}, \"all\", \"/\", \"job\", \"instance\", \"status\")"),
            _ => format!("label_replace({inner}, \"__name__\", \"renamed\", \"job\", \"a.*\")"),
        }
    }

    fn with_number(&mut self, next: usize) -> String {
        match self.roll(8) {
            // Of series that have no value in common: which of equal ones is first is not said.
            0 => format!("topk({}, gauge{})", self.number(), self.modifiers()),
            1 => format!("bottomk by (job) ({}, abs(gauge{}) + 1)", self.number(), self.modifiers()),
            2 => format!("quantile({}, {})", self.number(), self.vector(next)),
            3 => format!("quantile_over_time({}, {})", self.number(), self.matrix(next)),
            4 => format!("predict_linear({}, {})", self.matrix(next), self.number()),
            5 => format!("clamp({}, {}, {})", self.vector(next), self.number(), self.number()),
            6 => format!("round({}, {})", self.vector(next), self.number()),
            _ => format!("count_values by (job) (\"v\", {})", self.vector(next)),
        }
    }
}
