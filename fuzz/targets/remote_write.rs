//! A pushed body: as it stands for the protobuf reader, and as a snappy block.
#![no_main]

use cairn::ingest::{WriteLimits, decode_write_request, decompress};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    let limits = WriteLimits { body_bytes_max: 1 << 20, ..WriteLimits::default() };
    if let Ok(body) = decompress(bytes, &limits, &mut Vec::new()) {
        read(body);
    }
});

fn read(body: &[u8]) {
    let mut request = decode_write_request(body);
    let mut samples = Vec::new();
    while let Ok(Some(series)) = request.next(&mut samples) {
        let _ = series.read_labels(&mut Vec::new());
    }
}
