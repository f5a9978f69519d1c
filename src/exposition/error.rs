//! What is wrong with an exposition, and where.
//!
//! Here: [`ParseError`] of the text formats, [`ProtobufError`] of the other. Elsewhere: who is told (`scrape`: the target's last error).

use crate::wire::DecodeError;

/// The first fault of a body. The place is exact: it names the byte at which the text stops making sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, byte {column} (byte {offset} of the body): {message}")]
pub struct ParseError {
    /// Line, counted from 1.
    pub line: usize,
    /// Byte within the line, counted from 1.
    pub column: usize,
    /// Byte within the body, counted from 0.
    pub offset: usize,
    /// What was expected and what was found.
    pub message: String,
}

/// The first fault of a page in the protobuf format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a page in the protobuf format: at byte {offset}{message}")]
pub struct ProtobufError {
    /// Byte within the body, counted from 0.
    pub offset: usize,
    /// What was expected and what was found, after a blank or a comma.
    pub(crate) message: String,
}

impl ProtobufError {
    pub(crate) fn new(offset: usize, message: impl std::fmt::Display) -> Self {
        ProtobufError { offset, message: format!(": {message}") }
    }
}

impl From<DecodeError> for ProtobufError {
    fn from(error: DecodeError) -> Self {
        let DecodeError { offset, inside, expected } = error;
        ProtobufError { offset, message: format!(", in {inside}: expected {expected}") }
    }
}

/// One line of the body and its place: where all errors come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// Without the line feed.
    pub(crate) text: &'a str,
    /// Counted from 1.
    pub(crate) number: usize,
    /// Of the line's first byte in the body.
    pub(crate) offset: usize,
}

impl<'a> Line<'a> {
    /// An error at byte `at` of the line, counted from 0.
    pub(crate) fn error(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError { line: self.number, column: at + 1, offset: self.offset + at, message: message.into() }
    }

    /// "expected …, found …" at byte `at`.
    pub(crate) fn expected(&self, at: usize, expected: &str) -> ParseError {
        self.error(at, format!("expected {expected}, found {}", self.found(at)))
    }

    /// What stands at byte `at`, in words, short.
    fn found(&self, at: usize) -> String {
        match self.text.get(at..).and_then(|rest| rest.chars().next()) {
            None => "the end of the line".to_owned(),
            Some('\r') => "a carriage return (lines end with \\n alone)".to_owned(),
            Some(c) => format!("{c:?}"),
        }
    }

    /// The byte at `at`, `None` at the end.
    pub(crate) fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The first byte at or after `at` that is not a blank.
    pub(crate) fn skip_blanks(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        at
    }

    /// The word at `at`, up to a blank or the end.
    pub(crate) fn word(&self, at: usize) -> &'a str {
        let rest = &self.text[at..];
        let len = rest.bytes().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(rest.len());
        &rest[..len]
    }
}

/// At most the first 40 characters of `text`, quoted, for messages.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}
