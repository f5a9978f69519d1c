//! `storage::fuzzing::wal_payload`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| storage::fuzzing::wal_payload(bytes));
