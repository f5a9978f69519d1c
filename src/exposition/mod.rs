//! Exposition formats: the bytes of a scrape become metadata and samples.
//!
//! Here: Prometheus' text format 0.0.4 and OpenMetrics 1.0, streamed without copying; which format a body is. The
//! protobuf format is in `protobuf`, classic histograms that become native ones in `custom_buckets`.
//! Elsewhere: fetching and decompressing the body, relabelling, limits, duplicates (`scrape`).
//!
//! A sample comes with the raw text of its series, so that a caller who has seen that text before pays one hash lookup;
//! only [`series::RawSeries::read_pairs`] decodes names and escapes. Families are not assembled: names are stored as
//! they stand, so `ticket_created` may own a sample `ticket_created_created`, and `_created` samples are samples like
//! others.
//!
//! Where we are stricter than Prometheus, so that a broken exporter is noticed: an unknown escape in a quoted text, and
//! a raw line feed in a label value, are errors. Where we are more lenient: several blanks stand for one in
//! OpenMetrics.
//!
//! Invariant: nothing in a body panics, and every error names line and byte.

use std::borrow::Cow;

pub mod content_type;
pub mod custom_buckets;
pub mod error;
mod number;
pub mod protobuf;
pub mod series;

use error::{Line, ParseError, excerpt};
use series::RawSeries;
use storage::Labels;

/// Longest line in bytes: a line is held against one series, and no series is a megabyte.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// The text formats that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Text,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

/// The formats of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFormat {
    /// One of the text formats.
    Text(Format),
    /// `application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited`
    Protobuf,
}

/// A metric's type, from `# TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the formats' own names")]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
    Unknown,
}

impl Kind {
    /// As the API and OpenMetrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::GaugeHistogram => "gaugehistogram",
            Kind::Summary => "summary",
            Kind::Info => "info",
            Kind::StateSet => "stateset",
            Kind::Unknown => "unknown",
        }
    }

    fn parse(word: &str, format: Format) -> Option<Kind> {
        Some(match (word, format) {
            ("counter", _) => Kind::Counter,
            ("gauge", _) => Kind::Gauge,
            ("histogram", _) => Kind::Histogram,
            ("summary", _) => Kind::Summary,
            ("untyped", Format::Text) => Kind::Unknown,
            ("gaugehistogram", Format::OpenMetrics) => Kind::GaugeHistogram,
            ("info", Format::OpenMetrics) => Kind::Info,
            ("stateset", Format::OpenMetrics) => Kind::StateSet,
            ("unknown", Format::OpenMetrics) => Kind::Unknown,
            _ => return None,
        })
    }
}

/// One thing that a body says, in the order of the body; `S` is a sample of its format.
#[derive(Debug)]
#[expect(missing_docs, reason = "the formats' own names")]
pub enum Entry<'a, S = Sample<'a>> {
    /// `# TYPE family kind`
    Type { family: Cow<'a, str>, kind: Kind },
    /// `# HELP family help`, escapes resolved.
    Help { family: Cow<'a, str>, help: Cow<'a, str> },
    /// `# UNIT family unit`
    Unit { family: Cow<'a, str>, unit: &'a str },
    /// A sample.
    Sample(S),
}

/// One sample as exposed. Its series' text is not checked yet: [`RawSeries::read_pairs`] does that.
#[derive(Debug)]
pub struct Sample<'a> {
    /// The text before the value.
    pub series: RawSeries<'a>,
    /// The value; a NaN is always the ordinary one.
    pub value: f64,
    /// Milliseconds since the epoch, if the body gives a time.
    pub timestamp_ms: Option<i64>,
    /// Of OpenMetrics; boxed, since few samples have one.
    pub exemplar: Option<Box<Exemplar>>,
}

/// An observation that a sample is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Where it came from.
    pub labels: Labels,
    /// What was observed.
    pub value: f64,
    /// Milliseconds since the epoch; `None`: when the page was read.
    pub timestamp_ms: Option<i64>,
}

/// Streams the entries of a body. After the first error it yields nothing more.
#[derive(Debug)]
pub struct Parser<'a> {
    format: Format,
    body: &'a [u8],
    /// The valid UTF-8 that begins at `text_offset`; lines are cut from it without checking them again.
    text: &'a str,
    text_offset: usize,
    /// Where the next line begins, in the body.
    at: usize,
    lines_read: usize,
    is_done: bool,
}

impl<'a> Parser<'a> {
    /// A parser at the start of `body`.
    pub fn new(body: &'a [u8], format: Format) -> Self {
        Parser { format, body, text: valid_prefix(body), text_offset: 0, at: 0, lines_read: 0, is_done: false }
    }

    fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        while let Some(line) = self.next_line()? {
            let entry = match self.format {
                Format::Text => text_line(line)?,
                Format::OpenMetrics if line.text == "# EOF" => return self.finish_open_metrics(line),
                Format::OpenMetrics => Some(open_metrics_line(line)?),
            };
            if entry.is_some() {
                return Ok(entry);
            }
        }
        if self.format == Format::OpenMetrics {
            return Err(self.missing_eof());
        }
        Ok(None)
    }

    fn missing_eof(&self) -> ParseError {
        // After a line feed the end is on a line of its own.
        let start = self.body.iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
        let number = self.lines_read + usize::from(start == self.body.len());
        let last = Line { text: "", number, offset: start };
        last.error(self.body.len() - start, "expected \"# EOF\", found the end of the body: it may be cut off")
    }

    fn finish_open_metrics(&self, eof: Line<'a>) -> Result<Option<Entry<'a>>, ParseError> {
        if self.at < self.body.len() {
            let rest = Line { text: "", number: eof.number + 1, offset: self.at };
            return Err(rest.error(0, "expected nothing after \"# EOF\", found more text"));
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<Line<'a>>, ParseError> {
        while self.at < self.body.len() {
            let start = self.at;
            let rest = &self.text[start - self.text_offset..];
            let number = self.lines_read + 1;
            let text = match memchr::memchr(b'\n', rest.as_bytes()) {
                Some(len) => &rest[..len],
                None if self.text_offset + self.text.len() == self.body.len() => rest,
                None => {
                    self.step_over_bad_bytes(Line { text: rest, number, offset: start })?;
                    continue;
                }
            };
            self.lines_read = number;
            self.at = (start + text.len() + 1).min(self.body.len());
            let line = Line { text, number, offset: start };
            if text.len() > LINE_BYTES_MAX {
                let message = format!("the line is {} bytes long; {LINE_BYTES_MAX} are allowed", text.len());
                return Err(line.error(LINE_BYTES_MAX, message));
            }
            return Ok(Some(line));
        }
        Ok(None)
    }

    /// `good` is the part of the next line before a byte that is not UTF-8: fatal, except in a plain comment.
    fn step_over_bad_bytes(&mut self, good: Line<'a>) -> Result<(), ParseError> {
        let is_comment = self.format == Format::Text && matches!(text_keyword(good), TextLine::Comment);
        if !is_comment {
            let byte = self.body[good.offset + good.text.len()];
            return Err(good.error(good.text.len(), format!("expected UTF-8, found the byte {byte:#04x}")));
        }
        let rest = &self.body[good.offset..];
        let len = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |n| n + 1);
        self.lines_read += 1;
        self.at = good.offset + len;
        self.text_offset = self.at;
        self.text = valid_prefix(&self.body[self.at..]);
        Ok(())
    }
}

impl<'a> Iterator for Parser<'a> {
    type Item = Result<Entry<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let entry = self.next_entry();
        self.is_done = !matches!(entry, Ok(Some(_)));
        entry.transpose()
    }
}

fn valid_prefix(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => std::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap_or_default(),
    }
}

/// What a line of the text format is, by its first word.
enum TextLine {
    Blank,
    Comment,
    /// Where the family's name begins.
    Help(usize),
    Type(usize),
    /// Where the series begins.
    Sample(usize),
}

fn text_keyword(line: Line<'_>) -> TextLine {
    let start = line.skip_blanks(0);
    match line.byte(start) {
        None => TextLine::Blank,
        Some(b'#') => {
            let word_at = line.skip_blanks(start + 1);
            let word = line.word(word_at);
            let name_at = line.skip_blanks(word_at + word.len());
            // Without a blank on either side it is a comment that happens to begin so.
            let is_spaced = word_at > start + 1 && name_at > word_at + word.len();
            match word {
                "HELP" if is_spaced => TextLine::Help(name_at),
                "TYPE" if is_spaced => TextLine::Type(name_at),
                _ => TextLine::Comment,
            }
        }
        Some(_) => TextLine::Sample(start),
    }
}

fn text_line(line: Line<'_>) -> Result<Option<Entry<'_>>, ParseError> {
    match text_keyword(line) {
        TextLine::Blank | TextLine::Comment => Ok(None),
        TextLine::Help(at) => help(line, at, Format::Text).map(Some),
        TextLine::Type(at) => kind(line, at, Format::Text).map(Some),
        TextLine::Sample(at) => sample(line, at, Format::Text).map(|s| Some(Entry::Sample(s))),
    }
}

fn open_metrics_line(line: Line<'_>) -> Result<Entry<'_>, ParseError> {
    match line.byte(0) {
        None => Err(line.error(0, "OpenMetrics has no empty lines")),
        Some(b'#') => match line.text.get(..7) {
            Some("# HELP ") => help(line, 7, Format::OpenMetrics),
            Some("# TYPE ") => kind(line, 7, Format::OpenMetrics),
            Some("# UNIT ") => unit(line, 7),
            _ => Err(line.error(0, format!("expected # HELP, # TYPE, # UNIT or # EOF, found {}", excerpt(line.text)))),
        },
        Some(_) => sample(line, 0, Format::OpenMetrics).map(Entry::Sample),
    }
}

fn help(line: Line<'_>, at: usize, format: Format) -> Result<Entry<'_>, ParseError> {
    let (family, end) = series::family_name(line, at)?;
    let text = match line.byte(end) {
        None => "",
        Some(b' ' | b'\t') => &line.text[end + 1..],
        Some(_) => return Err(line.expected(end, "a blank after the metric name")),
    };
    Ok(Entry::Help { family, help: unescape_help(text, format) })
}

/// Unknown escapes stay as they are: help is prose, and Prometheus does the same.
fn unescape_help(text: &str, format: Format) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.as_str().chars().next() } else { None };
        match escaped {
            Some('\\') => out.push('\\'),
            Some('n') => out.push('\n'),
            Some('"') if format == Format::OpenMetrics => out.push('"'),
            _ => {
                out.push(c);
                continue;
            }
        }
        chars.next();
    }
    Cow::Owned(out)
}

fn kind(line: Line<'_>, at: usize, format: Format) -> Result<Entry<'_>, ParseError> {
    let (family, end) = series::family_name(line, at)?;
    let word_at = line.skip_blanks(end);
    let word = line.text[word_at..].trim_end_matches([' ', '\t']);
    match Kind::parse(word, format) {
        Some(kind) if word_at > end => Ok(Entry::Type { family, kind }),
        _ => Err(line.error(word_at, format!("expected a metric type, found {}", excerpt(word)))),
    }
}

fn unit(line: Line<'_>, at: usize) -> Result<Entry<'_>, ParseError> {
    let (family, end) = series::family_name(line, at)?;
    let unit_at = line.skip_blanks(end);
    let unit = &line.text[unit_at..];
    let is_suffix = family.strip_suffix(unit).is_some_and(|rest| unit.is_empty() || rest.ends_with('_'));
    if !is_suffix {
        let message = format!("unit {} is not the last part of the metric name {}", excerpt(unit), excerpt(&family));
        return Err(line.error(unit_at, message));
    }
    Ok(Entry::Unit { family, unit })
}

/// A sample line whose series begins at `start`.
fn sample(line: Line<'_>, start: usize, format: Format) -> Result<Sample<'_>, ParseError> {
    let end = series_end(line, start, format);
    let series = RawSeries { line, start, end: end.unwrap_or(line.text.len()), format };
    // A fault in the series comes first in the line, so it is the one to tell.
    let earliest = |fault: ParseError| series.labels().err().unwrap_or(fault);
    let Some(end) = end else {
        return Err(earliest(line.error(line.text.len(), "expected '}', found the end of the line")));
    };
    let Numbers { value, timestamp_ms, exemplar } = numbers(line, end, format).map_err(earliest)?;
    Ok(Sample { series, value, timestamp_ms, exemplar })
}

/// The byte after a series' text: after the closing brace, or before the blank that follows a bare name; `None` if no brace
/// closes. Right for every line that is right; on others it may be too far, which reading the series notices.
fn series_end(line: Line<'_>, start: usize, format: Format) -> Option<usize> {
    let bytes = line.text.as_bytes();
    // An exemplar has braces of its own (and a label value may hold a '#').
    if format == Format::OpenMetrics && memchr::memchr(b'#', bytes).is_some() {
        return series_end_forward(line, start);
    }
    // Nothing after the labels can hold a brace, so the last one closes them: quotes need not be looked at.
    if let Some(last) = memchr::memrchr(b'}', &bytes[start..]) {
        return Some(start + last + 1);
    }
    match memchr::memchr3(b'{', b' ', b'\t', &bytes[start..]) {
        Some(n) if bytes[line.skip_blanks(start + n)..].first() == Some(&b'{') => None,
        Some(n) => Some(start + n),
        None => Some(bytes.len()),
    }
}

/// The same, byte by byte past quoted texts.
fn series_end_forward(line: Line<'_>, start: usize) -> Option<usize> {
    let bytes = line.text.as_bytes();
    let name_end = memchr::memchr3(b'{', b' ', b'\t', &bytes[start..]).map_or(bytes.len(), |n| start + n);
    // `name {label="value"}` is legal too.
    let mut at = line.skip_blanks(name_end);
    if bytes.get(at) != Some(&b'{') {
        return Some(name_end);
    }
    let mut is_quoted = false;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if is_quoted => at += 1,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// What stands after the series.
struct Numbers {
    value: f64,
    timestamp_ms: Option<i64>,
    exemplar: Option<Box<Exemplar>>,
}

/// Value, timestamp and exemplar after the series.
fn numbers(line: Line<'_>, end: usize, format: Format) -> Result<Numbers, ParseError> {
    let value_at = line.skip_blanks(end);
    let word = line.word(value_at);
    if word.is_empty() {
        return Err(line.expected(value_at, "a value"));
    }
    let value = number::parse_value(word).map_err(|e| bad_number(line, value_at, "a value", e))?;
    let mut at = line.skip_blanks(value_at + word.len());
    let mut timestamp_ms = None;
    if !matches!(line.byte(at), None | Some(b'#')) {
        timestamp_ms = Some(timestamp(line, at, format)?);
        at = line.skip_blanks(at + line.word(at).len());
    }
    let mut exemplar = None;
    if format == Format::OpenMetrics && line.byte(at) == Some(b'#') {
        let (read, end) = read_exemplar(line, at)?;
        (exemplar, at) = (Some(Box::new(read)), end);
    }
    match line.byte(at) {
        None => Ok(Numbers { value, timestamp_ms, exemplar }),
        Some(_) => Err(line.expected(at, "the end of the line")),
    }
}

/// An exemplar at its `#`, and the byte after it.
fn read_exemplar(line: Line<'_>, at: usize) -> Result<(Exemplar, usize), ParseError> {
    let brace_at = line.skip_blanks(at + 1);
    let (labels, brace_end) = series::label_brace(line, brace_at)?;
    let value_at = line.skip_blanks(brace_end);
    let word = line.word(value_at);
    let value = number::parse_value(word).map_err(|e| bad_number(line, value_at, "an exemplar's value", e))?;
    let time_at = line.skip_blanks(value_at + word.len());
    if line.byte(time_at).is_none() {
        return Ok((Exemplar { labels, value, timestamp_ms: None }, time_at));
    }
    let timestamp_ms = Some(timestamp(line, time_at, Format::OpenMetrics)?);
    Ok((Exemplar { labels, value, timestamp_ms }, line.skip_blanks(time_at + line.word(time_at).len())))
}

fn timestamp(line: Line<'_>, at: usize, format: Format) -> Result<i64, ParseError> {
    let word = line.word(at);
    let read = match format {
        Format::Text => number::parse_timestamp_ms(word),
        Format::OpenMetrics => number::parse_timestamp_seconds(word),
    };
    read.map_err(|e| bad_number(line, at, "a timestamp", e))
}

fn bad_number(line: Line<'_>, at: usize, expected: &str, reason: &str) -> ParseError {
    line.error(at, format!("expected {expected}, found {} ({reason})", excerpt(line.word(at))))
}

#[cfg(test)]
mod tests;
