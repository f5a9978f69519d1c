//! `/api/v1/rules`, `/api/v1/alerts`, `/api/cairn/v1/notifications`.
//!
//! Rules run for the tenant `anonymous`: any other sees none of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use storage::{Labels, Matcher};

use super::answer::{Answer, ApiResult};
use super::app::App;
use super::error::ApiError;
use super::params::Params;
use super::series::{labels_object, selectors};
use super::status::rfc3339;
use crate::auth::Caller;
use crate::notify::Outcome;
use crate::rules::{AlertStatus, GroupStatus, RuleStatus, RuleStatusKind};
use crate::tenant::TenantId;

/// Prometheus' time for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupJson {
    name: String,
    file: String,
    rules: Vec<RuleJson>,
    interval: f64,
    limit: u64,
    evaluation_time: f64,
    last_evaluation: String,
}

/// A rule; an alerting one has state, duration and alerts besides, as in Prometheus.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    name: String,
    query: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_for: Option<f64>,
    /// Left out where a recording rule has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alerts: Option<Vec<Value>>,
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    evaluation_time: f64,
    last_evaluation: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Which rules `/api/v1/rules` shows.
struct Wanted<'a> {
    recording: bool,
    alerting: bool,
    with_alerts: bool,
    names: Vec<&'a str>,
    groups: Vec<&'a str>,
    files: Vec<&'a str>,
    selectors: Vec<Vec<Matcher>>,
}

impl<'a> Wanted<'a> {
    async fn read(params: &'a Params) -> Result<Self, ApiError> {
        let kind = params.text("type").to_lowercase();
        if !matches!(&*kind, "" | "alert" | "record") {
            return Err(ApiError::parameter("type", format!("not supported value {kind:?}")));
        }
        let leave_out: bool = match params.get("exclude_alerts") {
            Some(text) => text.parse().map_err(|_| ApiError::parameter("exclude_alerts", "write true or false"))?,
            None => false,
        };
        Ok(Wanted {
            recording: kind != "alert",
            alerting: kind != "record",
            with_alerts: !leave_out,
            names: params.all("rule_name[]").collect(),
            groups: params.all("rule_group[]").collect(),
            files: params.all("file[]").collect(),
            selectors: selectors(params).await?,
        })
    }

    fn has_group(&self, group: &GroupStatus) -> bool {
        let among = |list: &[&str], name: &str| list.is_empty() || list.contains(&name);
        among(&self.groups, &group.name) && among(&self.files, &group.file)
    }

    fn has_rule(&self, rule: &RuleStatus) -> bool {
        let kind = match rule.kind {
            RuleStatusKind::Recording => self.recording,
            RuleStatusKind::Alerting { .. } => self.alerting,
        };
        let fits = |matchers: &Vec<Matcher>| {
            matchers.iter().all(|m| m.matches(rule.labels.get(m.name()).map_or("", String::as_str)))
        };
        kind && (self.names.is_empty() || self.names.contains(&rule.name.as_str()))
            && (self.selectors.is_empty() || self.selectors.iter().any(fits))
    }

    fn rule(&self, rule: RuleStatus) -> RuleJson {
        let mut json = RuleJson {
            state: None,
            name: rule.name,
            query: rule.query,
            duration: None,
            keep_firing_for: None,
            labels: Some(rule.labels),
            annotations: None,
            alerts: None,
            health: rule.health.as_str(),
            last_error: rule.last_error,
            evaluation_time: rule.evaluation_seconds,
            last_evaluation: rule.last_evaluation.map_or_else(|| NEVER.to_owned(), rfc3339),
            kind: "recording",
        };
        if rule.kind == RuleStatusKind::Recording {
            json.labels = json.labels.filter(|labels| !labels.is_empty());
        }
        if let RuleStatusKind::Alerting { state, for_seconds, keep_firing_for_seconds, annotations, alerts } = rule.kind
        {
            json.kind = "alerting";
            json.state = Some(state.as_str());
            json.duration = Some(for_seconds);
            json.keep_firing_for = Some(keep_firing_for_seconds);
            json.annotations = Some(annotations);
            json.alerts = Some(if self.with_alerts { alerts.iter().map(alert).collect() } else { Vec::new() });
        }
        json
    }
}

pub(super) async fn rules(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> ApiResult {
    let wanted = Wanted::read(&params).await?;
    let groups = if sees_rules(&caller) { app.rules.groups() } else { Vec::new() };
    let mut shown = Vec::new();
    for group in groups.into_iter().filter(|g| wanted.has_group(g)) {
        let rules: Vec<RuleJson> =
            group.rules.into_iter().filter(|r| wanted.has_rule(r)).map(|r| wanted.rule(r)).collect();
        if rules.is_empty() {
            continue;
        }
        shown.push(GroupJson {
            name: group.name,
            file: group.file,
            rules,
            interval: group.interval_ms as f64 / 1000.0,
            limit: group.limit,
            evaluation_time: group.evaluation_seconds,
            last_evaluation: group.last_evaluation.map_or_else(|| NEVER.to_owned(), rfc3339),
        });
    }
    Answer::of(&json!({ "groups": shown }))
}

pub(super) async fn alerts(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> ApiResult {
    let alerts = if sees_rules(&caller) { app.rules.alerts() } else { Vec::new() };
    Answer::of(&json!({ "alerts": alerts.iter().map(alert).collect::<Vec<_>>() }))
}

/// The last deliveries, newest first.
pub(super) async fn notifications(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Response {
    let deliveries = if sees_rules(&caller) { app.notifier.deliveries() } else { Vec::new() };
    let shown = deliveries.into_iter().map(|d| {
        let error = match d.outcome {
            Outcome::Sent => None,
            Outcome::Failed { message } => Some(message),
        };
        json!({
            "at": d.at,
            "endedAt": d.ended_at,
            "receiver": d.receiver,
            "integration": d.integration,
            "groupKey": d.group_key,
            "alertNames": d.alert_names,
            "firing": d.firing,
            "resolved": d.resolved,
            "attempts": d.attempts,
            "error": error,
        })
    });
    axum::Json(shown.collect::<Vec<_>>()).into_response()
}

fn sees_rules(caller: &Caller) -> bool {
    caller.tenant == TenantId::anonymous()
}

fn alert(alert: &AlertStatus) -> Value {
    let labels: &Labels = &alert.labels;
    let mut json = json!({
        "labels": labels_object(labels),
        "annotations": alert.annotations,
        "state": alert.state.as_str(),
        "activeAt": rfc3339(alert.active_at),
        // Prometheus writes the values of alerts, and only those, with an exponent.
        "value": super::json::format_scientific(alert.value),
    });
    if let (Some(since), Some(json)) = (alert.keep_firing_since, json.as_object_mut()) {
        json.insert("keepFiringSince".to_owned(), Value::from(rfc3339(since)));
    }
    json
}
