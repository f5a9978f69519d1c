//! Columns as bytes: how the values and times of a chunk are written in a block.
//!
//! Here: pure codecs. `ints` turns whole numbers into small residuals in byte planes, `values` and `times` build on it.
//! Elsewhere: pages, compression and checksums (`block`), the row-wise codec of the head (`chunk`).
//!
//! Invariant: what comes out has exactly the bits that went in; foreign bytes give `None`, never a panic, and never more
//! numbers than the caller asked for.

pub(crate) mod ints;
pub(crate) mod times;
pub(crate) mod values;

/// Samples in one chunk, at most.
pub(crate) const CHUNK_SAMPLES_MAX: usize = 4096;

/// One encoded column: a head that says how, and residuals in byte planes.
///
/// Plane 0 holds the lowest bytes of all residuals, plane 1 the next, and so on: bytes that look alike stand together,
/// which is what lets the page's compression do the entropy coding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// How to read the planes.
    pub(crate) head: Vec<u8>,
    /// Bytes of a residual, 0 to 8: so many planes there are.
    pub(crate) width: usize,
    /// The planes, each of the same length.
    pub(crate) planes: Vec<u8>,
}

impl Encoded {
    /// Residuals in each plane.
    pub(crate) fn plane_len(&self) -> usize {
        self.planes.len().checked_div(self.width).unwrap_or(0)
    }

    /// The planes as slices.
    #[cfg(test)]
    pub(crate) fn plane_slices(&self) -> Vec<&[u8]> {
        if self.width == 0 { Vec::new() } else { self.planes.chunks(self.plane_len().max(1)).collect() }
    }
}
