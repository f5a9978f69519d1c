//! An index written by a block writer, asked in every way, and what it weighs.

use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::block::cache::CACHE_BYTES_MAX;
use crate::block::meta::BlockId;
use crate::block::tests::{Made, make};
use crate::{MatchOp, Matcher};

/// Eleven labels in the manner of a fleet of hosts: each metric on each host.
fn fleet(metrics: usize, hosts: usize) -> Vec<Labels> {
    let mut all = Vec::with_capacity(metrics * hosts);
    for metric in 0..metrics {
        for host in 0..hosts {
            let mixed = host.wrapping_mul(2_654_435_761) >> 7;
            let region = ["eu-central-1", "us-east-1", "us-west-2", "ap-south-1"][mixed % 4];
            let values = [
                ("__name__", format!("cpu_metric_{metric:03}_total")),
                ("arch", ["x64", "x86"][mixed / 5 % 2].to_owned()),
                ("datacenter", format!("{region}{}", ["a", "b", "c"][mixed / 11 % 3])),
                ("hostname", format!("host_{host}")),
                ("os", ["Ubuntu15.10", "Ubuntu16.04LTS", "Ubuntu16.10"][mixed / 17 % 3].to_owned()),
                ("rack", (mixed / 23 % 100).to_string()),
                ("region", region.to_owned()),
                ("service", (mixed / 31 % 20).to_string()),
                ("service_environment", ["production", "staging", "test"][mixed / 37 % 3].to_owned()),
                ("service_version", (mixed / 41 % 2).to_string()),
                ("team", ["CHI", "LON", "NYC", "SF"][mixed / 43 % 4].to_owned()),
            ];
            all.push(Labels::from_pairs(values.iter().map(|(n, v)| (*n, v.as_str()))).unwrap());
        }
    }
    all.sort();
    all
}

fn open(made: &Made) -> Index {
    let path = made.dir().join(crate::block::INDEX_FILE);
    let map = Mapped::open(&path).unwrap();
    Index::open(path, map, Arc::new(PageCache::new(CACHE_BYTES_MAX)), 0, made.meta().id).unwrap()
}

#[track_caller]
fn check(index: &Index, all: &[Labels], matchers: &[(MatchOp, &str, &str)]) {
    let matchers: Vec<Matcher> = matchers.iter().map(|&(op, n, v)| Matcher::new(op, n, v).unwrap()).collect();
    let passes = |l: &Labels| matchers.iter().all(|m| m.matches(l.get(m.name()).unwrap_or("")));
    let expected: Vec<u32> = (0..).zip(all).filter(|(_, l)| passes(l)).map(|(at, _)| at).collect();
    assert_eq!(crate::index::select(index, &matchers).unwrap(), expected, "{matchers:?}");
}

#[test]
fn every_kind_of_matcher_finds_what_a_scan_finds() {
    let mut all = fleet(12, 150);
    all.push(Labels::from_pairs([("__name__", "other"), ("z", "1")]).unwrap());
    all.sort();
    let made = make(BlockId(1), all.iter().map(|l| (l.clone(), vec![(1, 1.0)])));
    let index = open(&made);
    use MatchOp::*;
    check(&index, &all, &[]);
    check(&index, &all, &[(Equal, "hostname", "host_7")]);
    check(&index, &all, &[(Equal, "hostname", "host_7"), (Equal, "__name__", "cpu_metric_003_total")]);
    check(&index, &all, &[(Equal, "os", "Ubuntu16.10"), (Equal, "team", "SF"), (NotEqual, "region", "us-east-1")]);
    check(&index, &all, &[(Regex, "hostname", "host_1.*"), (Equal, "arch", "x64")]);
    check(&index, &all, &[(Regex, "__name__", ".*_011_total")]);
    check(&index, &all, &[(NotRegex, "rack", "1|2|3"), (Equal, "z", "")]);
    check(&index, &all, &[(NotEqual, "z", "")]);
    check(&index, &all, &[(Equal, "hostname", "nobody")]);
    check(&index, &all, &[(Equal, "nobody", "x")]);
    check(&index, &all, &[(Equal, "nobody", "")]);
    check(&index, &all, &[(NotEqual, "hostname", "zzz"), (NotEqual, "hostname", "")]);
    let mut texts = index.texts().unwrap();
    for (at, labels) in all.iter().enumerate() {
        let page = index.series_page(at / SERIES).unwrap();
        assert_eq!(texts.labels(page.series(at % SERIES).unwrap().0).unwrap(), *labels);
    }
    let mut names = Vec::new();
    index.names(|name| names.push(name.to_owned())).unwrap();
    assert_eq!((names.len(), names[0].as_str(), names[11].as_str()), (12, "__name__", "z"));
    let mut hosts = Vec::new();
    index.values("hostname", |host| hosts.push(host.to_owned())).unwrap();
    assert!(hosts.len() == 150 && hosts.windows(2).all(|w| w[0] < w[1]));
}

/// The bar: 35 bytes for a series with eleven labels. Real numbers are printed: `--no-capture` shows them.
#[test]
fn the_index_of_a_fleet_is_small() {
    let all = fleet(60, 300);
    let made = make(BlockId(1), all.iter().map(|l| (l.clone(), vec![(1_000, 1.0), (2_000, 2.0)])));
    let bytes = made.meta().index_bytes as f64 / all.len() as f64;
    println!("index: {bytes:.1} bytes a series, directory {} bytes", open(&made).directory().unwrap().bytes());
    assert!(bytes <= 25.0, "{bytes:.1} bytes a series");
}

/// A small one by default; a large one on request, e.g.
/// `CAIRN_INDEX_SERIES=1000000 cargo nextest run --release -p cairn-storage index_speed --no-capture`.
#[test]
fn index_speed() {
    let series = std::env::var("CAIRN_INDEX_SERIES").map_or(3_000, |n| n.parse::<usize>().unwrap());
    let all = fleet(100, series / 100);
    let start = Instant::now();
    let made = make(BlockId(1), all.iter().map(|l| (l.clone(), vec![(1_000, 1.0), (2_000, 2.0)])));
    println!("written in {:?}, {:.1} bytes a series", start.elapsed(), made.meta().index_bytes as f64 / series as f64);
    let index = open(&made);
    let time = |what: &str, matchers: &[(MatchOp, &str, &str)]| {
        let matchers: Vec<Matcher> = matchers.iter().map(|&(op, n, v)| Matcher::new(op, n, v).unwrap()).collect();
        for round in ["cold", "warm"] {
            let start = Instant::now();
            let found = crate::index::select(&index, &matchers).unwrap().len();
            println!("{what}: {found} series in {:?} ({round})", start.elapsed());
        }
    };
    let start = Instant::now();
    index.directory().unwrap();
    println!("directory: {:?}", start.elapsed());
    use MatchOp::*;
    time("name and host", &[(Equal, "__name__", "cpu_metric_050_total"), (Equal, "hostname", "host_5")]);
    time("two long lists", &[(Equal, "os", "Ubuntu16.10"), (Equal, "team", "SF")]);
    time("name by suffix", &[(Regex, "__name__", ".*_050_total")]);
    time("host by suffix", &[(Regex, "hostname", ".*_2.*9")]);
    for name in ["hostname", "team"] {
        let (start, mut count) = (Instant::now(), 0);
        index.values(name, |_| count += 1).unwrap();
        println!("{count} values of {name}: {:?}", start.elapsed());
    }
}
