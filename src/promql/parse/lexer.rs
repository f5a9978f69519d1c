//! Text to tokens.
//!
//! Here: the lexer's three moods (statements, inside braces, start of a duration in brackets) and its messages.
//! Elsewhere: token kinds (`token`), values of literals (`literal`, `quote`).
//!
//! Invariant: it moves forward only, so lexing is linear in the text.

use super::quote::{describe_char, quote, quote_char};
use super::token::{Keyword, Kind, Token, keyword};
use crate::promql::ast::BinaryOp;

/// A message and the byte it points at.
pub(super) type LexError = (usize, String);

#[derive(Debug)]
pub(super) struct Lexer<'a> {
    input: &'a str,
    pos: usize,
    start: usize,
    paren_depth: usize,
    in_braces: bool,
    in_brackets: bool,
    /// Between `[` and its first number, where other characters are refused in other words.
    in_duration: bool,
    got_colon: bool,
    got_duration: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a str) -> Self {
        Lexer {
            input,
            pos: 0,
            start: 0,
            paren_depth: 0,
            in_braces: false,
            in_brackets: false,
            in_duration: false,
            got_colon: false,
            got_duration: false,
        }
    }

    /// The next token, comments and blanks skipped. After the end: `Eof` again and again.
    pub(super) fn next_token(&mut self) -> Result<Token, LexError> {
        self.skip_blanks();
        self.start = self.pos;
        let Some(c) = self.next_char() else { return self.end_of_input() };
        if self.in_braces {
            self.inside_braces(c)
        } else if self.in_duration {
            self.duration_start(c)
        } else {
            self.statement(c)
        }
    }

    fn peek(&self) -> Option<char> {
        self.input[self.pos..].chars().next()
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, valid: impl Fn(char) -> bool) -> bool {
        match self.peek() {
            Some(c) if valid(c) => {
                self.pos += c.len_utf8();
                true
            }
            _ => false,
        }
    }

    fn accept_any(&mut self, valid: &str) -> bool {
        self.accept(|c| valid.contains(c))
    }

    fn skip_blanks(&mut self) {
        loop {
            while self.accept(is_space) {}
            if self.in_duration || self.peek() != Some('#') {
                return;
            }
            while self.accept(|c| c != '\n' && c != '\r') {}
        }
    }

    fn token(&self, kind: Kind) -> Result<Token, LexError> {
        Ok(Token { kind, start: self.start, end: self.pos })
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, LexError> {
        Err((self.start, message.into()))
    }

    /// An error that Prometheus notices after it has emitted the character it is about.
    fn late_error<T>(&self, message: impl Into<String>) -> Result<T, LexError> {
        Err((self.pos, message.into()))
    }

    fn end_of_input(&self) -> Result<Token, LexError> {
        if self.in_braces {
            self.error("unexpected end of input inside braces")
        } else if self.in_duration {
            self.error("unexpected end of input in duration expression")
        } else if self.paren_depth != 0 {
            self.error("unclosed left parenthesis")
        } else if self.in_brackets {
            self.error("unclosed left bracket")
        } else {
            self.token(Kind::Eof)
        }
    }

    fn statement(&mut self, c: char) -> Result<Token, LexError> {
        let kind = match c {
            ',' => Kind::Comma,
            '*' => Kind::Op(BinaryOp::Mul),
            '/' => Kind::Op(BinaryOp::Div),
            '%' => Kind::Op(BinaryOp::Mod),
            '+' => Kind::Op(BinaryOp::Add),
            '-' => Kind::Op(BinaryOp::Sub),
            '^' => Kind::Op(BinaryOp::Pow),
            '@' => Kind::At,
            '=' if self.accept_any("=") => Kind::Op(BinaryOp::Equal),
            '=' if self.peek() == Some('~') => return self.error("unexpected character after '=': '~'"),
            '=' => Kind::Equal,
            '!' => match self.next_char() {
                Some('=') => Kind::Op(BinaryOp::NotEqual),
                other => return self.error(format!("unexpected character after '!': {}", quote_char(other))),
            },
            '<' if self.accept_any("=") => Kind::Op(BinaryOp::LessEqual),
            '>' if self.accept_any("=") => Kind::Op(BinaryOp::GreaterEqual),
            '<' if self.accept_any("/") => Kind::Op(BinaryOp::TrimUpper),
            '>' if self.accept_any("/") => Kind::Op(BinaryOp::TrimLower),
            '<' => Kind::Op(BinaryOp::Less),
            '>' => Kind::Op(BinaryOp::Greater),
            c if self.starts_number(c) => return self.number_or_duration(),
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            c if is_alpha(c) || c == ':' => return self.word(c),
            '(' | ')' => return self.parenthesis(c),
            '{' => {
                self.in_braces = true;
                Kind::LeftBrace
            }
            '[' => return self.left_bracket(),
            ']' if !self.in_brackets => return self.error("unexpected right bracket ']'"),
            ']' => {
                self.in_brackets = false;
                Kind::RightBracket
            }
            c => return self.error(format!("unexpected character: {}", quote_char(Some(c)))),
        };
        self.token(kind)
    }

    fn parenthesis(&mut self, c: char) -> Result<Token, LexError> {
        if c == '(' {
            self.paren_depth += 1;
            return self.token(Kind::LeftParen);
        }
        if self.paren_depth == 0 {
            return self.late_error("unexpected right parenthesis ')'");
        }
        self.paren_depth -= 1;
        self.token(Kind::RightParen)
    }

    fn left_bracket(&mut self) -> Result<Token, LexError> {
        if self.in_brackets {
            return self.error("unexpected left bracket '['");
        }
        self.got_colon = false;
        self.in_brackets = true;
        self.in_duration = true;
        self.token(Kind::LeftBracket)
    }

    fn starts_number(&self, c: char) -> bool {
        c.is_ascii_digit() || (c == '.' && self.peek().is_some_and(|n| n.is_ascii_digit()))
    }

    fn duration_start(&mut self, c: char) -> Result<Token, LexError> {
        let kind = match c {
            ']' => {
                (self.in_brackets, self.in_duration, self.got_colon) = (false, false, false);
                Kind::RightBracket
            }
            ':' if !self.got_duration => {
                return self.late_error("unexpected colon before duration in duration expression");
            }
            ':' if self.got_colon => return self.late_error("unexpected repeated colon in duration expression"),
            ':' => {
                self.got_colon = true;
                Kind::Colon
            }
            '(' | ')' => return self.parenthesis(c),
            '+' => Kind::Op(BinaryOp::Add),
            '-' => Kind::Op(BinaryOp::Sub),
            '*' => Kind::Op(BinaryOp::Mul),
            '/' => Kind::Op(BinaryOp::Div),
            '%' => Kind::Op(BinaryOp::Mod),
            '^' => Kind::Op(BinaryOp::Pow),
            ',' => Kind::Comma,
            c if self.starts_number(c) => {
                (self.in_duration, self.got_duration) = (false, true);
                return self.number_or_duration();
            }
            c => match self.duration_keyword() {
                Some(kind) => kind,
                None => {
                    let message = format!("unexpected character in duration expression: {}", quote_char(Some(c)));
                    return self.error(message);
                }
            },
        };
        self.token(kind)
    }

    /// `step`, `range`, `min_of`, `max_of`: the only words in a duration.
    fn duration_keyword(&mut self) -> Option<Kind> {
        while self.accept(is_alpha) {}
        let kind = keyword(&self.input[self.start..self.pos])?;
        matches!(kind, Kind::Keyword(Keyword::StepOrRange | Keyword::MinMaxOf)).then_some(kind)
    }

    fn word(&mut self, c: char) -> Result<Token, LexError> {
        if self.in_brackets {
            return self.word_in_brackets(c);
        }
        while self.accept(|c| is_alphanumeric(c) || c == ':') {}
        let word = &self.input[self.start..self.pos];
        let kind = match keyword(word) {
            // As a name these are old; as a keyword they came late and need their parenthesis.
            Some(Kind::Keyword(Keyword::Fill)) if !self.parenthesis_follows() => Kind::Identifier,
            Some(kind) => kind,
            None if word.contains(':') => Kind::MetricIdentifier,
            None => Kind::Identifier,
        };
        self.token(kind)
    }

    fn word_in_brackets(&mut self, c: char) -> Result<Token, LexError> {
        if c == ':' {
            if self.got_colon {
                return self.error("unexpected colon ':'");
            }
            self.got_colon = true;
            return self.token(Kind::Colon);
        }
        match self.duration_keyword() {
            Some(kind) => self.token(kind),
            None => self.error(format!("unexpected character: {}, expected ':'", quote_char(Some(c)))),
        }
    }

    fn parenthesis_follows(&self) -> bool {
        self.input[self.pos..].trim_start_matches(is_space).starts_with('(')
    }

    fn inside_braces(&mut self, c: char) -> Result<Token, LexError> {
        let kind = match c {
            c if is_alpha(c) => {
                while self.accept(is_alphanumeric) {}
                Kind::Identifier
            }
            ',' => Kind::Comma,
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            '=' if self.accept_any("~") => Kind::EqualRegex,
            '=' => Kind::Equal,
            '!' => match self.next_char() {
                Some('~') => Kind::NotEqualRegex,
                Some('=') => Kind::Op(BinaryOp::NotEqual),
                other => {
                    return self.error(format!("unexpected character after '!' inside braces: {}", quote_char(other)));
                }
            },
            '{' => return self.error("unexpected left brace '{'"),
            '}' => {
                self.in_braces = false;
                Kind::RightBrace
            }
            c => return self.error(format!("unexpected character inside braces: {}", quote_char(Some(c)))),
        };
        self.token(kind)
    }

    fn string(&mut self, quote: char) -> Result<Token, LexError> {
        loop {
            match self.next_char() {
                Some('\\') => self.escape(quote)?,
                None | Some('\n') => return self.error("unterminated quoted string"),
                Some(c) if c == quote => return self.token(Kind::String),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Result<Token, LexError> {
        loop {
            match self.next_char() {
                None => return self.error("unterminated raw string"),
                Some('`') => return self.token(Kind::String),
                Some(_) => {}
            }
        }
    }

    fn escape(&mut self, quote: char) -> Result<(), LexError> {
        let c = self.next_char();
        let (digits, base, max) = match c {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(c) if c == quote => return Ok(()),
            Some('0'..='7') => {
                self.pos -= 1;
                (3, 8, 255)
            }
            Some('x') => (2, 16, 255),
            Some('u') => (4, 16, 0x10_ffff),
            Some('U') => (8, 16, 0x10_ffff),
            None => return self.error("escape sequence not terminated"),
            c => return self.error(format!("unknown escape sequence {}", describe_char(c))),
        };
        let mut code: u64 = 0;
        for _ in 0..digits {
            let Some(c) = self.next_char() else { return self.error("escape sequence not terminated") };
            let Some(digit) = c.to_digit(base) else {
                return self.error(format!("illegal character {} in escape sequence", describe_char(Some(c))));
            };
            code = code * u64::from(base) + u64::from(digit);
        }
        if code > max || (0xd800..0xe000).contains(&code) {
            return self.error("escape sequence is an invalid Unicode code point");
        }
        Ok(())
    }

    fn number_or_duration(&mut self) -> Result<Token, LexError> {
        self.pos = self.start;
        if self.scan_number() {
            return self.token(Kind::Number);
        }
        if self.scan_duration_rest() {
            return self.token(Kind::Duration);
        }
        // The character that was looked at last belongs to the message.
        self.error(format!("bad number or duration syntax: {}", quote(&self.input[self.start..self.pos])))
    }

    /// `[.][d][d._eE]*`; stops after the character that made it fail.
    fn scan_number(&mut self) -> bool {
        let begin = self.pos;
        let mut is_hex = false;
        if self.accept_any("0") && self.accept_any("xX") {
            self.accept_any("_");
            is_hex = true;
        }
        let is_digit = move |c: char| if is_hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        self.accept_any(".");
        self.accept(is_digit);
        let (mut seen_dot, mut seen_exponent) = (false, false);
        while let Some(c) = self.peek().filter(|&c| is_digit(c) || "._eE".contains(c)) {
            if (c == '.' && seen_dot) || ("eE".contains(c) && seen_exponent) {
                self.next_char();
                return false;
            }
            if self.accept_any(".") {
                seen_dot = true;
                if self.accept_any("_.") || is_hex {
                    return false;
                }
            } else if self.accept_any("eE") {
                seen_exponent = true;
                self.accept_any("+-");
                if self.accept_any("._eE") || self.peek().is_none() {
                    return false;
                }
            } else if self.accept_any("_") {
                if self.accept_any("._eE") || self.peek().is_none() {
                    return false;
                }
            } else {
                while self.accept(is_digit) {}
            }
        }
        self.pos != begin && !self.peek().is_some_and(is_alphanumeric)
    }

    /// The units and further parts of a duration whose first number was read.
    fn scan_duration_rest(&mut self) -> bool {
        if !self.accept_any("smhdwy") {
            return false;
        }
        self.accept_any("s");
        while self.accept(|c| c.is_ascii_digit()) {
            while self.accept(|c| c.is_ascii_digit()) {}
            if !self.accept_any("smhdw") {
                return false;
            }
            self.accept_any("s");
        }
        if self.peek().is_some_and(is_alphanumeric) {
            self.next_char();
            return false;
        }
        true
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}
