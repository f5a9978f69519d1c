//! A file system that fails on demand and knows what a power cut would leave. For tests.
//!
//! Here: [`FaultyFs`] over a real directory: counts every change, fails the k-th, and copies out the state after
//! a crash.
//! Elsewhere: the tests that use it (`crash_tests`).
//!
//! Invariant: what is durable is exactly what POSIX promises: a file's bytes at its last fsync, under the names its
//! directory had at that directory's last fsync.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Entry, Fs, FsFile, RealFs, tree_bytes};
use crate::mmap::Mapped;

/// What happens at the chosen step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ends; of a write the first half is done.
    Crash,
    /// This one call fails so; of a write the first half is done.
    Error(io::ErrorKind),
    /// So many calls in a row fail so.
    Errors(io::ErrorKind, u64),
}

/// What the disk shows after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The process was killed: everything written is there.
    Kill,
    /// Power was cut: only what was synced is there.
    PowerCut,
    /// Power was cut: names and half of the unsynced bytes made it.
    PowerCutTorn,
}

#[derive(Debug)]
enum Node {
    File { current: Arc<File>, durable: Vec<u8> },
    Dir { current: BTreeMap<String, usize>, durable: BTreeMap<String, usize> },
}

#[derive(Debug)]
struct State {
    nodes: Vec<Node>,
    step: u64,
    fault: Option<(u64, Fault)>,
    is_down: bool,
    /// Most bytes that all files may have together.
    bytes_max: Option<u64>,
}

/// The file system; clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct FaultyFs {
    root: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<File>,
    node: usize,
    fs: FaultyFs,
}

impl State {
    /// Counts a change; whether and how it fails.
    fn tick(&mut self) -> Option<io::Error> {
        if self.is_down {
            return Some(io::Error::other("the process has crashed"));
        }
        self.step += 1;
        let (first, fault) = self.fault?;
        let len = if let Fault::Errors(_, len) = fault { len } else { 1 };
        if !(first..first + len).contains(&self.step) {
            return None;
        }
        match fault {
            Fault::Crash => {
                self.is_down = true;
                Some(io::Error::other("crash"))
            }
            Fault::Error(kind) | Fault::Errors(kind, _) => Some(io::Error::from(kind)),
        }
    }

    fn check(&mut self) -> io::Result<()> {
        self.tick().map_or(Ok(()), Err)
    }

    fn entries(&mut self, dir: usize) -> &mut BTreeMap<String, usize> {
        match &mut self.nodes[dir] {
            Node::Dir { current, .. } => current,
            Node::File { .. } => panic!("not a directory"),
        }
    }

    fn add(&mut self, dir: usize, name: &str, node: Node) -> usize {
        self.nodes.push(node);
        let id = self.nodes.len() - 1;
        self.entries(dir).insert(name.to_owned(), id);
        id
    }
}

impl FaultyFs {
    /// Over `root`, a directory that is there and all of it durable; `fault` strikes at its step, counted from one.
    pub(crate) fn new(root: &Path, fault: Option<(u64, Fault)>) -> Self {
        let mut nodes = Vec::new();
        load_node(&mut nodes, root);
        let state = State { nodes, step: 0, fault, is_down: false, bytes_max: None };
        FaultyFs { root: root.to_owned(), state: Arc::new(Mutex::new(state)) }
    }

    /// From now on the disk has so many bytes: a write that they do not suffice for fails, and does nothing.
    pub(crate) fn set_bytes_max(&self, bytes_max: u64) {
        self.state.lock().unwrap().bytes_max = Some(bytes_max);
    }

    /// Changes so far.
    pub(crate) fn steps(&self) -> u64 {
        self.state.lock().unwrap().step
    }

    /// Writes what a crash now would leave to `to`.
    pub(crate) fn copy_after(&self, after: After, to: &Path) {
        let state = self.state.lock().unwrap();
        copy_node(&state.nodes, 0, after, to);
    }

    fn names<'a>(&self, path: &'a Path) -> Vec<&'a str> {
        let below = path.strip_prefix(&self.root).expect("the test stays in its directory");
        below
            .components()
            .map(|c| match c {
                Component::Normal(name) => name.to_str().unwrap(),
                _ => panic!("plain paths only"),
            })
            .collect()
    }

    /// The node of a directory's path.
    fn dir(&self, state: &mut State, path: &Path) -> io::Result<usize> {
        let mut at = 0;
        for name in self.names(path) {
            at = *state.entries(at).get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    /// The directory's node and the last name of a path.
    fn place<'a>(&self, state: &mut State, path: &'a Path) -> io::Result<(usize, &'a str)> {
        let dir = self.dir(state, path.parent().unwrap())?;
        Ok((dir, path.file_name().unwrap().to_str().unwrap()))
    }

    fn remove(&self, path: &Path) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = self.state.lock().unwrap();
        state.check()?;
        let (dir, name) = self.place(&mut state, path)?;
        state.entries(dir).remove(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(state)
    }
}

fn load_node(nodes: &mut Vec<Node>, path: &Path) -> usize {
    let id = nodes.len();
    nodes.push(Node::Dir { current: BTreeMap::new(), durable: BTreeMap::new() });
    nodes[id] = if path.is_dir() {
        let names: Vec<String> = RealFs.list(path).unwrap().into_iter().map(|entry| entry.name).collect();
        let current: BTreeMap<String, usize> =
            names.into_iter().map(|name| (name.clone(), load_node(nodes, &path.join(name)))).collect();
        Node::Dir { durable: current.clone(), current }
    } else {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        Node::File { durable: contents(&file), current: Arc::new(file) }
    };
    id
}

fn contents(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn copy_node(nodes: &[Node], at: usize, after: After, to: &Path) {
    match &nodes[at] {
        Node::Dir { current, durable } => {
            std::fs::create_dir_all(to).unwrap();
            let names = if after == After::PowerCut { durable } else { current };
            names.iter().for_each(|(name, &node)| copy_node(nodes, node, after, &to.join(name)));
        }
        Node::File { current, durable } => {
            let bytes = match after {
                After::Kill => contents(current),
                After::PowerCut => durable.clone(),
                After::PowerCutTorn => {
                    let now = contents(current);
                    let half = durable.len() + now.len().saturating_sub(durable.len()) / 2;
                    now[..half.min(now.len())].to_vec()
                }
            };
            std::fs::write(to, bytes).unwrap();
        }
    }
}

impl FsFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.fs.state.lock().unwrap();
        let was_down = state.is_down;
        if let Some(e) = state.tick() {
            if !was_down {
                self.file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            }
            return Err(e);
        }
        if let Some(bytes_max) = state.bytes_max {
            let grown = (offset + bytes.len() as u64).saturating_sub(self.file.metadata()?.len());
            if grown > 0 && tree_bytes(&RealFs, &self.fs.root).map_err(|e| e.source)? + grown > bytes_max {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.fs.state.lock().unwrap().check()?;
        self.file.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.fs.state.lock().unwrap();
        state.check()?;
        match &mut state.nodes[self.node] {
            Node::File { durable, .. } => *durable = contents(&self.file),
            Node::Dir { .. } => unreachable!("files are opened as files"),
        }
        Ok(())
    }
}

impl Fs for FaultyFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.check()?;
        let mut at = 0;
        for name in self.names(dir) {
            at = match state.entries(at).get(name) {
                Some(&node) => node,
                None => state.add(at, name, Node::Dir { current: BTreeMap::new(), durable: BTreeMap::new() }),
            };
        }
        std::fs::create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let mut state = self.state.lock().unwrap();
        state.check()?;
        // A new inode, as far as names go: good enough, since nothing here truncates a file that matters.
        let _ = std::fs::remove_file(path);
        let file = Arc::new(OpenOptions::new().read(true).write(true).create_new(true).open(path)?);
        let (dir, name) = self.place(&mut state, path)?;
        let node = state.add(dir, name, Node::File { current: file.clone(), durable: Vec::new() });
        Ok(Arc::new(FaultyFile { file, node, fs: self.clone() }))
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let mut state = self.state.lock().unwrap();
        let (dir, name) = self.place(&mut state, path)?;
        let node = *state.entries(dir).get(name).ok_or(io::ErrorKind::NotFound)?;
        match &state.nodes[node] {
            Node::File { current, .. } => Ok(Arc::new(FaultyFile { file: current.clone(), node, fs: self.clone() })),
            Node::Dir { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealFs.read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        RealFs.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.check()?;
        std::fs::rename(from, to)?;
        let (dir, name) = self.place(&mut state, from)?;
        let node = state.entries(dir).remove(name).ok_or(io::ErrorKind::NotFound)?;
        let (dir, name) = self.place(&mut state, to)?;
        state.entries(dir).insert(name.to_owned(), node);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.check()?;
        std::fs::hard_link(from, to)?;
        let (dir, name) = self.place(&mut state, from)?;
        let node = *state.entries(dir).get(name).ok_or(io::ErrorKind::NotFound)?;
        let (dir, name) = self.place(&mut state, to)?;
        state.entries(dir).insert(name.to_owned(), node);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let _state = self.remove(path)?;
        std::fs::remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let _state = self.remove(dir)?;
        std::fs::remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.check()?;
        let node = self.dir(&mut state, dir)?;
        match &mut state.nodes[node] {
            Node::Dir { current, durable } => *durable = current.clone(),
            Node::File { .. } => unreachable!("directories are synced as directories"),
        }
        Ok(())
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        RealFs.map(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<File>> {
        RealFs.try_lock(path)
    }
}
