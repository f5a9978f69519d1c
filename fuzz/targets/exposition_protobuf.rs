//! A scraped page in the protobuf format, labels of every series decoded, under all rules about histograms.
#![no_main]

use cairn::exposition::Entry;
use cairn::exposition::error::ProtobufError;
use cairn::exposition::protobuf::{HistogramRules, Value, read_page};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for rules in 0..8u8 {
        let rules =
            HistogramRules { native: rules & 1 != 0, classic: rules & 2 != 0, custom_buckets: rules & 4 != 0 };
        let _ = read_page(bytes, rules, |entry| {
            if let Entry::Sample(sample) = entry {
                sample.series.labels()?;
                if let Value::Histogram(histogram) = sample.value {
                    assert_eq!(histogram.validate(), Ok(()));
                }
            }
            Ok::<(), ProtobufError>(())
        });
    }
});
