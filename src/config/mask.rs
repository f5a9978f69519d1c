//! Secrets out of what people may see.
//!
//! Here: which values of a configuration file are replaced by `<secret>`. Elsewhere: showing it.
//!
//! Invariant: it works by key, on every level, before anything is validated: a secret under a key that Cairn does not
//! know is masked, too.

use super::yaml::{Node, Value};

const MASK: &str = "<secret>";

/// Keys whose value is a secret in the files of Prometheus, Alertmanager and Cairn. Keys that end in `_file` or `_ref`
/// name a place and stay.
const SECRET_KEYS: [&str; 22] = [
    "password",
    "secret",
    "secrets",
    "credentials",
    "bearer_token",
    "client_secret",
    "secret_key",
    "token",
    "bot_token",
    "user_key",
    "key",
    "routing_key",
    "service_key",
    "api_key",
    "application_credential_secret",
    "auth_password",
    "auth_secret",
    "auth_token",
    "api_secret",
    "opsgenie_api_key",
    "victorops_api_key",
    "slack_api_url",
];

/// Masks the secrets of the tree in place, passwords inside URLs included.
pub(super) fn mask(node: &mut Node) {
    match &mut node.value {
        Value::Scalar { text, .. } => mask_url_password(text),
        Value::List(items) => items.iter_mut().for_each(mask),
        Value::Map(entries) => {
            for entry in entries {
                if SECRET_KEYS.contains(&entry.key.as_str()) || entry.key == "proxy_connect_header" {
                    mask_all(&mut entry.value);
                } else {
                    mask(&mut entry.value);
                }
            }
        }
    }
}

/// `cairn.credentials` and `authorization.credentials` share a key: of a list of maps only its secrets are masked.
fn mask_all(node: &mut Node) {
    if node.is_null() {
        return;
    }
    match &mut node.value {
        Value::Scalar { text, plain } => (*text, *plain) = (MASK.to_owned(), true),
        Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => {
            items.iter_mut().for_each(mask)
        }
        Value::List(items) => items.iter_mut().for_each(mask_all),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| mask_all(&mut entry.value)),
    }
}

/// `http://user:password@host` to `http://user:<secret>@host`.
fn mask_url_password(text: &mut String) {
    let Some(start) = text.find("://").map(|at| at + 3) else { return };
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    let Some(at_sign) = text[start..end].rfind('@').map(|at| start + at) else { return };
    if let Some(colon) = text[start..at_sign].find(':').map(|at| start + at) {
        text.replace_range(colon + 1..at_sign, MASK);
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::{emit, parse};
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut tree = parse(text).unwrap();
        mask(&mut tree);
        assert_eq!(emit(&tree).replace('"', ""), expected);
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        check(
            "a: {basic_auth: {username: u, password: p}}",
            "a:\n  basic_auth:\n    username: u\n    password: <secret>\n",
        );
        check(
            "x: {headers: {h: {secrets: [a, b]}}}",
            "x:\n  headers:\n    h:\n      secrets:\n      - <secret>\n      - <secret>\n",
        );
        check("credentials: [{name: n, secret: s}]", "credentials:\n- name: n\n  secret: <secret>\n");
        check("authorization: {credentials: abc}", "authorization:\n  credentials: <secret>\n");
        check("password_file: /run/p", "password_file: /run/p\n");
        check("password:", "password: ~\n");
    }

    #[test]
    fn passwords_in_urls_are_masked() {
        check("u: http://a:b@h/x", "u: http://a:<secret>@h/x\n");
        check("u: http://a:b:c@h", "u: http://a:<secret>@h\n");
        check("u: http://h:80/a:b@c", "u: http://h:80/a:b@c\n");
        check("# password: p\nu: x", "u: x\n");
    }
}
