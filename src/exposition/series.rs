//! The text of a series, `name{label="value",…}`, and its slow reading into labels.
//!
//! Here: names, quoting, escapes, duplicates. Elsewhere: where the text ends (`mod`), what happens to the labels
//! (`scrape`).
//!
//! Invariant: what this accepts has a metric name, no empty label name and no label name twice.

use std::borrow::Cow;

use storage::{Labels, METRIC_NAME};

use super::error::{Line, ParseError, excerpt};
use super::number::bound_text_of;
use super::{Format, Kind};

/// A series exactly as the body spells it. Equal texts are the same series; the reverse need not hold.
#[derive(Debug, Clone, Copy)]
pub struct RawSeries<'a> {
    pub(super) line: Line<'a>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) format: Format,
}

/// Label names and values in the order of the text; empty values are kept (`honor_labels` gives them a meaning).
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

impl<'a> RawSeries<'a> {
    /// The bytes before the value: the key of the fast lane.
    pub fn text(&self) -> &'a str {
        &self.line.text[self.start..self.end]
    }

    /// Byte of the body at which the text begins.
    pub fn offset(&self) -> usize {
        self.line.offset + self.start
    }

    /// An error at this series.
    pub fn error(&self, message: impl Into<String>) -> ParseError {
        self.line.error(self.start, message)
    }

    /// Reads the text into `pairs`, which is emptied first; the metric's name comes as `__name__`.
    pub fn read_pairs(&self, pairs: &mut Pairs<'a>) -> Result<(), ParseError> {
        pairs.clear();
        let mut reader = Reader { line: self.line, at: self.start, pairs, name_columns: Vec::new() };
        reader.series()?;
        let at = reader.at;
        if at != self.end {
            return Err(self.fault_after(at));
        }
        Ok(())
    }

    /// The same as a series of a family of this kind: bounds of buckets and quantiles are spelled in one way, so that they
    /// do not depend on the program or the format that tells them.
    pub fn read_pairs_of(&self, kind: Kind, pairs: &mut Pairs<'a>) -> Result<(), ParseError> {
        self.read_pairs(pairs)?;
        let bound = match kind {
            Kind::Histogram => "le",
            Kind::Summary => "quantile",
            _ => return Ok(()),
        };
        if let Some((_, value)) = pairs.iter_mut().find(|(name, _)| name == bound)
            && let Some(text) = bound_text_of(value)
        {
            *value = Cow::Owned(text);
        }
        Ok(())
    }

    /// What is wrong where the series ends before its text does.
    fn fault_after(&self, at: usize) -> ParseError {
        let is_whole =
            matches!(self.line.byte(at), Some(b' ' | b'\t')) || self.line.byte(at.wrapping_sub(1)) == Some(b'}');
        if is_whole && let Err(fault) = super::numbers(self.line, at, self.format) {
            return fault;
        }
        self.line.expected(at, "'{' or a blank after the metric name")
    }

    /// The finished label set; empty values dropped.
    pub fn labels(&self) -> Result<Labels, ParseError> {
        let mut pairs = Pairs::new();
        self.read_pairs(&mut pairs)?;
        Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))).map_err(|e| self.error(e.to_string()))
    }
}

/// Reads a brace of labels that names no metric (an exemplar's); gives them and the byte after it.
pub(super) fn label_brace(line: Line<'_>, at: usize) -> Result<(Labels, usize), ParseError> {
    let mut pairs = Pairs::new();
    let mut reader = Reader { line, at, pairs: &mut pairs, name_columns: Vec::new() };
    reader.brace()?;
    reader.refuse_duplicates()?;
    let end = reader.at;
    let labels = Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref())));
    Ok((labels.map_err(|e| line.error(at, e.to_string()))?, end))
}

/// Reads a metric family's name in metadata, bare or quoted; gives the name and the byte after it.
pub(super) fn family_name(line: Line<'_>, at: usize) -> Result<(Cow<'_, str>, usize), ParseError> {
    let mut reader = Reader { line, at, pairs: &mut Pairs::new(), name_columns: Vec::new() };
    let name = match line.byte(at) {
        Some(b'"') => reader.quoted("metric name")?,
        _ => Cow::Borrowed(reader.identifier("a metric name", true)?),
    };
    Ok((name, reader.at))
}

struct Reader<'a, 'p> {
    line: Line<'a>,
    at: usize,
    pairs: &'p mut Pairs<'a>,
    /// Where each pair's name stands, for the message about duplicates.
    name_columns: Vec<usize>,
}

impl<'a> Reader<'a, '_> {
    fn series(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        if self.line.byte(start) != Some(b'{') {
            let name = self.identifier("a metric name", true)?;
            self.push(start, Cow::Borrowed(METRIC_NAME), Cow::Borrowed(name));
            let after_blanks = self.line.skip_blanks(self.at);
            if self.line.byte(after_blanks) == Some(b'{') {
                self.at = after_blanks;
            }
        }
        if self.line.byte(self.at) == Some(b'{') {
            self.brace()?;
        }
        self.refuse_duplicates()?;
        if !self.pairs.iter().any(|(n, _)| n == METRIC_NAME) {
            return Err(self.line.error(start, "the series has no metric name"));
        }
        Ok(())
    }

    /// `{…}` with the cursor on the opening brace.
    fn brace(&mut self) -> Result<(), ParseError> {
        if self.line.byte(self.at) != Some(b'{') {
            return Err(self.line.expected(self.at, "'{'"));
        }
        self.at += 1;
        loop {
            self.blanks();
            if self.line.byte(self.at) == Some(b'}') {
                self.at += 1;
                return Ok(());
            }
            self.element()?;
            self.blanks();
            match self.line.byte(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                _ => return Err(self.line.expected(self.at, "',' or '}' after a label")),
            }
        }
    }

    /// `name="value"`, `"quoted name"="value"` or `"metric name"`.
    fn element(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        let is_quoted = self.line.byte(start) == Some(b'"');
        let name = match is_quoted {
            true => self.quoted("name")?,
            false => Cow::Borrowed(self.identifier("a label name or '}'", false)?),
        };
        self.blanks();
        let has_value = self.line.byte(self.at) == Some(b'=');
        if is_quoted && !has_value {
            if self.pairs.iter().any(|(n, _)| n == METRIC_NAME) {
                return Err(self.line.error(start, format!("a second metric name, {}", excerpt(&name))));
            }
            self.push(start, Cow::Borrowed(METRIC_NAME), name);
            return Ok(());
        }
        if !has_value {
            return Err(self.line.expected(self.at, "'=' after the label name"));
        }
        self.at += 1;
        self.blanks();
        if self.line.byte(self.at) != Some(b'"') {
            return Err(self.line.expected(self.at, "'\"' before the label value"));
        }
        let value = self.quoted_value()?;
        self.push(start, name, value);
        Ok(())
    }

    /// A bare name; `expected` is for the message.
    fn identifier(&mut self, expected: &str, colon: bool) -> Result<&'a str, ParseError> {
        let start = self.at;
        let is_in = |b: u8, first: bool| {
            b.is_ascii_alphabetic() || b == b'_' || (colon && b == b':') || (!first && b.is_ascii_digit())
        };
        while self.line.byte(self.at).is_some_and(|b| is_in(b, self.at == start)) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.line.expected(start, expected));
        }
        Ok(&self.line.text[start..self.at])
    }

    /// A quoted name, which must not be empty.
    fn quoted(&mut self, what: &str) -> Result<Cow<'a, str>, ParseError> {
        let start = self.at;
        let name = self.quoted_value()?;
        if name.is_empty() {
            return Err(self.line.error(start, format!("an empty {what}")));
        }
        Ok(name)
    }

    /// A quoted text with the cursor on the opening quote; escapes `\\`, `\"` and `\n` are resolved.
    fn quoted_value(&mut self) -> Result<Cow<'a, str>, ParseError> {
        let open = self.at;
        let start = open + 1;
        let mut plain_from = start;
        let mut resolved: Option<String> = None;
        self.at = start;
        loop {
            match self.line.byte(self.at) {
                None => {
                    let message =
                        format!("expected a closing '\"' for the one at byte {}, found the end of the line", open + 1);
                    return Err(self.line.error(self.at, message));
                }
                Some(b'"') => break,
                Some(b'\\') => {
                    let c = match self.line.byte(self.at + 1) {
                        Some(b'\\') => '\\',
                        Some(b'"') => '"',
                        Some(b'n') => '\n',
                        _ => return Err(self.line.expected(self.at + 1, "'\\\\', '\"' or 'n' after a backslash")),
                    };
                    let text = resolved.get_or_insert_default();
                    text.push_str(&self.line.text[plain_from..self.at]);
                    text.push(c);
                    self.at += 2;
                    plain_from = self.at;
                }
                Some(_) => self.at += 1,
            }
        }
        let rest = &self.line.text[plain_from..self.at];
        self.at += 1;
        Ok(match resolved {
            None => Cow::Borrowed(rest),
            Some(text) => Cow::Owned(text + rest),
        })
    }

    fn blanks(&mut self) {
        self.at = self.line.skip_blanks(self.at);
    }

    fn push(&mut self, column: usize, name: Cow<'a, str>, value: Cow<'a, str>) {
        self.name_columns.push(column);
        self.pairs.push((name, value));
    }

    /// Sorted, not compared pairwise: a hostile line holds a hundred thousand labels.
    fn refuse_duplicates(&self) -> Result<(), ParseError> {
        let mut order: Vec<usize> = (0..self.pairs.len()).collect();
        order.sort_by_key(|&i| (&self.pairs[i].0, i));
        let twice = order.windows(2).filter(|w| self.pairs[w[0]].0 == self.pairs[w[1]].0).map(|w| w[1]).min();
        match twice {
            None => Ok(()),
            Some(i) => {
                let name = excerpt(&self.pairs[i].0);
                Err(self.line.error(self.name_columns[i], format!("label name {name} is not unique")))
            }
        }
    }
}
