//! A database under measurement: its process, its HTTP, what it takes of the machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;

/// Longest wait for a start or an answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Who is measured.
#[derive(Clone)]
pub struct Target {
    pub name: &'static str,
    pub program: PathBuf,
}

/// Its running process. Killed when dropped.
pub struct Server {
    target: Target,
    dir: PathBuf,
    port: u16,
    child: Child,
    started: Instant,
}

impl Target {
    fn args(&self, data: &Path, port: u16) -> Vec<String> {
        let (data, config) = (data.display(), data.join("../empty.yml"));
        match self.name {
            "victoria" => [
                format!("-storageDataPath={data}"),
                format!("-httpListenAddr=127.0.0.1:{port}"),
                "-retentionPeriod=100y -search.disableCache -search.latencyOffset=0s -loggerLevel=WARN".to_owned(),
                "-search.maxUniqueTimeseries=20000000 -search.maxSeries=2000000 -search.maxQueryDuration=10m"
                    .to_owned(),
            ]
            .join(" "),
            name => [
                format!("--config.file={} --storage.tsdb.path={data}", config.display()),
                format!("--web.listen-address=127.0.0.1:{port} --query.timeout=10m --query.max-samples=500000000"),
                "--storage.tsdb.retention.time=100y --log.level=warn".to_owned(),
                if name == "prometheus" { "--web.enable-remote-write-receiver --web.enable-admin-api" } else { "" }
                    .to_owned(),
            ]
            .join(" "),
        }
        .split_whitespace()
        .map(str::to_owned)
        .collect()
    }
}

impl Server {
    /// Starts `target` on `dir/data`, which may hold something already.
    pub fn start(target: &Target, dir: &Path) -> Self {
        std::fs::create_dir_all(dir.join("data")).unwrap();
        std::fs::write(dir.join("empty.yml"), "global: {}\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let mut command = Command::new(&target.program);
        command.args(target.args(&dir.join("data"), port)).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Server { target: target.clone(), dir: dir.to_owned(), port, child, started: Instant::now() }
    }

    /// Waits until `query` gives something other than nothing; the time since the start.
    pub fn wait_for(&self, query: &str, t_ms: i64) -> Duration {
        while self.value(query, t_ms).is_none() {
            assert!(
                self.started.elapsed() < PATIENCE,
                "{} never answers; see {}",
                self.target.name,
                self.dir.display()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        self.started.elapsed()
    }

    /// Waits until it is ready.
    pub fn wait_ready(&self) {
        let path = if self.target.name == "victoria" { "/health" } else { "/-/ready" };
        while !matches!(self.connect().request("GET", path, &[]), Some((200, _))) {
            assert!(
                self.started.elapsed() < PATIENCE,
                "{} is never ready; see {}",
                self.target.name,
                self.dir.display()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// A connection of its own.
    pub fn connect(&self) -> Connection {
        Connection { address: format!("127.0.0.1:{}", self.port), stream: None }
    }

    /// The value of the only sample of an instant query.
    pub fn value(&self, query: &str, t_ms: i64) -> Option<f64> {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let path = format!("/api/v1/query?query={query}&time={}", t_ms as f64 / 1000.0);
        let (status, body) = self.connect().request("GET", &path, &[])?;
        let answer: serde_json::Value = serde_json::from_slice(&body).ok().filter(|_| status == 200)?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// Lets it bring its data into their last form, as far as it can be asked to, and waits until it is idle.
    pub fn settle(&self) {
        if self.target.name == "victoria" {
            for path in ["/internal/force_flush", "/internal/force_merge"] {
                self.connect().request("GET", path, &[]);
            }
        }
        let (mut idle, begin) = (0, Instant::now());
        while idle < 2 || begin.elapsed() < Duration::from_secs(15) {
            let before = self.cpu();
            std::thread::sleep(Duration::from_secs(1));
            idle = if self.cpu() - before < 0.06 { idle + 1 } else { 0 };
        }
    }

    /// Bytes on disk with everything in finished blocks, where it can be asked for a snapshot; else as they are.
    pub fn settled_bytes(&self) -> u64 {
        let snapshots = self.dir.join("data/snapshots");
        match self.connect().request("POST", "/api/v1/admin/tsdb/snapshot", &[]) {
            Some((200, _)) if snapshots.is_dir() => {
                let bytes = disk_bytes(&snapshots);
                std::fs::remove_dir_all(snapshots).unwrap();
                bytes
            }
            _ => self.disk(),
        }
    }

    /// Bytes on disk.
    pub fn disk(&self) -> u64 {
        disk_bytes(&self.dir.join("data"))
    }

    /// Seconds of CPU, user and system, since its start.
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / clock_ticks_per_second() as f64
    }

    /// Resident bytes, now and at most.
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let of = |key: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn disk_bytes(dir: &Path) -> u64 {
    // Files come and go under a running server: what cannot be read is gone.
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// A kept HTTP/1.1 connection that costs next to nothing beside the server.
pub struct Connection {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// Status and body of the answer; `None` where there was none.
    pub fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(&self.address).ok()?),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
             X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.get_mut().set_nodelay(true).ok()?;
        stream.get_mut().write_all(&[head.as_bytes(), body].concat()).ok()?;
        let answer = read_answer(&mut stream)?;
        self.stream = Some(stream);
        Some(answer)
    }
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> Option<(u16, Vec<u8>)> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let status: u16 = line.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut is_chunked) = (0, false);
    loop {
        line.clear();
        stream.read_line(&mut line).ok()?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        is_chunked |= header == "transfer-encoding: chunked";
        length = header.strip_prefix("content-length: ").map_or(length, |n| n.parse().unwrap_or(0));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    while is_chunked {
        line.clear();
        stream.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        let start = body.len();
        body.resize(start + size + 2, 0);
        stream.read_exact(&mut body[start..]).ok()?;
        body.truncate(start + size);
        is_chunked = size > 0;
    }
    Some((status, body))
}
