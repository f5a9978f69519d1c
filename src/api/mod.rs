//! The HTTP API: Prometheus' shapes, Cairn's own, and the pages of the UI.
//!
//! Here: the route table, one file for each group of handlers, errors with their status codes, serving of connections.
//! Elsewhere: what is answered. A handler translates, asks a room below, and translates back.
//!
//! Invariant: a request reaches a handler only through a row of [`ROUTES`], after `auth` allowed that row's access.

mod admin;
mod admin_tsdb;
mod answer;
mod app;
mod cairn;
mod compress;
mod dashboards;
mod error;
mod exemplars;
mod json;
mod metrics;
mod params;
mod paths;
mod patience;
mod pieces;
mod queries;
mod query;
mod routes;
mod rules;
mod series;
mod serve;
mod status;
mod stream;
mod targets;
mod tree;
mod ui;
mod write;

use std::net::IpAddr;
use std::sync::Arc;

pub use app::{About, App, Live, Parts};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
pub use routes::{ROUTES, Route};
pub use serve::{Front, Listener, bind, serve};

use crate::auth::{self, Access, Facts};
use crate::query::Origin;
use error::ApiError;

/// Where a connection came in; attached to each of its requests.
#[derive(Debug, Clone, Copy)]
struct Connection {
    listener: IpAddr,
    peer: IpAddr,
}

impl Connection {
    /// The same for lists of queries.
    fn origin(self, method: &Method, path: &'static str) -> Origin {
        let method = if method == Method::POST { "POST" } else { "GET" };
        Origin { client: self.peer.to_string(), method, path, rule_group: None }
    }
}

/// The router over the whole table. Paths are already stripped of prefix and tenant.
fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let gate = middleware::from_fn_with_state((app.clone(), route), enter);
        router = router.route(route.path, (route.build)(route.filter()).layer(gate));
    }
    router
        .fallback(ui::not_found)
        .method_not_allowed_fallback(|| async { (axum::http::StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n") })
        .layer(middleware::from_fn(compress::compress))
        .layer(middleware::from_fn(harden))
        .with_state(app)
}

/// The door of every route: counts what goes out.
async fn enter(State((app, route)): State<(Arc<App>, &'static Route)>, request: Request, next: Next) -> Response {
    let response = authorize(&app, route.access, request, next).await;
    app.metrics.count_request(route.path, response.status().as_u16());
    response
}

/// Asks the policy, and tells the handler who is calling.
async fn authorize(app: &App, access: Access, mut request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>().copied();
    let Some(Connection { listener, peer }) = connection else {
        return ApiError::Internal("the request came without a connection".to_owned()).into_response();
    };
    let origin = auth::Origin::judge(listener, peer, request.headers());
    let path_tenant = request.extensions().get::<paths::PathTenant>().map(|t| t.0.clone());
    let facts = Facts { origin, headers: request.headers(), path_tenant: path_tenant.as_deref() };
    match app.live().policy.authorize(access, facts) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        // Senders show the body of a refused push to their users: plain words serve them better.
        Err(denied) if access == Access::Push => ApiError::from(denied).into_text(),
        Err(denied) => ApiError::from(denied).into_response(),
    }
}

/// Headers that every answer carries. `unsafe-inline` is for styles alone: charts and editors set them from scripts.
async fn harden(request: Request, next: Next) -> Response {
    const CSP: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                       object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'";
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
