//! Template text to pieces: runs of text, and the tokens between `{{` and `}}`.
//!
//! Here: trim markers, comments, literals. Elsewhere: grammar (`parse`).
//!
//! Invariant: positions are byte offsets into the whole text.

use super::ErrorAt;

/// A run of text, or one action's tokens.
#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    Action { at: usize, tokens: Vec<Token> },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: TokenKind,
    /// White space before it: `.A .B` is two operands, `.A.B` one.
    pub(super) spaced: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Word(String),
    /// `.name`, without the dot.
    Field(String),
    /// `$name`, with the dollar.
    Variable(String),
    Dot,
    Int(i64),
    Float(f64),
    Str(String),
    Pipe,
    Comma,
    Open,
    Close,
    Declare,
    Assign,
}

/// Cuts `text` at its actions. Comments vanish; trim markers have been applied.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, ErrorAt> {
    let mut out = Vec::new();
    let mut at = 0;
    let mut trim_next = false;
    loop {
        let found = text[at..].find("{{").map(|i| at + i);
        let mut run = &text[at..found.unwrap_or(text.len())];
        if trim_next {
            run = run.trim_start_matches(is_space);
        }
        let Some(open) = found else {
            push_text(&mut out, run);
            return Ok(out);
        };
        let mut inner = open + 2;
        let rest = &text.as_bytes()[inner..];
        if rest.first() == Some(&b'-') && rest.get(1).is_some_and(|&b| is_space(char::from(b))) {
            run = run.trim_end_matches(is_space);
            inner += 1;
        }
        push_text(&mut out, run);
        let body = text[inner..].trim_start_matches(is_space);
        if body.starts_with("/*") {
            (at, trim_next) = skip_comment(text, text.len() - body.len())?;
            continue;
        }
        let (tokens, end, trims) = action(text, inner, open)?;
        out.push(Piece::Action { at: open, tokens });
        at = end;
        trim_next = trims;
    }
}

fn push_text(out: &mut Vec<Piece>, run: &str) {
    if !run.is_empty() {
        out.push(Piece::Text(run.to_owned()));
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn skip_comment(text: &str, at: usize) -> Result<(usize, bool), ErrorAt> {
    let Some(len) = text[at..].find("*/") else { return Err(ErrorAt::new(at, "unclosed comment")) };
    let end = at + len + 2;
    let rest = &text[end..];
    if rest.starts_with("}}") {
        return Ok((end + 2, false));
    }
    let after = rest.trim_start_matches(is_space);
    match after.strip_prefix("-}}") {
        Some(left) if after.len() < rest.len() => Ok((text.len() - left.len(), true)),
        _ => Err(ErrorAt::new(at, "comment ends before closing delimiter")),
    }
}

/// Tokens from `at` to the closing braces; also where the text goes on, and whether it is to be trimmed there.
fn action(text: &str, mut at: usize, open: usize) -> Result<(Vec<Token>, usize, bool), ErrorAt> {
    let mut tokens = Vec::new();
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start_matches(is_space);
        let spaced = trimmed.len() < rest.len();
        at = text.len() - trimmed.len();
        if trimmed.starts_with("}}") {
            return Ok((tokens, at + 2, false));
        }
        if spaced && trimmed.starts_with("-}}") {
            return Ok((tokens, at + 3, true));
        }
        if trimmed.is_empty() {
            return Err(ErrorAt::new(open, "unclosed action"));
        }
        let (kind, len) = token(trimmed, at)?;
        tokens.push(Token { at, kind, spaced });
        at += len;
    }
}

fn token(rest: &str, at: usize) -> Result<(TokenKind, usize), ErrorAt> {
    let first = rest.chars().next().unwrap_or(' ');
    match first {
        '|' => Ok((TokenKind::Pipe, 1)),
        ',' => Ok((TokenKind::Comma, 1)),
        '(' => Ok((TokenKind::Open, 1)),
        ')' => Ok((TokenKind::Close, 1)),
        '=' => Ok((TokenKind::Assign, 1)),
        ':' if rest.starts_with(":=") => Ok((TokenKind::Declare, 2)),
        ':' => Err(ErrorAt::new(at, "expected :=")),
        '"' => quoted(rest, at),
        '`' => match rest[1..].find('`') {
            Some(len) => Ok((TokenKind::Str(rest[1..1 + len].to_owned()), len + 2)),
            None => Err(ErrorAt::new(at, "unterminated raw quoted string")),
        },
        '\'' => character(rest, at),
        '$' => {
            let len = word_len(&rest[1..]) + 1;
            Ok((TokenKind::Variable(rest[..len].to_owned()), len))
        }
        '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            let len = word_len(&rest[1..]);
            Ok(if len == 0 { (TokenKind::Dot, 1) } else { (TokenKind::Field(rest[1..=len].to_owned()), len + 1) })
        }
        c if c.is_ascii_digit() || matches!(c, '.' | '+' | '-') => number(rest, at),
        c if c.is_alphabetic() || c == '_' => {
            let len = word_len(rest);
            Ok((TokenKind::Word(rest[..len].to_owned()), len))
        }
        c => Err(ErrorAt::new(at, format!("unexpected {c:?} in action"))),
    }
}

fn word_len(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

fn number(rest: &str, at: usize) -> Result<(TokenKind, usize), ErrorAt> {
    let mut previous = ' ';
    let is_hex = rest.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("0x");
    let len = rest
        .char_indices()
        .find(|&(i, c)| {
            let sign = matches!(c, '+' | '-') && (i == 0 || (!is_hex && matches!(previous, 'e' | 'E')));
            previous = c;
            !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign)
        })
        .map_or(rest.len(), |(i, _)| i);
    let text = &rest[..len];
    let digits = text.replace('_', "");
    let (negative, unsigned) = match digits.strip_prefix('-') {
        Some(d) => (true, d),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let lower = unsigned.to_ascii_lowercase();
    let parsed = match lower.get(..2) {
        Some("0x") => i64::from_str_radix(&lower[2..], 16).ok(),
        Some("0b") => i64::from_str_radix(&lower[2..], 2).ok(),
        Some("0o") => i64::from_str_radix(&lower[2..], 8).ok(),
        _ => lower.parse().ok(),
    };
    let sign = if negative { -1 } else { 1 };
    if let Some(n) = parsed {
        return Ok((TokenKind::Int(sign * n), len));
    }
    let starts_right = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match lower.parse::<f64>() {
        Ok(f) if starts_right && f.is_finite() => Ok((TokenKind::Float(f64::from(sign as i32) * f), len)),
        _ => Err(ErrorAt::new(at, format!("bad number syntax: {text:?}"))),
    }
}

fn character(rest: &str, at: usize) -> Result<(TokenKind, usize), ErrorAt> {
    let mut chars = rest.char_indices().skip(1).peekable();
    let c = unescape(&mut chars, '\'').map_err(|m| ErrorAt::new(at, m))?;
    match (c, chars.next()) {
        (Some(Unescaped::Char(c)), Some((end, '\''))) => Ok((TokenKind::Int(i64::from(u32::from(c))), end + 1)),
        _ => Err(ErrorAt::new(at, "malformed character constant")),
    }
}

fn quoted(rest: &str, at: usize) -> Result<(TokenKind, usize), ErrorAt> {
    let mut bytes = Vec::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    loop {
        match unescape(&mut chars, '"').map_err(|m| ErrorAt::new(at, m))? {
            Some(Unescaped::Char(c)) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Some(Unescaped::Byte(b)) => bytes.push(b),
            None => break,
        }
    }
    let end = chars.next().map_or(rest.len(), |(i, _)| i + 1);
    // Go strings may hold any bytes; ours are text, so broken UTF-8 is replaced as it would be when printed as JSON.
    Ok((TokenKind::Str(String::from_utf8_lossy(&bytes).into_owned()), end))
}

enum Unescaped {
    Char(char),
    Byte(u8),
}

/// The next character of a Go literal, escapes resolved; `None` in front of the closing `quote`.
fn unescape(
    chars: &mut std::iter::Peekable<impl Iterator<Item = (usize, char)>>,
    quote: char,
) -> Result<Option<Unescaped>, String> {
    if chars.peek().is_some_and(|&(_, c)| c == quote) {
        return Ok(None);
    }
    let unterminated = || format!("unterminated {} constant", if quote == '"' { "quoted string" } else { "character" });
    let c = match chars.next() {
        Some((_, c)) if c != '\n' => c,
        _ => return Err(unterminated()),
    };
    if c != '\\' {
        return Ok(Some(Unescaped::Char(c)));
    }
    let (_, escape) = chars.next().ok_or_else(unterminated)?;
    let simple = match escape {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        c if c == quote => quote,
        'x' => return Ok(Some(Unescaped::Byte(digits(chars, 16, 2, 0)? as u8))),
        'u' | 'U' => {
            let code = digits(chars, 16, if escape == 'u' { 4 } else { 8 }, 0)?;
            let c = char::from_u32(code)
                .ok_or_else(|| format!("escape sequence is invalid Unicode code point U+{code:04X}"))?;
            return Ok(Some(Unescaped::Char(c)));
        }
        d @ '0'..='7' => {
            let code = digits(chars, 8, 2, u32::from(d) - u32::from('0'))?;
            return u8::try_from(code)
                .map(|b| Some(Unescaped::Byte(b)))
                .map_err(|_| format!("octal escape value {code} > 255"));
        }
        c => return Err(format!("unknown escape sequence \\{c}")),
    };
    Ok(Some(Unescaped::Char(simple)))
}

fn digits(
    chars: &mut impl Iterator<Item = (usize, char)>,
    radix: u32,
    count: usize,
    start: u32,
) -> Result<u32, String> {
    (0..count).try_fold(start, |code, _| {
        let digit = chars.next().and_then(|(_, c)| c.to_digit(radix)).ok_or("escape sequence has too few digits")?;
        Ok(code.wrapping_mul(radix).wrapping_add(digit))
    })
}
