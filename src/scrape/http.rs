//! Scraping over HTTP.
//!
//! Here: the client of a pool, request headers, credentials, the answer's status and body, and the words for what goes
//! wrong.
//! Elsewhere: decompression and its limit (`body`).
//!
//! The client is built at the first request, off the async threads: it reads certificates from disk. Credentials in
//! files are read at every scrape.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, StatusCode};
use tokio::sync::OnceCell;

use super::body::BodyReader;
use super::fetch::{FetchError, Page, timed_out};
use crate::config::{HttpClientConfig, NameEscaping, ScrapeConfig, ScrapeProtocol};
use crate::exposition::content_type::format_of;
use crate::exposition::{Format, PageFormat};
use crate::http_client;

/// The HTTP client that the targets of one pool share.
#[derive(Debug)]
pub(crate) struct PoolClient {
    pub(crate) config: HttpClientConfig,
    client: OnceCell<Client>,
}

impl PoolClient {
    pub(crate) fn new(config: HttpClientConfig) -> Self {
        PoolClient { config, client: OnceCell::new() }
    }

    /// The client; an error (say, an unreadable CA file) is tried again at the next scrape.
    async fn get(&self) -> Result<&Client, FetchError> {
        let build = || async {
            let config = self.config.clone();
            tokio::task::spawn_blocking(move || http_client::build(&config))
                .await
                .map_err(|e| FetchError::Setup(e.to_string()))?
                .map_err(FetchError::Setup)
        };
        self.client.get_or_try_init(build).await
    }
}

/// One target's page over HTTP.
pub(crate) struct HttpFetcher {
    pub(crate) client: Arc<PoolClient>,
    pub(crate) url: String,
    pub(crate) rules: Arc<RequestRules>,
}

/// What the targets of a pool are asked, and how their answers are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestRules {
    accept: String,
    accept_encoding: &'static str,
    /// The format of an answer that does not say.
    fallback: PageFormat,
    /// `body_size_limit`, 0 for the built-in one.
    body_bytes_max: u64,
}

impl RequestRules {
    /// `wants_starts` asks for the format that tells start timestamps, unless the configuration names formats.
    pub(crate) fn new(config: &ScrapeConfig, wants_starts: bool) -> Self {
        RequestRules {
            accept: accept_header(config.protocols(wants_starts), config.name_escaping),
            accept_encoding: if config.enable_compression { "gzip" } else { "identity" },
            fallback: match config.fallback_scrape_protocol {
                Some(ScrapeProtocol::Proto) => PageFormat::Protobuf,
                Some(ScrapeProtocol::OpenMetrics0 | ScrapeProtocol::OpenMetrics1) => {
                    PageFormat::Text(Format::OpenMetrics)
                }
                Some(ScrapeProtocol::Text0 | ScrapeProtocol::Text1) | None => PageFormat::Text(Format::Text),
            },
            body_bytes_max: config.limits.body_bytes,
        }
    }
}

/// What we read, best first, weighted as Prometheus does it.
fn accept_header(protocols: &[ScrapeProtocol], escaping: NameEscaping) -> String {
    let media_type = |protocol: &ScrapeProtocol| {
        let (name, has_escaping) = match protocol {
            ScrapeProtocol::Proto => {
                ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", false)
            }
            ScrapeProtocol::OpenMetrics0 => ("application/openmetrics-text;version=0.0.1", false),
            ScrapeProtocol::OpenMetrics1 => ("application/openmetrics-text;version=1.0.0", true),
            ScrapeProtocol::Text0 => ("text/plain;version=0.0.4", false),
            ScrapeProtocol::Text1 => ("text/plain;version=1.0.0", true),
        };
        if has_escaping { format!("{name};escaping={}", escaping.name()) } else { name.to_owned() }
    };
    let types = protocols.iter().map(media_type).chain(["*/*".to_owned()]);
    let weighted = types.zip((1..=6).rev()).map(|(name, weight)| format!("{name};q=0.{weight}"));
    weighted.collect::<Vec<_>>().join(",")
}

impl HttpFetcher {
    pub(crate) async fn fetch(&self, timeout: Duration) -> Result<Page, FetchError> {
        match tokio::time::timeout(timeout, self.request(timeout)).await {
            Ok(answer) => answer,
            Err(_) => Err(timed_out(&self.url, timeout)),
        }
    }

    async fn request(&self, timeout: Duration) -> Result<Page, FetchError> {
        let client = self.client.get().await?;
        let mut request = client
            .get(&self.url)
            .header(ACCEPT, &self.rules.accept)
            .header(ACCEPT_ENCODING, self.rules.accept_encoding)
            .header("X-Prometheus-Scrape-Timeout-Seconds", timeout.as_secs_f64().to_string());
        if let Some(credentials) = http_client::authorization(&self.client.config).await.map_err(FetchError::Setup)? {
            request = request.header(AUTHORIZATION, credentials);
        }
        let mut response = request.send().await.map_err(|e| self.failed(e))?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            return Err(FetchError::Status(format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or(""))));
        }
        let format = format_of(header(response.headers(), &CONTENT_TYPE), self.rules.fallback)
            .map_err(FetchError::ContentType)?;
        let mut body = BodyReader::new(header(response.headers(), &CONTENT_ENCODING), self.rules.body_bytes_max)?;
        while let Some(chunk) = response.chunk().await.map_err(|e| self.failed(e))? {
            body.push(&chunk)?;
        }
        Ok(Page { body: body.finish()?, format })
    }

    fn failed(&self, error: reqwest::Error) -> FetchError {
        FetchError::Request { url: self.url.clone(), reason: reason(&error, &self.url) }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &reqwest::header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Why a request failed: Prometheus' words where it has some, else the chain of causes.
fn reason(error: &reqwest::Error, url: &str) -> String {
    let address = url.split_once("://").map_or(url, |(_, rest)| rest.split(['/', '?']).next().unwrap_or(rest));
    let mut cause = error.source();
    while let Some(e) = cause {
        if let Some(io) = e.downcast_ref::<io::Error>() {
            match io.kind() {
                io::ErrorKind::ConnectionRefused => {
                    return format!("dial tcp {address}: connect: connection refused (nothing listens there)");
                }
                io::ErrorKind::HostUnreachable => return format!("dial tcp {address}: connect: no route to host"),
                _ => {}
            }
        }
        if e.to_string() == "dns error" {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            return format!("dial tcp: lookup {host}: no such host ({})", innermost(e));
        }
        cause = e.source();
    }
    http_client::with_causes(error)
}

/// The words of the cause that has no cause.
fn innermost(mut error: &dyn std::error::Error) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrape::testing::scrape_config;

    #[test]
    fn protocols_are_weighted_like_prometheus() {
        let mut config = scrape_config("j");
        let all = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(RequestRules::new(&config, false).accept, all);
        let proto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,";
        let all = proto.to_owned()
            + "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
               application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
               text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(RequestRules::new(&config, true).accept, all);
        config.histograms.native = true;
        assert_eq!(RequestRules::new(&config, false).accept, all);
        config.scrape_protocols = vec![ScrapeProtocol::Proto, ScrapeProtocol::Text1];
        config.fallback_scrape_protocol = Some(ScrapeProtocol::OpenMetrics1);
        (config.enable_compression, config.name_escaping) = (false, NameEscaping::Underscores);
        let rules = RequestRules::new(&config, true);
        assert_eq!(rules.accept, proto.to_owned() + "text/plain;version=1.0.0;escaping=underscores;q=0.5,*/*;q=0.4");
        assert_eq!((rules.fallback, rules.accept_encoding), (PageFormat::Text(Format::OpenMetrics), "identity"));
        config.fallback_scrape_protocol = Some(ScrapeProtocol::Proto);
        assert_eq!(RequestRules::new(&config, false).fallback, PageFormat::Protobuf);
    }
}
