//! Ingest: what others push becomes samples in a tenant's database.
//!
//! Here: remote write 1.0 and 2.0 (floats, native histograms, exemplars, metadata; 2.0 start timestamps, too) and the
//! ingester behind them. Elsewhere: who may push for which tenant (`tenant`, `api`), HTTP (`api`), what scrapes bring
//! (`scrape`).
//!
//! Invariant: a body that is damaged anywhere stores nothing; a body that is sound stores all of its good samples, and what is
//! left out is counted with a reason.

mod cache;
mod extras;
mod extras_2;
mod histogram;
mod ingester;
mod labels;
mod outcome;
mod remote_write;
mod remote_write_2;

pub use ingester::Ingester;
pub use outcome::{Discarded, Reason, WriteOutcome};
pub use remote_write::{
    Protocol, Series, WriteRequestReader, check_headers, decode_write_request, decompress, unpacked_bytes,
};
pub use remote_write_2::{WriteRequest2Reader, decode_write_request_2};

pub use crate::wire::DecodeError;

/// Limits of one push. Names and numbers are Mimir's where it has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteLimits {
    /// Uncompressed bytes of a body (Mimir: `distributor.max-recv-msg-size`).
    pub body_bytes_max: usize,
    /// Samples of a request. A sample of zeros has two bytes on the wire, so the limit on bytes alone would not bound memory.
    pub request_samples_max: usize,
    /// Texts in the table of a request of remote write 2.0. An empty one has two bytes on the wire.
    pub request_symbols_max: usize,
    /// Labels of a series, its name included (`max_label_names_per_series`).
    pub label_names_max: usize,
    /// Bytes of a label's name (`max_label_name_length`).
    pub label_name_bytes_max: usize,
    /// Bytes of a label's value (`max_label_value_length`).
    pub label_value_bytes_max: usize,
    /// Series whose ids are remembered for each tenant; more only cost time.
    pub cached_series_max: usize,
}

impl Default for WriteLimits {
    fn default() -> Self {
        WriteLimits {
            body_bytes_max: 100 << 20,
            request_samples_max: 2_000_000,
            request_symbols_max: 4_000_000,
            label_names_max: 60,
            label_name_bytes_max: 1024,
            label_value_bytes_max: 2048,
            cached_series_max: 2_000_000,
        }
    }
}

/// Why a push stored nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IngestError {
    /// 400
    #[error("the body is empty; expected a snappy block with a remote write request")]
    Empty,
    /// 415
    #[error(
        "content type {0:?} is not supported; send application/x-protobuf with proto=prometheus.WriteRequest (remote write \
         1.0) or proto=io.prometheus.write.v2.Request (2.0)"
    )]
    ContentType(String),
    /// 415
    #[error("content encoding {0:?} is not supported; send snappy")]
    ContentEncoding(String),
    /// 413
    #[error(
        "the body unpacks to {bytes} bytes, more than {max}; send smaller batches or raise cairn.limits.push_decoded_bytes_max"
    )]
    TooLarge {
        /// As the block declares.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// 413
    #[error("the request has more than {max} samples; send smaller batches or raise cairn.limits.push_samples_max")]
    TooManySamples {
        /// The limit.
        max: usize,
    },
    /// 413
    #[error("the request has more than {max} symbols; send smaller batches or raise cairn.limits.push_samples_max")]
    TooManySymbols {
        /// The limit.
        max: usize,
    },
    /// 400
    #[error("the body is no snappy block: {0}")]
    Snappy(String),
    /// 400
    #[error("not a remote write request: {0}")]
    Decode(#[from] DecodeError),
    /// 503
    #[error(transparent)]
    Append(#[from] storage::AppendError),
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_2;
