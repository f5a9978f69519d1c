//! The binary under test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::http;

const LOG: &str = "cairn.log";

/// A running Cairn. Killed when dropped.
pub struct Cairn {
    child: Child,
    /// Where it answers, without a slash at the end.
    pub url: String,
    http: reqwest::Client,
    log: PathBuf,
}

impl Cairn {
    /// Starts it on a port of the system's choice with its data in `dir/data`; its log goes to `dir/cairn.log`.
    pub fn start(dir: &Path, args: &[&str]) -> Self {
        Self::try_start(dir, args).unwrap_or_else(|log| panic!("cairn did not start:\n{log}"))
    }

    /// The same; the log if it ends before it is ready.
    pub fn try_start(dir: &Path, args: &[&str]) -> Result<Self, String> {
        let log = dir.join(LOG);
        let mut child = Self::spawn(dir, args);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let at = line.find("http://")?;
            Some(line[at..].split_whitespace().next()?.trim_end_matches('/').to_owned())
        });
        match address {
            Some(url) => Ok(Cairn { child, url, http: http(), log }),
            None => {
                let _ = child.wait();
                Err(std::fs::read_to_string(&log).unwrap())
            }
        }
    }

    /// Only starts the process.
    pub fn spawn(dir: &Path, args: &[&str]) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join(LOG)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.arg("--web.listen-address=127.0.0.1:0");
        command.arg(format!("--storage.tsdb.path={}", dir.join("data").display())).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub fn is_up(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Everything it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, then waits for a clean end.
    pub fn stop(mut self) {
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// A GET request to build upon.
    pub fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    /// A POST request to build upon.
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.url))
    }

    /// GET that has to succeed, as JSON.
    pub async fn json(&self, path: &str) -> Value {
        let response = self.get(path).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}\n{}", self.log());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {text}"))
    }

    /// The `data` of a Prometheus answer.
    pub async fn data(&self, path: &str) -> Value {
        self.json(path).await["data"].take()
    }

    /// An instant query's result, for `tenant` if it is not empty.
    pub async fn query_as(&self, tenant: &str, query: &str) -> Value {
        let mut form = vec![("query", query)];
        form.retain(|(_, v)| !v.is_empty());
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request =
            self.post("/api/v1/query").header("content-type", "application/x-www-form-urlencoded").body(body);
        if !tenant.is_empty() {
            request = request.header("x-scope-orgid", tenant);
        }
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{query}: {status} {text}\n{}", self.log());
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        answer["data"]["result"].take()
    }

    /// An instant query's result.
    pub async fn query(&self, query: &str) -> Value {
        self.query_as("", query).await
    }

    /// The value of a query that gives one sample; `None` for an empty vector.
    pub async fn value(&self, query: &str) -> Option<f64> {
        let result = self.query(query).await;
        let samples = result.as_array().unwrap();
        assert!(samples.len() <= 1, "{query}: {result}");
        Some(samples.first()?["value"][1].as_str().unwrap().parse().unwrap())
    }
}

impl Drop for Cairn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
