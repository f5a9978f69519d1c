//! The bytes of an answer, decompressed as they come and never more than allowed.
//!
//! Invariant: memory held is at most the limit and one network chunk, whatever the body claims or expands to.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use super::fetch::FetchError;

/// Most bytes of a page where `body_size_limit` is not set: far above any exporter, far below a machine's memory.
pub(crate) const BODY_BYTES_MAX: u64 = 256 << 20;

/// Collects a body.
pub(crate) enum BodyReader {
    Plain(Limited),
    Gzip(Box<MultiGzDecoder<Limited>>),
}

/// A buffer that refuses to outgrow `limit`.
#[derive(Debug)]
pub(crate) struct Limited {
    bytes: Vec<u8>,
    limit: u64,
    is_configured: bool,
    is_exceeded: bool,
}

impl BodyReader {
    /// For a body with this `Content-Encoding`; `limit` 0 is the built-in limit.
    pub(crate) fn new(encoding: Option<&str>, limit: u64) -> Result<Self, FetchError> {
        let is_configured = limit > 0;
        let limit = if is_configured { limit } else { BODY_BYTES_MAX };
        let bytes = Limited { bytes: Vec::new(), limit, is_configured, is_exceeded: false };
        match encoding.map(str::trim).unwrap_or("") {
            "" | "identity" => Ok(BodyReader::Plain(bytes)),
            e if e.eq_ignore_ascii_case("gzip") => Ok(BodyReader::Gzip(Box::new(MultiGzDecoder::new(bytes)))),
            other => Err(FetchError::Encoding(format!("Content-Encoding {other:?} was not asked for, only gzip is"))),
        }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        match self {
            BodyReader::Plain(bytes) => bytes.write_all(chunk).map_err(|_| bytes.too_large()),
            BodyReader::Gzip(decoder) => decoder.write_all(chunk).map_err(|e| gzip_error(decoder, &e)),
        }
    }

    /// The whole body.
    pub(crate) fn finish(self) -> Result<Vec<u8>, FetchError> {
        match self {
            BodyReader::Plain(bytes) => Ok(bytes.bytes),
            BodyReader::Gzip(mut decoder) => {
                decoder.try_finish().map_err(|e| gzip_error(&decoder, &e))?;
                decoder.finish().map(|bytes| bytes.bytes).map_err(|e| FetchError::Encoding(e.to_string()))
            }
        }
    }
}

fn gzip_error(decoder: &MultiGzDecoder<Limited>, error: &io::Error) -> FetchError {
    match decoder.get_ref() {
        bytes if bytes.is_exceeded => bytes.too_large(),
        _ => FetchError::Encoding(error.to_string()),
    }
}

impl Limited {
    fn too_large(&self) -> FetchError {
        let key = if self.is_configured { "body_size_limit" } else { "set body_size_limit to allow more" };
        FetchError::BodyLimit { limit: self.limit, key }
    }
}

impl Write for Limited {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.bytes.len() as u64 + data.len() as u64 > self.limit {
            self.is_exceeded = true;
            return Err(io::Error::other("larger than allowed"));
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrape::testing::gzip;

    fn read(encoding: Option<&str>, limit: u64, body: &[u8]) -> Result<Vec<u8>, FetchError> {
        let mut reader = BodyReader::new(encoding, limit)?;
        for chunk in body.chunks(7) {
            reader.push(chunk)?;
        }
        reader.finish()
    }

    #[test]
    fn reads_plain_and_gzip() {
        assert_eq!(read(None, 0, b"m 1\n").unwrap(), b"m 1\n");
        assert_eq!(read(Some("gzip"), 4, &gzip(b"m 1\n")).unwrap(), b"m 1\n");
        let two = [gzip(b"m 1\n"), gzip(b"n 2\n")].concat();
        assert_eq!(read(Some("GZIP"), 0, &two).unwrap(), b"m 1\nn 2\n");
    }

    #[test]
    fn refuses_what_is_too_large_or_broken() {
        let check = |encoding, limit, body: &[u8], part: &str| {
            let message = read(encoding, limit, body).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        };
        check(None, 3, b"m 1\n", "larger than 3 bytes (body_size_limit)");
        check(Some("gzip"), 3, &gzip(b"m 1\n"), "larger than 3 bytes");
        check(Some("br"), 0, b"", "Content-Encoding \"br\"");
        check(Some("gzip"), 0, b"not gzip at all, but long enough", "cannot be decompressed");
        let whole = gzip(b"m 1\n");
        check(Some("gzip"), 0, &whole[..whole.len() - 3], "cannot be decompressed");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![0u8; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        let mut reader = BodyReader::new(Some("gzip"), 1 << 20).unwrap();
        let error = reader.push(&bomb).unwrap_err();
        assert!(matches!(error, FetchError::BodyLimit { .. }), "{error}");
        match reader {
            BodyReader::Gzip(decoder) => assert!(decoder.get_ref().bytes.capacity() <= 2 << 20),
            BodyReader::Plain(_) => unreachable!(),
        }
    }
}
