//! Interned strings of the head.
//!
//! Here: string to number and back; numbers and bytes of strings that nobody uses are given out again.
//! Elsewhere: who uses them (`head::pairs`).
//!
//! Texts lie back to back in pages, each behind its number and length. A page that is mostly garbage is copied away
//! text by text and freed, so memory comes back without a walk over all texts.
//!
//! Invariant: two live numbers never stand for the same string.

use super::table::HashIndex;

/// A string's number.
pub(crate) type Symbol = u32;

/// A page's size; longer texts get one of their own.
const PAGE_BYTES: usize = 1 << 16;
/// Number and length in front of each text.
const HEADER_BYTES: usize = 8;
/// Place of a number that is free.
const NOWHERE: u32 = u32::MAX;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    index: HashIndex,
    slots: Vec<Slot>,
    free: Vec<Symbol>,
    pages: Vec<Page>,
    free_pages: Vec<u32>,
    /// The page that grows.
    current: u32,
}

/// Where a text is, and how many use it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    page: u32,
    offset: u16,
    /// Stays at its largest value once there: such a text is kept for good.
    users: u16,
}

#[derive(Debug, Default)]
struct Page {
    bytes: Vec<u8>,
    garbage: u32,
}

impl Symbols {
    /// The number of `text`, if it has one.
    pub(crate) fn find(&self, text: &str) -> Option<Symbol> {
        self.index.find(self.index.hash_texts(&[text]), |symbol| self.is_text(symbol, text))
    }

    /// The number of `text`, given now if need be, with one user more.
    pub(crate) fn intern(&mut self, text: &str) -> Symbol {
        let hash = self.index.hash_texts(&[text]);
        if let Some(symbol) = self.index.find(hash, |symbol| self.is_text(symbol, text)) {
            let slot = &mut self.slots[symbol as usize];
            slot.users = slot.users.saturating_add(1);
            return symbol;
        }
        let symbol = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { page: NOWHERE, offset: 0, users: 0 });
            Symbol::try_from(self.slots.len() - 1).expect("four billion strings do not fit in memory")
        });
        let (page, offset) = self.store(symbol, text.as_bytes());
        self.slots[symbol as usize] = Slot { page, offset, users: 1 };
        self.index.insert(hash, symbol);
        symbol
    }

    /// One user less; the string is forgotten with its last one.
    pub(crate) fn release(&mut self, symbol: Symbol) {
        let slot = self.slots[symbol as usize];
        match slot.users {
            u16::MAX => {}
            1 => {
                let text = self.text(symbol);
                let bytes = HEADER_BYTES + text.len();
                let hash = self.index.hash_texts(&[text]);
                self.index.remove(hash, symbol);
                self.slots[symbol as usize] = Slot { page: NOWHERE, offset: 0, users: 0 };
                self.free.push(symbol);
                self.discard(slot.page, bytes);
            }
            users => self.slots[symbol as usize].users = users - 1,
        }
    }

    /// The string of a live number.
    pub(crate) fn text(&self, symbol: Symbol) -> &str {
        std::str::from_utf8(self.bytes(symbol)).expect("a text is stored as it came")
    }

    /// Whether a live number stands for `text`; cheaper than to ask for the string.
    #[inline]
    pub(crate) fn is_text(&self, symbol: Symbol, text: &str) -> bool {
        self.bytes(symbol) == text.as_bytes()
    }

    #[inline]
    fn bytes(&self, symbol: Symbol) -> &[u8] {
        let slot = self.slots[symbol as usize];
        let bytes = &self.pages[slot.page as usize].bytes[usize::from(slot.offset)..];
        let (_, len, rest) = split_header(bytes);
        &rest[..len]
    }

    fn store(&mut self, symbol: Symbol, text: &[u8]) -> (u32, u16) {
        let size = HEADER_BYTES + text.len();
        let is_large = size > PAGE_BYTES / 4;
        let has_room = self.pages.get(self.current as usize).is_some_and(|p| p.bytes.len() + size <= PAGE_BYTES);
        let page = if is_large || !has_room { self.new_page() } else { self.current };
        if !is_large {
            self.current = page;
        }
        let bytes = &mut self.pages[page as usize].bytes;
        if is_large {
            bytes.reserve_exact(size);
        }
        let offset = bytes.len() as u16;
        bytes.extend_from_slice(&symbol.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(text.len()).expect("a label is smaller").to_le_bytes());
        bytes.extend_from_slice(text);
        (page, offset)
    }

    fn new_page(&mut self) -> u32 {
        self.free_pages.pop().unwrap_or_else(|| {
            self.pages.push(Page::default());
            (self.pages.len() - 1) as u32
        })
    }

    fn discard(&mut self, page: u32, bytes: usize) {
        let there = &mut self.pages[page as usize];
        there.garbage += bytes as u32;
        let is_sparse = there.garbage as usize * 2 > there.bytes.len();
        if page == self.current || !is_sparse {
            return;
        }
        let old = std::mem::take(there);
        let mut rest = old.bytes.as_slice();
        while !rest.is_empty() {
            let (symbol, len, after) = split_header(rest);
            let here = (old.bytes.len() - rest.len()) as u16;
            let slot = self.slots[symbol as usize];
            if (slot.page, slot.offset) == (page, here) {
                let (page, offset) = self.store(symbol, &after[..len]);
                self.slots[symbol as usize] = Slot { page, offset, ..slot };
            }
            rest = &after[len..];
        }
        self.free_pages.push(page);
    }
}

#[inline]
fn split_header(bytes: &[u8]) -> (Symbol, usize, &[u8]) {
    let (symbol, rest) = bytes.split_first_chunk().expect("a text has a header");
    let (len, rest) = rest.split_first_chunk().expect("a text has a header");
    (u32::from_le_bytes(*symbol), u32::from_le_bytes(*len) as usize, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_with_the_last_user_and_reuses() {
        let mut s = Symbols::default();
        let (a, b) = (s.intern("a"), s.intern("b"));
        assert_eq!(s.intern("a"), a);
        s.release(a);
        assert_eq!(s.find("a"), Some(a));
        s.release(a);
        assert_eq!((s.find("a"), s.find("b"), s.text(b)), (None, Some(b), "b"));
        assert_eq!(s.intern("c"), a);
        assert_eq!(s.text(a), "c");
    }

    #[test]
    fn pages_come_back() {
        let mut s = Symbols::default();
        let text = |i: u32| format!("{i}-{}", "x".repeat(if i.is_multiple_of(1000) { 100_000 } else { 100 }));
        for round in 0..3 {
            let symbols: Vec<Symbol> = (0..4000).map(|i| s.intern(&text(i + round))).collect();
            for (i, &symbol) in symbols.iter().enumerate() {
                assert_eq!(s.text(symbol), text(i as u32 + round));
            }
            let (kept, gone) = symbols.split_at(50);
            gone.iter().for_each(|&symbol| s.release(symbol));
            assert!(kept.iter().enumerate().all(|(i, &symbol)| s.text(symbol) == text(i as u32 + round)));
            kept.iter().for_each(|&symbol| s.release(symbol));
        }
        let bytes: usize = s.pages.iter().map(|p| p.bytes.capacity()).sum();
        assert!(bytes <= 2 * PAGE_BYTES && s.slots.len() == 4000, "{bytes} bytes");
    }
}
