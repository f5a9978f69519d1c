//! Remote write 2.0 beside prost, and beside version 1.0.

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;
use storage::{
    Columns, Db, Durability, HistogramColumns, Labels, Matcher, Options, SampleKind, TimeRange, is_stale_nan,
};

use super::tests::with_damage;
use super::*;

/// prost's view of the messages.
mod reference {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(bytes = "vec", repeated, tag = "4")]
        pub(super) symbols: Vec<Vec<u8>>,
        #[prost(message, repeated, tag = "5")]
        pub(super) timeseries: Vec<TimeSeries>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TimeSeries {
        #[prost(uint32, repeated, tag = "1")]
        pub(super) labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub(super) histograms: Vec<Histogram>,
        #[prost(message, repeated, tag = "4")]
        pub(super) exemplars: Vec<Exemplar>,
        #[prost(message, optional, tag = "5")]
        pub(super) metadata: Option<Metadata>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Sample {
        #[prost(double, tag = "1")]
        pub(super) value: f64,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
        #[prost(int64, tag = "3")]
        pub(super) start_timestamp: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Exemplar {
        #[prost(uint32, repeated, tag = "1")]
        pub(super) labels_refs: Vec<u32>,
        #[prost(double, tag = "2")]
        pub(super) value: f64,
        #[prost(int64, tag = "3")]
        pub(super) timestamp: i64,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Metadata {
        #[prost(int32, tag = "1")]
        pub(super) kind: i32,
        #[prost(uint32, tag = "3")]
        pub(super) help_ref: u32,
        #[prost(uint32, tag = "4")]
        pub(super) unit_ref: u32,
    }

    /// As much of it as makes one with a single bucket; the other fields are tested as those of version 1.0.
    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Histogram {
        #[prost(uint64, tag = "1")]
        pub(super) count: u64,
        #[prost(uint64, tag = "6")]
        pub(super) zero_count: u64,
        #[prost(int64, tag = "15")]
        pub(super) timestamp: i64,
        #[prost(int64, tag = "17")]
        pub(super) start_timestamp: i64,
    }
}

/// Labels, then time, bits and start of each sample, then how many exemplars and histograms.
type Plain = (Vec<(Vec<u8>, Vec<u8>)>, Vec<(i64, u64, i64)>, u64, u64);

fn ours(body: &[u8]) -> Result<Vec<Plain>, IngestError> {
    let mut reader = decode_write_request_2(body, &WriteLimits::default(), false)?;
    let (mut all, mut samples, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(series) = reader.next(&mut samples, &mut starts)? {
        let mut labels = Vec::new();
        series.read_labels(&mut labels)?;
        let labels = labels.into_iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        let values = series.samples.iter().zip(series.starts).map(|(s, start)| (s.t, s.v.to_bits(), *start)).collect();
        all.push((labels, values, series.exemplars, series.histograms));
    }
    Ok(all)
}

fn theirs(body: &[u8]) -> Option<Vec<Plain>> {
    let request = reference::Request::decode(body).ok()?;
    let symbol = |at: &u32| request.symbols.get(*at as usize).cloned();
    let pairs = |refs: &[u32]| {
        let pairs = refs.chunks(2).map(|pair| Some((symbol(&pair[0])?, symbol(pair.get(1)?)?)));
        pairs.collect::<Option<Vec<_>>>()
    };
    let plain = |series: &reference::TimeSeries| {
        let samples = series.samples.iter().map(|s| (s.timestamp, s.value.to_bits(), s.start_timestamp)).collect();
        Some((pairs(&series.labels_refs)?, samples, series.exemplars.len() as u64, series.histograms.len() as u64))
    };
    request.timeseries.iter().map(plain).collect()
}

fn request() -> impl Strategy<Value = reference::Request> {
    let symbols = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..6);
    let sample = (any::<u64>(), any::<i64>(), any::<i64>()).prop_map(|(bits, timestamp, start_timestamp)| {
        reference::Sample { value: f64::from_bits(bits), timestamp, start_timestamp }
    });
    let refs = || proptest::collection::vec((0u32..7, 0u32..7), 0..4);
    let refs = move || refs().prop_map(|pairs| pairs.into_iter().flat_map(|(n, v)| [n, v]).collect::<Vec<u32>>());
    let series = (refs(), proptest::collection::vec(sample, 0..4))
        .prop_map(|(labels_refs, samples)| reference::TimeSeries { labels_refs, samples, ..Default::default() });
    (symbols, proptest::collection::vec(series, 0..4))
        .prop_map(|(symbols, timeseries)| reference::Request { symbols, timeseries })
}

proptest! {
    #[test]
    fn sound_bodies_read_as_prost_reads_them(request in request()) {
        let body = request.encode_to_vec();
        prop_assert_eq!(ours(&body).ok(), theirs(&body));
    }

    #[test]
    fn damaged_bodies_are_judged_as_prost_judges_them(
        request in request(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let body = with_damage(request.encode_to_vec(), &damage, cut);
        if let Some(theirs) = theirs(&body) {
            prop_assert_eq!(ours(&body).unwrap(), theirs);
        } else if let Ok(ours) = ours(&body) {
            // What stands in a histogram, an exemplar or metadata is looked at only in the second walk.
            let has_extras = ours.iter().any(|series| series.2 + series.3 > 0) || body.contains(&(5 << 3 | 2));
            prop_assert!(has_extras, "{:?} is sound to us", body);
        }
    }

    #[test]
    fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = ours(&body);
        let _ = extras::Extras::read_2(&body, &WriteLimits::default(), false, &mut WriteOutcome::default());
    }
}

const NOW: i64 = 1_000_000;

struct Site {
    _dir: tempfile::TempDir,
    db: Arc<Db>,
    ingester: Ingester,
}

fn site(has_starts: bool) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let db = Arc::new(Db::open(dir.path(), Options::default()).unwrap());
    Site { _dir: dir, db, ingester: Ingester::new(WriteLimits::default()).with_starts(has_starts) }
}

fn packed(request: &impl Message) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
}

impl Site {
    fn push(&self, request: &reference::Request) -> WriteOutcome {
        let body = (Protocol::V2, &*packed(request));
        self.ingester.write("t", &self.db, body, NOW, Durability::Synced).unwrap()
    }

    /// Metric, time, start, of samples of both kinds.
    fn starts(&self) -> Vec<(String, i64, i64)> {
        let mut found = Vec::new();
        for series in self.db.select(&[], TimeRange::ALL).unwrap().series {
            let (mut floats, mut histograms) = (Columns::default(), HistogramColumns::default());
            series.read_into(&mut floats).unwrap();
            series.read_histograms_into(&mut histograms).unwrap();
            assert!(!floats.v.iter().any(|v| is_stale_nan(*v)));
            for (kind, times) in [(SampleKind::Float, floats.t), (SampleKind::Histogram, histograms.t)] {
                let mut starts = Vec::new();
                series.read_starts(kind, &times, &mut starts);
                let name = series.labels().metric_name().to_owned();
                found.extend(times.iter().zip(starts).map(|(t, start)| (name.clone(), *t, start)));
            }
        }
        found
    }
}

const SYMBOLS: [&str; 9] =
    ["", "__name__", "hits_total", "job", "x", "latency_bucket", "trace_id", "Took so long.", "s"];

fn sample(timestamp: i64, value: f64, start_timestamp: i64) -> reference::Sample {
    reference::Sample { value, timestamp, start_timestamp }
}

fn all_kinds(t: i64) -> reference::Request {
    let counter = reference::TimeSeries {
        labels_refs: vec![1, 2, 3, 4],
        samples: vec![sample(t, 1.0, 500), sample(t + 1, 2.0, 500), sample(t + 2, 1.0, t + 1)],
        exemplars: vec![reference::Exemplar { labels_refs: vec![6, 4], value: 1.0, timestamp: t }],
        ..Default::default()
    };
    let histogram = reference::Histogram { count: 2, zero_count: 2, timestamp: t, start_timestamp: 7 };
    let latency = reference::TimeSeries {
        labels_refs: vec![1, 5],
        histograms: vec![histogram, reference::Histogram { count: 3, timestamp: t + 1, ..histogram }],
        metadata: Some(reference::Metadata { kind: 3, help_ref: 7, unit_ref: 8 }),
        ..Default::default()
    };
    let symbols = SYMBOLS.map(|text| text.as_bytes().to_vec()).to_vec();
    reference::Request { symbols, timeseries: vec![counter, latency] }
}

#[test]
fn all_that_a_request_has_is_stored() {
    let site = site(true);
    for (t, series_created) in [(600, 2), (700, 0)] {
        let outcome = site.push(&all_kinds(t));
        // The second histogram's buckets do not make up its count.
        assert_eq!((outcome.accepted, outcome.histograms, outcome.series_created), (4, 1, series_created));
        assert_eq!((outcome.discarded_samples(), outcome.exemplars.accepted), (1, 1));
    }
    let expected = [("hits_total", 600, 500), ("hits_total", 601, 500), ("hits_total", 602, 601)]
        .into_iter()
        .chain([("hits_total", 700, 500), ("hits_total", 701, 500), ("hits_total", 702, 701)])
        .chain([("latency_bucket", 600, 7), ("latency_bucket", 700, 7)]);
    let expected: Vec<_> = expected.map(|(name, t, start)| (name.to_owned(), t, start)).collect();
    assert_eq!(site.starts(), expected);
    let told = site.db.metadata(None);
    assert_eq!(told.len(), 1);
    let (metric, meaning) = &told[0];
    assert_eq!(
        (&**metric, &*meaning.kind, &*meaning.help, &*meaning.unit),
        ("latency", "histogram", "Took so long.", "s")
    );
    let exemplars = site.db.exemplars(&[vec![]], TimeRange::ALL);
    assert_eq!(exemplars[0].1[0].labels, Labels::from_pairs([("trace_id", "x")]).unwrap());
}

#[test]
fn starts_are_left_out_unless_they_are_wanted() {
    let site = site(false);
    site.push(&all_kinds(600));
    assert!(site.starts().iter().all(|(_, _, start)| *start == 0));
    assert_eq!(site.starts().len(), 4);
}

#[test]
fn series_have_labels_of_type_and_unit_where_they_are_wanted() {
    let Site { ingester, db, _dir } = site(false);
    let site = Site { ingester: ingester.with_type_and_unit_labels(true), db, _dir };
    let mut request = all_kinds(600);
    request.symbols.push(b"__type__".to_vec());
    // What the sender calls its type among the labels gives way to what it says of the metric.
    request.timeseries[1].labels_refs.extend([9, 4]);
    let gauge = reference::TimeSeries {
        labels_refs: vec![1, 4, 9, 3],
        samples: vec![sample(600, 1.0, 0)],
        metadata: Some(reference::Metadata { kind: 2, help_ref: 0, unit_ref: 0 }),
        ..Default::default()
    };
    request.timeseries.push(gauge);
    for t in [600, 700] {
        request.timeseries[2].samples[0].timestamp = t;
        site.push(&request);
    }
    let found = site.db.select(&[], TimeRange::ALL).unwrap();
    let found: Vec<String> = found.series.iter().map(|series| series.labels().to_string()).collect();
    let expected =
        [r#"hits_total{job="x"}"#, r#"latency_bucket{__type__="histogram", __unit__="s"}"#, r#"x{__type__="gauge"}"#];
    assert_eq!(found, expected);
    assert_eq!(site.db.metadata(None).len(), 2);
}

#[test]
fn both_versions_know_a_series_by_the_same_bytes() {
    let site = site(true);
    site.push(&all_kinds(600));
    // Version 1.0: a label is a message of name and value.
    let label = |name: &[u8], value: &[u8]| {
        let mut bytes = vec![0x0a, (4 + name.len() + value.len()) as u8, 0x0a, name.len() as u8];
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&[0x12, value.len() as u8]);
        bytes.extend_from_slice(value);
        bytes
    };
    let labels = [label(b"__name__", b"hits_total"), label(b"job", b"x")].concat();
    let mut reader = decode_write_request_2(&all_kinds(600).encode_to_vec(), &WriteLimits::default(), false)
        .map(|mut reader| {
            let (mut samples, mut starts) = (Vec::new(), Vec::new());
            reader.next(&mut samples, &mut starts).unwrap().unwrap().label_bytes.unwrap().to_vec()
        })
        .unwrap();
    assert_eq!(std::mem::take(&mut reader), labels);
    let found = site.db.select(&[Matcher::equal("__name__", "hits_total")], TimeRange::ALL).unwrap();
    assert_eq!(found.series.len(), 1);
}

#[test]
fn forgotten_series_are_pushed_again_with_their_starts() {
    let site = site(true);
    site.push(&all_kinds(600));
    site.ingester.replace_ids("t", storage::SeriesId(999));
    let outcome = site.push(&all_kinds(700));
    assert_eq!((outcome.accepted, outcome.discarded_samples()), (4, 1));
    assert_eq!(site.starts().iter().filter(|(_, t, start)| *t == 702 && *start == 701).count(), 1);
}

#[test]
fn what_symbols_stand_for_is_bounded() {
    let symbols = vec![vec![], b"__name__".to_vec(), vec![b'x'; 1000]];
    let series =
        reference::TimeSeries { labels_refs: vec![1, 2], samples: vec![sample(1, 1.0, 0)], ..Default::default() };
    let body = reference::Request { symbols, timeseries: vec![series; 50] }.encode_to_vec();
    let read = |limits: &WriteLimits| {
        let mut reader = decode_write_request_2(&body, limits, false)?;
        let (mut samples, mut starts, mut count) = (Vec::new(), Vec::new(), 0);
        while reader.next(&mut samples, &mut starts)?.is_some() {
            count += 1;
        }
        Ok::<_, IngestError>(count)
    };
    assert_eq!(read(&WriteLimits::default()).unwrap(), 50);
    let limits = WriteLimits { body_bytes_max: 10_000, ..WriteLimits::default() };
    assert!(matches!(read(&limits), Err(IngestError::TooLarge { max: 10_000, .. })));
    let limits = WriteLimits { request_symbols_max: 2, ..WriteLimits::default() };
    assert!(matches!(read(&limits), Err(IngestError::TooManySymbols { max: 2 })));
}

#[test]
fn a_number_without_a_symbol_is_damage() {
    let mut request = all_kinds(600);
    request.timeseries[0].labels_refs = vec![1, 99];
    let said = ours(&request.encode_to_vec()).unwrap_err().to_string();
    assert!(said.ends_with("in a series: expected the number of a symbol"), "{said}");
    request.timeseries[0].labels_refs = vec![1];
    assert!(ours(&request.encode_to_vec()).unwrap_err().to_string().ends_with("names and values of labels in turn"));
}
