//! A running server, asked over HTTP.

use serde_json::Value;

use super::{Asked, Backend, Span};
use crate::cli::features;
use crate::config::{HttpClientConfig, parse_duration};
use crate::http_client::{build, with_causes};
use crate::promql::EngineOptions;

/// The header that names a tenant.
const TENANT: &str = "X-Scope-OrgID";

pub(super) struct Server<'a> {
    asked: &'a Asked,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Server<'a> {
    pub(super) fn new(asked: &'a Asked) -> Result<Self, String> {
        let client = build(&HttpClientConfig::default())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        Ok(Server { asked, client, runtime })
    }

    /// The answer, whatever its status, if it is one of Prometheus' API.
    fn ask(&self, path: &str, pairs: &[(&str, String)]) -> Result<Value, String> {
        let mut url = self.asked.url.clone();
        url.set_path(&format!("{}/api/v1/{path}", url.path().trim_end_matches('/')));
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        pairs.iter().for_each(|(name, value)| {
            form.append_pair(name, value);
        });
        // Long queries do not fit into an address; what knows no body is asked with one.
        let is_query = path.starts_with("query");
        let mut request = if is_query {
            let request = self.client.post(url.clone()).header("content-type", "application/x-www-form-urlencoded");
            request.body(form.finish())
        } else {
            let mut url = url.clone();
            url.set_query(Some(&form.finish()).filter(|query| !query.is_empty()).map(String::as_str));
            self.client.get(url)
        };
        for (name, value) in &self.asked.headers {
            request = request.header(name, value);
        }
        if let Some(tenant) = &self.asked.tenant {
            request = request.header(TENANT, tenant);
        }
        let request = request.timeout(self.asked.timeout);
        let (status, body) = self
            .runtime
            .block_on(async {
                let response = request.send().await?;
                Ok((response.status(), response.bytes().await?))
            })
            .map_err(|e: reqwest::Error| format!("{url}: {}", with_causes(&e)))?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        let answer = answer.filter(|answer| answer["status"].is_string());
        answer.ok_or_else(|| format!("{url} answers {status}, and not as Prometheus' API does"))
    }
}

fn seconds(ms: i64) -> String {
    format!("{}{}.{:03}", if ms < 0 { "-" } else { "" }, ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000)
}

fn with_span(mut pairs: Vec<(&'static str, String)>, matches: &[String], span: Span) -> Vec<(&'static str, String)> {
    pairs.extend(matches.iter().map(|selector| ("match[]", selector.clone())));
    pairs.extend(span.start.map(|t| ("start", seconds(t))));
    pairs.extend(span.end.map(|t| ("end", seconds(t))));
    pairs
}

impl Backend for Server<'_> {
    fn instant(&self, query: &str, t: i64) -> Result<Value, String> {
        self.ask("query", &[("query", query.to_owned()), ("time", seconds(t))])
    }

    fn range(&self, query: &str, start: i64, end: i64, step: i64) -> Result<Value, String> {
        let times = [("start", seconds(start)), ("end", seconds(end)), ("step", seconds(step))];
        self.ask("query_range", &[&[("query", query.to_owned())][..], &times].concat())
    }

    fn labels(&self, name: Option<&str>, matches: &[String], span: Span) -> Result<Value, String> {
        let path = match name {
            // Any text may be a name; in a path it must not end a segment.
            Some(name) => format!("label/{}/values", name.replace('%', "%25").replace('/', "%2F")),
            None => "labels".to_owned(),
        };
        self.ask(&path, &with_span(Vec::new(), matches, span))
    }

    fn series(&self, matches: &[String], span: Span) -> Result<Value, String> {
        self.ask("series", &with_span(Vec::new(), matches, span))
    }

    fn engine(&self) -> Result<(EngineOptions, Vec<String>), String> {
        let answer = self.ask("status/flags", &[])?;
        let flag = |name: &str| answer["data"][name].as_str().unwrap_or_default().to_owned();
        let names: Vec<String> = flag("enable-feature").split(',').map(str::to_owned).collect();
        let lookback = parse_duration(&flag("query.lookback-delta")).unwrap_or(EngineOptions::default().lookback);
        let options = EngineOptions { syntax: features::syntax(&names), lookback, ..EngineOptions::default() };
        Ok((options, names.into_iter().filter(|name| !name.is_empty()).collect()))
    }
}

/// An address of a server.
pub(super) fn url(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text).map_err(|e| e.to_string())?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_http { Ok(url) } else { Err("write an address such as http://127.0.0.1:9090".to_owned()) }
}

/// `Name: value`
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write a name, a colon and a value")?;
    let (name, value) = (name.trim(), value.trim());
    let name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).map_err(|e| e.to_string())?;
    reqwest::header::HeaderValue::from_str(value).map_err(|e| e.to_string())?;
    Ok((name.to_string(), value.to_owned()))
}
