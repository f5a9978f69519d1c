//! Writing a block's index.
//!
//! Here: labels, chunks and lists are gathered in compact form while series come, and written when all are known.
//! Elsewhere: the pages (`series`, `lists`, `pairs`), reading (`index`).
//!
//! Invariant: pairs are numbered by their texts only at the end; until then by the order in which they came.

use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::directory::Directory;
use super::lists::Growing;
use super::pairs::PairsWriter;
use super::series::{ChunksWriter, Pair, SERIES, encode_labels};
use super::{INDEX_FOOTER_BYTES, INDEX_MAGIC};
use crate::block::data::{ChunkRef, Stream};
use crate::block::meta::BlockId;
use crate::block::page::{Packer, PageKind};
use crate::block::writer::file_header;
use crate::bytes::{Reader, put_varint};
use crate::fs::{AtPath, Fs, IoAt};

/// A page of lists ends with the list that brings it to this size: a look-up unpacks one such page.
const LISTS_BYTES: usize = 32 << 10;

/// An index in the making.
#[derive(Debug, Default)]
pub(crate) struct IndexWriter {
    /// By label, as symbols: the number of the pair, by order of appearance.
    numbers: FxHashMap<(u32, u32), u32>,
    lists: Vec<Growing>,
    /// For each full page the labels and the section of chunks.
    pages: Vec<(Vec<u8>, Vec<u8>)>,
    labels: Vec<u8>,
    chunks: ChunksWriter,
    last: Vec<u32>,
    now: Vec<u32>,
    count: u32,
}

impl IndexWriter {
    /// Number of series.
    pub(crate) fn series(&self) -> u32 {
        self.count
    }

    /// Adds a series, with labels as symbols.
    pub(crate) fn add(&mut self, labels: &[(u32, u32)], chunks: &[ChunkRef]) {
        self.now.clear();
        for &label in labels {
            let next = self.lists.len() as u32;
            let number = *self.numbers.entry(label).or_insert(next);
            if number == next {
                self.lists.push(Growing::default());
            }
            self.lists[number as usize].push(self.count);
            self.now.push(number);
        }
        let shared = self.last.iter().zip(&self.now).take_while(|(a, b)| a == b).count();
        put_varint(&mut self.labels, shared as u64);
        put_varint(&mut self.labels, (self.now.len() - shared) as u64);
        self.now[shared..].iter().for_each(|&number| put_varint(&mut self.labels, u64::from(number)));
        std::mem::swap(&mut self.last, &mut self.now);
        self.chunks.push(chunks);
        self.count += 1;
        if (self.count as usize).is_multiple_of(SERIES) {
            self.end_page();
        }
    }

    fn end_page(&mut self) {
        if !self.labels.is_empty() {
            let chunks = std::mem::take(&mut self.chunks).finish();
            self.pages.push((std::mem::take(&mut self.labels), chunks));
            self.last.clear();
        }
    }

    /// Writes the file at `path`, of block `id`; its length. `directory` has the places of the chunks file's pages.
    pub(crate) fn finish(
        mut self,
        fs: &dyn Fs,
        path: &Path,
        id: BlockId,
        symbols: &[Arc<str>],
        mut directory: Directory,
    ) -> Result<u64, IoAt> {
        self.end_page();
        let mut packer = Packer::new().at(path)?;
        let mut out = Stream::create(fs, path, &file_header(INDEX_MAGIC, id))?;
        // Symbols rise with their texts, so pairs of symbols do.
        let mut rows: Vec<((u32, u32), u32)> = std::mem::take(&mut self.numbers).into_iter().collect();
        rows.sort_unstable();
        let pairs = number(&rows, symbols, &mut directory);
        directory.series = self.count;
        for (labels, chunks) in std::mem::take(&mut self.pages) {
            let labels = encode_labels(&renumber(&labels, &pairs), &directory.first_rows);
            directory.series_pages.push(out.put_page(&mut packer, PageKind::Series, &[&labels, &chunks])?);
        }
        self.write_lists(&rows, symbols, &mut directory, &mut packer, &mut out)?;
        let [texts, places] = directory.encode();
        let at = out.put_page(&mut packer, PageKind::Directory, &[&texts, &places])?;
        out.put(&footer(at, self.count));
        out.finish()
    }

    fn write_lists(
        &self,
        rows: &[((u32, u32), u32)],
        symbols: &[Arc<str>],
        directory: &mut Directory,
        packer: &mut Packer,
        out: &mut Stream,
    ) -> Result<(), IoAt> {
        let mut lists = Vec::new();
        let mut page = PairsWriter::default();
        for &((_, value), number) in rows {
            let list = &self.lists[number as usize];
            let place = if list.single().is_some() {
                None
            } else {
                let offset = lists.len();
                list.encode(&mut lists);
                Some((directory.list_pages.len() as u32, offset as u32, (lists.len() - offset) as u32))
            };
            let text = &symbols[value as usize];
            if page.is_empty() {
                directory.first_values.push((**text).into());
            }
            page.push(text, list, place);
            if lists.len() >= LISTS_BYTES {
                directory.list_pages.push(out.put_page(packer, PageKind::Lists, &[&lists])?);
                lists.clear();
            }
            if page.is_full() {
                directory.pairs_pages.push(out.put_page(packer, PageKind::Pairs, &page.sections())?);
                page = PairsWriter::default();
            }
        }
        if !lists.is_empty() {
            directory.list_pages.push(out.put_page(packer, PageKind::Lists, &[&lists])?);
        }
        if !page.is_empty() {
            directory.pairs_pages.push(out.put_page(packer, PageKind::Pairs, &page.sections())?);
        }
        Ok(())
    }
}

/// By number of appearance: name and row. Fills in the names.
fn number(rows: &[((u32, u32), u32)], symbols: &[Arc<str>], directory: &mut Directory) -> Vec<Pair> {
    let mut pairs = vec![(0, 0); rows.len()];
    let mut last = None;
    for (row, &((name, _), number)) in rows.iter().enumerate() {
        if last != Some(name) {
            directory.names.push((*symbols[name as usize]).into());
            directory.first_rows.push(row as u32);
            last = Some(name);
        }
        pairs[number as usize] = (directory.names.len() as u32 - 1, row as u32);
    }
    directory.first_rows.push(rows.len() as u32);
    pairs
}

fn renumber(labels: &[u8], pairs: &[Pair]) -> Vec<Vec<Pair>> {
    let mut r = Reader::new(labels);
    let mut out: Vec<Vec<Pair>> = Vec::with_capacity(SERIES);
    let mut next = || r.varint().map(|n| n as usize);
    while let Some(shared) = next() {
        let mut series: Vec<Pair> = out.last().map_or_else(Vec::new, |last| last[..shared].to_vec());
        for _ in 0..next().unwrap_or(0) {
            series.extend(next().map(|number| pairs[number]));
        }
        out.push(series);
    }
    out
}

fn footer(directory: u64, series: u32) -> [u8; INDEX_FOOTER_BYTES] {
    let mut out = [0; INDEX_FOOTER_BYTES];
    out[..8].copy_from_slice(&directory.to_le_bytes());
    out[8..12].copy_from_slice(&series.to_le_bytes());
    let crc = crc32fast::hash(&out[..12]);
    out[12..].copy_from_slice(&crc.to_le_bytes());
    out
}
