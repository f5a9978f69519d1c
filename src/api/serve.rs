//! Listeners and connections.
//!
//! Every connection is a task of one set that [`serve`] owns; at stop they get [`GRACE`] to finish their requests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::admin::healthy;
use super::app::App;
use super::paths::{Rewritten, rewrite};
use super::patience::Patience;
use super::{Connection, router};

/// How long open requests may go on once the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// How long a client may take to send a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Most open connections of one listener (`--web.max-connections`, Prometheus' default); more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 512;

/// What all listeners serve: nothing but health until [`Front::open`], then the whole router.
///
/// So a probe gets an answer (503 from `/-/ready`) while the write-ahead log is replayed.
#[derive(Debug)]
pub struct Front {
    prefix: String,
    router: OnceLock<Router>,
}

impl Front {
    /// Serves below `prefix` (empty, or `/like/this`).
    pub fn new(prefix: &str) -> Self {
        Front { prefix: prefix.to_owned(), router: OnceLock::new() }
    }

    /// From now on `app` answers.
    pub fn open(&self, app: Arc<App>) {
        self.router.get_or_init(|| router(app));
    }

    async fn dispatch(&self, mut request: Request<Body>, facts: Connection) -> Response {
        let (uri, tenant) = match rewrite(&self.prefix, request.uri()) {
            Rewritten::Inside { uri, tenant } => (uri, tenant),
            Rewritten::Redirect(to) => return Redirect::temporary(&to).into_response(),
            Rewritten::Outside => return (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
        };
        let Some(router) = self.router.get() else {
            return match uri.path() {
                "/-/healthy" => healthy().await.into_response(),
                _ => {
                    (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable: the data is being opened\n").into_response()
                }
            };
        };
        *request.uri_mut() = uri;
        request.extensions_mut().insert(facts);
        if let Some(tenant) = tenant {
            request.extensions_mut().insert(tenant);
        }
        router.clone().oneshot(request).await.into_response()
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// The address it is bound to, with the port that the system chose.
    pub address: SocketAddr,
}

/// Binds the first of `candidates` (`host:port`) that can be bound; port 0 lets the system choose.
pub async fn bind(candidates: &[String]) -> std::io::Result<Listener> {
    let mut failed = std::io::Error::from(std::io::ErrorKind::InvalidInput);
    for address in candidates {
        match TcpListener::bind(address).await {
            Ok(socket) => {
                let address = socket.local_addr()?;
                return Ok(Listener { socket, address });
            }
            Err(e) => failed = e,
        }
    }
    Err(failed)
}

/// Serves one listener until `stop`, then lets open requests finish. A client that takes nothing for `stall_max` is cut off.
pub async fn serve(front: Arc<Front>, listener: Listener, stall_max: Duration, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        let facts = Connection { listener: listener.address.ip(), peer: peer.ip() };
        let (front, stop) = (front.clone(), stop.clone());
        connections.spawn(async move {
            connection(Patience::new(stream, stall_max), facts, front, stop).await;
            drop(permit);
        });
    }
    let finished = tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &Listener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.ok()?;
    match listener.socket.accept().await {
        Ok((stream, peer)) => {
            // Answers are written whole: waiting for more to send only delays them.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, permit))
        }
        Err(e) => {
            tracing::warn!(component = "web", address = %listener.address, error = %e, "a connection cannot be accepted");
            // Out of file descriptors, mostly: accepting again at once would spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn connection(stream: Patience<TcpStream>, facts: Connection, front: Arc<Front>, stop: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let front = front.clone();
        async move { Ok::<_, Infallible>(front.dispatch(request.map(Body::new), facts).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let mut stopping = false;
    loop {
        tokio::select! {
            // Errors here are the client's: it hung up or spoke no HTTP.
            _ = serving.as_mut() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}
