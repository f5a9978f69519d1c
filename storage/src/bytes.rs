//! Small readers and writers of little-endian numbers and varints.
//!
//! Here: what every encoder and decoder of this crate shares.
//! Elsewhere: what the bytes mean (`chunk`, `wal`, `block`; `FORMAT.md`).
//!
//! Invariant: a [`Reader`] never reads past its slice and never panics; the end is `None`.

/// Appends `value` in 7-bit groups, lowest first; at most ten bytes.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number as zigzag varint.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// Appends length and bytes.
pub(crate) fn put_str(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Small magnitudes become small unsigned numbers.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// A cursor over a slice with checked access.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    buf: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub(crate) fn new(buf: &'a [u8]) -> Self {
        Reader { buf, at: 0 }
    }

    /// Bytes not yet read.
    pub(crate) fn remaining(&self) -> usize {
        self.buf.len() - self.at
    }

    /// Whether all was read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.remaining() == 0
    }

    /// The next `len` bytes.
    #[inline]
    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let found = self.buf.get(self.at..end)?;
        self.at = end;
        Some(found)
    }

    /// What was not read yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.buf.get(self.at..).unwrap_or_default()
    }

    /// Goes past `len` bytes of [`Reader::rest`].
    #[inline]
    pub(crate) fn skip(&mut self, len: usize) {
        self.at = self.buf.len().min(self.at + len);
    }

    /// The next byte.
    #[inline]
    pub(crate) fn u8(&mut self) -> Option<u8> {
        let byte = *self.buf.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The next four bytes.
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.bytes(4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
    }

    /// The next eight bytes.
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.bytes(8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes)
    }

    /// The next eight bytes, signed.
    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.u64().map(|v| v as i64)
    }

    /// `len` (at most eight) bytes as a number.
    #[inline]
    pub(crate) fn uint(&mut self, len: usize) -> Option<u64> {
        let mut wide = [0u8; 8];
        wide.get_mut(..len)?.copy_from_slice(self.bytes(len)?);
        Some(u64::from_le_bytes(wide))
    }

    /// A varint; `None` also if it is longer than 64 bits.
    #[inline]
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A zigzag varint.
    #[inline]
    pub(crate) fn signed(&mut self) -> Option<i64> {
        self.varint().map(unzigzag)
    }

    /// A varint that must fit the platform's sizes and the bytes that are left, times `unit_bytes` at least:
    /// a bound before anything is allocated for so many items.
    pub(crate) fn count(&mut self, unit_bytes: usize) -> Option<usize> {
        let count = usize::try_from(self.varint()?).ok()?;
        (count.checked_mul(unit_bytes)? <= self.remaining()).then_some(count)
    }

    /// Length and UTF-8 bytes.
    pub(crate) fn str(&mut self) -> Option<&'a str> {
        let len = self.count(1)?;
        std::str::from_utf8(self.bytes(len)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for value in [0, 1, -1, 63, -64, 64, 1 << 40, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            put_varint(&mut out, value as u64);
            let mut r = Reader::new(&out);
            assert_eq!((r.signed(), r.varint(), r.is_at_end()), (Some(value), Some(value as u64), true));
        }
    }

    #[test]
    fn refuses_what_is_cut_or_too_long() {
        assert_eq!(Reader::new(&[0x80]).varint(), None);
        assert_eq!(Reader::new(&[0xff; 11]).varint(), None);
        assert_eq!(Reader::new(&[5, b'a']).str(), None);
        assert_eq!(Reader::new(&[1, 2, 3]).u32(), None);
        assert_eq!(Reader::new(&[0; 16]).uint(9), None);
    }
}
