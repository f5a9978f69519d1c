//! Packing answers, where the client takes it and it pays: zstd or gzip.
//!
//! Here: what a client takes, packing piece by piece, and the layer that packs answers which are in memory already.
//! Elsewhere: answers that come in pieces (`stream`).

use std::convert::Infallible;
use std::io::Write as _;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;

use super::error::ApiError;

/// Below this a packet holds the answer anyway.
const PAYS_FROM_BYTES: u64 = 1400;

/// How an answer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl<S: Sync> FromRequestParts<S> for Encoding {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Encoding::accepted(&parts.headers))
    }
}

impl Encoding {
    /// What `Accept-Encoding` likes best; of equals zstd, which costs least.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let best = wanted(headers).reduce(|best, next| match next.1.total_cmp(&best.1) {
            std::cmp::Ordering::Greater => next,
            std::cmp::Ordering::Equal if next.0 == Encoding::Zstd => next,
            _ => best,
        });
        best.map_or(Encoding::Identity, |(encoding, _)| encoding)
    }

    /// As `Content-Encoding` has it.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Zstd => Some("zstd"),
        }
    }

    /// A packer at levels that are fast and still pack well.
    pub(super) fn packer(self) -> Packer {
        match self {
            Encoding::Identity => Packer::Identity,
            Encoding::Gzip => Packer::Gzip(GzEncoder::new(Vec::new(), Compression::new(3))),
            Encoding::Zstd => match zstd::stream::write::Encoder::new(Vec::new(), 1) {
                Ok(encoder) => Packer::Zstd(encoder),
                Err(e) => Packer::Broken(e.to_string()),
            },
        }
    }
}

/// The encodings that a client takes, with their weights.
fn wanted(headers: &HeaderMap) -> impl Iterator<Item = (Encoding, f32)> {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).filter_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let encoding = match parts.next()? {
            name if name.eq_ignore_ascii_case("zstd") => Encoding::Zstd,
            name if name.eq_ignore_ascii_case("gzip") => Encoding::Gzip,
            _ => return None,
        };
        let weight = parts.find_map(|p| p.split_once('=').filter(|(name, _)| name.trim() == "q"));
        let weight: f32 = weight.map_or(Some(1.0), |(_, q)| q.trim().parse().ok())?;
        (weight > 0.0).then_some((encoding, weight))
    })
}

/// Whether a client takes gzip, the one packing of what is packed once and kept.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    wanted(headers).any(|(encoding, _)| encoding == Encoding::Gzip)
}

/// One gzip member.
pub(super) fn gzip(plain: &[u8]) -> Vec<u8> {
    // Writing into a Vec cannot fail.
    Encoding::Gzip.packer().pack(plain, true).unwrap_or_default()
}

/// Packs one answer, piece by piece.
pub(super) enum Packer {
    Identity,
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    /// There was no memory for it.
    Broken(String),
}

impl Packer {
    /// Packs some more; what is ready to be sent, all of it with the last piece. Nothing may come after that.
    pub(super) fn pack(&mut self, plain: &[u8], is_last: bool) -> std::io::Result<Vec<u8>> {
        match self {
            Packer::Identity => Ok(plain.to_vec()),
            Packer::Gzip(encoder) => {
                encoder.write_all(plain)?;
                if is_last {
                    encoder.try_finish()?;
                }
                Ok(std::mem::take(encoder.get_mut()))
            }
            Packer::Zstd(encoder) => {
                encoder.write_all(plain)?;
                if is_last {
                    encoder.do_finish()?;
                }
                Ok(std::mem::take(encoder.get_mut()))
            }
            Packer::Broken(why) => Err(std::io::Error::other(why.clone())),
        }
    }
}

/// Compresses text and JSON answers that are not compressed yet.
pub(super) async fn compress(request: Request, next: Next) -> Response {
    let encoding = Encoding::accepted(request.headers());
    let response = next.run(request).await;
    let Some(name) = encoding.name().filter(|_| pays(&response)) else { return response };
    let (mut parts, body) = response.into_parts();
    // Our own answer, in memory already.
    let Ok(plain) = body.collect().await else {
        return ApiError::Internal("the answer broke off".to_owned()).into_response();
    };
    let plain = plain.to_bytes();
    match tokio::task::spawn_blocking(move || encoding.packer().pack(&plain, true)).await {
        Ok(Ok(packed)) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
            parts.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
            Response::from_parts(parts, Body::from(packed))
        }
        Ok(Err(e)) => ApiError::Internal(format!("the answer cannot be compressed: {e}")).into_response(),
        Err(e) => ApiError::Internal(format!("the answer cannot be compressed: {e}")).into_response(),
    }
}

fn pays(response: &Response) -> bool {
    let headers = response.headers();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let is_text = kind.starts_with("text/")
        || kind.starts_with("application/json")
        || kind.starts_with("application/openmetrics-text");
    // What comes in pieces has no size yet; it is packed already if its client wants that.
    let size = axum::body::HttpBody::size_hint(response.body()).exact();
    is_text && !headers.contains_key(header::CONTENT_ENCODING) && size.is_some_and(|bytes| bytes >= PAYS_FROM_BYTES)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn reads_accept_encoding() {
        use Encoding::{Gzip, Identity, Zstd};
        for (value, expected) in [
            ("gzip", Gzip),
            ("br, gzip;q=0.5", Gzip),
            ("gzip;q=0", Identity),
            ("gzip; q=0.0", Identity),
            ("gzip;q=x", Identity),
            ("br", Identity),
            ("", Identity),
            ("gzip, deflate, br, zstd", Zstd),
            ("zstd, gzip", Zstd),
            ("zstd;q=0.2, gzip; q=0.3", Gzip),
            ("ZSTD", Zstd),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(Encoding::accepted(&headers), expected, "{value}");
        }
    }

    #[test]
    fn pieces_unpack_to_the_whole() {
        let pieces = ["a".repeat(100_000), "bc".repeat(50_000), "tail".to_owned()];
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
            let mut packer = encoding.packer();
            let mut packed = Vec::new();
            for (i, piece) in pieces.iter().enumerate() {
                packed.extend(packer.pack(piece.as_bytes(), i == 2).unwrap());
            }
            let plain = match encoding {
                Encoding::Identity => packed,
                Encoding::Gzip => {
                    let mut plain = Vec::new();
                    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
                    plain
                }
                Encoding::Zstd => zstd::decode_all(&packed[..]).unwrap(),
            };
            assert!(plain == pieces.concat().as_bytes(), "{encoding:?}");
        }
    }
}
