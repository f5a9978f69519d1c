//! Sending a message: one request, tried again while there is time and hope.
//!
//! Here: the HTTP client of a webhook, retries, deadlines. Elsewhere: the body (`webhook`), when it is due (`dispatch`).
//!
//! Invariant: the address and the credentials are in no error and no log line.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::config::{HttpClientConfig, Secret};

use super::config::WebhookConfig;
use super::dispatch::Job;
use super::log::{Delivery, Outcome};
use super::webhook;

/// First pause before another try; it doubles from try to try.
const BACKOFF_MS_MIN: i64 = 500;
/// Longest pause.
const BACKOFF_MS_MAX: i64 = 60_000;
/// Longest single request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A job that ended, and the log's entry about it.
pub(super) struct Finished {
    pub(super) job: Job,
    pub(super) delivery: Delivery,
}

#[derive(Clone)]
pub(super) struct Deliverer {
    permits: Arc<Semaphore>,
    external_url: Arc<str>,
    clock: Clock,
}

/// Why a try failed, and whether another may help.
struct Failure {
    message: String,
    retry: bool,
}

impl Deliverer {
    pub(super) fn new(deliveries_max: usize, external_url: String, clock: Clock) -> Self {
        Deliverer { permits: Arc::new(Semaphore::new(deliveries_max.max(1))), external_url: external_url.into(), clock }
    }

    /// Sends one message; returns by the job's deadline.
    pub(super) async fn deliver(&self, job: Job) -> Finished {
        let mut attempts = 0;
        let mut last_error = "no try was finished in time".to_owned();
        let outcome = tokio::select! {
            outcome = self.try_until_done(&job, &mut attempts, &mut last_error) => Some(outcome),
            () = self.clock.sleep_until(job.deadline) => None,
        };
        let outcome = outcome.unwrap_or(Outcome::Failed { message: format!("given up at the deadline: {last_error}") });
        let delivery = self.entry(&job, attempts, outcome);
        Finished { job, delivery }
    }

    async fn try_until_done(&self, job: &Job, attempts: &mut u32, last_error: &mut String) -> Outcome {
        let body = webhook::body(job, &self.external_url);
        let mut pause_ms = BACKOFF_MS_MIN;
        loop {
            let tried = match self.permits.acquire().await {
                Ok(_permit) => {
                    *attempts += 1;
                    send(&job.webhook, body.clone()).await
                }
                Err(_) => Err(Failure { message: "the notifier is stopping".to_owned(), retry: false }),
            };
            match tried {
                Ok(()) => return Outcome::Sent,
                Err(Failure { message, retry: false }) => return Outcome::Failed { message },
                Err(Failure { message, retry: true }) => *last_error = message,
            }
            self.clock.sleep_until(self.clock.now_ms() + pause_ms).await;
            pause_ms = (pause_ms * 2).min(BACKOFF_MS_MAX);
        }
    }

    fn entry(&self, job: &Job, attempts: u32, outcome: Outcome) -> Delivery {
        let resolved = job.alerts.iter().filter(|a| a.is_resolved_at(job.at)).count();
        let mut alert_names: Vec<String> =
            job.alerts.iter().filter_map(|a| a.alert.labels.get("alertname")).map(str::to_owned).collect();
        alert_names.sort();
        alert_names.dedup();
        Delivery {
            at: job.at,
            ended_at: self.clock.now_ms(),
            receiver: job.receiver.clone(),
            integration: "webhook",
            group_key: job.group_key.clone(),
            alert_names,
            firing: job.alerts.len() - resolved,
            resolved,
            attempts,
            outcome,
        }
    }
}

async fn send(webhook: &WebhookConfig, body: String) -> Result<(), Failure> {
    let permanent = |message: String| Failure { message, retry: false };
    let url = secret(&webhook.url, "url_file").await.map_err(permanent)?;
    let url =
        reqwest::Url::parse(url.trim()).map_err(|e| permanent(format!("the receiver's url is not valid: {e}")))?;
    let client = client(&webhook.http).await.map_err(permanent)?;
    let mut request = client.post(url).header(CONTENT_TYPE, "application/json").body(body);
    if let Some((user, password)) = &webhook.http.basic_auth {
        request = request.basic_auth(user, Some(secret(password, "password_file").await.map_err(permanent)?));
    }
    if let Some((kind, credentials)) = &webhook.http.authorization {
        let credentials = secret(credentials, "credentials_file").await.map_err(permanent)?;
        request = request.header(reqwest::header::AUTHORIZATION, format!("{kind} {credentials}"));
    }
    // An error of reqwest shows the address, which may hold a token.
    let answer = request.send().await.map_err(|e| Failure { message: error_chain(&e.without_url()), retry: true })?;
    let status = answer.status();
    match status.is_success() {
        true => Ok(()),
        false => Err(Failure {
            message: format!("unexpected status code {}", status.as_u16()),
            retry: status.is_server_error(),
        }),
    }
}

/// An error with its causes, which say more than it does ("error sending request").
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

async fn secret(secret: &Secret, key: &str) -> Result<String, String> {
    match secret {
        Secret::Inline(text) => Ok(text.clone()),
        Secret::File(path) => match tokio::fs::read_to_string(path).await {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(e) => Err(format!("{key} {}: {e}", path.display())),
        },
    }
}

/// A client for one request: messages are rare, and credentials and certificates may have changed since the last.
async fn client(http: &HttpClientConfig) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).no_proxy().user_agent("Cairn");
    if http.refuse_redirects {
        builder = builder.redirect(reqwest::redirect::Policy::none());
    }
    if http.insecure_skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if let Some(path) = &http.ca_file {
        let pem = tokio::fs::read(path).await.map_err(|e| format!("ca_file {}: {e}", path.display()))?;
        let certs =
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| format!("ca_file {}: {e}", path.display()))?;
        builder = builder.tls_certs_only(certs);
    }
    builder.build().map_err(|e| error_chain(&e))
}
