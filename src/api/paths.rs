//! Paths before routing: the route prefix, the tenant in the path and the prefixes of Prometheus and Mimir are taken off.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// The tenant that a path named; attached to the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathTenant(pub(super) String);

/// In front of any path, as senders and data sources made for Mimir have them.
const ALIASES: [&str; 3] = ["/prometheus", "/mimir", "/api/mimir"];

/// What becomes of a request's path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rewritten {
    /// Route this.
    Inside { uri: Uri, tenant: Option<PathTenant> },
    /// Send the browser there.
    Redirect(String),
    /// Outside of the route prefix.
    Outside,
}

/// Takes `prefix` (empty, or `/like/this`), `/tenant/<id>` and an alias off `uri`.
pub(super) fn rewrite(prefix: &str, uri: &Uri) -> Rewritten {
    let Some(mut path) = strip(uri.path(), prefix) else {
        return if uri.path() == "/" { Rewritten::Redirect(format!("{prefix}/")) } else { Rewritten::Outside };
    };
    let mut tenant = None;
    if let Some(rest) = path.strip_prefix("/tenant/") {
        let (id, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // The id is taken as it stands: an escaped one (`%2e%2e`) is then refused as a tenant id.
        tenant = Some(PathTenant(id.to_owned()));
        path = if after.is_empty() { "/" } else { after };
    }
    if let Some(rest) = ALIASES.iter().find_map(|alias| strip(path, alias)) {
        path = rest;
    }
    if path.len() > 1 {
        path = path.trim_end_matches('/');
    }
    let path = if path.is_empty() { "/" } else { path };
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    match text.parse::<PathAndQuery>() {
        Ok(inside) => Rewritten::Inside { uri: Uri::from(inside), tenant },
        Err(_) => Rewritten::Outside,
    }
}

/// `path` without `prefix`, if it is below it; never empty.
fn strip<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    match path.strip_prefix(prefix)? {
        "" if prefix.is_empty() => None,
        "" => Some("/"),
        rest if rest.starts_with('/') => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefix: &str, path: &str, expected: (&str, Option<&str>)) {
        let tenant = expected.1.map(|id| PathTenant(id.to_owned()));
        let expected = Rewritten::Inside { uri: expected.0.parse().unwrap(), tenant };
        assert_eq!(rewrite(prefix, &path.parse().unwrap()), expected, "{prefix} {path}");
    }

    #[test]
    fn strips_prefix_tenant_and_alias() {
        check("", "/", ("/", None));
        check("", "/targets/", ("/targets", None));
        check("", "/api/v1/query?query=up%2F", ("/api/v1/query?query=up%2F", None));
        check("", "/tenant/prod/api/v1/push", ("/api/v1/push", Some("prod")));
        check("", "/tenant/prod/prometheus/api/v1/query", ("/api/v1/query", Some("prod")));
        check("", "/tenant/%2e%2e/api/v1/push", ("/api/v1/push", Some("%2e%2e")));
        check("", "/tenant/prod", ("/", Some("prod")));
        check("", "/prometheus/api/v1/query", ("/api/v1/query", None));
        check("", "/api/mimir/api/v1/push", ("/api/v1/push", None));
        check("", "/prometheusx", ("/prometheusx", None));
        check("/mon/x", "/mon/x", ("/", None));
        check("/mon/x", "/mon/x/graph?g0.expr=up", ("/graph?g0.expr=up", None));
    }

    #[test]
    fn what_lies_outside_of_the_prefix() {
        assert_eq!(rewrite("/mon", &"/".parse().unwrap()), Rewritten::Redirect("/mon/".to_owned()));
        assert_eq!(rewrite("/mon", &"/api/v1/query".parse().unwrap()), Rewritten::Outside);
        assert_eq!(rewrite("/mon", &"/monster".parse().unwrap()), Rewritten::Outside);
    }
}
