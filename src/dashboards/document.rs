//! One dashboard document: what the list shows of it, and the check on import.

use std::path::PathBuf;

use serde_json::Value;

/// Longest uid (Grafana's figure).
const UID_BYTES_MAX: usize = 40;

/// Where a document comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Compiled in.
    BuiltIn,
    /// A file of a configured folder.
    File(PathBuf),
    /// Imported or saved by a user.
    User,
}

/// What a list shows of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Its id in URLs.
    pub uid: String,
    /// Its title.
    pub title: String,
    /// The folder it is shown in; empty is the top.
    pub folder: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Why a JSON text is not a dashboard.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON: line and column are in the message.
    #[error("not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but something else.
    #[error("this is not a dashboard: {0}")]
    NotADashboard(&'static str),
}

impl Meta {
    /// Reads what the list needs. A document without uid gets one from its title, so that importing it twice replaces it.
    pub fn of(json: &str, folder: &str, origin: Origin) -> Result<Self, DocumentError> {
        let document: Value = serde_json::from_str(json)?;
        let object =
            document.as_object().ok_or(DocumentError::NotADashboard("its outermost value is not an object"))?;
        if !["panels", "rows", "spec", "templating"].iter().any(|key| object.contains_key(*key)) {
            return Err(DocumentError::NotADashboard("it has neither panels nor rows"));
        }
        // Grafana's resource format keeps the dashboard under `spec` and its name under `metadata`.
        let inner = object.get("spec").and_then(Value::as_object).unwrap_or(object);
        let text = |key: &str| inner.get(key).and_then(Value::as_str).unwrap_or("").trim();
        let title = match text("title") {
            "" => return Err(DocumentError::NotADashboard("it has no title")),
            title => title.to_owned(),
        };
        let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("");
        let given = [text("uid"), name].into_iter().find(|uid| is_uid(uid)).map(str::to_owned);
        let tags = inner.get("tags").and_then(Value::as_array).into_iter().flatten();
        Ok(Meta {
            uid: given.unwrap_or_else(|| slug(&title)),
            title,
            folder: folder.to_owned(),
            tags: tags.filter_map(Value::as_str).map(str::to_owned).collect(),
            origin,
        })
    }
}

fn is_uid(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=UID_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

fn slug(title: &str) -> String {
    let mut out = String::new();
    for c in title.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
        if out.len() == UID_BYTES_MAX {
            break;
        }
    }
    match out.trim_end_matches('-') {
        "" => "dashboard".to_owned(),
        slug => slug.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<(&str, &str), &str>) {
        let got = Meta::of(json, "", Origin::User).map(|m| (m.uid, m.title)).map_err(|e| e.to_string());
        match expected {
            Ok((uid, title)) => assert_eq!(got, Ok((uid.to_owned(), title.to_owned()))),
            Err(part) => assert!(got.as_ref().is_err_and(|e| e.contains(part)), "{got:?}"),
        }
    }

    #[test]
    fn reads_uid_and_title() {
        check(r#"{"uid":"abc","title":"A","panels":[]}"#, Ok(("abc", "A")));
        check(
            r#"{"uid":null,"title":"Node Exporter / Full!","panels":[]}"#,
            Ok(("node-exporter-full", "Node Exporter / Full!")),
        );
        check(r#"{"uid":"../x","title":"Ü","rows":[]}"#, Ok(("dashboard", "Ü")));
        check(r#"{"metadata":{"name":"n"},"spec":{"title":"R"}}"#, Ok(("n", "R")));
    }

    #[test]
    fn refuses_what_is_no_dashboard() {
        check("{", Err("line 1 column 1"));
        check("[]", Err("not an object"));
        check(r#"{"title":"x"}"#, Err("neither panels nor rows"));
        check(r#"{"panels":[]}"#, Err("no title"));
    }
}
