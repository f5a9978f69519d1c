//! `storage::fuzzing::wal_segment`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| storage::fuzzing::wal_segment(bytes));
