//! The web UI's built files, served from the binary.
//!
//! Here: finding a file of `web/dist`, its type, its compressed form; the page with the path prefix filled in.
//! Elsewhere: the sources (`web/`), routes and headers (`api`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "web/dist"]
struct Dist;

/// Where the page's `<base href>` is filled in.
const BASE_PLACEHOLDER: &str = "/__CAIRN_BASE__/";

/// One file.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
    /// Its media type.
    pub content_type: &'static str,
}

/// The page that every route of the UI gets; `base` ends with `/`.
pub fn page(base: &str) -> Option<String> {
    let html = Dist::get("index.html")?;
    Some(String::from_utf8_lossy(&html.data).replace(BASE_PLACEHOLDER, base))
}

/// The file at `path` below the UI's root.
pub fn asset(path: &str) -> Option<Asset> {
    let file = Dist::get(path)?;
    Some(Asset { bytes: file.data, content_type: content_type(path) })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "webmanifest" => "application/json",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Compressed forms of the assets, made at first use. Bounded by what is embedded.
#[derive(Debug, Default)]
pub struct Packed(Mutex<BTreeMap<String, Arc<[u8]>>>);

impl Packed {
    /// The compressed form of `path`, made by `pack` if nobody asked before.
    pub fn get(&self, path: &str, plain: &[u8], pack: impl FnOnce(&[u8]) -> Vec<u8>) -> Arc<[u8]> {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return known.clone();
        }
        let packed: Arc<[u8]> = Arc::from(pack(plain));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), packed.clone());
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_knows_where_it_is_served() {
        let html = page("/grafana/").unwrap();
        assert!(html.contains(r#"<base href="/grafana/""#) && !html.contains(BASE_PLACEHOLDER), "{html}");
        assert!(asset("../Cargo.toml").is_none());
    }
}
