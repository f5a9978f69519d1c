//! Reading a tree with typed questions, collecting every problem on the way.
//!
//! Here: [`Map`], which knows the keys it was asked for and refuses the rest, and the list of [`Problems`].
//! Elsewhere: the questions.

use std::cell::RefCell;
use std::fmt;

use super::{Entry, Node, Pos, nearest};

/// What is wrong and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The place.
    pub pos: Pos,
    /// One sentence, lower case, with the way out where there is one.
    pub message: String,
}

/// What is wrong, where, and in which file: `prometheus.yml:12:5: unknown key …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// The file as the user named it.
    pub file: String,
    /// The place; `None` where the file as a whole is meant.
    pub pos: Option<Pos>,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pos {
            Some(pos) => write!(f, "{}:{pos}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// The problems of one file, collected while it is read: a reader goes on with a default and reports the next one, too.
#[derive(Debug, Default)]
pub struct Problems {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Problems {
    /// No problems yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn add(&self, pos: Pos, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { pos, message: message.into() });
    }

    /// Adds a warning: the file is good, but something in it has no effect.
    pub fn warn(&self, pos: Pos, message: impl Into<String>) {
        self.warnings.borrow_mut().push(Problem { pos, message: message.into() });
    }

    /// The warnings, in the file's order, with the file's name; the list is empty afterwards.
    pub fn take_warnings(&self, file: &str) -> Vec<FileProblem> {
        in_order(self.warnings.take(), file)
    }

    /// `read`'s answer; its error becomes a problem at `node` that begins with `what`.
    pub fn read<'n, T>(
        &self,
        what: &str,
        node: &'n Node,
        read: impl FnOnce(&'n Node) -> Result<T, String>,
    ) -> Option<T> {
        read(node).map_err(|error| self.add(node.pos, format!("{what}: {error}"))).ok()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// All, in the file's order.
    pub fn into_vec(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|p| p.pos);
        problems
    }

    /// All, in the file's order, with the file's name.
    pub fn in_file(self, file: &str) -> Vec<FileProblem> {
        in_order(self.problems.into_inner(), file)
    }
}

fn in_order(mut problems: Vec<Problem>, file: &str) -> Vec<FileProblem> {
    problems.sort_by_key(|p| p.pos);
    let place = |p: Problem| FileProblem { file: file.to_owned(), pos: Some(p.pos), message: p.message };
    problems.into_iter().map(place).collect()
}

/// A map with fixed keys, read key by key. End with [`Map::finish`], which refuses the keys nobody asked for.
///
/// ```
/// use cairn::config::yaml::{Map, Node, Problems, parse};
/// let root = parse("interval: 5s\nlimt: 3").expect("valid YAML");
/// let problems = Problems::new();
/// let mut group = Map::new(&root, "the group", &problems);
/// assert_eq!(group.read("interval", Node::text), Some("5s"));
/// assert_eq!(group.read("limit", Node::unsigned), None);
/// group.finish();
/// assert_eq!(problems.into_vec()[0].message, r#"unknown key "limt" in the group; did you mean "limit"?"#);
/// ```
#[derive(Debug)]
pub struct Map<'n> {
    what: &'static str,
    pos: Pos,
    entries: &'n [Entry],
    known: Vec<&'static str>,
    not_yet: Vec<&'static str>,
    origin: &'static str,
    problems: &'n Problems,
}

impl<'n> Map<'n> {
    /// Begins to read `node`; `what` names it in messages (`global`, `the scrape config`). An absent value is an empty
    /// map, another kind of value is a problem and reads as empty.
    pub fn new(node: &'n Node, what: &'static str, problems: &'n Problems) -> Self {
        let entries = problems.read(what, node, Node::entries).unwrap_or(&[]);
        Map { what, pos: node.pos, entries, known: Vec::new(), not_yet: Vec::new(), origin: "", problems }
    }

    /// Where the map begins.
    pub fn pos(&self) -> Pos {
        self.pos
    }

    /// Where the problems go.
    pub fn problems(&self) -> &'n Problems {
        self.problems
    }

    /// The value of `key`, `None` if it is not given or absent (`null`).
    pub fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.entries.iter().find(|e| e.key == key).map(|e| &e.value).filter(|value| !value.is_null())
    }

    /// The value of `key` as `read` understands it; `None` if it is not given, or is wrong (then that is a problem).
    pub fn read<T>(&mut self, key: &'static str, read: impl FnOnce(&'n Node) -> Result<T, String>) -> Option<T> {
        let node = self.take(key)?;
        self.problems.read(key, node, read)
    }

    /// The elements of the list `key`, none if it is not given.
    pub fn list(&mut self, key: &'static str) -> &'n [Node] {
        self.read(key, Node::list).unwrap_or(&[])
    }

    /// Where the value of `key` stands, or the map itself where it is not given.
    pub fn pos_of(&self, key: &str) -> Pos {
        self.entries.iter().find(|e| e.key == key).map_or(self.pos, |e| e.value.pos)
    }

    /// Keys of `origin` (`Prometheus`, `Alertmanager`) that are not there yet in Cairn: [`Map::finish`] refuses them as
    /// such.
    pub fn not_yet(&mut self, origin: &'static str, keys: &[&'static str]) {
        self.origin = origin;
        self.not_yet.extend_from_slice(keys);
    }

    /// Refuses the keys that nobody asked for, each with the nearest key that is known here.
    pub fn finish(self) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.known.contains(&key) {
                continue;
            }
            let message = if self.not_yet.contains(&key) {
                format!("key {key:?} of {} is not supported yet by this version of Cairn; remove it", self.origin)
            } else {
                let known = self.known.iter().chain(&self.not_yet).copied();
                match nearest(key, known) {
                    Some(near) => format!("unknown key {key:?} in {}; did you mean {near:?}?", self.what),
                    None => format!("unknown key {key:?} in {}", self.what),
                }
            };
            self.problems.add(entry.key_pos, message);
        }
    }
}
