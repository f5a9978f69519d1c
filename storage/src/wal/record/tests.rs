//! Records there and back, damaged neighbours, foreign bytes.

use proptest::prelude::*;

use super::super::values::DELTAS_MAX;
use super::*;

fn sample(id: u64, t: i64, v: f64) -> WalSample {
    WalSample { id, t, v }
}

fn bits(samples: &[WalSample]) -> Vec<(u64, i64, u64)> {
    samples.iter().map(|s| (s.id, s.t, s.v.to_bits())).collect()
}

/// Payloads of batches of one segment.
fn payloads(batches: &[Vec<WalSample>]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new().unwrap();
    let payload = |(seq, batch): (usize, &Vec<WalSample>)| {
        let mut out = Vec::new();
        encoder.put_batch(&mut out, (0, seq as u64), [].into_iter(), batch);
        out.split_off(FRAME_BYTES)
    };
    batches.iter().enumerate().map(payload).collect()
}

#[test]
fn a_scrape_of_small_changes_takes_less_than_a_byte_a_sample() {
    let scrape = |k: u64| (0..1000).map(|i| sample(i, k as i64 * 15_000, (i * 7 + k * (i % 5)) as f64)).collect();
    let payloads = payloads(&(0..20).map(scrape).collect::<Vec<_>>());
    assert!(payloads[19].len() < 500, "{}", payloads[19].len());
}

/// Forty scrapes of three targets with a thousand series each.
fn scrapes() -> Vec<Vec<WalSample>> {
    let value = |i: u64, k: u64| match i % 4 {
        0 => 17.0,
        1 => (i * k) as f64,
        2 => (i * 3 + k * k) as f64 / 100.0,
        _ => (i as f64 + k as f64).sqrt(),
    };
    let scrape = |n: u64| {
        let (k, target) = (n / 3, n % 3);
        (0..1000).map(|i| sample(target * 1000 + i, k as i64 * 1000, value(i, k))).collect()
    };
    (0..120).map(scrape).collect()
}

#[test]
fn a_missing_record_costs_its_own_series_only_and_never_a_wrong_value() {
    let scrapes = scrapes();
    let payloads = payloads(&scrapes);
    for missing in [0usize, 30, 31, 64] {
        let (mut decoder, mut out) = (Decoder::new().unwrap(), Decoded::default());
        for (seq, (payload, scrape)) in payloads.iter().zip(&scrapes).enumerate() {
            if seq == missing {
                continue;
            }
            decoder.decode(seq as u64, payload, &mut out).unwrap();
            let hit = seq > missing && seq % 3 == missing % 3;
            assert_eq!(out.samples.len() as u64 + out.lost, 1000);
            assert!(hit || out.lost == 0, "record {seq} without {missing} loses {}", out.lost);
            let known: std::collections::BTreeSet<_> = bits(scrape).into_iter().collect();
            assert!(bits(&out.samples).iter().all(|s| known.contains(s)), "record {seq} without {missing}");
            assert!(out.lost == 0 || (!out.lost_ids.is_empty() && out.lost_ids.len() <= LOST_IDS_MAX));
        }
    }
}

#[test]
fn lost_series_come_back_with_the_next_value_that_stands_for_itself() {
    let batches: Vec<_> = (0..200).map(|k| vec![sample(1, k, k as f64), sample(2, k, 5.0)]).collect();
    let payloads = payloads(&batches);
    let (mut decoder, mut out) = (Decoder::new().unwrap(), Decoded::default());
    let mut lost = 0;
    for (seq, payload) in payloads.iter().enumerate().filter(|(seq, _)| *seq != 3) {
        decoder.decode(seq as u64, payload, &mut out).unwrap();
        lost += out.lost;
    }
    assert!(lost > 0 && lost <= 2 * u64::from(DELTAS_MAX), "{lost}");
    assert_eq!(bits(&out.samples), bits(&batches[199]));
}

#[test]
fn a_batch_may_name_a_series_twice_and_out_of_order() {
    let batch = vec![sample(1, 50, 1.0), sample(1, 20, 2.0), sample(2, 5, f64::NAN), sample(1, 20, 2.5)];
    let payloads = payloads(&[batch.clone(), batch.clone()]);
    let (mut decoder, mut out) = (Decoder::new().unwrap(), Decoded::default());
    for (seq, payload) in payloads.iter().enumerate() {
        assert_eq!(decoder.decode(seq as u64, payload, &mut out), Some(()));
        assert_eq!(bits(&out.samples), bits(&batch));
    }
}

#[test]
fn a_packed_section_declares_no_more_than_it_may() {
    let samples: Vec<_> = (0..5000).map(|i| sample(i, 1, 1.0)).collect();
    let payload = payloads(&[samples]).remove(0);
    let mut bomb = vec![KIND_BATCH];
    put_varint(&mut bomb, u64::from(u32::MAX));
    bomb.extend_from_slice(&payload[1..]);
    assert_eq!(Decoder::new().unwrap().decode(0, &bomb, &mut Decoded::default()), None);
}

#[track_caller]
fn check_record(record: Record<'_>, is_right: impl Fn(&Decoded) -> bool) {
    let mut out = Vec::new();
    Encoder::new().unwrap().put_record(&mut out, (0, 0), record);
    let mut decoded = Decoded::default();
    let payload = &out[FRAME_BYTES..];
    assert_eq!(Decoder::new().unwrap().decode(0, payload, &mut decoded), Some(()));
    assert!(is_right(&decoded) && decoded.samples.is_empty(), "{decoded:?}");
    for len in 0..payload.len() {
        assert_eq!(Decoder::new().unwrap().decode(0, &payload[..len], &mut decoded), None, "cut at {len}");
    }
}

#[test]
fn other_kinds_round_trip() {
    let delete = Delete { ids: (5..100_000).chain([7, 7]).collect(), min_t: i64::MIN, max_t: i64::MAX };
    check_record(Record::Delete(&delete), |d| d.delete.as_ref() == Some(&delete));
    let text = [7u8; 300];
    let blobs = [Blob { id: 4, t: 9, bytes: &text[..] }, Blob { id: 5, t: 9, bytes: &[] }];
    check_record(Record::Blobs(&blobs), |d| {
        d.blobs.iter().map(|b| Blob { id: b.id, t: b.t, bytes: b.bytes.as_slice() }).eq(blobs.clone())
    });
    let labels = |id: &str| Labels::from_pairs([("trace_id", id), ("x", "y")]).unwrap();
    let exemplars = [("a", 1.5), ("b", -0.0), ("a", f64::INFINITY)];
    let exemplars = exemplars.map(|(trace, v)| WalExemplar { id: 1, t: 2, v, labels: labels(trace) });
    check_record(Record::Exemplars(&exemplars), |d| d.exemplars == exemplars);
    let metadata = [WalMetadata { metric: "up", kind: "gauge", help: "Ja, é.", unit: "" }];
    check_record(Record::Metadata(&metadata), |d| {
        let known = d.metadata.iter().map(|m| [&m.metric, &m.kind, &m.help, &m.unit].map(String::as_str));
        known.eq([["up", "gauge", "Ja, é.", ""]])
    });
}

#[test]
fn series_share_their_texts() {
    let labels = |i: u64| {
        let (instance, cpu) = (format!("host-{}:9100", i / 16), format!("{}", i % 16));
        let pairs = [("__name__", "node_cpu_seconds_total"), ("cpu", &cpu), ("instance", &instance), ("job", "node")];
        Labels::from_pairs(pairs).unwrap()
    };
    let series: Vec<_> = (0..3000).map(|i| (SeriesId(i), labels(i))).collect();
    let mut out = Vec::new();
    Encoder::new().unwrap().put_batch(&mut out, (0, 0), series.iter().map(|(id, l)| (*id, l)), &[]);
    assert!(out.len() < 3000 * 3, "{}", out.len());
    let mut decoded = Decoded::default();
    assert_eq!(Decoder::new().unwrap().decode(0, &out[FRAME_BYTES..], &mut decoded), Some(()));
    assert_eq!(decoded.series, series);
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (any::<u64>(), 12..63u32).prop_map(|(n, shift)| (n >> shift) as f64),
        (-2000..2000i64, 0..16i32).prop_map(|(n, e)| n as f64 / 10f64.powi(e)),
        (any::<i64>(), 0..16i32).prop_map(|(n, e)| (n >> 14) as f64 / 10f64.powi(e)),
        prop::sample::select(vec![
            0.0,
            -0.0,
            crate::stale_nan(),
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            5e-324,
            f64::MAX
        ]),
    ]
}

proptest! {
    #[test]
    fn batches_round_trip(
        raw in prop::collection::vec((0..4u8, any::<u64>(), any::<i64>(), any_value()), 0..700),
        cuts in prop::collection::vec(1..300usize, 0..6),
        names in prop::collection::vec("[a-zé]{1,70}", 0..5),
    ) {
        let samples: Vec<_> = raw.iter().map(|&(kind, id, t, v)| match kind {
            0 => sample(id, t, v),
            _ => sample(id % 6, 5, v),
        }).collect();
        let series: Vec<_> = names.iter().enumerate()
            .map(|(i, n)| (SeriesId(i as u64 * 2), Labels::from_pairs([("a", n.as_str()), ("b", "c")]).unwrap())).collect();
        let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new().unwrap());
        let (mut rest, mut out) = (samples.as_slice(), Decoded::default());
        for (seq, cut) in cuts.into_iter().chain([700]).enumerate() {
            let (batch, left) = rest.split_at(cut.min(rest.len()));
            rest = left;
            let mut frame = Vec::new();
            encoder.put_batch(&mut frame, (3, seq as u64), series.iter().map(|(id, l)| (*id, l)), batch);
            prop_assert_eq!(decoder.decode(seq as u64, &frame[FRAME_BYTES..], &mut out), Some(()));
            prop_assert_eq!(&out.series, &series);
            prop_assert_eq!(out.lost, 0);
            prop_assert_eq!(bits(&out.samples), bits(batch));
        }
    }

    #[test]
    fn with_any_records_missing_no_value_is_wrong(
        values in prop::collection::vec(prop::collection::vec((0..5u64, any_value()), 1..20), 1..30),
        missing in prop::collection::vec(any::<bool>(), 30),
    ) {
        let batches: Vec<Vec<_>> = values.iter().enumerate().map(|(k, batch)| {
            batch.iter().enumerate().map(|(i, &(id, v))| sample(id, (k * 100 + i) as i64, v)).collect()
        }).collect();
        let (mut decoder, mut out) = (Decoder::new().unwrap(), Decoded::default());
        for (seq, payload) in payloads(&batches).iter().enumerate().filter(|(seq, _)| !missing[*seq]) {
            prop_assert_eq!(decoder.decode(seq as u64, payload, &mut out), Some(()));
            let known: std::collections::BTreeSet<_> = bits(&batches[seq]).into_iter().collect();
            prop_assert!(bits(&out.samples).iter().all(|s| known.contains(s)));
            prop_assert_eq!(out.samples.len() as u64 + out.lost, batches[seq].len() as u64);
        }
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..7u8) {
        super::super::fuzzing::fuzz_payload(&bytes);
        let mut payload = vec![kind];
        put_varint(&mut payload, (bytes.len() / 2) as u64);
        payload.push(0);
        payload.extend_from_slice(&bytes[..bytes.len() / 2]);
        put_varint(&mut payload, (bytes.len() - bytes.len() / 2) as u64);
        payload.push(0);
        payload.extend_from_slice(&bytes[bytes.len() / 2..]);
        super::super::fuzzing::fuzz_payload(&payload);
        super::super::fuzzing::fuzz_segment(&bytes);
    }
}
