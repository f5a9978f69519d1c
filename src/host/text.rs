//! Writing the text format.
//!
//! Here: families, samples, escapes. Elsewhere: the numbers.

use std::fmt::Write;

/// Appends families and samples to a string. A family's samples come right after its head.
pub(super) struct Text<'a> {
    out: &'a mut String,
    family: String,
}

impl<'a> Text<'a> {
    pub(super) fn new(out: &'a mut String) -> Self {
        Text { out, family: String::new() }
    }

    /// Begins a family of counters.
    pub(super) fn counter(&mut self, name: &str, help: &str) {
        self.family(name, help, "counter");
    }

    /// Begins a family of gauges.
    pub(super) fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, help, "gauge");
    }

    /// Begins a family of values of either kind.
    pub(super) fn untyped(&mut self, name: &str, help: &str) {
        self.family(name, help, "untyped");
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) {
        self.family.clear();
        self.family.push_str(name);
        // Writing into a String cannot fail, here and below.
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// One sample of the family that was begun last.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.out.push_str(&self.family);
        for (i, (name, text)) in labels.iter().enumerate() {
            let _ = write!(self.out, "{}{name}=\"", if i == 0 { '{' } else { ',' });
            for c in text.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
        }
        let _ = writeln!(self.out, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A family with one sample and no labels.
    pub(super) fn single_gauge(&mut self, name: &str, help: &str, value: f64) {
        self.gauge(name, help);
        self.sample(&[], value);
    }

    /// A family with one sample and no labels.
    pub(super) fn single_counter(&mut self, name: &str, help: &str, value: f64) {
        self.counter(name, help);
        self.sample(&[], value);
    }
}
