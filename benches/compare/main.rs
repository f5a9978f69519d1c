//! How does Cairn stand beside Prometheus and VictoriaMetrics: CPU of ingest, memory, disk, restart, start after a kill?
//!
//! Run with `cargo bench --bench compare -- [WORKLOAD…] [divide=N] [hosts=N] [only=TARGET] [cairn=BINARY] [dir=DIR]`; README.md beside
//! this file says how to get the peers and what the figures mean. Last numbers: docs/figures.md.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may stop at the first surprise")]
#![expect(unreachable_pub, reason = "a bench has no outside; pub is what the modules share")]

mod bombs;
mod server;
mod workload;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use server::{Server, Target};
use workload::{BOMBS, Host, WORKLOADS, Workload};

const CONNECTIONS: usize = 2;
/// How many scrapes one connection may be ahead of another.
const LEAD: usize = 20;

/// One row of the table.
struct Row {
    samples_per_cpu_s: f64,
    series_per_cpu_s: f64,
    rss: u64,
    peak: u64,
    disk: u64,
    settled: u64,
    killed: Duration,
    restart: Duration,
    lost: f64,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let option = |name: &str| args.iter().find_map(|a| a.strip_prefix(name)?.strip_prefix('='));
    let divide: usize = option("divide").map_or(1, |n| n.parse().unwrap());
    let dir = PathBuf::from(option("dir").unwrap_or("target/compare"));
    let targets = targets(option("only"), option("cairn"));
    let named: Vec<&String> = args.iter().filter(|a| !a.contains('=')).collect();
    for mut workload in WORKLOADS.into_iter().filter(|w| named.is_empty() || named.iter().any(|n| *n == w.name)) {
        let hosts = option("hosts").map_or(workload.hosts, |n| n.parse().unwrap());
        workload.hosts = (hosts / divide).max(CONNECTIONS);
        let is_bombs = workload.name == BOMBS;
        if is_bombs {
            bombs::print_head(&workload)
        } else {
            print_head(&workload)
        };
        for target in &targets {
            let work = dir.join(target.name);
            let _ = std::fs::remove_dir_all(&work);
            if is_bombs {
                let server = Server::start(target, &work);
                server.wait_ready();
                bombs::print_row(target.name, &bombs::measure(&server, &workload));
            } else {
                print_row(target.name, &workload, &measure(target, &workload, &work));
            }
            let _ = std::fs::remove_dir_all(&work);
        }
    }
}

/// Milliseconds since the epoch.
fn now_ms() -> i64 {
    cairn::clock::Clock::system().now_ms()
}

/// Cairn (this one, or the binary that is named) and the peers that are there.
fn targets(only: Option<&str>, cairn: Option<&str>) -> Vec<Target> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/usr/bin");
    let all = [
        ("cairn", PathBuf::from(cairn.unwrap_or(env!("CARGO_BIN_EXE_cairn")))),
        ("prometheus", peers.join("prometheus")),
        ("victoria", peers.join("victoria-metrics")),
    ];
    let mut found = Vec::new();
    for (name, program) in all.into_iter().filter(|(name, _)| only.is_none_or(|o| o == *name)) {
        if program.is_file() {
            found.push(Target { name, program });
        } else {
            println!("{name} is left out: {} is not there (benches/compare/peers.sh)", program.display());
        }
    }
    found
}

fn measure(target: &Target, workload: &Workload, dir: &Path) -> Row {
    let end = now_ms();
    let server = Server::start(target, dir);
    server.wait_ready();
    let (idle, first_cpu) = (server.cpu(), AtomicUsize::new(0));
    send(&server, workload, end, &first_cpu);
    let cpu = server.cpu() - idle;
    let first_cpu = first_cpu.into_inner() as f64 / 1000.0 - idle;
    let ((rss, peak), disk) = (server.memory(), server.disk());
    server.settle();
    let settled = server.settled_bytes();
    // Dropping kills: nothing is flushed.
    drop(server);

    // Of one host: not how long it takes to count a million series.
    let any = "count({job=\"bench\",hostname=\"host_0\"} or {job=\"bench\",instance=\"10.0.0.0:9100\"})";
    let server = Server::start(target, dir);
    let killed = server.wait_for(any, end);
    let lost = workload.samples() as f64 - stored(&server, workload, end);
    server.stop();
    let server = Server::start(target, dir);
    let restart = server.wait_for(any, end);
    let rate = |count: usize, seconds: f64| count as f64 / seconds.max(0.01);
    Row {
        samples_per_cpu_s: rate(workload.samples(), cpu),
        series_per_cpu_s: rate(workload.hosts * workload.host_series(), first_cpu),
        rss,
        peak,
        disk,
        settled,
        killed,
        restart,
        lost,
    }
}

/// Sends everything; each connection has its share of the hosts. The server's CPU after the first scrape, in milliseconds,
/// goes to `first_cpu`.
fn send(server: &Server, workload: &Workload, end: i64, first_cpu: &AtomicUsize) {
    let done: [AtomicUsize; CONNECTIONS] = Default::default();
    std::thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let (done, mut connection) = (&done, server.connect());
            scope.spawn(move || {
                let mut hosts: Vec<Host> =
                    (number..workload.hosts).step_by(CONNECTIONS).map(|h| Host::new(*workload, h)).collect();
                for k in 0..workload.scrapes {
                    let t = end - (workload.scrapes - 1 - k) as i64 * workload.interval_ms;
                    for host in &mut hosts {
                        host.scrape(k, t, |body| push(&mut connection, &body));
                    }
                    if k == 0 {
                        first_cpu.fetch_max((server.cpu() * 1000.0) as usize, Ordering::Relaxed);
                    }
                    done[number].store(k + 1, Ordering::Relaxed);
                    while k >= LEAD && done.iter().any(|d| d.load(Ordering::Relaxed) + LEAD < k) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
    });
}

/// Sends one body until it is taken.
fn push(connection: &mut server::Connection, body: &[u8]) {
    let answer = connection.request("POST", "/api/v1/write", body);
    let (status, text) = answer.expect("the server answers");
    assert!(status / 100 == 2, "{status}: {}", String::from_utf8_lossy(&text));
}

/// Samples that the server has, counted by name (without its name no series would be unique) and in slices, so that no
/// query holds too many.
fn stored(server: &Server, workload: &Workload, end: i64) -> f64 {
    let slice_ms = 1000 * workload.interval_ms;
    let first = end - workload.scrapes as i64 * workload.interval_ms;
    let slices = || (0..).map(|n| end - n * slice_ms).take_while(|t| *t > first);
    let count = |name: &String| -> f64 {
        let query = format!("sum(count_over_time({name}[{slice_ms}ms]))");
        slices().filter_map(|t| server.value(&query, t)).sum()
    };
    workload.names().iter().map(count).sum()
}

fn print_head(workload: &Workload) {
    println!("\n{}: {} series, {} samples", workload.name, workload.series(), workload.samples());
    println!(
        "| target | samples/CPU s | new series/CPU s | RSS MiB (peak) | B/series | disk B/sample | settled | after kill s | restart s | lost |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
}

fn print_row(name: &str, workload: &Workload, row: &Row) {
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let per_sample = |bytes: u64| bytes as f64 / workload.samples() as f64;
    println!(
        "| {name} | {:.0} k | {:.0} k | {:.0} ({:.0}) | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} |",
        row.samples_per_cpu_s / 1e3,
        row.series_per_cpu_s / 1e3,
        mib(row.rss),
        mib(row.peak),
        row.rss as f64 / workload.series() as f64,
        per_sample(row.disk),
        per_sample(row.settled),
        row.killed.as_secs_f64(),
        row.restart.as_secs_f64(),
        row.lost,
    );
}
