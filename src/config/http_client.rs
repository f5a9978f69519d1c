//! How requests to a target or a service are made: Prometheus' HTTP client keys.
//!
//! Here: credentials, TLS, redirects. Elsewhere: making requests.

use std::path::Path;

use super::yaml::{Map, Node};
use super::{HttpClientConfig, Secret};

/// Reads the HTTP client keys of `map` (they stand beside the caller's own keys). Relative paths are against `dir`.
pub(crate) fn read(map: &mut Map<'_>, dir: &Path) -> HttpClientConfig {
    map.not_yet(
        "Prometheus",
        &["oauth2", "proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header", "http_headers"],
    );
    let basic_auth = map.take("basic_auth").and_then(|node| read_basic_auth(node, map, dir));
    let authorization = map.take("authorization").and_then(|node| read_authorization(node, map, dir));
    let token = read_secret(map, "bearer_token", "bearer_token_file", dir).map(|secret| ("Bearer".to_owned(), secret));
    let given = [basic_auth.is_some(), authorization.is_some(), token.is_some()];
    if given.into_iter().filter(|given| *given).count() > 1 {
        let message =
            "at most one of basic_auth, oauth2, authorization, bearer_token & bearer_token_file must be configured";
        map.problems().add(map.pos(), message);
    }
    let (ca_file, insecure_skip_verify) =
        map.take("tls_config").map(|node| read_tls(node, map, dir)).unwrap_or_default();
    HttpClientConfig {
        basic_auth,
        authorization: authorization.or(token),
        ca_file,
        insecure_skip_verify,
        refuse_redirects: !map.read("follow_redirects", Node::boolean).unwrap_or(true),
        http1_only: !map.read("enable_http2", Node::boolean).unwrap_or(true),
    }
}

fn read_basic_auth(node: &Node, outer: &Map<'_>, dir: &Path) -> Option<(String, Secret)> {
    let mut map = Map::new(node, "basic_auth", outer.problems());
    map.not_yet("Prometheus", &["username_file", "username_ref", "password_ref"]);
    let username = map.read("username", Node::text).unwrap_or_default().to_owned();
    let password =
        read_secret(&mut map, "password", "password_file", dir).unwrap_or_else(|| Secret::Inline(String::new()));
    map.finish();
    Some((username, password))
}

fn read_authorization(node: &Node, outer: &Map<'_>, dir: &Path) -> Option<(String, Secret)> {
    let mut map = Map::new(node, "authorization", outer.problems());
    map.not_yet("Prometheus", &["credentials_ref"]);
    let kind = map.read("type", Node::text).map_or("Bearer", str::trim).to_owned();
    if kind.eq_ignore_ascii_case("basic") {
        let message = "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
        map.problems().add(map.pos_of("type"), message);
    }
    let secret = read_secret(&mut map, "credentials", "credentials_file", dir);
    map.finish();
    secret.map(|secret| (kind, secret))
}

type Tls = (Option<std::path::PathBuf>, bool);

fn read_tls(node: &Node, outer: &Map<'_>, dir: &Path) -> Tls {
    let mut map = Map::new(node, "tls_config", outer.problems());
    let later = [
        "ca",
        "cert",
        "key",
        "cert_file",
        "key_file",
        "ca_ref",
        "cert_ref",
        "key_ref",
        "server_name",
        "min_version",
        "max_version",
    ];
    map.not_yet("Prometheus", &later);
    let ca_file = map.read("ca_file", Node::text).filter(|text| !text.is_empty()).map(|text| dir.join(text));
    let insecure_skip_verify = map.read("insecure_skip_verify", Node::boolean).unwrap_or(false);
    map.finish();
    (ca_file, insecure_skip_verify)
}

/// A secret in place (`key`) or in a file (`file_key`), not both.
pub(super) fn read_secret(map: &mut Map<'_>, key: &'static str, file_key: &'static str, dir: &Path) -> Option<Secret> {
    let inline = map.read(key, Node::text).map(|text| Secret::Inline(text.to_owned()));
    let file = map.read(file_key, Node::text).map(|text| Secret::File(dir.join(text)));
    if inline.is_some() && file.is_some() {
        map.problems().add(map.pos_of(file_key), format!("at most one of {key} & {file_key} must be configured"));
    }
    inline.or(file)
}
