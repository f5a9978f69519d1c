//! Getting a target's page: over HTTP, or from a collector inside this process.
//!
//! Here: the two ways and the errors they share. Elsewhere: the HTTP client (`http`), decompression (`body`), the
//! format (`exposition`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::http::HttpFetcher;
use crate::config::format_duration;
use crate::exposition::{Format, PageFormat};

/// Renders a page in-process, in the text format or (if it ends with `# EOF`) in OpenMetrics; may block.
pub type Render = Arc<dyn Fn(&mut String) -> Result<(), String> + Send + Sync>;

/// A page, decompressed.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) body: Vec<u8>,
    pub(crate) format: PageFormat,
}

/// Why there is no page. The texts are what the targets page shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("Get {url:?}: {reason}")]
    Request { url: String, reason: String },
    #[error("Get {url:?}: context deadline exceeded: no complete answer within the scrape timeout of {timeout}")]
    Timeout { url: String, timeout: String },
    #[error("server returned HTTP status {0}")]
    Status(String),
    #[error("body size limit exceeded: the page is larger than {limit} bytes ({key})")]
    BodyLimit { limit: u64, key: &'static str },
    #[error("the answer cannot be decompressed: {0}")]
    Encoding(String),
    #[error("{0}")]
    ContentType(String),
    #[error("{0}")]
    Setup(String),
    #[error("the built-in collector failed: {0}")]
    Local(String),
}

/// One target's way to its page.
pub(crate) enum Fetcher {
    Http(HttpFetcher),
    Local(LocalFetcher),
    /// The target must not be scraped (`target_limit`); why.
    Refused(String),
}

impl Fetcher {
    /// The page, within `timeout`.
    pub(crate) async fn fetch(&self, timeout: Duration) -> Result<Page, FetchError> {
        match self {
            Fetcher::Http(http) => http.fetch(timeout).await,
            Fetcher::Local(local) => local.fetch(timeout).await,
            Fetcher::Refused(reason) => Err(FetchError::Setup(reason.clone())),
        }
    }
}

/// An in-process collector. A run that outlasts its timeout is left to end; meanwhile no other is started.
pub(crate) struct LocalFetcher {
    pub(crate) url: String,
    pub(crate) render: Render,
    pub(crate) is_running: Arc<AtomicBool>,
}

impl LocalFetcher {
    async fn fetch(&self, timeout: Duration) -> Result<Page, FetchError> {
        if self.is_running.swap(true, Ordering::SeqCst) {
            return Err(FetchError::Local("the previous run has not ended".to_owned()));
        }
        let (render, is_running) = (self.render.clone(), self.is_running.clone());
        let run = tokio::task::spawn_blocking(move || {
            let _ended = ClearOnDrop(is_running);
            let mut text = String::new();
            render(&mut text).map(|()| text)
        });
        let text = match tokio::time::timeout(timeout, run).await {
            Err(_) => return Err(timed_out(&self.url, timeout)),
            Ok(Err(panicked)) => return Err(FetchError::Local(panicked.to_string())),
            Ok(Ok(rendered)) => rendered.map_err(FetchError::Local)?,
        };
        let format = if text.trim_end().ends_with("# EOF") { Format::OpenMetrics } else { Format::Text };
        Ok(Page { body: text.into_bytes(), format: PageFormat::Text(format) })
    }
}

/// Also after a panic the collector may run again.
struct ClearOnDrop(Arc<AtomicBool>);

impl Drop for ClearOnDrop {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

pub(crate) fn timed_out(url: &str, timeout: Duration) -> FetchError {
    FetchError::Timeout { url: url.to_owned(), timeout: format_duration(timeout) }
}
