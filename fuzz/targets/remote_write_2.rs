//! A pushed body of remote write 2.0, unpacked: the first walk, and the labels of each series.
#![no_main]

use cairn::ingest::{WriteLimits, decode_write_request_2};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = WriteLimits { body_bytes_max: 1 << 20, ..WriteLimits::default() };
    let Ok(mut request) = decode_write_request_2(bytes, &limits) else { return };
    let (mut samples, mut starts) = (Vec::new(), Vec::new());
    while let Ok(Some(series)) = request.next(&mut samples, &mut starts) {
        let mut labels = Vec::new();
        series.read_labels(&mut labels).expect("labels that were just written out are sound");
    }
});
