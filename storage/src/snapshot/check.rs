//! Looking at the snapshot that a start does not use: the older of the two that are kept.
//!
//! Here: every checksum in it and in what it needs, chunk files and the WAL's segments up to the newest snapshot.
//! Elsewhere: using a snapshot (`snapshot::load`), who asks and what is said (`verify`).
//!
//! Invariant: nothing is changed, on the disk or in the head. Memory: one frame's series.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chunks::ChunkFile;
use super::format::{
    FACTS_COPIES, Facts, FileHeader, HeaderError, KIND_END, KIND_EXEMPLARS, KIND_FACTS, KIND_HISTOGRAMS, KIND_METADATA,
    KIND_SERIES, SNAPSHOT_MAGIC, unpacked_contents,
};
use super::{HEAD_DIR, Name, Snapshots, parse_name, snapshot_name};
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
        let listed = &snapshots.files;
        let (bad, files) = (BTreeMap::new(), Files::default());
        let mut check = Check { db, dir: &dir, known, listed, faults: Vec::new(), bad, files };
        let what = check.snapshot(number, newest.segment, &segments)?;
        if !what.is_empty() {
            let (path, what) = (dir.join(snapshot_name(number)), what.join("; "));
            faults.push(Fault { path, what, part: None, is_snapshot: true });
        }
        faults.append(&mut check.faults);
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

struct Check<'a> {
    db: &'a Db,
    dir: &'a Path,
    known: &'a Places,
    /// Files of the newest snapshot.
    listed: &'a Files,
    faults: Vec<Fault>,
    /// Damaged chunks that only this snapshot has, by file.
    bad: BTreeMap<u64, BTreeSet<u64>>,
    files: Files,
}

impl Check<'_> {
    /// What is wrong with the snapshot itself; what is wrong with chunk files is added to `faults`.
    fn snapshot(&mut self, number: u64, newest_segment: u64, segments: &[u64]) -> Result<Vec<String>, IoAt> {
        let path = self.dir.join(snapshot_name(number));
        let map = self.db.fs.map(&path).at(&path)?;
        let header = match FileHeader::decode(map.bytes(), SNAPSHOT_MAGIC) {
            Ok(header) => header,
            Err(HeaderError::Damaged) => return Ok(vec!["its header is damaged".to_owned()]),
            Err(HeaderError::Version(v)) => return Ok(vec![format!("it is of the unknown version {v}")]),
        };
        let (mut what, mut payloads, mut facts) = (Vec::new(), Vec::new(), None);
        let (mut next, mut is_ended) = (0, false);
        scan(map.bytes(), header.salt, |piece| match piece {
            Piece::Record { seq, payload } => {
                if seq != next {
                    what.push(format!("frames before number {seq} are missing"));
                }
                next = seq.saturating_add(1);
                match payload.first() {
                    Some(&KIND_FACTS) => facts = facts.take().or_else(|| Facts::decode(payload)),
                    Some(&KIND_END) => is_ended = seq >= FACTS_COPIES,
                    _ => payloads.push((seq, payload)),
                }
            }
            Piece::Damaged { offset, bytes } | Piece::Tail { offset, bytes } => {
                what.push(format!("{bytes} bytes at {offset} are no whole frame"));
                next += 1;
            }
        });
        if !is_ended {
            what.push("its end is missing".to_owned());
        }
        if header.number != number {
            what.push(format!("by its header it is number {}", header.number));
        }
        match facts {
            Some(facts) => self.needs(&facts, newest_segment, segments, &mut what),
            None => what.push("it does not say what it stands for".to_owned()),
        }
        for (seq, payload) in payloads {
            if self.frame(payload).is_none() {
                what.push(format!("frame {seq} cannot be understood"));
            }
        }
        for (number, bad) in std::mem::take(&mut self.bad) {
            let path = self.dir.join(super::chunks_name(number));
            let what = format!("{} chunks that only the older snapshot needs are damaged", bad.len());
            self.faults.push(Fault { path, what, part: None, is_snapshot: false });
        }
        Ok(what)
    }

    /// What the snapshot refers to: blocks, segments, chunk files.
    fn needs(&mut self, facts: &Facts, newest_segment: u64, segments: &[u64], what: &mut Vec<String>) {
        let known = self.db.blocks.known_ids();
        for id in facts.blocks.iter().filter(|id| !known.contains(id)) {
            what.push(format!("block {:016x}, which it relies on, is not there", id.0));
        }
        for number in (facts.segment..newest_segment).filter(|number| segments.binary_search(number).is_err()) {
            what.push(format!("WAL segment {number}, which follows it, is not there"));
        }
        for needed in &facts.files {
            let path = self.dir.join(super::chunks_name(needed.number));
            let file = match ChunkFile::open(self.db.fs.as_ref(), self.dir, needed.number, needed.salt) {
                Ok(file) => file,
                Err(e) => {
                    what.push(format!("{}: {e}", path.display()));
                    continue;
                }
            };
            if file.len() < needed.bytes {
                what.push(format!("{}: has {} bytes, expected {}", path.display(), file.len(), needed.bytes));
            }
            match file.header() {
                Ok(header) if header.salt == needed.salt => {}
                Ok(_) => what.push(format!("{}: this is another file of that name", path.display())),
                // The newest snapshot needs this file, too: opening has said it.
                Err(_) if self.listed.contains_key(&needed.number) => {}
                Err(_) => {
                    let what = "the header is damaged".to_owned();
                    self.faults.push(Fault { path, what, part: None, is_snapshot: false });
                }
            }
            self.files.insert(needed.number, Arc::new(file));
        }
    }

    /// Whether a frame can be understood; its chunks are read.
    fn frame(&mut self, payload: &[u8]) -> Option<()> {
        let mut contents = Vec::new();
        match unpacked_contents(payload, &mut contents)? {
            KIND_SERIES => {}
            KIND_HISTOGRAMS | KIND_EXEMPLARS | KIND_METADATA => return Some(()),
            _ => return None,
        }
        let mut head = Head::new(self.db.options.block_ms);
        let mut page = Page::default();
        page.read(&contents, &self.files, i64::MIN);
        Importer::default().page(&mut head, &contents, &mut page)?;
        for (series, _) in (0..head.page_count()).flat_map(|page| head.page(page)) {
            let chunks = head.snapshot(series, TimeRange::ALL).map(|s| s.chunks).unwrap_or_default();
            for chunk in chunks.iter().filter(|chunk| !chunk.bytes.is_whole()) {
                if let ChunkBytes::Mapped { file, offset, .. } = &chunk.bytes
                    && !self.known.contains(&(file.number, *offset))
                {
                    self.bad.entry(file.number).or_default().insert(*offset);
                }
            }
        }
        Some(())
    }
}
