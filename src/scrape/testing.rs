//! What the tests of this room share.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use storage::{Batch, Columns, Db, Durability, Exemplar, Matcher, Options, SeriesId, TimeRange, is_stale_nan};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::sink::{AppendAnswer, ExemplarsAnswer, FamilyMetadata, Sink};
use crate::clock::Clock;
use crate::config::{Global, ScrapeConfig};

/// A job with Prometheus' defaults, an interval of 15 s and no targets.
pub(crate) fn scrape_config(job_name: &str) -> ScrapeConfig {
    ScrapeConfig { scrape_interval: Duration::from_secs(15), ..ScrapeConfig::new(job_name, &Global::default()) }
}

/// `bytes` as one gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A sink that is a `Db`, with the clock's time as "now".
pub(crate) struct DbSink {
    pub(crate) db: Db,
    clock: Clock,
    /// While set, appends fail with this text.
    pub(crate) failure: Mutex<Option<String>>,
    pub(crate) observed: Mutex<Vec<FamilyMetadata>>,
    _dir: tempfile::TempDir,
}

impl DbSink {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), Options::default()).unwrap();
        Arc::new(DbSink { db, clock, failure: Mutex::default(), observed: Mutex::default(), _dir: dir })
    }

    /// The stored samples of the series that `labels` (`__name__` included) selects, as `t=v`, markers as `stale`.
    pub(crate) fn samples(&self, labels: &[(&str, &str)]) -> String {
        let matchers: Vec<Matcher> = labels.iter().map(|&(n, v)| Matcher::equal(n, v)).collect();
        let found = self.db.select(&matchers, TimeRange::ALL).unwrap();
        assert!(found.series.len() <= 1, "{labels:?}: {} series", found.series.len());
        let mut columns = Columns::default();
        for series in &found.series {
            series.read_into(&mut columns).unwrap();
        }
        let word = |(t, &v): (&i64, &f64)| if is_stale_nan(v) { format!("{t}=stale") } else { format!("{t}={v}") };
        columns.t.iter().zip(&columns.v).map(word).collect::<Vec<_>>().join(" ")
    }
}

impl Sink for DbSink {
    fn append(&self, mut batch: Batch) -> AppendAnswer<'_> {
        Box::pin(async move {
            if let Some(failure) = self.failure.lock().unwrap().clone() {
                return Err(failure);
            }
            let done = self.db.append(&mut batch, self.clock.now_ms(), Durability::Written).unwrap();
            Ok((batch, done))
        })
    }

    fn append_exemplars(&self, exemplars: Vec<(SeriesId, Exemplar)>) -> ExemplarsAnswer<'_> {
        Box::pin(async move {
            self.db.append_exemplars_by_id(exemplars, Durability::Written).map(drop).map_err(|e| e.to_string())
        })
    }

    fn observe_metadata(&self, family: &FamilyMetadata) {
        self.observed.lock().unwrap().push(family.clone());
    }
}

/// What an [`Exporter`] answers.
#[derive(Clone)]
pub(crate) enum Answer {
    /// These bytes, then the connection ends.
    Bytes(Vec<u8>),
    /// These bytes, then silence on an open connection.
    Stall(Vec<u8>),
}

impl Answer {
    /// Status 200 with these headers (each with its line end) and a body.
    pub(crate) fn page(headers: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        Answer::Bytes([head.as_bytes(), body].concat())
    }

    /// A page in the text format.
    pub(crate) fn text(body: &str) -> Self {
        Self::page("Content-Type: text/plain; version=0.0.4\r\n", body.as_bytes())
    }
}

/// A target on a loopback port. Its connections end when it is dropped.
pub(crate) struct Exporter {
    pub(crate) address: String,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl Exporter {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = Arc::new(Mutex::new(answer));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let accepting = tokio::spawn(accept(listener, answer.clone(), requests.clone()));
        Exporter { address, answer, requests, accepting }
    }

    pub(crate) fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Heads of the requests so far, in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, answer: Arc<Mutex<Answer>>, requests: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(serve(socket, answer.clone(), requests.clone()));
    }
}

async fn serve(mut socket: TcpStream, answer: Arc<Mutex<Answer>>, requests: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    requests.lock().unwrap().push(String::from_utf8_lossy(&head).to_lowercase());
    let answer = answer.lock().unwrap().clone();
    // The client may hang up early: that is what some tests are about.
    match answer {
        Answer::Bytes(bytes) => {
            let _ = socket.write_all(&bytes).await;
            let _ = socket.shutdown().await;
        }
        Answer::Stall(bytes) => {
            let _ = socket.write_all(&bytes).await;
            std::future::pending().await
        }
    }
}
