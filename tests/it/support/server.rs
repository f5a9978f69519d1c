//! A small HTTP server of the test's own: fake exporters, webhook receivers, proxies.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use tokio::task::JoinHandle;

/// What it answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

impl Reply {
    /// An exposition in the text format.
    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Reply { status: 200, content_type: "text/plain; version=0.0.4", body: body.into() }
    }
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

type Answer = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

/// A running fake. Ends when dropped.
pub struct Fake {
    /// `127.0.0.1:port`
    pub address: String,
    received: Arc<Mutex<Vec<Received>>>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    answer: Answer,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Fake {
    /// Serves `answer` for every request, on a port of the system's choice.
    pub async fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Arc::new(Mutex::new(Vec::new()));
        let shared = Shared { answer: Arc::new(answer), received: received.clone() };
        let router = Router::new().fallback(handle).with_state(shared);
        let serving = tokio::spawn(async move { axum_serve(listener, router).await });
        Fake { address, received, serving }
    }

    /// Everything that arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn handle(State(shared): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let request = Received { path: uri.to_string(), headers, body: body.to_vec() };
    let reply = (shared.answer)(&request);
    shared.received.lock().unwrap().push(request);
    Response::builder()
        .status(reply.status)
        .header("content-type", reply.content_type)
        .body(Body::from(reply.body))
        .unwrap()
}

async fn axum_serve(listener: tokio::net::TcpListener, router: Router) {
    axum::serve(listener, router).await.unwrap();
}
