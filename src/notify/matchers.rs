//! Alertmanager's matchers: `severity="critical"`, `{job=~"a|b", env!=prod}`.
//!
//! Here: their text form, in and out. Elsewhere: matching itself (`storage::Matcher`).
//!
//! Invariant: what [`text`] writes for a list, [`parse`] reads back.

use storage::{MatchOp, Matcher};

/// Reads a comma-separated list, with or without braces; names and values with or without quotes.
pub(super) fn parse(text: &str) -> Result<Vec<Matcher>, String> {
    let trimmed = text.trim();
    let inner = match (trimmed.strip_prefix('{'), trimmed.strip_suffix('}')) {
        (Some(_), Some(_)) if trimmed.len() >= 2 => &trimmed[1..trimmed.len() - 1],
        (None, None) => trimmed,
        _ => return Err(format!("bad matcher format: {text}: unpaired brace")),
    };
    let mut matchers = Vec::new();
    let mut rest = inner.trim_start();
    while !rest.is_empty() {
        let (matcher, after) = one(rest).map_err(|m| format!("bad matcher format: {text}: {m}"))?;
        matchers.push(matcher);
        rest = after;
    }
    Ok(matchers)
}

/// One matcher and what follows its comma.
fn one(text: &str) -> Result<(Matcher, &str), String> {
    let (name, rest) = word(text, &['=', '!', '~'])?;
    if name.is_empty() {
        return Err("a label name is missing".to_owned());
    }
    const OPERATORS: [(&str, MatchOp); 4] =
        [("=~", MatchOp::Regex), ("!~", MatchOp::NotRegex), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)];
    let found = OPERATORS.iter().find_map(|(sign, op)| rest.strip_prefix(sign).map(|after| (*op, after)));
    let (op, rest) = found.ok_or("expected one of = != =~ !~ after the label name")?;
    let (value, rest) = word(rest.trim_start(), &[','])?;
    let matcher = Matcher::new(op, name, value).map_err(|e| e.to_string())?;
    match rest.strip_prefix(',') {
        Some(after) => Ok((matcher, after.trim_start())),
        None if rest.is_empty() => Ok((matcher, rest)),
        None => Err(format!("unexpected {rest:?} after the value")),
    }
}

/// A quoted text, or one up to any of `ends`, trimmed; and what follows it, trimmed.
fn word<'t>(text: &'t str, ends: &[char]) -> Result<(String, &'t str), String> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find(ends).unwrap_or(text.len());
        let bare = text[..end].trim_end();
        if bare.contains(['"', '{', '}']) {
            return Err(format!("{bare:?} needs quotes"));
        }
        return Ok((bare.to_owned(), &text[end..]));
    };
    let mut out = String::new();
    let mut chars = inner.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((out, inner[i + 1..].trim_start())),
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => out.push(escaped),
                // Any other backslash stands for itself, so that regular expressions need no doubling.
                Some((_, other)) => out.extend(['\\', other]),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("a quote is not closed".to_owned())
}

/// `{a="b",c=~"d"}`, as group keys have it.
pub(super) fn text(matchers: &[Matcher]) -> String {
    let one = |m: &Matcher| {
        let classic = !m.name().is_empty()
            && !m.name().starts_with(|c: char| c.is_ascii_digit())
            && m.name().chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let name = if classic { m.name().to_owned() } else { format!("{:?}", m.name()) };
        let value = m.value().replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        format!("{name}{}\"{value}\"", m.op().as_str())
    };
    format!("{{{}}}", matchers.iter().map(one).collect::<Vec<_>>().join(","))
}
