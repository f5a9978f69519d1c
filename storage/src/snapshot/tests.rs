use super::format::{series_contents, series_payload};
use super::*;

#[test]
fn names_are_read_back() {
    assert_eq!(parse_name(&snapshot_name(7)), Some(Name::Snapshot(7)));
    assert_eq!(parse_name(&chunks_name(123_456_789)), Some(Name::Chunks(123_456_789)));
    assert_eq!(parse_name(&temp_name(&chunks_name(3))), Some(Name::Temp(3)));
    assert_eq!(parse_name("note.txt"), None);
}

#[test]
fn contents_round_trip_packed_and_plain() {
    for contents in [b"".to_vec(), b"x".to_vec(), vec![7; 10_000], (0..200).collect::<Vec<u8>>()] {
        let mut out = vec![1, 2, 3];
        series_contents(&series_payload(&contents), &mut out).unwrap();
        assert_eq!(out, contents);
    }
}

#[test]
fn many_samples_in_few_bytes_are_much() {
    let much = |bytes, samples, series| Since { bytes, samples, series }.is_much();
    assert!(!much(1 << 20, 4_000_000, 100_000) && much(1 << 20, 5_000_000, 100_000));
    assert!(!much(1 << 20, 5_000_000, 1_000_000) && much(1 << 26, 0, 1_000_000));
}
