//! Entry points for fuzzing: foreign bytes go in, nothing must panic or take more memory than it is bounded to.
//!
//! Here: one function for each decoder of a block. `crate::fuzzing` shows them to the fuzz targets.
//! Elsewhere: the decoders.
//!
//! Invariant: none of this is used by the program itself.

use super::data::{DataPage, TimesPage};
use super::index::directory::Directory;
use super::index::lists;
use super::index::pairs::PairsPage;
use super::index::series::SeriesPage;
use super::meta::Meta;
use super::page::{self, PageKind};
use super::starts::{self, StartsPage};
use crate::column::{CHUNK_SAMPLES_MAX, ints, times, values};

/// Decodes the values of a chunk: two bytes of count, one of the head's length, head, planes. What decodes is encoded
/// again and must come back.
pub fn fuzz_values(data: &[u8]) {
    let [a, b, head_len, rest @ ..] = data else { return };
    let count = usize::from(u16::from_le_bytes([*a, *b])) % (CHUNK_SAMPLES_MAX + 2);
    let Some((head, planes)) = rest.split_at_checked(usize::from(*head_len)) else { return };
    let width = head.get(1..).and_then(ints::width).unwrap_or(0);
    let planes: Vec<&[u8]> = planes.chunks_exact(count.saturating_sub(1).max(1)).take(width).collect();
    let mut out = Vec::new();
    if values::decode(head, &planes, count, &mut Vec::new(), &mut out).is_some() && !out.is_empty() {
        assert_eq!(out.len(), count, "as many as were asked for");
        let encoded = values::encode(&out);
        let len = encoded.plane_len().max(1);
        let planes: Vec<&[u8]> = encoded.planes.chunks(len).collect();
        let mut again = Vec::new();
        values::decode(&encoded.head, &planes, count, &mut Vec::new(), &mut again).expect("just encoded");
        assert!(again.iter().zip(&out).all(|(a, b)| a.to_bits() == b.to_bits()), "the same bits come back");
    }
}

/// Decodes a column of times: two bytes of count, then the column.
pub fn fuzz_times(data: &[u8]) {
    let [a, b, rest @ ..] = data else { return };
    let count = usize::from(u16::from_le_bytes([*a, *b]));
    let mut out = Vec::new();
    if times::decode(rest, count, &mut out).is_some() {
        assert!(out.len() == count && out.windows(2).all(|w| w[0] < w[1]), "times rise");
        let mut again = Vec::new();
        times::decode(&times::encode(&out), count, &mut again).expect("just encoded");
        assert_eq!(again, out, "the same times come back");
    }
}

/// Takes a body apart as every kind of page, and its bytes as every kind of section.
pub fn fuzz_page(data: &[u8]) {
    let _ = page::verified(data, 0);
    let body = page::body(data, 0).unwrap_or(data);
    for kind in [PageKind::Values, PageKind::Blobs] {
        if let Some(page) = DataPage::parse(body, kind) {
            for slot in 0..4 {
                let _ = page.values(slot, 7, &mut Vec::new(), &mut Vec::new());
                let _ = page.blobs(slot, 7);
            }
        }
    }
    if let Some(page) = TimesPage::parse(body) {
        let _ = page.column(0);
    }
    fuzz_index(data);
}

/// Reads a body as a page of start timestamps and as the directory of their file. What is read is sound.
pub fn fuzz_starts(data: &[u8]) {
    if let Some(page) = StartsPage::parse(data) {
        for changes in (0..300).filter_map(|at| page.of(at)) {
            assert!(changes.as_slice().windows(2).all(|pair| pair[0].from < pair[1].from), "changes rise");
        }
    }
    let _ = starts::read_directory(data);
}

/// Reads bytes as the sections of every page of an index: one byte says where the first of two sections ends.
pub fn fuzz_index(data: &[u8]) {
    let _ = lists::read(data, 1000, &mut Vec::new());
    let _ = lists::retain(data, 1000, &mut (0..1000).step_by(7).collect(), true);
    let Some((&at, rest)) = data.split_first() else { return };
    let Some((first, second)) = rest.split_at_checked(usize::from(at)) else { return };
    let sections = [first.to_vec(), second.to_vec()];
    let _ = PairsPage::parse(&sections, 1000);
    let _ = SeriesPage::parse(&sections, &[0, 10, 300]);
    if let Some(directory) = Directory::decode(&sections) {
        let _ = directory.time_page(3);
    }
}

/// Reads bytes as a meta file; what is read is written the same.
pub fn fuzz_meta(data: &[u8]) {
    if let Ok(meta) = Meta::decode(data) {
        assert_eq!(meta.encode(), data, "there is one way to write a meta file");
    }
}
