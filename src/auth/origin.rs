//! Where a request came from, as far as access is concerned.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

/// Derived once for each request from its listener, peer and headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Made on this machine for this machine: loopback listener and peer, a loopback `Host`, not handed on by a proxy.
    pub local: bool,
    /// A browser made it on behalf of a page of another site.
    pub cross_site: bool,
}

/// Headers that only a proxy adds: behind one, a loopback peer says nothing about who is asking.
const PROXY_HEADERS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

impl Origin {
    /// Judges a request on a listener bound to `listener` from `peer`.
    pub fn judge(listener: IpAddr, peer: IpAddr, headers: &HeaderMap) -> Self {
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("");
        let proxied = PROXY_HEADERS.iter().any(|h| headers.contains_key(*h));
        // A name that somebody pointed at 127.0.0.1 (DNS rebinding) is not a local one.
        let local = listener.is_loopback() && peer.is_loopback() && !proxied && is_loopback_host(host);
        Origin { local, cross_site: is_cross_site(host, headers) }
    }
}

fn is_loopback_host(host: &str) -> bool {
    let name = host_name(host);
    name.is_empty() || name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `host` without its port and brackets.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_cross_site(host: &str, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    // Browsers without Fetch Metadata send Origin with every POST.
    text("origin")
        .is_some_and(|origin| origin.split_once("://").is_none_or(|(_, from)| !from.eq_ignore_ascii_case(host)))
}
