//! A series on a page, in whichever format: what the reader asks of it.
//!
//! Here: the cache's key, the labels, errors that name the place. Elsewhere: the formats (`exposition`).

use storage::{METRIC_NAME, METRIC_TYPE, METRIC_UNIT};

use super::PageError;
use crate::exposition::series::{Pairs, RawSeries};
use crate::exposition::{Kind, protobuf};

/// A series as a page has it.
pub(super) trait PageSeries<'a> {
    /// Bytes that tell it from other series of its target, in the page or in `scratch`; cheap.
    fn key<'k>(&self, scratch: &'k mut Vec<u8>) -> &'k [u8]
    where
        'a: 'k;
    /// Reads names and values into `pairs`, which is emptied first; the metric's name comes as `__name__`.
    fn read_pairs(&self, pairs: &mut Pairs<'a>) -> Result<(), PageError>;
    /// An error at this series.
    fn fault(&self, message: String) -> PageError;
}

/// A series of a text page, of the family that was named last.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextSeries<'a> {
    pub(super) raw: RawSeries<'a>,
    pub(super) kind: Kind,
}

impl<'a> PageSeries<'a> for TextSeries<'a> {
    fn key<'k>(&self, _scratch: &'k mut Vec<u8>) -> &'k [u8]
    where
        'a: 'k,
    {
        self.raw.text().as_bytes()
    }

    fn read_pairs(&self, pairs: &mut Pairs<'a>) -> Result<(), PageError> {
        Ok(self.raw.read_pairs_of(self.kind, pairs)?)
    }

    fn fault(&self, message: String) -> PageError {
        self.raw.error(message).into()
    }
}

impl<'a> PageSeries<'a> for protobuf::Series<'a> {
    fn key<'k>(&self, scratch: &'k mut Vec<u8>) -> &'k [u8]
    where
        'a: 'k,
    {
        scratch.clear();
        self.write_key(scratch);
        scratch
    }

    fn read_pairs(&self, pairs: &mut Pairs<'a>) -> Result<(), PageError> {
        Ok(protobuf::Series::read_pairs(self, pairs)?)
    }

    fn fault(&self, message: String) -> PageError {
        self.error(message).into()
    }
}

/// Classic series of a text page that have become one native histogram.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    /// Name and labels, sorted.
    pub(super) pairs: Pairs<'a>,
    /// The first of them.
    pub(super) first: RawSeries<'a>,
}

impl<'a> PageSeries<'a> for &Joined<'a> {
    fn key<'k>(&self, scratch: &'k mut Vec<u8>) -> &'k [u8]
    where
        'a: 'k,
    {
        scratch.clear();
        // No text holds this byte.
        for part in self.pairs.iter().flat_map(|(name, value)| [name, value]) {
            scratch.push(0xff);
            scratch.extend_from_slice(part.as_bytes());
        }
        scratch
    }

    fn read_pairs(&self, pairs: &mut Pairs<'a>) -> Result<(), PageError> {
        pairs.clone_from(&self.pairs);
        Ok(())
    }

    fn fault(&self, message: String) -> PageError {
        self.first.error(message).into()
    }
}

/// A series with labels that say what the page says of its family; they take the place of its own ones.
#[derive(Debug)]
pub(super) struct Typed<'m, S> {
    pub(super) series: S,
    /// [`Kind::Unknown`] is no label.
    pub(super) kind: Kind,
    /// An empty one is no label.
    pub(super) unit: &'m str,
}

impl<'a, S: PageSeries<'a>> PageSeries<'a> for Typed<'_, S> {
    fn key<'k>(&self, scratch: &'k mut Vec<u8>) -> &'k [u8]
    where
        'a: 'k,
    {
        let mut own = Vec::new();
        let key = self.series.key(&mut own);
        scratch.clear();
        // No text holds these bytes.
        for part in [key, self.kind.as_str().as_bytes(), self.unit.as_bytes()] {
            scratch.push(0xfd);
            scratch.extend_from_slice(part);
        }
        scratch
    }

    fn read_pairs(&self, pairs: &mut Pairs<'a>) -> Result<(), PageError> {
        self.series.read_pairs(pairs)?;
        let kind = if self.kind == Kind::Unknown { "" } else { self.kind.as_str() };
        for (name, value) in [(METRIC_TYPE, kind), (METRIC_UNIT, self.unit)] {
            if !value.is_empty() {
                pairs.retain(|(own, _)| own != name);
                pairs.push((name.into(), value.to_owned().into()));
            }
        }
        Ok(())
    }

    fn fault(&self, message: String) -> PageError {
        self.series.fault(message)
    }
}

/// The series as people write it, cut to what a message can bear.
pub(super) fn excerpt<'a>(series: &impl PageSeries<'a>) -> String {
    let mut pairs = Pairs::new();
    if series.read_pairs(&mut pairs).is_err() {
        return "it".to_owned();
    }
    let name = pairs.iter().find(|(name, _)| name == METRIC_NAME).map_or("", |(_, value)| value);
    let labels = pairs.iter().filter(|(name, _)| name != METRIC_NAME);
    let labels: Vec<String> = labels.take(20).map(|(name, value)| format!("{name}={value:?}")).collect();
    let text = if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) };
    text.chars().take(200).collect()
}
