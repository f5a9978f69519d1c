//! A query: what parses prints as a query that parses again.
#![no_main]

use cairn::promql::{ParseOptions, parse, parse_selector, parse_with};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = parse_selector(text);
    if let Ok(expr) = parse_with(text, ParseOptions::all()) {
        let printed = expr.to_string();
        let again = parse_with(&printed, ParseOptions::all());
        assert!(again.is_ok_and(|e| e.to_string() == printed), "{text:?} is printed as {printed:?}");
    }
    let _ = parse(text);
});
