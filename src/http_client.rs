//! The HTTP client of everything that asks others: scrapes, webhooks.
//!
//! Here: a client from its configuration, secrets, the words for what goes wrong below HTTP.
//! Elsewhere: requests, timeouts, retries (`scrape`, `notify`).
//!
//! Invariant: no secret is in an error. Building reads certificates from disk: not for an async thread.

use std::error::Error;
use std::time::Duration;

use base64::Engine as _;
use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, redirect};

use crate::config::{HttpClientConfig, Secret};

const USER_AGENT: &str = concat!("Cairn/", env!("CARGO_PKG_VERSION"));

/// Go's limit, which Prometheus has.
const REDIRECTS_MAX: usize = 10;

/// Idle connections are kept for the longest usual scrape interval and a bit.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// A client with these certificates, redirects and protocols; requests set their own timeout. Blocks on disk.
pub(crate) fn build(config: &HttpClientConfig) -> Result<Client, String> {
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

/// The secret itself; one in a file is read now.
pub(crate) async fn read_secret(secret: &Secret) -> Result<String, String> {
    match secret {
        Secret::Inline(text) => Ok(text.clone()),
        Secret::File(path) => match tokio::fs::read_to_string(path).await {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(e) => Err(format!("unable to read file {}: {e}", path.display())),
        },
    }
}

/// The value of the `Authorization` header, if there are credentials; those in files are read now.
pub(crate) async fn authorization(config: &HttpClientConfig) -> Result<Option<HeaderValue>, String> {
    let text = if let Some((user, password)) = &config.basic_auth {
        let pair = format!("{user}:{}", read_secret(password).await?);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    } else if let Some((kind, credentials)) = &config.authorization {
        format!("{kind} {}", read_secret(credentials).await?)
    } else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "the credentials hold a byte that no HTTP header may have".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The causes of an error, outermost first, without reqwest's own words, which only repeat the URL; those where there is no cause.
pub(crate) fn with_causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn Error> = error.source();
    if cause.is_none() {
        return error.to_string();
    }
    while let Some(e) = cause {
        let words = e.to_string();
        if !text.ends_with(&words) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&words);
        }
        cause = e.source();
    }
    text
}
