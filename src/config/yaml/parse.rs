//! Text to tree: YAML events become [`Node`]s with their places.
//!
//! Here: aliases, merge keys, duplicate keys and the bounds on what a file may unfold into.
//! Elsewhere: YAML's syntax (the parser crate), the meaning of keys (the readers).

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::{Entry, Node, Pos, Problem, Value};

/// Deepest nesting of lists and maps.
pub const DEPTH_MAX: usize = 100;
/// Most values in one file, aliases counted as what they stand for: the end of alias bombs.
pub const NODES_MAX: usize = 1_000_000;
/// Most bytes of text in one file, aliases counted as what they stand for.
pub const TEXT_BYTES_MAX: usize = 64 << 20;

/// Parses one YAML document. No document at all is an absent value. The error is the first offence against YAML.
pub fn parse(text: &str) -> Result<Node, Problem> {
    // A byte order mark is no content, whatever editor wrote it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("the file has more than {TEXT_BYTES_MAX} bytes");
        return Err(Problem { pos: Pos { line: 1, column: 1 }, message });
    }
    let mut builder = Builder { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0, text_bytes: 0 };
    builder.document()
}

struct Builder<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    text_bytes: usize,
}

impl<'t> Builder<'t> {
    fn document(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(problem(span.start, "a second document begins here; one file holds one document"));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, &span, 0)?),
            }
        }
        let nothing = Value::Scalar { text: String::new(), plain: true };
        Ok(root.unwrap_or(Node { pos: Pos { line: 1, column: 1 }, value: nothing }))
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.parser.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(problem(*error.marker(), format!("not valid YAML: {}", error.info()))),
            // The parser ends with StreamEnd; this is what a broken promise of its would look like.
            None => Err(Problem {
                pos: Pos { line: 1, column: 1 },
                message: "not valid YAML: it ends too early".to_owned(),
            }),
        }
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Node, Problem> {
        if depth > DEPTH_MAX {
            return Err(problem(span.start, format!("more than {DEPTH_MAX} levels of nesting")));
        }
        let pos = pos(span.start);
        let (anchor, value) = match event {
            Event::Alias(id) => return self.alias(id, pos, span),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = known_tag(tag.as_deref(), span)?;
                (anchor, Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain && !is_text })
            }
            Event::SequenceStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), span)?;
                (anchor, self.list(depth)?)
            }
            Event::MappingStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), span)?;
                (anchor, self.map(depth)?)
            }
            _ => return Err(problem(span.start, "not valid YAML: a value was expected here")),
        };
        let node = Node { pos, value };
        self.count(1, own_text_bytes(&node), span)?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, pos: Pos, span: &Span) -> Result<Node, Problem> {
        let target =
            self.anchors.get(&id).ok_or_else(|| problem(span.start, "this alias stands inside what it refers to"))?;
        let (nodes, text_bytes) = size(target);
        let node = Node { pos, value: target.value.clone() };
        self.count(nodes, text_bytes, span)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, text_bytes: usize, span: &Span) -> Result<(), Problem> {
        self.nodes += nodes;
        self.text_bytes += text_bytes;
        if self.nodes > NODES_MAX {
            return Err(problem(span.start, format!("the file unfolds into more than {NODES_MAX} values")));
        }
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err(problem(span.start, format!("the file unfolds into more than {TEXT_BYTES_MAX} bytes of text")));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        let mut merges = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let Value::Scalar { text: key, plain } = self.node(event, &span, depth + 1)?.value else {
                return Err(problem(span.start, "a key must be a text"));
            };
            let key_pos = pos(span.start);
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?;
            if key == "<<" && plain {
                merges.push(value);
                continue;
            }
            if let Some(line) = lines.insert(key.clone(), key_pos.line) {
                return Err(Problem {
                    pos: key_pos,
                    message: format!("key {key:?} is given twice; the first is on line {line}"),
                });
            }
            entries.push(Entry { key, key_pos, value });
        }
        for merge in merges {
            merge_into(&mut entries, &mut lines, merge)?;
        }
        Ok(Value::Map(entries))
    }
}

/// `<<: *a` or `<<: [*a, *b]`: what the map has itself wins, then the earlier of the list.
fn merge_into(entries: &mut Vec<Entry>, lines: &mut HashMap<String, usize>, merge: Node) -> Result<(), Problem> {
    let maps = match merge.value {
        Value::List(items) => items,
        _ => vec![merge],
    };
    for map in maps {
        let Value::Map(merged) = map.value else {
            return Err(Problem { pos: map.pos, message: format!("<< takes a map, found {}", map.kind()) });
        };
        for entry in merged {
            if !lines.contains_key(&entry.key) {
                lines.insert(entry.key.clone(), entry.key_pos.line);
                entries.push(entry);
            }
        }
    }
    Ok(())
}

/// Whether the tag says "this is a text". Tags outside YAML's core schema are refused: they would be ignored in
/// silence.
fn known_tag(tag: Option<&Tag>, span: &Span) -> Result<bool, Problem> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix() == "str"),
        Some(tag) => {
            Err(problem(span.tag_start.unwrap_or(span.start), format!("tag {tag} is not known here; remove it")))
        }
    }
}

fn own_text_bytes(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { text, .. } => text.len(),
        _ => 0,
    }
}

/// Values and text bytes of a tree, itself included.
fn size(node: &Node) -> (usize, usize) {
    let add = |(n, b): (usize, usize), (m, c): (usize, usize)| (n + m, b + c);
    match &node.value {
        Value::Scalar { text, .. } => (1, text.len()),
        Value::List(items) => items.iter().map(size).fold((1, 0), add),
        Value::Map(entries) => entries.iter().map(|e| add(size(&e.value), (1, e.key.len()))).fold((1, 0), add),
    }
}

fn pos(marker: Marker) -> Pos {
    Pos { line: marker.line(), column: marker.col() + 1 }
}

fn problem(marker: Marker, message: impl Into<String>) -> Problem {
    Problem { pos: pos(marker), message: message.into() }
}
