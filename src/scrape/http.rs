//! Scraping over HTTP.
//!
//! Here: the client of a pool, request headers, credentials, the answer's status and body, and the words for what goes
//! wrong.
//! Elsewhere: decompression and its limit (`body`).
//!
//! The client is built at the first request, off the async threads: it reads certificates from disk. Credentials in
//! files are read at every scrape.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, StatusCode, redirect};
use tokio::sync::OnceCell;

use super::body::BodyReader;
use super::fetch::{FetchError, Page, timed_out};
use crate::config::{HttpClientConfig, ScrapeConfig, Secret};
use crate::exposition::Format;
use crate::exposition::content_type::format_of;

const USER_AGENT: &str = concat!("Cairn/", env!("CARGO_PKG_VERSION"));

/// Go's limit, which Prometheus has.
const REDIRECTS_MAX: usize = 10;

/// Idle connections are kept for the longest usual interval and a bit.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

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
            tokio::task::spawn_blocking(move || build_client(&config))
                .await
                .map_err(|e| FetchError::Setup(e.to_string()))?
                .map_err(FetchError::Setup)
        };
        self.client.get_or_try_init(build).await
    }
}

fn build_client(config: &HttpClientConfig) -> Result<Client, String> {
    // An error says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let redirects =
            if config.refuse_redirects { redirect::Policy::none() } else { redirect::Policy::limited(REDIRECTS_MAX) };
        let builder = if config.http1_only { Client::builder().http1_only() } else { Client::builder() };
        builder
            .user_agent(USER_AGENT)
            .no_proxy()
            .referer(false)
            .redirect(redirects)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tls_danger_accept_invalid_certs(config.insecure_skip_verify)
    };
    let Some(ca_file) = &config.ca_file else {
        // On a machine without any CA certificate plain HTTP must work all the same; HTTPS then says "unknown issuer".
        return builder().build().or_else(|_| builder().tls_certs_only([]).build()).map_err(|e| with_causes(&e));
    };
    let pem = std::fs::read(ca_file).map_err(|e| format!("unable to read CA cert {}: {e}", ca_file.display()))?;
    let certificates = Certificate::from_pem_bundle(&pem)
        .map_err(|e| format!("CA cert {}: {}", ca_file.display(), with_causes(&e)))?;
    if certificates.is_empty() {
        return Err(format!("CA cert {}: no certificate in it; expected PEM", ca_file.display()));
    }
    builder().tls_certs_only(certificates).build().map_err(|e| with_causes(&e))
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
    fallback: Format,
    /// `body_size_limit`, 0 for the built-in one.
    body_bytes_max: u64,
}

impl RequestRules {
    pub(crate) fn new(config: &ScrapeConfig) -> Self {
        let is_open_metrics = |name: &String| name.starts_with("OpenMetrics");
        RequestRules {
            accept: accept_header(&config.scrape_protocols),
            accept_encoding: if config.enable_compression { "gzip" } else { "identity" },
            fallback: match config.fallback_scrape_protocol.as_ref().is_some_and(is_open_metrics) {
                true => Format::OpenMetrics,
                false => Format::Text,
            },
            body_bytes_max: config.limits.body_bytes,
        }
    }
}

/// What we read, best first, weighted as Prometheus does it; protobuf is left out.
fn accept_header(protocols: &[String]) -> String {
    let types = protocols.iter().filter_map(|name| match name.as_str() {
        "OpenMetricsText1.0.0" => Some("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"),
        "OpenMetricsText0.0.1" => Some("application/openmetrics-text;version=0.0.1"),
        "PrometheusText1.0.0" => Some("text/plain;version=1.0.0;escaping=allow-utf-8"),
        "PrometheusText0.0.4" => Some("text/plain;version=0.0.4"),
        _ => None,
    });
    let weighted = types.chain(["*/*"]).zip((1..=6).rev()).map(|(name, weight)| format!("{name};q=0.{weight}"));
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
        if let Some(credentials) = authorization(&self.client.config).await? {
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

/// The `Authorization` header, if the pool has credentials.
async fn authorization(config: &HttpClientConfig) -> Result<Option<HeaderValue>, FetchError> {
    let text = if let Some((user, password)) = &config.basic_auth {
        let pair = format!("{user}:{}", read_secret(password).await?);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    } else if let Some((kind, credentials)) = &config.authorization {
        format!("{kind} {}", read_secret(credentials).await?)
    } else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| FetchError::Setup("the credentials hold a byte that no HTTP header may have".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

async fn read_secret(secret: &Secret) -> Result<String, FetchError> {
    match secret {
        Secret::Inline(text) => Ok(text.clone()),
        Secret::File(path) => match tokio::fs::read_to_string(path).await {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(e) => Err(FetchError::Setup(format!("unable to read file {}: {e}", path.display()))),
        },
    }
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
            let detail = e.source().map(|e| format!(" ({e})")).unwrap_or_default();
            return format!("dial tcp: lookup {address}: no such host{detail}");
        }
        cause = e.source();
    }
    with_causes(error)
}

/// The error and its causes, innermost last, without the URL and without repetitions.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = error.source();
    if cause.is_none() {
        return error.to_string();
    }
    while let Some(e) = cause {
        let words = e.to_string();
        if !text.ends_with(&words) {
            let separator = if text.is_empty() { "" } else { ": " };
            // Writing into a String cannot fail.
            let _ = write!(text, "{separator}{words}");
        }
        cause = e.source();
    }
    text
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
        assert_eq!(RequestRules::new(&config).accept, all);
        config.scrape_protocols = vec!["PrometheusProto".to_owned(), "PrometheusText0.0.4".to_owned()];
        config.fallback_scrape_protocol = Some("OpenMetricsText1.0.0".to_owned());
        config.enable_compression = false;
        let rules = RequestRules::new(&config);
        assert_eq!(rules.accept, "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
        assert_eq!((rules.fallback, rules.accept_encoding), (Format::OpenMetrics, "identity"));
    }
}
