//! YAML: what parses is written as YAML that parses again.
#![no_main]

use cairn::config::yaml::{emit, parse};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(node) = parse(text) {
        let written = emit(&node);
        let again = parse(&written);
        assert!(again.is_ok(), "{text:?} is written as {written:?}");
    }
});
