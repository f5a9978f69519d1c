//! Samples, time ranges and the staleness marker.
//!
//! Here: the plain values that all other modules pass around.
//! Elsewhere: how they are compressed (`chunk`), what staleness means to a query (the server's `promql`).

/// A series' number within one open [`crate::Db`]. Never reused while the `Db` is open; means nothing after reopening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u64);

/// One point of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub t: i64,
    /// Any float, NaN and the staleness marker included.
    pub v: f64,
}

/// Half-open interval `[min_t, max_t)` of milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First millisecond inside.
    pub min_t: i64,
    /// First millisecond after.
    pub max_t: i64,
}

impl TimeRange {
    /// All time.
    pub const ALL: TimeRange = TimeRange { min_t: i64::MIN, max_t: i64::MAX };

    /// `[min_t, max_t)`.
    pub fn new(min_t: i64, max_t: i64) -> Self {
        TimeRange { min_t, max_t }
    }

    /// Whether `t` lies inside.
    pub fn contains(&self, t: i64) -> bool {
        self.min_t <= t && t < self.max_t
    }

    /// Whether samples from `first` to `last`, both of them included, reach into it.
    pub(crate) fn meets(&self, first: i64, last: i64) -> bool {
        first < self.max_t && self.min_t <= last
    }

    /// Whether all of `other` lies in it.
    pub(crate) fn covers(&self, other: &TimeRange) -> bool {
        self.min_t <= other.min_t && other.max_t <= self.max_t
    }

    /// Whether the two share a millisecond.
    pub fn overlaps(&self, other: &TimeRange) -> bool {
        self.min_t < other.max_t && other.min_t < self.max_t
    }

    /// True if no millisecond lies inside.
    pub fn is_empty(&self) -> bool {
        self.min_t >= self.max_t
    }
}

/// Decoded samples of one series in two columns of equal length, `t` strictly rising.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    /// Milliseconds since the epoch.
    pub t: Vec<i64>,
    /// The values.
    pub v: Vec<f64>,
}

impl Columns {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// True if there is no sample.
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }

    /// Empties both columns, keeping their memory.
    pub fn clear(&mut self) {
        self.t.clear();
        self.v.clear();
    }

    /// Adds one sample at the end.
    pub fn push(&mut self, t: i64, v: f64) {
        self.t.push(t);
        self.v.push(v);
    }
}

/// The bits of the NaN that says "this series ends here" (Prometheus' value).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker.
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `v` is the staleness marker; an ordinary NaN is not.
pub fn is_stale_nan(v: f64) -> bool {
    v.to_bits() == STALE_NAN_BITS
}
