//! Quoting of text, both ways, by Go's rules: messages and printed queries have to look as Prometheus prints them.
//!
//! Here: [`quote`] and [`unquote`]. Elsewhere: which escapes the lexer lets through (`lexer`).

use std::fmt::Write;

/// `text` in double quotes, with escapes for what cannot be printed.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_escaped(&mut out, c, '"');
    }
    out.push('"');
    out
}

/// The first `chars_max` characters of `text`, quoted.
pub(super) fn quote_cut(text: &str, chars_max: usize) -> String {
    quote(&text.chars().take(chars_max).collect::<String>())
}

/// One character in single quotes; `None` is the end of the input.
pub(super) fn quote_char(c: Option<char>) -> String {
    let mut out = String::from("'");
    push_escaped(&mut out, c.unwrap_or(char::REPLACEMENT_CHARACTER), '\'');
    out.push('\'');
    out
}

/// One character as `U+0078 'x'`.
pub(super) fn describe_char(c: Option<char>) -> String {
    let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
    if is_printable(c) { format!("U+{:04X} '{c}'", u32::from(c)) } else { format!("U+{:04X}", u32::from(c)) }
}

fn is_printable(c: char) -> bool {
    c == ' ' || !(c.is_control() || c.is_whitespace() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{feff}'))
}

fn push_escaped(out: &mut String, c: char, quote: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\u{b}' => out.push_str("\\v"),
        c if c == quote => {
            out.push('\\');
            out.push(c);
        }
        c if is_printable(c) => out.push(c),
        c => {
            let code = u32::from(c);
            // Writing to a string does not fail.
            let _ = match code {
                0..0x80 => write!(out, "\\x{code:02x}"),
                0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
        }
    }
}

/// The text between the quotes of `literal`, escapes resolved; `None` if it is not a whole literal.
/// Bytes that are no UTF-8 (`"\xff"`) become replacement characters: no label value can equal them anyway.
pub(crate) fn unquote(literal: &str) -> Option<String> {
    let open = literal.chars().next()?;
    let inner = literal.get(1..literal.len().checked_sub(1)?)?;
    if !literal.ends_with(open) {
        return None;
    }
    if open == '`' {
        return (!inner.contains('`')).then(|| inner.to_owned());
    }
    if open != '"' && open != '\'' {
        return None;
    }
    if !inner.contains('\\') {
        return (!inner.contains(['\n', open])).then(|| inner.to_owned());
    }
    let mut out: Vec<u8> = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => unescape(&mut rest, open, &mut out)?,
            '\n' => return None,
            c if c == open => return None,
            c => push_char(&mut out, c),
        }
    }
    Some(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn unescape(rest: &mut std::str::Chars<'_>, quote: char, out: &mut Vec<u8>) -> Option<()> {
    let c = rest.next()?;
    match c {
        'a' => out.push(7),
        'b' => out.push(8),
        'f' => out.push(12),
        'n' => out.push(b'\n'),
        'r' => out.push(b'\r'),
        't' => out.push(b'\t'),
        'v' => out.push(11),
        '\\' => out.push(b'\\'),
        c if c == quote => push_char(out, c),
        'x' => out.push(u8::try_from(digits(rest, 0, 2, 16)?).ok()?),
        'u' => push_char(out, char::from_u32(digits(rest, 0, 4, 16)?)?),
        'U' => push_char(out, char::from_u32(digits(rest, 0, 8, 16)?)?),
        '0'..='7' => out.push(u8::try_from(digits(rest, c.to_digit(8)?, 2, 8)?).ok()?),
        _ => return None,
    }
    Some(())
}

fn digits(rest: &mut std::str::Chars<'_>, first: u32, count: u32, base: u32) -> Option<u32> {
    let mut value = first;
    for _ in 0..count {
        value = value.checked_mul(base)?.checked_add(rest.next()?.to_digit(base)?)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquotes_every_kind_of_literal() {
        let check =
            |literal: &str, expected: Option<&str>| assert_eq!(unquote(literal).as_deref(), expected, "{literal}");
        check(r#""plain""#, Some("plain"));
        check(r#""a\"b\\c\n""#, Some("a\"b\\c\n"));
        check(r"'it\'s'", Some("it's"));
        check(r"`\d+`", Some(r"\d+"));
        check(r#""\xc3\xa9""#, Some("é"));
        check(r#""\351""#, Some("\u{fffd}"));
        check(r#""\u00e9\U0001F600""#, Some("é😀"));
        check(r#""\q""#, None);
        check(r#"""#, None);
        check("", None);
    }

    #[test]
    fn quotes_as_go_does() {
        assert_eq!(quote("a\"b\\\n\u{1}é"), "\"a\\\"b\\\\\\n\\x01é\"");
        assert_eq!(quote_char(Some('\'')), r"'\''");
        assert_eq!(describe_char(Some('x')), "U+0078 'x'");
    }
}
