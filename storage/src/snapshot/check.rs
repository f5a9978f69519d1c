//! Looking at the snapshot that a start does not use: the older of the two that are kept.
//!
//! Here: every checksum in it and in what it needs, chunk files and the WAL's segments up to the newest snapshot.
//! Elsewhere: inspecting and using a snapshot (`snapshot::load`), who asks and what is said (`verify`).
//!
//! Invariant: nothing is changed, on the disk or in the head. Memory: one frame's series.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::format::{KIND_SERIES, unpacked_contents};
use super::load::{Found, Loader};
use super::{HEAD_DIR, Name, Snapshots, chunks_name, parse_name};
use crate::chunk::ChunkBytes;
use crate::db::Db;
use crate::fs::{AtPath, IoAt};
use crate::head::Head;
use crate::head::export::Files;
use crate::head::import::{Importer, Page};
use crate::wal::replay::list_segments;
use crate::wal::scan::{Piece, decode_header, scan};
use crate::wal::segment_name;
use crate::{OpenError, TimeRange};

/// A damaged piece that a start passes over.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The file.
    pub(crate) path: PathBuf,
    /// What is wrong with it.
    pub(crate) what: String,
    /// The damaged bytes, if they are a part of the file: where they begin, and how many.
    pub(crate) part: Option<(usize, usize)>,
    /// The snapshot itself is damaged: no start should try it.
    pub(crate) is_snapshot: bool,
}

/// Places of chunks: file and offset.
pub(crate) type Places = BTreeSet<(u64, u64)>;

/// What is damaged of the older snapshot, its chunks but for `known`, and the log before the newest one; and whether the
/// newest one is whole.
pub(crate) fn passed_over(db: &Db, snapshots: &Snapshots, known: &Places) -> Result<(Vec<Fault>, bool), OpenError> {
    let Some(newest) = snapshots.kept.last() else { return Ok((Vec::new(), true)) };
    let dir = db.dir.join(HEAD_DIR);
    let mut faults = Vec::new();
    let segments = list_segments(db.fs.as_ref(), db.wal.dir())?;
    for &number in segments.iter().filter(|&&number| number < newest.segment) {
        segment(db, number, &mut faults)?;
    }
    let older = db.fs.list(&dir).at(&dir)?.into_iter().filter_map(|entry| match parse_name(&entry.name) {
        Some(Name::Snapshot(number)) if number < newest.number => Some(number),
        _ => None,
    });
    if let Some(number) = older.max() {
        let (fs, blocks, damage) = (db.fs.as_ref(), &db.blocks, &db.damage);
        let newest_segment = newest.segment;
        let mut loader = Loader { fs, dir: &dir, blocks, segments: &segments, damage, newest_segment };
        snapshot(db, loader.inspect(number, true)?, &snapshots.files, known, &mut faults);
    }
    Ok((faults, !snapshots.is_due))
}

/// Every record of a segment; a record that is whole was understood when it was written.
fn segment(db: &Db, number: u64, faults: &mut Vec<Fault>) -> Result<(), IoAt> {
    let path = db.wal.dir().join(segment_name(number));
    let map = db.fs.map(&path).at(&path)?;
    let bytes = map.bytes();
    let mut add = |what: String, part| faults.push(Fault { path: path.clone(), what, part, is_snapshot: false });
    let salt = match decode_header(bytes) {
        Some((header, is_whole)) if header.number == number => {
            if !is_whole {
                add("one of two copies of the header is damaged".to_owned(), None);
            }
            header.salt
        }
        Some((header, _)) => {
            add(format!("this is segment {}, not {number}", header.number), Some((0, bytes.len())));
            return Ok(());
        }
        // A segment is empty between its creation and its header.
        None if bytes.is_empty() => return Ok(()),
        None => {
            add("its header is damaged".to_owned(), Some((0, bytes.len())));
            return Ok(());
        }
    };
    scan(bytes, salt, |piece| match piece {
        Piece::Record { .. } => {}
        Piece::Damaged { offset, bytes } | Piece::Tail { offset, bytes } => {
            add(format!("{bytes} bytes at {offset} are no whole record"), Some((offset, bytes)));
        }
    });
    Ok(())
}

/// The snapshot and its chunks but for `known`. `listed` are the files of the newest one: opening has looked at those.
fn snapshot(db: &Db, found: Found, listed: &Files, known: &Places, faults: &mut Vec<Fault>) {
    let mut what = found.faults.clone();
    let mut bad = Places::new();
    for (offset, payload) in found.payloads() {
        if frame(db, payload, &found.files, &mut bad).is_none() {
            what.push(format!("a frame at {offset} cannot be understood"));
        }
    }
    if !what.is_empty() {
        faults.push(Fault { path: found.path, what: what.join("; "), part: None, is_snapshot: true });
    }
    let mut add = |file: u64, what: String| {
        let path = db.dir.join(HEAD_DIR).join(chunks_name(file));
        faults.push(Fault { path, what, part: None, is_snapshot: false });
    };
    for &file in found.bad_headers.iter().filter(|file| !listed.contains_key(file)) {
        add(file, "the header is damaged".to_owned());
    }
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    bad.difference(known).for_each(|&(file, _)| *counts.entry(file).or_default() += 1);
    for (file, count) in counts {
        add(file, format!("{count} chunks that only the older snapshot needs are damaged"));
    }
}

/// Whether a frame can be understood; places of its damaged chunks are added to `bad`.
fn frame(db: &Db, payload: &[u8], files: &Files, bad: &mut Places) -> Option<()> {
    let mut contents = Vec::new();
    if unpacked_contents(payload, &mut contents)? != KIND_SERIES {
        return Some(());
    }
    let mut head = Head::new(db.options.block_ms);
    let mut page = Page::default();
    page.read(&contents, files, i64::MIN);
    Importer::default().page(&mut head, &contents, &mut page)?;
    for (series, _) in (0..head.page_count()).flat_map(|page| head.page(page)) {
        let chunks = head.snapshot(series, TimeRange::ALL).map(|s| s.chunks).unwrap_or_default();
        for chunk in chunks.iter().filter(|chunk| !chunk.bytes.is_whole()) {
            if let ChunkBytes::Mapped { file, offset, .. } = &chunk.bytes {
                bad.insert((file.number, *offset));
            }
        }
    }
    Some(())
}
