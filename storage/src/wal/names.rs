//! Label sets inside a WAL record: each distinct text once.
//!
//! Here: coding label sets against the one before and against the record's texts.
//! Elsewhere: the record around them (`wal::record`).
//!
//! Invariant: a record holds all texts that it needs; what is read is a valid [`Labels`] or refused.

use std::hash::BuildHasher;

use rustc_hash::FxBuildHasher;

use crate::Labels;
use crate::bytes::{Reader, put_str, put_varint};

/// In a label's first byte: the name is not that of the same place in the set before.
const NEW_NAME: u8 = 1;
/// In a label's first byte: the value is not that of the same place in the set before.
const NEW_VALUE: u8 = 2;

/// The writer's texts of one record. Its memory is kept from record to record.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// Generation (high half) and number in `texts`; a slot of an older generation is empty.
    slots: Vec<u64>,
    generation: u32,
    texts: Vec<Text>,
}

/// Where in the record a text stands.
#[derive(Debug, Clone, Copy)]
struct Text {
    hash: u32,
    start: u32,
    bytes: u32,
}

impl Texts {
    /// Begins a record.
    pub(crate) fn begin(&mut self) {
        self.texts.clear();
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.slots.fill(0);
            self.generation = 1;
        }
    }

    /// Adds a label set, which follows `last`.
    pub(crate) fn put_labels(&mut self, out: &mut Vec<u8>, labels: &Labels, last: Option<&Labels>) {
        put_varint(out, labels.len() as u64);
        let mut last = last.map(Labels::iter).unwrap_or_default();
        let mut pairs = labels.iter();
        while let Some(((name, value), other)) = pairs.next_beside(&mut last) {
            let Some((last_name, last_value)) = other else {
                out.push(0);
                continue;
            };
            let new_name = if name == last_name { 0 } else { NEW_NAME };
            let new_value = if value == last_value { 0 } else { NEW_VALUE };
            out.push(new_name | new_value);
            if new_name != 0 {
                self.put_text(out, name);
            }
            if new_value != 0 {
                self.put_text(out, value);
            }
        }
    }

    /// 1 + the number of a text that the record has, or 0 and the text.
    fn put_text(&mut self, out: &mut Vec<u8>, text: &str) {
        if self.slots.len() < 2 * (self.texts.len() + 1) {
            self.grow();
        }
        let hash = FxBuildHasher.hash_one(text) as u32;
        let mut at = hash as usize & (self.slots.len() - 1);
        while self.slots[at] >> 32 == u64::from(self.generation) {
            let number = self.slots[at] as u32;
            let known = self.texts[number as usize];
            if known.hash == hash && out.get(known.start as usize..).is_some_and(|o| starts_with(o, known, text)) {
                put_varint(out, u64::from(number) + 1);
                return;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        out.push(0);
        put_str(out, text);
        let (Ok(start), Ok(bytes)) = (u32::try_from(out.len() - text.len()), u32::try_from(text.len())) else {
            return;
        };
        self.slots[at] = u64::from(self.generation) << 32 | self.texts.len() as u64;
        self.texts.push(Text { hash, start, bytes });
    }

    #[cold]
    fn grow(&mut self) {
        let len = (2 * self.slots.len()).max(1024);
        self.slots.clear();
        self.slots.resize(len, 0);
        for (number, text) in self.texts.iter().enumerate() {
            let mut at = text.hash as usize & (len - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (len - 1);
            }
            self.slots[at] = u64::from(self.generation) << 32 | number as u64;
        }
    }
}

fn starts_with(out: &[u8], known: Text, text: &str) -> bool {
    known.bytes as usize == text.len() && out.get(..text.len()) == Some(text.as_bytes())
}

/// The reader's side of [`Texts`].
#[derive(Debug, Default)]
pub(crate) struct KnownTexts<'a> {
    texts: Vec<&'a str>,
    last: Vec<(&'a str, &'a str)>,
    packed: String,
}

impl<'a> KnownTexts<'a> {
    /// The next label set.
    pub(crate) fn read_labels(&mut self, r: &mut Reader<'a>) -> Option<Labels> {
        let count = r.count(1)?;
        let known = self.last.len().min(count);
        self.last.resize(count, ("", ""));
        // Names that stand as they stood still rise.
        let mut is_checked = true;
        for i in 0..count {
            let flags = r.u8()?;
            if flags & !(NEW_NAME | NEW_VALUE) != 0 || (i >= known && flags != NEW_NAME | NEW_VALUE) {
                return None;
            }
            if flags & NEW_NAME != 0 {
                self.last[i].0 = self.read_text(r).filter(|name| !name.is_empty())?;
                is_checked = false;
            }
            if flags & NEW_VALUE != 0 {
                self.last[i].1 = self.read_text(r).filter(|value| !value.is_empty())?;
            }
        }
        let is_valid = is_checked || self.last.windows(2).all(|pair| pair[0].0 < pair[1].0);
        is_valid.then(|| {
            self.packed.clear();
            Labels::push_packed(&mut self.packed, self.last.iter().copied());
            Labels::from_packed(self.packed.as_str())
        })
    }

    fn read_text(&mut self, r: &mut Reader<'a>) -> Option<&'a str> {
        match r.varint()? {
            0 => {
                let text = r.str()?;
                self.texts.push(text);
                Some(text)
            }
            number => self.texts.get(usize::try_from(number - 1).ok()?).copied(),
        }
    }
}
