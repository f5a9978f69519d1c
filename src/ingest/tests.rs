use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;
use storage::{Columns, Db, Durability, Matcher, Options, Sample, TimeRange};

use super::*;

/// prost's view of the messages; labels are bytes there, too, because whether they are UTF-8 is a question for later.
mod reference {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) timeseries: Vec<TimeSeries>,
        #[prost(message, repeated, tag = "3")]
        pub(super) metadata: Vec<Metadata>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
        #[prost(bytes = "vec", repeated, tag = "3")]
        pub(super) exemplars: Vec<Vec<u8>>,
        #[prost(bytes = "vec", repeated, tag = "4")]
        pub(super) histograms: Vec<Vec<u8>>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Label {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) name: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Sample {
        #[prost(double, tag = "1")]
        pub(super) value: f64,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
    }

    /// No field of it is read, so all are unknown.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metadata {}
}

type Plain = (Vec<(Vec<u8>, Vec<u8>)>, Vec<(i64, u64)>, u64, u64);

/// What our decoder sees, in plain values; floats by their bits.
fn ours(body: &[u8]) -> Result<(Vec<Plain>, u64), DecodeError> {
    let mut reader = decode_write_request(body);
    let (mut all, mut samples) = (Vec::new(), Vec::new());
    while let Some(series) = reader.next(&mut samples)? {
        let mut labels = Vec::new();
        series.read_labels(&mut labels)?;
        let labels = labels.into_iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        let values = series.samples.iter().map(|s| (s.t, s.v.to_bits())).collect();
        all.push((labels, values, series.exemplars, series.histograms));
    }
    Ok((all, reader.metadata_count()))
}

fn theirs(body: &[u8]) -> Result<(Vec<Plain>, u64), prost::DecodeError> {
    let request = reference::WriteRequest::decode(body)?;
    let plain = |series: reference::TimeSeries| {
        let labels = series.labels.into_iter().map(|l| (l.name, l.value)).collect();
        let samples = series.samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect();
        (labels, samples, series.exemplars.len() as u64, series.histograms.len() as u64)
    };
    Ok((request.timeseries.into_iter().map(plain).collect(), request.metadata.len() as u64))
}

fn request() -> impl Strategy<Value = reference::WriteRequest> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..12);
    let label = (bytes(), bytes()).prop_map(|(name, value)| reference::Label { name, value });
    let sample = (any::<u64>(), any::<i64>())
        .prop_map(|(bits, timestamp)| reference::Sample { value: f64::from_bits(bits), timestamp });
    let series = (
        proptest::collection::vec(label, 0..4),
        proptest::collection::vec(sample, 0..4),
        proptest::collection::vec(bytes(), 0..2),
        proptest::collection::vec(bytes(), 0..2),
    );
    let series = series.prop_map(|(labels, samples, exemplars, histograms)| reference::TimeSeries {
        labels,
        samples,
        exemplars,
        histograms,
    });
    (proptest::collection::vec(series, 0..4), 0..3usize)
        .prop_map(|(timeseries, n)| reference::WriteRequest { timeseries, metadata: vec![reference::Metadata {}; n] })
}

/// A message with other bytes at some places and without its end.
pub(super) fn with_damage(
    mut body: Vec<u8>,
    damage: &[(prop::sample::Index, u8)],
    cut: prop::sample::Index,
) -> Vec<u8> {
    if !body.is_empty() {
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = *byte;
        }
        body.truncate(cut.index(body.len()) + 1);
    }
    body
}

proptest! {
    #[test]
    fn sound_bodies_read_as_prost_reads_them(request in request()) {
        let body = request.encode_to_vec();
        prop_assert_eq!(ours(&body).unwrap(), theirs(&body).unwrap());
    }

    #[test]
    fn damaged_bodies_are_judged_as_prost_judges_them(
        request in request(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let body = with_damage(request.encode_to_vec(), &damage, cut);
        match (ours(&body), theirs(&body)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "ours {ours:?}, prost {theirs:?}, body {body:?}"),
        }
    }

    #[test]
    fn any_bytes_are_judged_as_prost_judges_them(body in proptest::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(ours(&body).ok(), theirs(&body).ok());
    }

    #[test]
    fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(body) = decompress(&body, &WriteLimits::default(), &mut Vec::new()) {
            let _ = ours(body);
        }
    }
}

#[track_caller]
fn damaged(body: &[u8], expected: &str) {
    assert_eq!(IngestError::from(ours(body).unwrap_err()).to_string(), expected, "{body:02x?}");
}

#[test]
fn damage_is_told_with_its_place() {
    let at = |n: usize, inside: &str, what: &str| {
        format!("not a remote write request: at byte {n} of the decompressed body, in {inside}: expected {what}")
    };
    damaged(&[0x0a, 0x05, 0x0a], &at(1, "the request", "a length within the message"));
    damaged(&[0x0a, 0x80], &at(1, "the request", "the rest of a varint, not the end of the message"));
    damaged(&[0x08, 0x01], &at(1, "the request", "a message"));
    damaged(&[0x0a, 0x04, 0x12, 0x02, 0x08, 0x01], &at(5, "a sample", "a double"));
    damaged(&[0x0a, 0x04, 0x12, 0x02, 0x09, 0x01], &at(5, "a sample", "eight bytes of a number"));
    damaged(&[0x07], &at(0, "the request", "a field's tag with a known wire type"));
    damaged(&[0x02, 0x00], &at(0, "the request", "a field number from 1 to 536870911"));
    damaged(
        &[0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &at(1, "the request", "a varint of at most 64 bits"),
    );
    // A label is looked into only when it is asked for.
    damaged(&[0x0a, 0x04, 0x0a, 0x02, 0x08, 0x01], &at(5, "a label", "a string"));
}

#[test]
fn label_bytes_stand_together_or_are_not_given() {
    let label = [0x0a, 0x04, 0x0a, 0x02, b'a', b'b'];
    let sample = [0x12, 0x02, 0x10, 0x07];
    let body = |parts: &[&[u8]]| {
        let inner = parts.concat();
        [&[0x0a, inner.len() as u8], &inner[..]].concat()
    };
    let read = |body: &[u8]| {
        let mut samples = Vec::new();
        let series = decode_write_request(body).next(&mut samples).unwrap().unwrap();
        (series.label_bytes.map(<[u8]>::to_vec), series.samples.to_vec())
    };
    let two = [label, label].concat();
    let samples = vec![Sample { t: 7, v: 0.0 }];
    assert_eq!(read(&body(&[&label, &label, &sample])), (Some(two.clone()), samples.clone()));
    assert_eq!(read(&body(&[&sample, &label, &label])), (Some(two), samples.clone()));
    assert_eq!(read(&body(&[&label, &sample, &label])), (None, samples.clone()));
    assert_eq!(read(&body(&[&sample])), (Some(vec![]), samples));
}

#[test]
fn headers_of_both_versions_pass() {
    let check = |content_type, encoding| check_headers(content_type, encoding).map_err(|e| e.to_string());
    assert!(check(None, None).is_ok());
    assert!(check(Some("application/x-protobuf"), Some("snappy")).is_ok());
    assert!(check(Some("application/x-protobuf;proto=prometheus.WriteRequest"), Some("snappy")).is_ok());
    let found = check(Some("application/x-protobuf;proto=io.prometheus.write.v2.Request"), Some("snappy"));
    assert_eq!((found, check(None, None)), (Ok(Protocol::V2), Ok(Protocol::V1)));
    assert_eq!(
        check(Some("application/x-protobuf;proto=io.prometheus.write.v3.Request"), Some("snappy")).unwrap_err(),
        "content type \"application/x-protobuf;proto=io.prometheus.write.v3.Request\" is not supported; send \
         application/x-protobuf with proto=prometheus.WriteRequest (remote write 1.0) or \
         proto=io.prometheus.write.v2.Request (2.0)"
    );
    assert!(check(Some("application/json"), None).is_err());
    assert_eq!(check(None, Some("gzip")).unwrap_err(), "content encoding \"gzip\" is not supported; send snappy");
}

/// A block that declares `bytes` and holds nothing.
fn declaring(mut bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while bytes >= 0x80 {
        body.push((bytes & 0x7f) as u8 | 0x80);
        bytes >>= 7;
    }
    body.push(bytes as u8);
    body
}

#[test]
fn bodies_are_limited_before_they_are_unpacked() {
    let limits = WriteLimits::default();
    let mut out = Vec::new();
    let mut refused = |body: &[u8]| decompress(body, &limits, &mut out).unwrap_err().to_string();
    assert_eq!(refused(&[]), "the body is empty; expected a snappy block with a remote write request");
    assert_eq!(
        refused(&declaring(200 << 20)),
        "the body unpacks to 209715200 bytes, more than 104857600; send smaller batches or raise \
         cairn.limits.push_decoded_bytes_max"
    );
    assert_eq!(
        refused(&declaring(50 << 20)),
        "the body is no snappy block: it declares 52428800 bytes, more than 4 packed bytes can hold"
    );
    assert!(refused(b"hello").starts_with("the body is no snappy block: "));
    assert!(out.capacity() < 1024, "{}", out.capacity());
    // The most that can be packed is still taken.
    let long = vec![b'a'; 1 << 20];
    let packed = snap::raw::Encoder::new().compress_vec(&long).unwrap();
    assert_eq!(decompress(&packed, &limits, &mut out).unwrap(), long);
    // What a longer body has left behind is no part of the next one.
    let packed = snap::raw::Encoder::new().compress_vec(b"short").unwrap();
    assert_eq!(decompress(&packed, &limits, &mut out).unwrap(), b"short");
}

struct Site {
    _dir: tempfile::TempDir,
    db: Arc<Db>,
    ingester: Ingester,
}

fn site_with(limits: WriteLimits) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let db = Arc::new(Db::open(dir.path(), Options::default()).unwrap());
    Site { _dir: dir, db, ingester: Ingester::new(limits) }
}

fn site() -> Site {
    site_with(WriteLimits::default())
}

/// Labels and samples of one series.
type Pushed<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

fn pack(series: &[Pushed<'_>]) -> Vec<u8> {
    let timeseries = series.iter().map(|(labels, samples)| reference::TimeSeries {
        labels: labels
            .iter()
            .map(|(n, v)| reference::Label { name: n.as_bytes().to_vec(), value: v.as_bytes().to_vec() })
            .collect(),
        samples: samples.iter().map(|&(timestamp, value)| reference::Sample { value, timestamp }).collect(),
        ..Default::default()
    });
    let request = reference::WriteRequest { timeseries: timeseries.collect(), metadata: Vec::new() };
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
}

const NOW: i64 = 1_000_000;

impl Site {
    fn push(&self, body: &[u8]) -> Result<WriteOutcome, IngestError> {
        self.ingester.write("t", &self.db, (Protocol::V1, body), NOW, Durability::Synced)
    }

    /// `up{job="x"} 1@2 …`, one line for each series.
    fn stored(&self) -> Vec<String> {
        let all = self.db.select(&[Matcher::not_equal_empty()], TimeRange::ALL).unwrap();
        let line = |series: &storage::SelectedSeries| {
            let mut columns = Columns::default();
            series.read_into(&mut columns).unwrap();
            let points: Vec<_> = columns.t.iter().zip(&columns.v).map(|(t, v)| format!("{v}@{t}")).collect();
            format!("{} {}", series.labels(), points.join(" "))
        };
        all.series.iter().map(line).collect()
    }
}

/// Selects every series: each has a metric name.
trait AnyName {
    fn not_equal_empty() -> Matcher;
}

impl AnyName for Matcher {
    fn not_equal_empty() -> Matcher {
        Matcher::new(storage::MatchOp::NotEqual, storage::METRIC_NAME, "").unwrap()
    }
}

#[test]
fn samples_are_stored_by_both_lanes() {
    let site = site();
    let up = &[("job", "x"), ("__name__", "up"), ("empty", "")][..];
    let down = &[("__name__", "down")][..];
    let first = site.push(&pack(&[(up, &[(1, 1.0), (2, 2.0)]), (down, &[(1, 5.0)])])).unwrap();
    assert_eq!((first.accepted, first.series_created), (3, 2));
    let second = site.push(&pack(&[(up, &[(3, 3.0)]), (down, &[(2, 6.0), (1, 5.0)])])).unwrap();
    assert_eq!((second.accepted, second.duplicates, second.series_created), (2, 1, 0));
    assert_eq!(site.stored(), [r#"down 5@1 6@2"#, r#"up{job="x"} 1@1 2@2 3@3"#]);
}

#[test]
fn a_series_that_only_begins_like_the_expected_one_is_its_own() {
    let site = site();
    let (up, down) = (&[("__name__", "up")][..], &[("__name__", "down")][..]);
    let longer = &[("__name__", "up"), ("job", "x")][..];
    let samples = |t| [(t, t as f64)];
    site.push(&pack(&[(up, &samples(1)), (down, &samples(1))])).unwrap();
    // Expected are `up` and `down`: a longer one, an absent one, another order.
    let second = site.push(&pack(&[(longer, &samples(2)), (down, &samples(2))])).unwrap();
    assert_eq!((second.accepted, second.series_created), (2, 1));
    site.push(&pack(&[(down, &samples(3)), (longer, &samples(3)), (up, &samples(3))])).unwrap();
    site.push(&pack(&[(up, &[]), (down, &samples(4)), (longer, &samples(4)), (&[], &samples(4))])).unwrap();
    assert_eq!(site.stored(), ["down 1@1 2@2 3@3 4@4", "up 1@1 3@3", r#"up{job="x"} 2@2 3@3 4@4"#]);
}

#[test]
fn a_damaged_body_stores_nothing() {
    let site = site();
    let good = pack(&[(&[("__name__", "up")], &[(1, 1.0)])]);
    let mut raw = snap::raw::Decoder::new().decompress_vec(&good).unwrap();
    raw.extend([0x0a, 0x7f]);
    let body = snap::raw::Encoder::new().compress_vec(&raw).unwrap();
    assert!(matches!(site.push(&body), Err(IngestError::Decode(_))));
    assert_eq!(site.stored(), [] as [&str; 0]);
    assert!(matches!(site.push(&[]), Err(IngestError::Empty)));
    // An empty request in a block of its own is a request all the same.
    assert_eq!(site.push(&pack(&[])).unwrap(), WriteOutcome::default());
}

#[track_caller]
fn discarded(labels: &[(&str, &str)], limits: WriteLimits, reason: Reason, example: &str) {
    let site = site_with(limits);
    let outcome = site.push(&pack(&[(labels, &[(1, 1.0), (2, 1.0)]), (&[("__name__", "good")], &[(1, 1.0)])])).unwrap();
    assert_eq!(outcome.accepted, 1, "the rest is stored");
    let only = Discarded { samples: 2, example: example.to_owned() };
    assert_eq!(outcome.discarded.into_iter().collect::<Vec<_>>(), [(reason, only)]);
}

#[test]
fn bad_series_are_left_out_with_a_reason() {
    let small = || WriteLimits {
        label_names_max: 2,
        label_name_bytes_max: 8,
        label_value_bytes_max: 5,
        ..WriteLimits::default()
    };
    let any = WriteLimits::default;
    discarded(&[("a", "b")], any(), Reason::MissingMetricName, r#"a series has no metric name: series {a="b"}"#);
    discarded(&[], any(), Reason::MissingMetricName, "a series has no metric name: series {}");
    discarded(&[("__name__", "")], any(), Reason::MissingMetricName, "a series has no metric name: series {}");
    discarded(
        &[("__name__", "up"), ("", "b")],
        any(),
        Reason::LabelInvalid,
        r#"a label has an empty name (its value is "b"): series up{="b"}"#,
    );
    discarded(
        &[("__name__", "up"), ("a", "1"), ("a", "2")],
        any(),
        Reason::DuplicateLabelNames,
        r#"label "a" is given twice; remove one of them: series up{a="1", a="2"}"#,
    );
    discarded(
        &[("__name__", "up"), ("a", "1"), ("b", "2")],
        small(),
        Reason::MaxLabelNamesPerSeries,
        r#"a series has 3 labels, the limit max_label_names_per_series is 2: series up{a="1", b="2"}"#,
    );
    discarded(
        &[("__name__", "up"), ("nine_long", "1")],
        small(),
        Reason::LabelNameTooLong,
        "a label name has 9 bytes, the limit max_label_name_length is 8: label nine_long",
    );
    discarded(
        &[("__name__", "up"), ("a", "sixsix")],
        small(),
        Reason::LabelValueTooLong,
        r#"a label value has 6 bytes, the limit max_label_value_length is 5: label a of series up{a="sixsix"}"#,
    );
}

#[test]
fn labels_must_be_utf8() {
    let site = site();
    let label = |name: &[u8], value: &[u8]| reference::Label { name: name.to_vec(), value: value.to_vec() };
    let series = reference::TimeSeries {
        labels: vec![label(b"__name__", b"up"), label(b"a", &[0xff, b'\n'])],
        samples: vec![reference::Sample { value: 1.0, timestamp: 1 }],
        ..Default::default()
    };
    let request = reference::WriteRequest { timeseries: vec![series], metadata: Vec::new() };
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap();
    let outcome = site.push(&body).unwrap();
    assert_eq!(outcome.discarded[&Reason::LabelInvalid].example, "a label is not valid UTF-8: \u{fffd}\\n");
}

#[test]
fn refusals_of_the_database_are_counted() {
    let site = site();
    let up = &[("__name__", "up")][..];
    site.push(&pack(&[(up, &[(1, 1.0)])])).unwrap();
    let outcome = site.push(&pack(&[(up, &[(1, 2.0), (NOW + 600_001, 1.0), (2, 3.0)])])).unwrap();
    assert_eq!((outcome.accepted, outcome.discarded_samples()), (1, 2));
    assert_eq!(
        outcome.message().unwrap(),
        "2 samples were not stored: duplicate sample for timestamp: series up (err-mimir-sample-duplicate-timestamp), 1 \
         samples; too far in the future: series up (err-mimir-too-far-in-future), 1 samples"
    );
}

#[test]
fn extras_that_cannot_be_stored_are_counted() {
    let site = site();
    let series = reference::TimeSeries {
        labels: vec![reference::Label { name: b"__name__".to_vec(), value: b"h".to_vec() }],
        exemplars: vec![vec![], vec![]],
        histograms: vec![vec![]],
        ..Default::default()
    };
    let request = reference::WriteRequest { timeseries: vec![series], metadata: vec![reference::Metadata {}; 3] };
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap();
    let outcome = site.push(&body).unwrap();
    // An empty histogram is sound, but of 1970 without a clock that says so.
    assert_eq!((outcome.exemplars.accepted + outcome.exemplars.duplicates, outcome.extras_invalid), (2, 3));
    assert_eq!((outcome.accepted, outcome.message()), (1, None));
}

#[test]
fn samples_of_a_request_are_limited() {
    let site = site_with(WriteLimits { request_samples_max: 2, ..WriteLimits::default() });
    let up = &[("__name__", "up")][..];
    let error = site.push(&pack(&[(up, &[(1, 1.0)]), (up, &[(2, 1.0), (3, 1.0)])])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the request has more than 2 samples; send smaller batches or raise cairn.limits.push_samples_max"
    );
    assert_eq!(site.stored(), [] as [&str; 0]);
}

#[test]
fn ids_of_another_database_are_not_used() {
    let mut site = site();
    let body = |t: i64| pack(&[(&[("__name__", "a")], &[(t, 1.0)]), (&[("__name__", "b")], &[(t, 2.0)])]);
    site.push(&body(1)).unwrap();
    // A new database numbers its series anew: the old ids would mean other series.
    let dir = tempfile::tempdir().unwrap();
    site.db = Arc::new(Db::open(dir.path(), Options::default()).unwrap());
    site.push(&pack(&[(&[("__name__", "b")], &[(1, 2.0)])])).unwrap();
    site.push(&body(2)).unwrap();
    assert_eq!(site.stored(), ["a 1@2", "b 2@1 2@2"]);
}

#[test]
fn series_that_the_database_dropped_are_pushed_with_their_labels() {
    let site = site();
    let (a, b, c) = (&[("__name__", "a")][..], &[("__name__", "b")][..], &[("__name__", "c")][..]);
    site.push(&pack(&[(a, &[(1, 1.0)]), (b, &[(1, 2.0)])])).unwrap();
    site.ingester.replace_ids("t", storage::SeriesId(77));
    let outcome = site
        .push(&pack(&[(c, &[(2, 3.0)]), (a, &[]), (b, &[(2, 4.0), (3, 5.0), (1, 9.0)]), (a, &[(2, 6.0)])]))
        .unwrap();
    assert_eq!((outcome.accepted, outcome.series_created), (4, 1));
    assert_eq!(outcome.discarded.keys().collect::<Vec<_>>(), [&Reason::DuplicateTimestamp]);
    assert_eq!(outcome.discarded[&Reason::DuplicateTimestamp].example, "duplicate sample for timestamp: series b");
    assert_eq!(site.stored(), ["a 1@1 6@2", "b 2@1 4@2 5@3", "c 3@2"]);
    // The right ids are remembered again.
    assert_eq!(site.push(&pack(&[(a, &[(5, 1.0)])])).unwrap().accepted, 1);
}

#[test]
fn tenants_do_not_share_ids() {
    let site = site();
    let dir = tempfile::tempdir().unwrap();
    let other = Arc::new(Db::open(dir.path(), Options::default()).unwrap());
    let body = pack(&[(&[("__name__", "a")], &[(1, 1.0)])]);
    site.push(&body).unwrap();
    let outcome = site.ingester.write("other", &other, (Protocol::V1, &body), NOW, Durability::Synced).unwrap();
    assert_eq!((outcome.accepted, outcome.series_created), (1, 1));
}

/// A body in `testdata/ingest`.
fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/ingest").join(name)).unwrap()
}

#[test]
fn what_prometheus_sends_is_stored() {
    let body = recorded("prometheus-2.42-samples.snappy");
    let mut raw = Vec::new();
    let raw = decompress(&body, &WriteLimits::default(), &mut raw).unwrap();
    let (series, _) = theirs(raw).unwrap();
    assert_eq!(ours(raw).unwrap().0, series);
    let now = series.iter().flat_map(|(_, samples, ..)| samples).map(|(t, _)| *t).max().unwrap();
    let sent: u64 = series.iter().map(|(_, samples, ..)| samples.len() as u64).sum();

    let site = site();
    for accepted in [sent, 0] {
        let outcome = site.ingester.write("t", &site.db, (Protocol::V1, &body), now, Durability::Synced).unwrap();
        assert_eq!((outcome.accepted, outcome.accepted + outcome.duplicates), (accepted, sent));
        assert_eq!(outcome.message(), None);
    }
    let stored = site.stored();
    let up = stored.iter().find(|line| line.starts_with(r#"up{instance="127.0.0.1:19778", job="node"} "#));
    assert!(up.is_some_and(|line| line.split(' ').skip(2).all(|point| point.starts_with("1@"))), "{up:?}");
    assert!(stored.iter().any(|line| line.starts_with("node_load15{")));
}

#[test]
fn metadata_of_prometheus_is_stored() {
    let site = site();
    let outcome = site.push(&recorded("prometheus-2.42-metadata.snappy")).unwrap();
    assert_eq!(outcome, WriteOutcome { metadata: outcome.metadata, ..WriteOutcome::default() });
    let stored = site.db.metadata(None);
    assert!(!stored.is_empty() && stored.len() as u64 <= outcome.metadata.changed);
    assert!(stored.iter().any(|(_, meaning)| &*meaning.kind == "counter" && !meaning.help.is_empty()));
}
