//! Awkward samples: what the generated queries are about.
//!
//! Here: series as plain values, the same on every machine. Elsewhere: queries about them (`generate`), and whoever loads
//! them: the differential test by remote write, the property tests of the engine into a database.

use storage::{CounterResetHint, Histogram, HistogramCounts, SCHEMA_CUSTOM, Span, stale_nan};

use super::random::Random;

/// A round time, so that ranges and steps fall on samples as often as beside them.
pub(crate) const START_MS: i64 = 1_700_000_100_000;
pub(crate) const SAMPLES: i64 = 400;
pub(crate) const INTERVAL_MS: i64 = 15_000;

/// A label set and its samples, oldest first.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) points: Vec<(i64, Point)>,
}

/// A sample of either kind.
#[derive(Debug, Clone)]
pub(crate) enum Point {
    Float(f64),
    Histogram(Histogram),
}

/// Counters with resets, gaps and staleness markers; gauges with NaN, infinities and numbers at the ends of what a float
/// can be; classic histograms, good and broken; native ones of each kind, and series that change their kind; names in UTF-8.
pub(crate) fn data() -> Vec<Series> {
    let mut made = Maker { series: Vec::new(), random: Random(12_345) };
    for (job, instance) in [("api", "0"), ("api", "1"), ("web", "0"), ("web", "1")] {
        let labels = [("job", job), ("instance", instance)];
        made.counters(&labels);
        made.classic_histograms(&labels);
        made.gauges(&labels);
        made.infos(&labels);
        made.native_histograms(&labels);
        made.changing_kinds(&labels);
    }
    made.series
}

struct Maker {
    series: Vec<Series>,
    random: Random,
}

type Pairs<'a> = [(&'a str, &'a str)];

impl Maker {
    /// A series `name` with `labels` and `more`, its sample number k by `point`.
    fn add(
        &mut self,
        name: &str,
        labels: &Pairs<'_>,
        more: &Pairs<'_>,
        mut point: impl FnMut(&mut Random, i64) -> Option<Point>,
    ) {
        let mut pairs: Vec<_> = labels.iter().chain(more).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        pairs.push(("__name__".to_owned(), name.to_owned()));
        pairs.sort();
        let points = (0..SAMPLES).filter_map(|k| Some((START_MS + k * INTERVAL_MS, point(&mut self.random, k)?)));
        let points = points.collect();
        self.series.push(Series { labels: pairs, points });
    }

    fn floats(&mut self, name: &str, labels: &Pairs<'_>, more: &Pairs<'_>, value: impl Fn(i64) -> Option<f64>) {
        self.add(name, labels, more, |_, k| value(k).map(Point::Float));
    }

    fn counters(&mut self, labels: &Pairs<'_>) {
        for status in ["200", "500"] {
            let mut total = 0.0;
            let ends = labels[1].1 == "1";
            self.add("requests_total", labels, &[("status", status)], |random, k| {
                total = if k % 150 == 149 { 0.0 } else { total + random.below(10) as f64 };
                match k {
                    90 if ends => Some(Point::Float(stale_nan())),
                    90..120 => None,
                    _ => Some(Point::Float(total)),
                }
            });
        }
        let mut total = 0.1;
        self.add("http.requests", labels, &[("k8s.pod", "pøð-\"0\"")], |random, _| {
            total += random.below(1000) as f64 / 7.0;
            (random.below(10) > 0).then_some(Point::Float(total))
        });
    }

    fn classic_histograms(&mut self, labels: &Pairs<'_>) {
        for le in ["0.1", "0.5", "1", "+Inf"] {
            let weight = le.parse::<f64>().unwrap_or(2.0).min(1.2);
            let bucket = move |k: i64| Some((k as f64 * weight * 3.0).floor());
            self.floats("latency_bucket", labels, &[("le", le)], bucket);
        }
        self.floats("latency_count", labels, &[], |k| Some((k as f64 * 3.6).floor()));
        self.floats("latency_sum", labels, &[], |k| Some(k as f64 * 1.7));
        // The same bound twice, one that is no number, counts that fall, no bucket for the rest.
        for (i, le) in ["1", "1.0", "2.5", "abc"].into_iter().enumerate() {
            let bucket = move |k: i64| Some(((k * 7 + i as i64 * 50) % 120) as f64);
            self.floats("odd_bucket", labels, &[("le", le)], bucket);
        }
    }

    fn gauges(&mut self, labels: &Pairs<'_>) {
        let (is_web, is_second) = (labels[0].1 == "web", labels[1].1 == "1");
        let phase = 3.0 + if is_second { 0.5 } else { 0.0 } + if is_web { 0.0 } else { 1.0 / 7.0 };
        let wave = move |k: i64| {
            Some(if (k + (phase * 14.0) as i64) % 50 == 0 { f64::NAN } else { (k as f64 / 7.0 + phase).sin() * 100.0 })
        };
        self.floats("gauge", labels, &[], wave);
        self.floats("limit", labels, &[], |_| Some(50.0));
        self.add("spiky", labels, &[], |random, _| {
            const ODD: [f64; 10] = [
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::NAN,
                -0.0,
                1.7e308,
                -1.7e308,
                5e-324,
                1e-310,
                9_007_199_254_740_993.0,
                0.1,
            ];
            let odd = random.below(60) as usize;
            Some(Point::Float(ODD.get(odd).copied().unwrap_or_else(|| random.below(1_000_000) as f64 / 1000.0 - 300.0)))
        });
        if is_web {
            self.add("gauge2", labels, &[], |_, k| match k % 30 {
                0..3 => Some(Point::Float(k as f64)),
                3 => Some(Point::Float(stale_nan())),
                _ => None,
            });
            let late = |k: i64| (k > 300).then_some(if k == 350 { f64::INFINITY } else { -1.0 });
            self.floats("late", labels, &[], late);
        }
    }

    fn infos(&mut self, labels: &Pairs<'_>) {
        self.floats("target_info", labels, &[("version", "1")], |k| (k < 200).then_some(1.0));
        if labels[1].1 == "0" {
            self.floats("target_info", labels, &[("version", "2")], |k| match k {
                ..200 => None,
                380 => Some(stale_nan()),
                _ => Some(1.0),
            });
        }
    }

    fn native_histograms(&mut self, labels: &Pairs<'_>) {
        let fine = labels[1].1 == "1";
        // No side has empty buckets alone: what sends histograms leaves them out.
        let mut counts = [1_u64; 7];
        self.add("native", labels, &[], |random, k| {
            if random.below(60) == 0 {
                counts = [1; 7];
            }
            counts[random.below(7) as usize] += random.below(9);
            let schema = if fine && k >= 250 { 1 } else { i32::from(fine) * 2 };
            match k {
                130 => Some(Point::Histogram(Histogram::stale())),
                131..160 => None,
                _ => Some(Point::Histogram(exponential(schema, &counts))),
            }
        });
        self.add("native_gauge", labels, &[], |random, _| {
            let counts: [f64; 4] = std::array::from_fn(|_| random.below(40) as f64 / 4.0 + 0.25);
            (random.below(12) > 0).then(|| Point::Histogram(gauge_histogram(if fine { 3 } else { 0 }, counts)))
        });
        for (name, turns) in [("custom", false), ("rebound", true)] {
            let mut counts = [0_u64; 4];
            self.add(name, labels, &[], |random, k| {
                if random.below(80) == 0 {
                    counts = [0; 4];
                }
                counts[random.below(4) as usize] += random.below(5);
                let bounds: &[f64] = if turns && fine && k > 200 { &[0.1, 1.0, 10.0] } else { &[0.1, 0.5, 10.0] };
                (random.below(15) > 0).then(|| Point::Histogram(custom(bounds, &counts)))
            });
        }
    }

    fn changing_kinds(&mut self, labels: &Pairs<'_>) {
        let mut counts = [1_u64; 7];
        self.add("mixed", labels, &[], |random, k| {
            counts[random.below(7) as usize] += 1;
            Some(match k / 20 % 4 {
                0 => Point::Float(k as f64),
                1 => Point::Histogram(exponential(0, &counts)),
                2 => Point::Histogram(custom(&[1.0, 2.0], &[counts[0], counts[1], counts[2], 0])),
                _ if k % 2 == 0 => Point::Float(-1.0),
                _ => Point::Histogram(exponential(1, &counts)),
            })
        });
    }
}

/// Three negative buckets, the one around zero, three positive ones with a gap.
fn exponential(schema: i32, counts: &[u64; 7]) -> Histogram {
    let [n0, n1, n2, zero, p0, p1, p2] = counts.map(u64::cast_signed);
    Histogram {
        schema,
        zero_threshold: 0.001,
        sum: (p0 + 3 * p1 + 40 * p2 - n0 - 2 * n1 - 4 * n2) as f64 * 0.7,
        positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 3, length: 1 }],
        negative_spans: vec![Span { offset: -1, length: 3 }],
        counts: HistogramCounts::Int {
            count: counts.iter().sum(),
            zero_count: zero.cast_unsigned(),
            positive: vec![p0, p1 - p0, p2 - p1],
            negative: vec![n0, n1 - n0, n2 - n1],
        },
        ..Histogram::default()
    }
}

fn gauge_histogram(schema: i32, counts: [f64; 4]) -> Histogram {
    Histogram {
        counter_reset_hint: CounterResetHint::Gauge,
        schema,
        zero_threshold: 1e-9,
        sum: counts[0] - counts[3],
        positive_spans: vec![Span { offset: 1, length: 2 }],
        negative_spans: vec![Span { offset: 4, length: 1 }],
        counts: HistogramCounts::Float {
            count: counts.iter().sum(),
            zero_count: counts[0],
            positive: vec![counts[1], counts[2]],
            negative: vec![counts[3]],
        },
        ..Histogram::default()
    }
}

/// One bucket for each bound, and the rest.
fn custom(bounds: &[f64], counts: &[u64; 4]) -> Histogram {
    let counts = &counts[..=bounds.len()];
    let before = std::iter::once(&0).chain(counts);
    Histogram {
        schema: SCHEMA_CUSTOM,
        sum: counts.iter().enumerate().map(|(i, n)| *n as f64 * (i as f64 + 0.3)).sum(),
        positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
        counts: HistogramCounts::Int {
            count: counts.iter().sum(),
            zero_count: 0,
            positive: counts.iter().zip(before).map(|(n, b)| n.cast_signed() - b.cast_signed()).collect(),
            negative: Vec::new(),
        },
        custom_values: bounds.to_vec(),
        ..Histogram::default()
    }
}
