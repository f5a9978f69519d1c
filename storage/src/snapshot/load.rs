//! Reading a snapshot at open.
//!
//! Here: which one is used, putting it into the head, saying what a damaged one has cost.
//! Elsewhere: the segments after it (`wal::replay`), why the one before it has the same samples (`snapshot`).
//!
//! Invariant: a frame is used only if its checksums hold. A snapshot with any fault is used only if no other is whole.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::chunks::ChunkFile;
use super::extras::read_extras;
use super::format::{
    FACTS_COPIES, Facts, FileHeader, HeaderError, KIND_END, KIND_EXEMPLARS, KIND_FACTS, KIND_HISTOGRAMS, KIND_METADATA,
    KIND_SERIES, KIND_STARTS, NeededFile, SNAPSHOT_MAGIC, VERSION, unpacked_contents,
};
use super::{Kept, Name, SnapshotNumbers, Snapshots, chunks_name, parse_name, snapshot_name};
use crate::blocks::Blocks;
use crate::damage::DamageLog;
use crate::fs::{AtPath, Fs};
use crate::head::Head;
use crate::head::export::Files;
use crate::head::import::{Importer, Page};
use crate::mmap::Mapped;
use crate::wal::scan::{Piece, scan};
use crate::{OpenError, TimeRange};

/// The facts of a snapshot are looked for in so many bytes at its front.
const FRONT_BYTES: usize = 1 << 20;

/// What opening needs to know besides the head.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// For maintenance.
    pub(crate) snapshots: Snapshots,
    /// What the one that was used stands for.
    pub(crate) facts: Option<Facts>,
    /// There were snapshots, but none could be used: records may be missing.
    pub(crate) is_lost: bool,
    /// For status pages.
    pub(crate) numbers: SnapshotNumbers,
}

/// Fills `head` from the snapshots in `dir`. `segments` are the numbers of the WAL's segments, rising.
pub(crate) fn load(
    fs: &dyn Fs,
    dir: &Path,
    head: &mut Head,
    blocks: &Blocks,
    segments: &[u64],
    damage: &DamageLog,
) -> Result<Loaded, OpenError> {
    let mut loaded = Loaded::default();
    let mut numbers = Vec::new();
    for entry in fs.list(dir).at(dir)? {
        let name = parse_name(&entry.name);
        if let Some(Name::Snapshot(n) | Name::Chunks(n) | Name::Temp(n)) = name {
            loaded.snapshots.next_number = loaded.snapshots.next_number.max(n.saturating_add(1));
        }
        if let Some(Name::Snapshot(n)) = name {
            numbers.push(n);
        }
    }
    numbers.sort_unstable();
    let mut loader = Loader { fs, dir, blocks, segments, damage, newest_segment: 0 };
    let mut found: Vec<Found> = Vec::new();
    // Newest first; those behind the first whole one are looked at from outside only.
    for &number in numbers.iter().rev() {
        let is_deep = found.iter().all(|f| !f.faults.is_empty());
        let inspected = loader.inspect(number, is_deep)?;
        for &file in &inspected.bad_headers {
            let path = dir.join(chunks_name(file));
            damage.add(TimeRange::ALL, format!("{}: the header is damaged; nothing is lost", path.display()));
        }
        found.push(inspected);
    }
    let whole = found.iter().position(|f| f.faults.is_empty());
    let Some(at) = whole.or_else(|| found.iter().position(|f| f.facts.is_some())) else {
        found.iter().for_each(|f| loader.set_aside(f, "what only it held is lost"));
        loaded.is_lost = !found.is_empty();
        return Ok(loaded);
    };
    let older = found.split_off(at + 1);
    let Some(mut used) = found.pop() else { return Ok(loaded) };
    loaded.snapshots.is_due = !found.is_empty() || !used.faults.is_empty();
    let cost = if used.faults.is_empty() {
        "an older one and more of the WAL are used; nothing is lost"
    } else {
        "what only it held is lost"
    };
    found.iter().for_each(|f| loader.set_aside(f, cost));
    // The next-older one with all that it needs is the copy to fall back to.
    for old in older.iter().take(1).filter(|old| old.faults.is_empty()) {
        loaded.snapshots.kept.extend(old.kept());
    }
    loaded.snapshots.kept.extend(used.kept());
    blocks.set_named(loaded.snapshots.named_blocks());
    loader.fill(&mut used, head);
    loaded.snapshots.files = used.files;
    loaded.numbers = SnapshotNumbers { bytes: used.bytes, t: used.facts.as_ref().map(|f| f.now), ..Default::default() };
    loaded.snapshots.last = used.facts.clone();
    loaded.facts = used.facts;
    Ok(loaded)
}

/// A snapshot that was looked at.
pub(super) struct Found {
    number: u64,
    pub(super) path: PathBuf,
    bytes: u64,
    map: Option<Mapped>,
    facts: Option<Facts>,
    /// Payloads of what goes into the head, as ranges of the map.
    frames: Vec<Range<usize>>,
    /// The chunk files that it needs.
    pub(super) files: Files,
    /// Those of them whose header is damaged, by number: their chunks are checked one by one, and for that the salt is known.
    pub(super) bad_headers: Vec<u64>,
    /// Why it is not whole.
    pub(super) faults: Vec<String>,
}

impl Found {
    fn kept(&self) -> Option<Kept> {
        Some(Kept::new(self.number, self.facts.as_ref()?))
    }

    /// Offset and bytes of each payload that goes into the head.
    pub(super) fn payloads(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let bytes = self.map.as_ref().map_or(&[][..], Mapped::bytes);
        self.frames.iter().map(move |range| (range.start, bytes.get(range.clone()).unwrap_or_default()))
    }

    fn range(&self) -> TimeRange {
        match &self.facts {
            Some(facts) if facts.min_t <= facts.max_t => TimeRange::new(facts.min_t, facts.max_t.saturating_add(1)),
            _ => TimeRange::ALL,
        }
    }
}

/// Looks at snapshots.
pub(super) struct Loader<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) dir: &'a Path,
    pub(super) blocks: &'a Blocks,
    /// Numbers of the WAL's segments, rising.
    pub(super) segments: &'a [u64],
    pub(super) damage: &'a DamageLog,
    /// The first segment of the newest snapshot: older ones need all before it, too.
    pub(super) newest_segment: u64,
}

impl Loader<'_> {
    /// Looks at a snapshot, with `is_deep` at all of it and at the files that it needs; changes nothing.
    pub(super) fn inspect(&mut self, number: u64, is_deep: bool) -> Result<Found, OpenError> {
        let path = self.dir.join(snapshot_name(number));
        let (frames, files, bad_headers, faults) = (Vec::new(), Files::default(), Vec::new(), Vec::new());
        let mut found = Found { number, path, bytes: 0, map: None, facts: None, frames, files, bad_headers, faults };
        let map = match self.fs.map(&found.path) {
            Ok(map) => map,
            Err(e) => {
                found.faults.push(e.to_string());
                return Ok(found);
            }
        };
        let bytes = map.bytes();
        found.bytes = bytes.len() as u64;
        match FileHeader::decode(bytes, SNAPSHOT_MAGIC) {
            Ok(header) if is_deep => walk(&mut found, bytes, header),
            Ok(header) => scan(&bytes[..bytes.len().min(FRONT_BYTES)], header.salt, |piece| {
                if let Piece::Record { payload: payload @ [KIND_FACTS, ..], .. } = piece {
                    found.facts = found.facts.take().or_else(|| Facts::decode(payload));
                }
            }),
            Err(HeaderError::Version(v)) => return Err(version(&found.path, v)),
            Err(HeaderError::Damaged) => found.faults.push("its header is damaged".to_owned()),
        }
        found.map = Some(map);
        match found.facts.clone() {
            Some(facts) => self.check_needs(&mut found, &facts, is_deep)?,
            None => found.faults.push("it does not say what it stands for".to_owned()),
        }
        Ok(found)
    }

    /// Whether all is there that the snapshot refers to.
    fn check_needs(&mut self, found: &mut Found, facts: &Facts, is_deep: bool) -> Result<(), OpenError> {
        let known = self.blocks.known_ids();
        for id in facts.blocks.iter().filter(|id| !known.contains(id)) {
            found.faults.push(format!("block {:016x}, which it relies on, is not there", id.0));
        }
        for number in facts.segment..self.newest_segment {
            if self.segments.binary_search(&number).is_err() {
                found.faults.push(format!("WAL segment {number}, which follows it, is not there"));
            }
        }
        self.newest_segment = self.newest_segment.max(facts.segment);
        for &needed in facts.files.iter().filter(|_| is_deep) {
            match self.chunk_file(needed, &mut found.bad_headers)? {
                Ok(file) => {
                    if file.len() < needed.bytes {
                        let (path, len) = (file.path().display(), file.len());
                        found.faults.push(format!("{path}: has {len} bytes, expected {}", needed.bytes));
                    }
                    // Even a short one is better than none, should no other snapshot be whole.
                    found.files.insert(needed.number, Arc::new(file));
                }
                Err(fault) => found.faults.push(fault),
            }
        }
        Ok(())
    }

    /// A chunk file, or why it cannot serve.
    fn chunk_file(
        &self,
        needed: NeededFile,
        bad_headers: &mut Vec<u64>,
    ) -> Result<Result<ChunkFile, String>, OpenError> {
        let file = match ChunkFile::open(self.fs, self.dir, needed.number, needed.salt) {
            Ok(file) => file,
            Err(e) => return Ok(Err(format!("{}: {e}", self.dir.join(chunks_name(needed.number)).display()))),
        };
        match file.header() {
            Err(HeaderError::Version(v)) => return Err(version(file.path(), v)),
            Err(HeaderError::Damaged) => bad_headers.push(needed.number),
            Ok(header) if header.salt != needed.salt => {
                return Ok(Err(format!("{}: this is another file of that name", file.path().display())));
            }
            Ok(_) => {}
        }
        Ok(Ok(file))
    }

    /// Names the faults of a snapshot that is not used, and moves it away: its numbers of series would not fit those
    /// that are given from now on.
    fn set_aside(&self, found: &Found, cost: &str) {
        let name = snapshot_name(found.number);
        let is_moved = self.damage.move_here(&found.path, &name);
        let place = if is_moved { format!("moved to quarantine/{name}") } else { "left where it is".to_owned() };
        let faults = found.faults.join("; ");
        self.damage.add(found.range(), format!("{}: {faults}; {cost} ({place})", found.path.display()));
    }

    /// Puts all readable frames into the head, and names what is not.
    fn fill(&self, used: &mut Found, head: &mut Head) {
        let (Some(map), Some(facts)) = (&used.map, &used.facts) else { return };
        // A series takes some bytes: not more than there can be.
        let series = usize::try_from(facts.series).unwrap_or(usize::MAX).min(map.bytes().len() / 4);
        head.begin_load(facts.cut_t, series);
        let mut importer = Importer::default();
        let faults = &mut used.faults;
        unpack(map.bytes(), &used.frames, &used.files, facts.cut_t, |start, frame| {
            let is_good = frame.kind.and_then(|kind| match kind {
                KIND_SERIES => importer.page(head, &frame.contents, &mut frame.page),
                _ => read_extras(kind, &frame.contents, head, &mut importer.done),
            });
            if is_good.is_none() {
                faults.push(format!("a frame at {start} cannot be understood"));
            }
        });
        // Only now: numbers below it are the snapshot's series'.
        head.skip_ids(facts.next_id);
        let range = used.range();
        for fault in &used.faults {
            self.damage.add(range, format!("{}: {fault}", used.path.display()));
        }
        let (series, samples) =
            (facts.series.saturating_sub(importer.done.series), facts.samples.saturating_sub(importer.done.samples));
        if series > 0 || samples > 0 {
            let text = format!(
                "{}: {series} series with, in all, {samples} samples between {} and {} are lost from the head",
                used.path.display(),
                facts.min_t,
                facts.max_t
            );
            self.damage.add(range, text);
        }
    }
}

/// A frame on its way into the head; its memory is used again.
#[derive(Debug, Default)]
struct Frame {
    contents: Vec<u8>,
    /// `None` if it could not be unpacked.
    kind: Option<u8>,
    /// The contents, if they are series.
    page: Page,
}

impl Frame {
    fn read(&mut self, payload: &[u8], files: &Files, cut_t: i64) {
        self.kind = unpacked_contents(payload, &mut self.contents);
        if self.kind == Some(KIND_SERIES) {
            self.page.read(&self.contents, files, cut_t);
        }
    }
}

/// So many frames are unpacked ahead of whoever uses them: some 100 KB each.
const FRAMES_AHEAD: usize = 8;
/// Fewer frames are not worth a thread. Tests want it all the same.
const FRAMES_MIN: usize = if cfg!(test) { 2 } else { 8 };

/// Unpacks and reads frames, on a second thread if one can be had, and hands each out with its place, in order.
fn unpack(bytes: &[u8], frames: &[Range<usize>], files: &Files, cut_t: i64, mut each: impl FnMut(usize, &mut Frame)) {
    let payload = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
    let is_done = frames.len() >= FRAMES_MIN
        && thread::scope(|scope| {
            let (full, read) = sync_channel(FRAMES_AHEAD);
            let (back, empty) = sync_channel(FRAMES_AHEAD);
            let worker = thread::Builder::new().name("snapshot-read".to_owned()).spawn_scoped(scope, move || {
                for range in frames {
                    let mut frame: Frame = empty.try_recv().unwrap_or_default();
                    frame.read(payload(range), files, cut_t);
                    if full.send(frame).is_err() {
                        return;
                    }
                }
            });
            let is_running = worker.is_ok();
            if is_running {
                take_all(frames, read, back, &mut each);
            }
            is_running
        });
    if !is_done {
        let mut frame = Frame::default();
        for range in frames {
            frame.read(payload(range), files, cut_t);
            each(range.start, &mut frame);
        }
    }
}

/// The first thread's side; it takes its ends along, so that neither side waits for the other in vain.
fn take_all(
    frames: &[Range<usize>],
    read: Receiver<Frame>,
    back: SyncSender<Frame>,
    each: &mut impl FnMut(usize, &mut Frame),
) {
    // There are fewer frames only after a panic over there, which the scope passes on.
    for (range, mut frame) in frames.iter().zip(read) {
        each(range.start, &mut frame);
        let _ = back.try_send(frame);
    }
}

/// Verifies every frame of a snapshot.
fn walk(found: &mut Found, bytes: &[u8], header: FileHeader) {
    let base = bytes.as_ptr() as usize;
    let (mut next, mut is_ended) = (0u64, false);
    scan(bytes, header.salt, |piece| match piece {
        Piece::Record { seq, payload } => {
            if seq != next {
                found.faults.push(format!("{} frames before number {seq} are missing", seq.saturating_sub(next)));
            }
            next = seq.saturating_add(1);
            let start = payload.as_ptr() as usize - base;
            match payload.first() {
                Some(&KIND_FACTS) => match Facts::decode(payload) {
                    Some(facts) => found.facts = Some(facts),
                    None => found.faults.push("what it says about itself cannot be understood".to_owned()),
                },
                Some(&(KIND_SERIES | KIND_HISTOGRAMS | KIND_EXEMPLARS | KIND_METADATA | KIND_STARTS)) => {
                    found.frames.push(start..start + payload.len())
                }
                Some(&KIND_END) => is_ended = seq >= FACTS_COPIES,
                _ => found.faults.push(format!("frame {seq} is of an unknown kind")),
            }
        }
        Piece::Damaged { offset, bytes } | Piece::Tail { offset, bytes } => {
            found.faults.push(format!("{bytes} bytes at {offset} are no whole frame"));
            next = next.saturating_add(1);
        }
    });
    if !is_ended {
        found.faults.push("its end is missing".to_owned());
    }
    if header.number != found.number {
        found.faults.push(format!("by its header it is number {}", header.number));
    }
}

fn version(path: &Path, found: u32) -> OpenError {
    OpenError::Version { path: path.to_owned(), found, known: VERSION }
}
