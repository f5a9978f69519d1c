//! A template of a rule or a message, parsed and rendered.
#![no_main]

use cairn::template::{Env, Template, Value};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(template) = Template::parse("fuzz", text, &["$value"]) {
        let env = Env { now_ms: 1_700_000_000_000, external_url: "http://cairn/x", query: &|_| Ok(Vec::new()) };
        let _ = template.render(&Value::Float(0.5), &[Value::Float(1e9)], &env);
    }
});
