//! `storage::fuzzing::block_starts`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| storage::fuzzing::block_starts(bytes));
