//! The functions of the language.
//!
//! Here: their signatures. Each family has its file: `math` (one number to one number), `over_time`, `rate` and
//! `regression` (a window of samples to one number), `histogram` (buckets to one number), `native` and
//! `native_range` (the same families for native histograms), `calendar` (a time to a number); `quantile` and `sum` help
//! them.
//! Elsewhere: how arguments reach them, and functions that work on whole series (`eval`).
//!
//! Invariant: [`TABLE`] is sorted by name.

pub(super) mod calendar;
pub(super) mod histogram;
pub(super) mod math;
pub(super) mod native;
pub(super) mod native_extended;
pub(super) mod native_range;
pub(super) mod over_time;
pub(super) mod quantile;
pub(super) mod rate;
pub(super) mod regression;
pub(super) mod started;
pub(super) mod sum;

use super::ast::ValueType;
use super::ast::ValueType::{Matrix as M, Scalar as N, String as S, Vector as V};

/// A function's signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// As written in a query.
    pub name: &'static str,
    /// Types of the arguments; the last one repeats where the function is variadic.
    pub args: &'static [ValueType],
    /// 0: as many arguments as `args`. n > 0: the last of `args` may come 0 to n times. -1: any number of times.
    pub variadic: i8,
    /// Type of the result.
    pub returns: ValueType,
    /// Only with `--enable-feature=promql-experimental-functions`.
    pub experimental: bool,
}

impl Function {
    /// The function of this name.
    pub fn find(name: &str) -> Option<&'static Function> {
        TABLE.binary_search_by(|f| f.name.cmp(name)).ok().map(|i| &TABLE[i])
    }
}

const fn f(name: &'static str, args: &'static [ValueType], returns: ValueType) -> Function {
    Function { name, args, variadic: 0, returns, experimental: false }
}

const fn variadic(name: &'static str, args: &'static [ValueType], variadic: i8) -> Function {
    Function { name, args, variadic, returns: V, experimental: false }
}

const fn experimental(name: &'static str, args: &'static [ValueType], variadic: i8, returns: ValueType) -> Function {
    Function { name, args, variadic, returns, experimental: true }
}

/// All functions, by name.
pub static TABLE: &[Function] = &[
    f("abs", &[V], V),
    f("absent", &[V], V),
    f("absent_over_time", &[M], V),
    f("acos", &[V], V),
    f("acosh", &[V], V),
    f("asin", &[V], V),
    f("asinh", &[V], V),
    f("atan", &[V], V),
    f("atanh", &[V], V),
    f("avg_over_time", &[M], V),
    f("ceil", &[V], V),
    f("changes", &[M], V),
    f("clamp", &[V, N, N], V),
    f("clamp_max", &[V, N], V),
    f("clamp_min", &[V, N], V),
    f("cos", &[V], V),
    f("cosh", &[V], V),
    f("count_over_time", &[M], V),
    variadic("day_of_month", &[V], 1),
    variadic("day_of_week", &[V], 1),
    variadic("day_of_year", &[V], 1),
    variadic("days_in_month", &[V], 1),
    f("deg", &[V], V),
    f("delta", &[M], V),
    f("deriv", &[M], V),
    experimental("double_exponential_smoothing", &[M, N, N], 0, V),
    experimental("end", &[], 0, N),
    f("exp", &[V], V),
    f("first_over_time", &[M], V),
    f("floor", &[V], V),
    f("histogram_avg", &[V], V),
    f("histogram_count", &[V], V),
    f("histogram_fraction", &[N, N, V], V),
    f("histogram_quantile", &[N, V], V),
    experimental("histogram_quantiles", &[V, S, N, N], 9, V),
    f("histogram_stddev", &[V], V),
    f("histogram_stdvar", &[V], V),
    f("histogram_sum", &[V], V),
    variadic("hour", &[V], 1),
    f("idelta", &[M], V),
    f("increase", &[M], V),
    experimental("info", &[V, V], 1, V),
    f("irate", &[M], V),
    variadic("label_join", &[V, S, S, S], -1),
    f("label_replace", &[V, S, S, S, S], V),
    f("last_over_time", &[M], V),
    f("ln", &[V], V),
    f("log10", &[V], V),
    f("log2", &[V], V),
    experimental("mad_over_time", &[M], 0, V),
    experimental("max_of", &[N, N], 0, N),
    f("max_over_time", &[M], V),
    experimental("min_of", &[N, N], 0, N),
    f("min_over_time", &[M], V),
    variadic("minute", &[V], 1),
    variadic("month", &[V], 1),
    f("pi", &[], N),
    f("predict_linear", &[M, N], V),
    f("present_over_time", &[M], V),
    f("quantile_over_time", &[N, M], V),
    f("rad", &[V], V),
    experimental("range", &[], 0, N),
    f("rate", &[M], V),
    f("resets", &[M], V),
    variadic("round", &[V, N], 1),
    f("scalar", &[V], N),
    f("sgn", &[V], V),
    f("sin", &[V], V),
    f("sinh", &[V], V),
    f("sort", &[V], V),
    experimental("sort_by_label", &[V, S], -1, V),
    experimental("sort_by_label_desc", &[V, S], -1, V),
    f("sort_desc", &[V], V),
    f("sqrt", &[V], V),
    experimental("start", &[], 0, N),
    experimental("start_timestamp", &[V], 0, V),
    f("stddev_over_time", &[M], V),
    f("stdvar_over_time", &[M], V),
    experimental("step", &[], 0, N),
    f("sum_over_time", &[M], V),
    f("tan", &[V], V),
    f("tanh", &[V], V),
    f("time", &[], N),
    f("timestamp", &[V], V),
    experimental("ts_of_first_over_time", &[M], 0, V),
    experimental("ts_of_last_over_time", &[M], 0, V),
    experimental("ts_of_max_over_time", &[M], 0, V),
    experimental("ts_of_min_over_time", &[M], 0, V),
    f("vector", &[N], V),
    variadic("year", &[V], 1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_function_is_found() {
        for function in TABLE {
            assert_eq!(Function::find(function.name), Some(function), "{}", function.name);
        }
        assert_eq!(Function::find("nope"), None);
    }
}
