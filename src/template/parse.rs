//! Tokens to tree.
//!
//! Here: the grammar of actions, scopes of variables. Elsewhere: tokens (`lex`), meaning (`exec`).
//!
//! Invariant: what parses can only fail at run time for the values it meets.

use std::collections::HashMap;

use super::ast::{Command, Node, Operand, OperandKind, Pipe};
use super::lex::{Piece, Token, TokenKind, pieces};
use super::value::Value;
use super::{DEPTH_MAX, ErrorAt, functions};

pub(super) struct Parsed {
    pub(super) root: Vec<Node>,
    pub(super) defined: HashMap<String, Vec<Node>>,
}

pub(super) fn parse(text: &str, variables: &[&str]) -> Result<Parsed, ErrorAt> {
    let mut parser = Parser {
        pieces: pieces(text)?.into_iter(),
        variables: std::iter::once("$").chain(variables.iter().copied()).map(str::to_owned).collect(),
        defined: HashMap::new(),
        depth: 0,
        loops: 0,
    };
    let (root, end) = parser.block()?;
    match end {
        End::Text => Ok(Parsed { root, defined: parser.defined }),
        End::Closed(at) => Err(ErrorAt::new(at, "unexpected {{end}}")),
        End::Else(at, _) => Err(ErrorAt::new(at, "unexpected {{else}}")),
    }
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    variables: Vec<String>,
    defined: HashMap<String, Vec<Node>>,
    depth: usize,
    loops: usize,
}

/// What closed a block.
enum End {
    Text,
    Closed(usize),
    /// With what follows the word `else`.
    Else(usize, Vec<Token>),
}

impl Parser {
    fn block(&mut self) -> Result<(Vec<Node>, End), ErrorAt> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (at, tokens) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action { at, tokens } => (at, tokens),
            };
            let word = match tokens.first().map(|t| &t.kind) {
                Some(TokenKind::Word(word)) => word.clone(),
                Some(_) => String::new(),
                None => return Err(ErrorAt::new(at, "missing value for command")),
            };
            match word.as_str() {
                "end" => return self.alone(&tokens, "end").map(|()| (nodes, End::Closed(at))),
                "else" => return Ok((nodes, End::Else(at, tokens[1..].to_vec()))),
                _ => nodes.extend(self.action(at, &word, &tokens)?),
            }
        }
        Ok((nodes, End::Text))
    }

    fn action(&mut self, at: usize, word: &str, tokens: &[Token]) -> Result<Option<Node>, ErrorAt> {
        match word {
            "if" | "with" | "range" => self.control(at, word, &tokens[1..]).map(Some),
            "define" => self.define(at, &tokens[1..]).map(|()| None),
            "block" => self.inline_block(at, &tokens[1..]).map(Some),
            "template" => {
                let (name, rest) = template_name(at, "template", &tokens[1..])?;
                let argument = if rest.is_empty() { None } else { Some(self.pipe(at, rest, "template clause", 0)?) };
                Ok(Some(Node::Template { at, name, argument }))
            }
            "break" | "continue" => {
                self.alone(tokens, word)?;
                if self.loops == 0 {
                    return Err(ErrorAt::new(at, format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                Ok(Some(if word == "break" { Node::Break } else { Node::Continue }))
            }
            _ => {
                let first = tokens.first().map_or(at, |t| t.at);
                Ok(Some(Node::Action(self.pipe(first, tokens, "command", 1)?)))
            }
        }
    }

    fn alone(&self, tokens: &[Token], word: &str) -> Result<(), ErrorAt> {
        match tokens.get(1) {
            Some(extra) => Err(ErrorAt::new(extra.at, format!("unexpected text in {{{{{word}}}}}"))),
            None => Ok(()),
        }
    }

    fn enter(&mut self, at: usize) -> Result<(), ErrorAt> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ErrorAt::new(at, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(())
    }

    /// `if`, `with` and `range`, up to their `end`. `else if` and `else with` are an `else` that holds another one.
    fn control(&mut self, at: usize, word: &str, tokens: &[Token]) -> Result<Node, ErrorAt> {
        self.enter(at)?;
        let scope = self.variables.len();
        let subject = self.pipe(at, tokens, word, if word == "range" { 2 } else { 1 })?;
        self.loops += usize::from(word == "range");
        let (then, end) = self.block()?;
        self.loops -= usize::from(word == "range");
        let otherwise = match end {
            End::Text => return Err(ErrorAt::new(at, format!("{{{{{word}}}}} has no {{{{end}}}}"))),
            End::Closed(_) => Vec::new(),
            End::Else(else_at, rest) => self.otherwise(at, word, else_at, &rest)?,
        };
        self.variables.truncate(scope);
        self.depth -= 1;
        Ok(match word {
            "if" => Node::If { condition: subject, then, otherwise },
            "with" => Node::With { subject, then, otherwise },
            _ => Node::Range { subject, body: then, otherwise },
        })
    }

    fn otherwise(&mut self, at: usize, word: &str, else_at: usize, rest: &[Token]) -> Result<Vec<Node>, ErrorAt> {
        match rest.first().map(|t| &t.kind) {
            Some(TokenKind::Word(again)) if again == word && word != "range" => {
                Ok(vec![self.control(else_at, word, &rest[1..])?])
            }
            Some(_) => Err(ErrorAt::new(rest[0].at, "unexpected text in {{else}}")),
            None => match self.block()? {
                (nodes, End::Closed(_)) => Ok(nodes),
                (_, End::Text) => Err(ErrorAt::new(at, format!("{{{{{word}}}}} has no {{{{end}}}}"))),
                (_, End::Else(again, _)) => Err(ErrorAt::new(again, "a second {{else}}")),
            },
        }
    }

    fn define(&mut self, at: usize, tokens: &[Token]) -> Result<(), ErrorAt> {
        let (name, rest) = template_name(at, "define", tokens)?;
        if let Some(extra) = rest.first() {
            return Err(ErrorAt::new(extra.at, "unexpected text in define clause"));
        }
        if self.depth > 0 {
            return Err(ErrorAt::new(at, "{{define}} inside another block"));
        }
        self.body_of(at, "define", name)
    }

    fn inline_block(&mut self, at: usize, tokens: &[Token]) -> Result<Node, ErrorAt> {
        let (name, rest) = template_name(at, "block", tokens)?;
        let argument = Some(self.pipe(at, rest, "block clause", 0)?);
        self.body_of(at, "block", name.clone())?;
        Ok(Node::Template { at, name, argument })
    }

    /// The text of a named template: it sees no variables of its surroundings but `$`.
    fn body_of(&mut self, at: usize, word: &str, name: String) -> Result<(), ErrorAt> {
        self.enter(at)?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (nodes, end) = self.block()?;
        if !matches!(end, End::Closed(_)) {
            return Err(ErrorAt::new(at, format!("{{{{{word}}}}} has no {{{{end}}}}")));
        }
        self.loops = loops;
        self.variables = outer;
        self.depth -= 1;
        self.defined.insert(name, nodes);
        Ok(())
    }

    fn pipe(&mut self, at: usize, tokens: &[Token], context: &str, variables_max: usize) -> Result<Pipe, ErrorAt> {
        let (variables, assigns, mut rest) = self.declaration(tokens, variables_max)?;
        if let Some(close) = rest.iter().find(|t| matches!(t.kind, TokenKind::Declare | TokenKind::Assign)) {
            return Err(ErrorAt::new(close.at, format!("unexpected := or = in {context}")));
        }
        let (commands, left) = self.commands(at, rest, context)?;
        rest = left;
        if let Some(extra) = rest.first() {
            return Err(ErrorAt::new(extra.at, "unexpected right paren"));
        }
        if assigns {
            self.must_exist(at, &variables)?;
        } else {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipe { at, variables, assigns, commands })
    }

    fn must_exist(&self, at: usize, variables: &[String]) -> Result<(), ErrorAt> {
        match variables.iter().find(|v| !self.variables.contains(v)) {
            Some(unknown) => Err(ErrorAt::new(at, format!("undefined variable {unknown:?}"))),
            None => Ok(()),
        }
    }

    /// `$a :=`, `$a =`, `$a, $b :=` at the start of a pipeline.
    fn declaration<'t>(&self, tokens: &'t [Token], max: usize) -> Result<(Vec<String>, bool, &'t [Token]), ErrorAt> {
        let kind = |i: usize| tokens.get(i).map(|t| &t.kind);
        let (names, operator) = match (kind(0), kind(1), kind(2)) {
            (Some(TokenKind::Variable(a)), Some(TokenKind::Declare | TokenKind::Assign), _) => (vec![a.clone()], 1),
            (Some(TokenKind::Variable(a)), Some(TokenKind::Comma), Some(TokenKind::Variable(b))) => {
                (vec![a.clone(), b.clone()], 3)
            }
            _ => return Ok((Vec::new(), false, tokens)),
        };
        if names.len() > max {
            return Err(ErrorAt::new(tokens[0].at, "too many declarations"));
        }
        match kind(operator) {
            Some(TokenKind::Declare) => Ok((names, false, &tokens[operator + 1..])),
            Some(TokenKind::Assign) => Ok((names, true, &tokens[operator + 1..])),
            _ => Err(ErrorAt::new(tokens[0].at, "expected := after the variables of a range")),
        }
    }

    /// Commands joined by `|`, up to the end or an unopened right paren, which is left over.
    fn commands<'t>(
        &mut self,
        at: usize,
        mut rest: &'t [Token],
        context: &str,
    ) -> Result<(Vec<Command>, &'t [Token]), ErrorAt> {
        let mut commands = Vec::new();
        loop {
            let (operands, left) = self.operands(rest)?;
            let here = rest.first().map_or(at, |t| t.at);
            if operands.is_empty() {
                return Err(ErrorAt::new(here, format!("missing value for {context}")));
            }
            // Only what can take an argument may stand behind a pipe.
            let takes = matches!(operands[0].kind, OperandKind::Function(_)) || !operands[0].fields.is_empty();
            if !commands.is_empty() && !takes {
                return Err(ErrorAt::new(here, "non executable command in pipeline"));
            }
            commands.push(Command { operands });
            match left.first().map(|t| &t.kind) {
                Some(TokenKind::Pipe) => rest = &left[1..],
                _ => return Ok((commands, left)),
            }
        }
    }

    fn operands<'t>(&mut self, mut rest: &'t [Token]) -> Result<(Vec<Operand>, &'t [Token]), ErrorAt> {
        let mut operands: Vec<Operand> = Vec::new();
        while let Some(token) = rest.first() {
            if matches!(token.kind, TokenKind::Pipe | TokenKind::Close) {
                break;
            }
            if !operands.is_empty() && !token.spaced {
                return Err(ErrorAt::new(token.at, "missing space between operands"));
            }
            let (operand, left) = self.operand(rest)?;
            operands.push(operand);
            rest = left;
        }
        Ok((operands, rest))
    }

    fn operand<'t>(&mut self, tokens: &'t [Token]) -> Result<(Operand, &'t [Token]), ErrorAt> {
        let token = &tokens[0];
        let mut rest = &tokens[1..];
        let mut fields = Vec::new();
        let kind = match &token.kind {
            TokenKind::Dot => OperandKind::Dot,
            TokenKind::Field(name) => {
                fields.push(name.clone());
                OperandKind::Dot
            }
            TokenKind::Variable(name) => {
                self.must_exist(token.at, std::slice::from_ref(name))?;
                OperandKind::Variable(name.clone())
            }
            TokenKind::Int(n) => OperandKind::Constant(Value::Int(*n)),
            TokenKind::Float(f) => OperandKind::Constant(Value::Float(*f)),
            TokenKind::Str(s) => OperandKind::Constant(Value::Str(s.clone())),
            TokenKind::Word(word) => word_operand(word, token.at)?,
            TokenKind::Open => {
                self.enter(token.at)?;
                let (commands, left) = self.commands(token.at, rest, "parenthesized pipeline")?;
                self.depth -= 1;
                if !matches!(left.first().map(|t| &t.kind), Some(TokenKind::Close)) {
                    return Err(ErrorAt::new(token.at, "unclosed left paren"));
                }
                rest = &left[1..];
                OperandKind::Pipe(Pipe { at: token.at, variables: Vec::new(), assigns: false, commands })
            }
            other => return Err(ErrorAt::new(token.at, format!("unexpected {other:?} in operand"))),
        };
        while let Some(Token { kind: TokenKind::Field(name), spaced: false, at }) = rest.first() {
            if matches!(kind, OperandKind::Constant(_) | OperandKind::Nil) {
                return Err(ErrorAt::new(*at, format!("unexpected . after a constant, before {name}")));
            }
            fields.push(name.clone());
            rest = &rest[1..];
        }
        Ok((Operand { at: token.at, kind, fields }, rest))
    }
}

fn word_operand(word: &str, at: usize) -> Result<OperandKind, ErrorAt> {
    match word {
        "true" => Ok(OperandKind::Constant(Value::Bool(true))),
        "false" => Ok(OperandKind::Constant(Value::Bool(false))),
        "nil" => Ok(OperandKind::Nil),
        _ => match functions::find(word) {
            Some(function) => Ok(OperandKind::Function(function)),
            None => Err(ErrorAt::new(at, format!("function {word:?} not defined"))),
        },
    }
}

fn template_name<'t>(at: usize, word: &str, tokens: &'t [Token]) -> Result<(String, &'t [Token]), ErrorAt> {
    match tokens.first().map(|t| &t.kind) {
        Some(TokenKind::Str(name)) => Ok((name.clone(), &tokens[1..])),
        _ => Err(ErrorAt::new(at, format!("{word} needs a name in quotes"))),
    }
}
