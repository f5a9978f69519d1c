//! Interned strings of the head.
//!
//! Here: string to number and back; numbers of strings that nobody uses are given out again.
//! Elsewhere: who uses them (`head::postings`, `head::series`).
//!
//! Invariant: two live numbers never stand for the same string.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// A string's number.
pub(crate) type Symbol = u32;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    by_text: FxHashMap<Arc<str>, Symbol>,
    texts: Vec<Option<Arc<str>>>,
    free: Vec<Symbol>,
}

impl Symbols {
    /// The number of `text`, if it has one.
    pub(crate) fn find(&self, text: &str) -> Option<Symbol> {
        self.by_text.get(text).copied()
    }

    /// The number of `text`, given now if need be.
    pub(crate) fn intern(&mut self, text: &str) -> Symbol {
        if let Some(symbol) = self.find(text) {
            return symbol;
        }
        let text: Arc<str> = Arc::from(text);
        let symbol = match self.free.pop() {
            Some(symbol) => symbol,
            None => {
                self.texts.push(None);
                Symbol::try_from(self.texts.len() - 1).expect("four billion strings do not fit in memory")
            }
        };
        self.texts[symbol as usize] = Some(text.clone());
        self.by_text.insert(text, symbol);
        symbol
    }

    /// The string of a live number.
    pub(crate) fn text(&self, symbol: Symbol) -> &str {
        self.texts[symbol as usize].as_deref().expect("a symbol in use keeps its text")
    }

    /// The string of a live number, to keep beyond the table's lock.
    pub(crate) fn share(&self, symbol: Symbol) -> Arc<str> {
        self.texts[symbol as usize].clone().expect("a symbol in use keeps its text")
    }

    /// Forgets every string that `is_used` denies.
    pub(crate) fn retain(&mut self, mut is_used: impl FnMut(Symbol) -> bool) {
        for (symbol, slot) in self.texts.iter_mut().enumerate() {
            let symbol = symbol as Symbol;
            if slot.is_some() && !is_used(symbol) {
                let text = slot.take().expect("just seen");
                self.by_text.remove(&text);
                self.free.push(symbol);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_and_reuses() {
        let mut s = Symbols::default();
        let (a, b) = (s.intern("a"), s.intern("b"));
        assert_eq!(s.intern("a"), a);
        s.retain(|symbol| symbol == b);
        assert_eq!((s.find("a"), s.find("b"), s.text(b)), (None, Some(b), "b"));
        assert_eq!(s.intern("c"), a);
        assert_eq!(s.text(a), "c");
    }
}
