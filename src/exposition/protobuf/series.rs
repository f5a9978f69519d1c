//! A series of the protobuf format: a family's name, what a metric adds to it, and its labels as they stand in the body.
//!
//! Invariant: two series of one key have the same labels.

use std::borrow::Cow;

use storage::{Labels, METRIC_NAME};

use super::super::Kind;
use super::super::error::{ProtobufError, excerpt};
use super::super::number::bound_text;
use super::super::series::Pairs;
use super::text;
use crate::wire::{Reader, Wire};

/// What follows the family's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suffix {
    None,
    Count,
    Sum,
    Bucket,
}

/// The label that the place in the metric gives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    Le(f64),
    Quantile(f64),
}

/// A series as the body has it; labels are decoded when they are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    family: &'a str,
    suffix: Suffix,
    bound: Option<Bound>,
    /// From the first label to the last one, with whatever stands between them.
    labels: Reader<'a>,
}

impl<'a> Series<'a> {
    pub(super) fn new(family: &'a str, suffix: Suffix, bound: Option<Bound>, labels: Reader<'a>) -> Self {
        Series { family, suffix, bound, labels }
    }

    /// Appends bytes that tell this series from others of its target: what a caller who has seen it before looks up.
    pub fn write_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.family.as_bytes());
        // No text holds these bytes.
        out.push(match self.suffix {
            Suffix::None => 0xf8,
            Suffix::Count => 0xf9,
            Suffix::Sum => 0xfa,
            Suffix::Bucket => 0xfb,
        });
        if let Some(Bound::Le(bound) | Bound::Quantile(bound)) = self.bound {
            out.push(0xff);
            out.extend_from_slice(&bound.to_bits().to_le_bytes());
        }
        out.extend_from_slice(self.labels.rest());
    }

    /// Whether it counts from a start on, in a family of this kind: a counter, a histogram, count or sum of a summary.
    pub fn is_counter_of(&self, kind: Kind) -> bool {
        match kind {
            Kind::Counter | Kind::Histogram => true,
            Kind::Summary => self.suffix != Suffix::None,
            _ => false,
        }
    }

    /// Byte of the body at which its labels begin.
    pub fn offset(&self) -> usize {
        self.labels.pos()
    }

    /// An error at this series.
    pub fn error(&self, message: impl std::fmt::Display) -> ProtobufError {
        ProtobufError::new(self.offset(), message)
    }

    /// Reads names and values into `pairs`, which is emptied first; the metric's name comes as `__name__`.
    pub fn read_pairs(&self, pairs: &mut Pairs<'a>) -> Result<(), ProtobufError> {
        pairs.clear();
        let name = match self.suffix {
            Suffix::None => Cow::Borrowed(self.family),
            Suffix::Count => Cow::Owned(format!("{}_count", self.family)),
            Suffix::Sum => Cow::Owned(format!("{}_sum", self.family)),
            Suffix::Bucket => Cow::Owned(format!("{}_bucket", self.family)),
        };
        pairs.push((Cow::Borrowed(METRIC_NAME), name));
        let mut labels = self.labels;
        while let Some((number, wire)) = labels.field()? {
            match (number, wire) {
                (1, Wire::Len) => {
                    let place = labels.pos();
                    let (name, value) = read_label(labels.message("a label")?)?;
                    if name.is_empty() {
                        return Err(ProtobufError::new(place, "a label without a name"));
                    }
                    pairs.push((Cow::Borrowed(name), Cow::Borrowed(value)));
                }
                _ => labels.skip(number, wire)?,
            }
        }
        match self.bound {
            Some(Bound::Le(bound)) => pairs.push((Cow::Borrowed("le"), Cow::Owned(bound_text(bound)))),
            Some(Bound::Quantile(bound)) => pairs.push((Cow::Borrowed("quantile"), Cow::Owned(bound_text(bound)))),
            None => {}
        }
        self.refuse_duplicates(pairs)
    }

    /// The finished label set; empty values dropped.
    pub fn labels(&self) -> Result<Labels, ProtobufError> {
        let mut pairs = Pairs::new();
        self.read_pairs(&mut pairs)?;
        Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))).map_err(|e| self.error(e))
    }

    fn refuse_duplicates(&self, pairs: &Pairs<'_>) -> Result<(), ProtobufError> {
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        match names.windows(2).find(|w| w[0] == w[1]) {
            None => Ok(()),
            Some(w) => {
                let family = excerpt(self.family);
                Err(self.error(format!("a series of {family} whose label name {} is not unique", excerpt(w[0]))))
            }
        }
    }
}

/// Name and value of a `LabelPair`.
pub(super) fn read_label<'a>(mut message: Reader<'a>) -> Result<(&'a str, &'a str), ProtobufError> {
    let (mut name, mut value) = ("", "");
    while let Some((number, wire)) = message.field()? {
        match (number, wire) {
            (1, Wire::Len) => name = text(&mut message, "the name of a label")?,
            (2, Wire::Len) => value = text(&mut message, "the value of a label")?,
            (1 | 2, _) => return Err(message.wrong_wire("a string").into()),
            _ => message.skip(number, wire)?,
        }
    }
    Ok((name, value))
}
