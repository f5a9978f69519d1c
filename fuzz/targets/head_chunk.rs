//! `storage::fuzzing::head_chunk`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| storage::fuzzing::head_chunk(bytes));
