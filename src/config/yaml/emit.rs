//! Tree to text: a plain block-style rendering for people to read.
//!
//! Here: quoting and indentation. Elsewhere: which values are masked before (`config::mask`).
//!
//! Invariant: [`super::parse`] of the text gives the same tree, places aside.

use std::fmt::Write;

use super::{Node, Value};

/// A longer key is written after a question mark: a key before a colon must be short (1024 characters, YAML 1.2, 7.4.2).
const SIMPLE_KEY_BYTES_MAX: usize = 1000;

/// The tree as YAML. Comments and the original's style are gone, order stays.
pub fn emit(node: &Node) -> String {
    let mut out = String::new();
    match &node.value {
        Value::Scalar { text, plain } => {
            push_scalar(&mut out, text, *plain);
            out.push('\n');
        }
        _ if is_empty(node) => out.push_str(empty(node)),
        _ => push_block(&mut out, node, 0, false),
    }
    out
}

/// `inline`: the first line continues a `- `.
fn push_block(out: &mut String, node: &Node, indent: usize, mut inline: bool) {
    let mut lead = |out: &mut String| {
        if !std::mem::take(&mut inline) {
            out.extend(std::iter::repeat_n(' ', indent));
        }
    };
    match &node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => {
            for item in items {
                lead(out);
                out.push_str("- ");
                push_value(out, item, indent + 2, true);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                lead(out);
                // No key at all would be read as part of the line before.
                let start = out.len();
                push_scalar(out, &entry.key, !entry.key.is_empty());
                let is_long = out.len() - start > SIMPLE_KEY_BYTES_MAX;
                if is_long {
                    out.insert_str(start, "? ");
                    out.push('\n');
                    out.extend(std::iter::repeat_n(' ', indent));
                }
                out.push(':');
                let is_block = !matches!(entry.value.value, Value::Scalar { .. }) && !is_empty(&entry.value);
                out.push(if is_block { '\n' } else { ' ' });
                // Lists stand under their key without more indentation, as Prometheus prints them.
                let is_flat = matches!(entry.value.value, Value::List(_)) && !is_long;
                let deeper = if is_flat { indent } else { indent + 2 };
                push_value(out, &entry.value, deeper, false);
            }
        }
    }
}

fn push_value(out: &mut String, node: &Node, indent: usize, inline: bool) {
    match &node.value {
        Value::Scalar { text, plain } => {
            push_scalar(out, text, *plain);
            out.push('\n');
        }
        _ if is_empty(node) => out.push_str(empty(node)),
        _ => push_block(out, node, indent, inline),
    }
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::List(items) if items.is_empty())
        || matches!(&node.value, Value::Map(entries) if entries.is_empty())
}

fn empty(node: &Node) -> &'static str {
    if matches!(node.value, Value::List(_)) { "[]\n" } else { "{}\n" }
}

fn push_scalar(out: &mut String, text: &str, plain: bool) {
    if plain && is_safe_plain(text) || !plain && is_safe_plain(text) && !reads_as_other(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                // Writing into a String cannot fail.
                let _ = if u32::from(c) > 0xff {
                    write!(out, "\\u{:04x}", u32::from(c))
                } else {
                    write!(out, "\\x{:02x}", u32::from(c))
                };
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Without quotes it would mean null, a boolean or a number to other readers.
fn reads_as_other(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    matches!(lower.as_str(), "" | "~" | "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n")
        || text.parse::<f64>().is_ok()
        || text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+'))
}

/// Narrower than YAML's rule: letters that never begin or end anything.
fn is_safe_plain(text: &str) -> bool {
    let inner =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '(' | ')' | '+' | '$' | '=' | '^' | ';');
    let first = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '(' | '+' | '$' | '^');
    // `host:9090` and `http://` are plain: a colon counts only before a space or the end.
    let colons = !text.ends_with(':') && !text.contains(": ");
    text.is_empty()
        || text.starts_with(first) && colons && text.chars().all(|c| inner(c) || c == ':')
        || matches!(text, "~" | "<secret>")
}
