//! Who gets in: one line a case.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::config::{Credential, Secret};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LAN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
/// `sender:s3cret`
const RIGHT: (&str, &str) = ("authorization", "Basic c2VuZGVyOnMzY3JldA==");
const WRONG: (&str, &str) = ("authorization", "Basic c2VuZGVyOm5vcGU=");

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), HeaderValue::from_str(v).unwrap())).collect()
}

fn policy(multitenancy: bool, tenant: Option<&str>) -> Policy {
    let secret = Secret::Inline("s3cret".to_owned());
    let credential = Credential { name: "sender".to_owned(), secret, tenant: tenant.map(str::to_owned) };
    Policy { multitenancy, credentials: Credentials::load(&[credential]).unwrap() }
}

#[track_caller]
fn check(policy: &Policy, access: Access, from: IpAddr, pairs: &[(&str, &str)], expected: Result<&str, u16>) {
    let headers = headers(pairs);
    let origin = Origin::judge(if from.is_loopback() { LOOPBACK } else { LAN }, from, &headers);
    let path_tenant = headers.get("test-path-tenant").map(|v| v.to_str().unwrap());
    let got = policy.authorize(access, Facts { origin, headers: &headers, path_tenant });
    let got = got.map(|c| c.tenant.to_string()).map_err(|d| match d {
        Denied::Unauthorized(_) | Denied::NoTenant => 401,
        Denied::Forbidden(_) => 403,
        Denied::BadTenant(_) | Denied::SingleTenant(_) => 400,
    });
    assert_eq!(got.as_deref().map_err(|&code| code), expected);
}

#[test]
fn without_credentials_the_loopback_may_all_and_others_read() {
    let open = Policy::default();
    for access in [Access::Public, Access::Read, Access::Push, Access::Operate, Access::Change] {
        check(&open, access, LOOPBACK, &[("host", "localhost:9090")], Ok("anonymous"));
    }
    check(&open, Access::Read, LAN, &[], Ok("anonymous"));
    check(&open, Access::Operate, LAN, &[], Ok("anonymous"));
    check(&open, Access::Push, LAN, &[], Err(401));
    check(&open, Access::Push, LAN, &[RIGHT], Err(401));
    check(&open, Access::Change, LAN, &[], Err(403));
}

#[test]
fn a_proxy_or_a_foreign_name_on_the_loopback_is_not_local() {
    let open = Policy::default();
    check(&open, Access::Change, LOOPBACK, &[("x-forwarded-for", "192.0.2.1")], Err(403));
    check(&open, Access::Change, LOOPBACK, &[("host", "rebound.example:9090")], Err(403));
    check(&open, Access::Change, LOOPBACK, &[("host", "[::1]:9090")], Ok("anonymous"));
    check(&open, Access::Change, LOOPBACK, &[("host", "127.0.0.1")], Ok("anonymous"));
}

#[test]
fn changes_asked_for_by_another_site_are_refused() {
    let open = Policy::default();
    let local = ("host", "localhost:9090");
    check(&open, Access::Push, LOOPBACK, &[local, ("sec-fetch-site", "cross-site")], Err(403));
    check(&open, Access::Operate, LOOPBACK, &[local, ("origin", "https://evil.example")], Err(403));
    check(&open, Access::Change, LOOPBACK, &[local, ("origin", "null")], Err(403));
    check(&open, Access::Change, LOOPBACK, &[local, ("origin", "http://localhost:9090")], Ok("anonymous"));
    check(&open, Access::Read, LOOPBACK, &[local, ("sec-fetch-site", "cross-site")], Ok("anonymous"));
}

#[test]
fn with_credentials_pushing_needs_one_everywhere() {
    let guarded = policy(false, None);
    check(&guarded, Access::Push, LOOPBACK, &[], Err(401));
    check(&guarded, Access::Push, LOOPBACK, &[WRONG], Err(401));
    check(&guarded, Access::Push, LAN, &[RIGHT], Ok("anonymous"));
    check(&guarded, Access::Push, LAN, &[("authorization", "Bearer s3cret")], Ok("anonymous"));
    check(&guarded, Access::Push, LAN, &[("authorization", "Bearer s3cre")], Err(401));
    check(&guarded, Access::Push, LAN, &[("authorization", "Basic !!!")], Err(401));
    check(&guarded, Access::Operate, LAN, &[], Err(401));
    check(&guarded, Access::Operate, LAN, &[RIGHT], Ok("anonymous"));
    check(&guarded, Access::Read, LAN, &[], Ok("anonymous"));
    check(&guarded, Access::Change, LAN, &[RIGHT], Err(403));
}

#[test]
fn the_tenant_comes_from_credential_then_path_then_header() {
    let (free, bound) = (policy(true, None), policy(true, Some("shop")));
    let (header, path) = (("x-scope-orgid", "h"), ("test-path-tenant", "p"));
    check(&free, Access::Read, LAN, &[], Err(401));
    check(&free, Access::Read, LAN, &[header], Ok("h"));
    check(&free, Access::Read, LAN, &[header, path], Ok("p"));
    check(&bound, Access::Push, LAN, &[RIGHT, header, path], Ok("shop"));
    check(&free, Access::Read, LAN, &[("x-scope-orgid", "..")], Err(400));
    check(&free, Access::Read, LAN, &[("x-scope-orgid", "a|b")], Err(400));
    check(&policy(false, None), Access::Read, LAN, &[header], Ok("anonymous"));
    check(&policy(false, None), Access::Read, LAN, &[path], Err(400));
}
