//! Sending a message: one request, tried again while there is time and hope.
//!
//! Here: the HTTP client of a webhook, retries, deadlines. Elsewhere: the body (`webhook`), when it is due
//! (`dispatch`).
//!
//! Invariant: the address and the credentials are in no error and no log line.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::http_client;

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

async fn send(webhook: &Arc<WebhookConfig>, body: String) -> Result<(), Failure> {
    let permanent = |message: String| Failure { message, retry: false };
    let url = http_client::read_secret(&webhook.url).await.map_err(permanent)?;
    let url =
        reqwest::Url::parse(url.trim()).map_err(|e| permanent(format!("the receiver's url is not valid: {e}")))?;
    let client = client(webhook).await.map_err(permanent)?;
    let mut request = client.post(url).timeout(REQUEST_TIMEOUT).header(CONTENT_TYPE, "application/json").body(body);
    if let Some(authorization) = http_client::authorization(&webhook.http).await.map_err(permanent)? {
        request = request.header(AUTHORIZATION, authorization);
    }
    // An error of reqwest shows the address, which may hold a token.
    let answer = request
        .send()
        .await
        .map_err(|e| Failure { message: http_client::with_causes(&e.without_url()), retry: true })?;
    let status = answer.status();
    match status.is_success() {
        true => Ok(()),
        false => Err(Failure {
            message: format!("unexpected status code {}", status.as_u16()),
            retry: status.is_server_error(),
        }),
    }
}

/// The webhook's client, made once: reading the system's certificates takes time, so it is done off the async threads.
async fn client(webhook: &Arc<WebhookConfig>) -> Result<reqwest::Client, String> {
    if let Some(client) = webhook.client.get() {
        return Ok(client.clone());
    }
    let config = Arc::clone(webhook);
    let building = tokio::task::spawn_blocking(move || http_client::build(&config.http));
    let client = building.await.map_err(|e| format!("making the HTTP client ended badly: {e}"))??;
    Ok(webhook.client.get_or_init(|| client).clone())
}
