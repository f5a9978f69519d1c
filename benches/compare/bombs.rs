//! Do query bombs hurt ingest? Pushes at a steady pace, first alone, then beside clients that send nothing but bombs.
//!
//! Here: the pace, the bombs, how long each push waits for its answer. Elsewhere: the fleet (`workload`), the server (`server`).
//!
//! A push is timed from the moment at which it was due, so one that is late makes those behind it late, too, as it would for
//! a real sender.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::server::{Connection, Server};
use crate::workload::{Host, Workload};
use crate::{now_ms, push, send};

/// One push of each host in a second.
const PACE: Duration = Duration::from_secs(1);
const SENDERS: usize = 4;
const BOMBERS: usize = 8;
/// How long each half is measured, after a pause in which the one before dies down.
const HALF: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_secs(2);
/// Bombs may burn for so long.
const TIMEOUT: &str = "5s";

/// Instant queries and, over as many points as there may be, range queries.
const BOMBS: [&str; 8] = [
    "{__name__=~\".+\"}[30d]",
    "sum_over_time({__name__=~\".+\"}[30d:1s])",
    "sum_over_time(sum_over_time(sum_over_time(node_total_1[1d:1s])[30d:1s])[30d:1s])",
    "count({instance=~\"(.+)+\"})",
    "label_replace({job=\"bench\"}, \"x\", \"$1\", \"instance\", \"((.*)*)*\")",
    "sum by (instance) (rate({job=\"bench\"}[1h]))",
    "quantile_over_time(0.5, {job=\"bench\"}[1h])",
    "sum_over_time(vector(1)[1000000s:1s])",
];

/// How long pushes waited for their answer.
pub struct Waits {
    sorted: Vec<Duration>,
}

impl Waits {
    /// The wait that so many of a hundred do not exceed, in milliseconds.
    fn percentile(&self, n: usize) -> f64 {
        let at = (self.sorted.len() * n).div_ceil(100).saturating_sub(1);
        self.sorted[at].as_secs_f64() * 1e3
    }
}

/// Fills the server with the workload and measures both halves. How many bombs were answered comes third.
pub fn measure(server: &Server, workload: &Workload) -> (Waits, Waits, usize) {
    send(server, workload, now_ms() - 1000, &AtomicUsize::new(0));
    let (stop, bombs) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut fleet: Vec<Host> = (0..workload.hosts).map(|number| Host::new(*workload, number)).collect();
    let alone = steady(server, &mut fleet);
    let beside = std::thread::scope(|scope| {
        for number in 0..BOMBERS {
            let (stop, bombs, mut connection) = (&stop, &bombs, server.connect());
            scope.spawn(move || bomb(number, &mut connection, stop, bombs));
        }
        let beside = steady(server, &mut fleet);
        stop.store(true, Ordering::Relaxed);
        beside
    });
    (alone, beside, bombs.into_inner())
}

/// Sends one bomb after the other.
fn bomb(first: usize, connection: &mut Connection, stop: &AtomicBool, answered: &AtomicUsize) {
    for number in first.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let query: String = url::form_urlencoded::byte_serialize(BOMBS[number % BOMBS.len()].as_bytes()).collect();
        let now = now_ms() / 1000;
        let path = match number / BOMBS.len() % 2 {
            0 => format!("/api/v1/query_range?query={query}&start={}&end={now}&step=1&timeout={TIMEOUT}", now - 10_000),
            _ => format!("/api/v1/query?query={query}&time={now}&timeout={TIMEOUT}"),
        };
        if connection.request("GET", &path, &[]).is_some() {
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Pushes each host's series once in [`PACE`], the hosts evenly apart.
fn steady(server: &Server, fleet: &mut [Host]) -> Waits {
    let (all, begin) = (Mutex::new(Vec::new()), Instant::now());
    let (share, apart) = (fleet.len().div_ceil(SENDERS), PACE / fleet.len() as u32);
    std::thread::scope(|scope| {
        for (number, hosts) in fleet.chunks_mut(share).enumerate() {
            let (all, mut connection) = (&all, server.connect());
            scope.spawn(move || {
                for round in 0.. {
                    for (i, host) in hosts.iter_mut().enumerate() {
                        // Neighbours in time are of different senders.
                        let due = begin + PACE * round + apart * (i * SENDERS + number) as u32;
                        if due > begin + PAUSE + HALF {
                            return;
                        }
                        host.scrape(0, now_ms(), |body| {
                            std::thread::sleep(due.saturating_duration_since(Instant::now()));
                            push(&mut connection, &body);
                            if due > begin + PAUSE {
                                all.lock().unwrap().push(due.elapsed());
                            }
                        });
                    }
                }
            });
        }
    });
    let mut sorted = all.into_inner().unwrap();
    sorted.sort();
    Waits { sorted }
}

/// What the columns are.
pub fn print_head(workload: &Workload) {
    println!("\n{}: {} samples/s in {} pushes/s", workload.name, workload.series(), workload.hosts);
    println!("| target | alone p50 ms | p99 | longest | beside bombs p50 ms | p99 | longest | p99 ratio | bombs |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
}

/// One target's row.
pub fn print_row(name: &str, (alone, beside, bombs): &(Waits, Waits, usize)) {
    let cells = |w: &Waits| format!("{:.1} | {:.1} | {:.1}", w.percentile(50), w.percentile(99), w.percentile(100));
    let ratio = beside.percentile(99) / alone.percentile(99);
    println!("| {name} | {} | {} | {ratio:.2} | {bombs} |", cells(alone), cells(beside));
}
