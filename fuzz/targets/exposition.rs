//! A scraped page in either text format, labels of every series decoded.
#![no_main]

use cairn::exposition::{Entry, Format, Parser};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for format in [Format::Text, Format::OpenMetrics] {
        for entry in Parser::new(bytes, format) {
            if let Ok(Entry::Sample(sample)) = entry {
                let _ = sample.series.labels();
            }
        }
    }
});
