//! Protobuf's wire format, read in place.
//!
//! Here: tags, varints, lengths, skipping of unknown fields; every error with the byte where it stands and what was
//! expected. The fields that all messages of histograms share are in `histogram`. Elsewhere: which fields a message has
//! (`ingest`, `exposition`).
//!
//! Invariant: a reader never looks past its message, and messages never reach past the one they are in.

pub(crate) mod histogram;

/// The body is not what its content type says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset} of the decompressed body, in {inside}: expected {expected}")]
pub struct DecodeError {
    /// Byte of the decompressed body.
    pub offset: usize,
    /// The message that is being read.
    pub inside: &'static str,
    /// What should stand there.
    pub expected: &'static str,
}

/// Deepest nesting of groups in a field that is skipped.
const GROUP_DEPTH_MAX: usize = 32;

/// How a field's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint,
    Fixed64,
    Len,
    GroupStart,
    GroupEnd,
    Fixed32,
}

/// The rest of one message. Copying it is looking twice.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reader<'a> {
    body: &'a [u8],
    pos: usize,
    end: usize,
    inside: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads the whole of `body`.
    pub(crate) fn new(body: &'a [u8], inside: &'static str) -> Self {
        Reader { body, pos: 0, end: body.len(), inside }
    }

    /// Whether the whole message was read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.pos >= self.end
    }

    /// Where the next byte stands in the body.
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// The body's bytes from `start` up to here.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.body.get(start..self.pos).unwrap_or(&[])
    }

    /// The next field's number and how it is written; `None` at the message's end.
    #[inline]
    pub(crate) fn field(&mut self) -> Result<Option<(u32, Wire)>, DecodeError> {
        if self.pos >= self.end {
            return Ok(None);
        }
        let start = self.pos;
        let key = self.varint()?;
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Len,
            3 => Wire::GroupStart,
            4 => Wire::GroupEnd,
            5 => Wire::Fixed32,
            _ => return Err(self.error(start, "a field's tag with a known wire type")),
        };
        match u32::try_from(key).map(|key| key >> 3) {
            Ok(number) if number > 0 => Ok(Some((number, wire))),
            _ => Err(self.error(start, "a field number from 1 to 536870911")),
        }
    }

    /// A varint of at most ten bytes; most have one.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.body.get(self.pos) {
            Some(&byte) if byte < 0x80 && self.pos < self.end => {
                self.pos += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let start = self.pos;
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte(start)?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error(start, "a varint of at most 64 bits"))
    }

    #[inline]
    fn byte(&mut self, start: usize) -> Result<u8, DecodeError> {
        if self.pos >= self.end {
            return Err(self.error(start, "the rest of a varint, not the end of the message"));
        }
        let byte = *self.body.get(self.pos).ok_or_else(|| self.error(start, "the rest of a varint"))?;
        self.pos += 1;
        Ok(byte)
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, DecodeError> {
        let bytes = self.take(8, "eight bytes of a number")?;
        // The slice has the length that was asked for.
        Ok(bytes.try_into().map(u64::from_le_bytes).unwrap_or_default())
    }

    /// A length and as many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.pos;
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| self.error(start, "a length within the message"))?;
        if length > self.end - self.pos {
            return Err(self.error(start, "a length within the message"));
        }
        self.take(length, "a length within the message")
    }

    /// A message inside this one.
    #[inline]
    pub(crate) fn message(&mut self, inside: &'static str) -> Result<Reader<'a>, DecodeError> {
        let bytes = self.bytes()?;
        Ok(Reader { body: self.body, pos: self.pos - bytes.len(), end: self.pos, inside })
    }

    /// The part of the body between two bytes of this message, with the same places in errors.
    pub(crate) fn part(&self, start: usize, end: usize) -> Reader<'a> {
        let end = end.min(self.end);
        Reader { pos: start.clamp(self.pos.min(end), end), end, ..*self }
    }

    /// Goes past all fields with this tag that stand here and have a tag and a length of one byte each. What is
    /// otherwise, damage too, is left to the caller.
    #[inline]
    pub(crate) fn skip_short(&mut self, tag: u8) {
        let Some(message) = self.body.get(..self.end) else { return };
        while let Some(&[found, length]) = message.get(self.pos..self.pos + 2) {
            let next = self.pos + 2 + usize::from(length);
            if found != tag || length >= 0x80 || next > message.len() {
                return;
            }
            self.pos = next;
        }
    }

    /// The rest of the message, as it stands.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.body.get(self.pos..self.end).unwrap_or(&[])
    }

    /// Goes past so many bytes, which the caller knows.
    #[inline]
    pub(crate) fn go_past(&mut self, length: usize) -> Result<(), DecodeError> {
        self.take(length, "the fields of before").map(|_| ())
    }

    /// Goes past a field that nobody reads.
    pub(crate) fn skip(&mut self, number: u32, wire: Wire) -> Result<(), DecodeError> {
        self.skip_within(number, wire, GROUP_DEPTH_MAX)
    }

    fn skip_within(&mut self, number: u32, wire: Wire, depth: usize) -> Result<(), DecodeError> {
        match wire {
            Wire::Varint => self.varint().map(|_| ()),
            Wire::Fixed64 => self.take(8, "eight bytes").map(|_| ()),
            Wire::Fixed32 => self.take(4, "four bytes").map(|_| ()),
            Wire::Len => self.bytes().map(|_| ()),
            Wire::GroupEnd => Err(self.error(self.pos, "a field, not the end of a group")),
            Wire::GroupStart if depth == 0 => Err(self.error(self.pos, "fewer groups in each other")),
            Wire::GroupStart => loop {
                match self.field()? {
                    Some((end, Wire::GroupEnd)) if end == number => return Ok(()),
                    Some((inner, wire)) => self.skip_within(inner, wire, depth - 1)?,
                    None => return Err(self.error(self.pos, "the end of a group")),
                }
            },
        }
    }

    /// The error for a known field that is written in another way than it should be.
    pub(crate) fn wrong_wire(&self, expected: &'static str) -> DecodeError {
        self.error(self.pos, expected)
    }

    #[inline]
    fn take(&mut self, length: usize, expected: &'static str) -> Result<&'a [u8], DecodeError> {
        let bytes = self.body.get(self.pos..self.end).and_then(|rest| rest.get(..length));
        let bytes = bytes.ok_or_else(|| self.error(self.pos, expected))?;
        self.pos += length;
        Ok(bytes)
    }

    fn error(&self, offset: usize, expected: &'static str) -> DecodeError {
        DecodeError { offset, inside: self.inside, expected }
    }
}
