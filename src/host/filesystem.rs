//! How full the mounted file systems are.
//!
//! Here: collector `filesystem`, which mounts it looks at, and what happens when one hangs (a dead NFS server).
//! Elsewhere: what devices did (`disk`).
//!
//! Each scrape asks from a thread of its own. A mount that does not answer in time is marked stuck, its thread is left
//! behind in the kernel (nothing can free it), and another one goes on with the rest. While a mark stands the mount is
//! not asked again; the thread left behind removes it when it comes back. So there is at most one such thread for each
//! dead mount.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use procfs::{FromBufRead, MountEntry};
use regex::Regex;

use super::text::Text;
use super::{Outcome, Roots, read};

/// How long one mount may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

static EXCLUDED_MOUNTS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
    Regex::new(pattern).expect("a constant expression compiles")
});

const EXCLUDED_TYPES: [&str; 26] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "fuse.lxcfs",
];

/// Sizes of one file system.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Space {
    size_bytes: f64,
    free_bytes: f64,
    avail_bytes: f64,
    files: f64,
    files_free: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct Mount {
    device: String,
    point: String,
    kind: String,
    read_only: bool,
}

type AskFn = Arc<dyn Fn(&Path) -> io::Result<Space> + Send + Sync>;

pub(super) struct Filesystem {
    ask: AskFn,
    patience: Duration,
    /// Mount points whose thread has not come back.
    stuck: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// One scrape at a time: a second one would take a mount that is just being asked for a stuck one.
    turn: Mutex<()>,
}

impl std::fmt::Debug for Filesystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filesystem").field("stuck", &self.stuck).finish_non_exhaustive()
    }
}

impl Default for Filesystem {
    fn default() -> Self {
        Filesystem { ask: Arc::new(statvfs), patience: PATIENCE, stuck: Arc::default(), turn: Mutex::default() }
    }
}

impl Filesystem {
    pub(super) fn collect(&self, roots: &Roots, text: &mut Text<'_>) -> Outcome {
        // The first process sees the host's mounts even if we do not; where it may not be read, our own must do.
        let table = read(&roots.proc.join("1/mounts")).or_else(|_| read(&roots.proc.join("self/mounts")))?;
        let mounts = parse_mounts(&table);
        let below_root = |mount: &Mount| roots.root.join(mount.point.trim_start_matches('/'));
        let spaces = self.ask_all(mounts.iter().map(below_root).collect());
        write(&mounts, &spaces, text);
        Ok(())
    }

    /// One answer for each path, `None` for those that fail or hang.
    fn ask_all(&self, paths: Vec<PathBuf>) -> Vec<Option<Space>> {
        let _turn = self.turn.lock().unwrap_or_else(|e| e.into_inner());
        let mut answers = vec![None; paths.len()];
        let is_stuck = |path: &PathBuf| self.stuck.lock().unwrap_or_else(|e| e.into_inner()).contains(path);
        let mut left: Vec<(usize, PathBuf)> =
            paths.into_iter().enumerate().filter(|(_, path)| !is_stuck(path)).collect();
        while !left.is_empty() {
            let Some(receiver) = self.start(left.clone()) else { break };
            match self.receive(receiver, &mut left, &mut answers) {
                Ok(()) => break,
                // It was marked before it was asked, so there is nothing more to do than to go on behind it.
                Err(hanging) => left.drain(..=hanging),
            };
        }
        answers
    }

    /// Asks for `paths` in order on a new thread. `None` if no thread can be had.
    fn start(&self, paths: Vec<(usize, PathBuf)>) -> Option<Receiver<Option<Space>>> {
        let (sender, receiver) = channel();
        let (ask, stuck) = (self.ask.clone(), self.stuck.clone());
        let work = move || {
            for (_, path) in paths {
                stuck.lock().unwrap_or_else(|e| e.into_inner()).insert(path.clone());
                let answer = ask(&path).ok();
                stuck.lock().unwrap_or_else(|e| e.into_inner()).remove(&path);
                if sender.send(answer).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("host-statvfs".to_owned()).spawn(work).ok().map(|_| receiver)
    }

    /// Fills `answers`; the error is the place in `left` of the path that hangs.
    fn receive(
        &self,
        receiver: Receiver<Option<Space>>,
        left: &mut [(usize, PathBuf)],
        answers: &mut [Option<Space>],
    ) -> Result<(), usize> {
        for (place, (index, _)) in left.iter().enumerate() {
            match receiver.recv_timeout(self.patience) {
                Ok(answer) => answers[*index] = answer,
                Err(RecvTimeoutError::Timeout) => return Err(place),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
        Ok(())
    }
}

fn statvfs(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks as f64 * stat.f_frsize as f64;
    Ok(Space {
        size_bytes: bytes(stat.f_blocks),
        free_bytes: bytes(stat.f_bfree),
        avail_bytes: bytes(stat.f_bavail),
        files: stat.f_files as f64,
        files_free: stat.f_ffree as f64,
    })
}

/// The mounts of interest, each once.
fn parse_mounts(table: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    // Line by line, so that an odd one costs only itself.
    let entries = table.lines().filter_map(|line| Vec::<MountEntry>::from_buf_read(line.as_bytes()).ok()).flatten();
    for entry in entries {
        // The crate decodes the other characters that the kernel escapes.
        let [device, point] = [entry.fs_spec, entry.fs_file].map(|name| name.replace("\\040", " "));
        let kind = entry.fs_vfstype;
        if EXCLUDED_TYPES.contains(&kind.as_str()) || EXCLUDED_MOUNTS.is_match(&point) {
            continue;
        }
        let mount = Mount { device, point, kind, read_only: entry.fs_mntops.contains_key("ro") };
        if !mounts.iter().any(|m| (&m.device, &m.point, &m.kind) == (&mount.device, &mount.point, &mount.kind)) {
            mounts.push(mount);
        }
    }
    mounts
}

fn write(mounts: &[Mount], spaces: &[Option<Space>], text: &mut Text<'_>) {
    let mut family = |name: &str, help: &str, value: &dyn Fn(&Mount, Option<Space>) -> Option<f64>| {
        text.gauge(&format!("node_filesystem_{name}"), help);
        for (mount, space) in mounts.iter().zip(spaces) {
            if let Some(value) = value(mount, *space) {
                text.sample(&[("device", &mount.device), ("fstype", &mount.kind), ("mountpoint", &mount.point)], value);
            }
        }
    };
    let flag = |on: bool| Some(f64::from(u8::from(on)));
    family("avail_bytes", "Filesystem space available to non-root users in bytes.", &|_, s| s.map(|s| s.avail_bytes));
    family("device_error", "Whether an error occurred while getting statistics for the given device.", &|_, s| {
        flag(s.is_none())
    });
    family("files", "Filesystem total file nodes.", &|_, s| s.map(|s| s.files));
    family("files_free", "Filesystem total free file nodes.", &|_, s| s.map(|s| s.files_free));
    family("free_bytes", "Filesystem free space in bytes.", &|_, s| s.map(|s| s.free_bytes));
    family("readonly", "Filesystem read-only status.", &|m, s| s.and_then(|_| flag(m.read_only)));
    family("size_bytes", "Filesystem size in bytes.", &|_, s| s.map(|s| s.size_bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: Space = Space { size_bytes: 100.0, free_bytes: 60.0, avail_bytes: 50.0, files: 10.0, files_free: 5.0 };

    #[test]
    fn mounts_are_chosen_as_node_exporter_does() {
        let table = "proc /proc proc rw 0 0\n/dev/sda1 / ext4 ro,noatime 0 0\n/dev/sda1 / ext4 rw 0 0\n\
                     nas:/x /mnt/my\\040nas nfs4 rw 0 0\noverlay /var/lib/docker/overlay2/x/merged overlay rw 0 0\n\
                     tmpfs /run tmpfs rw 0 0\n/dev/sdb /var/lib/docker/volumes ext4 rw 0 0\nbroken\n";
        let seen: Vec<_> = parse_mounts(table).into_iter().map(|m| (m.device, m.point, m.read_only)).collect();
        let own = |(d, p, r): (&str, &str, bool)| (d.to_owned(), p.to_owned(), r);
        assert_eq!(
            seen,
            [("/dev/sda1", "/", true), ("nas:/x", "/mnt/my nas", false), ("tmpfs", "/run", false)].map(own)
        );
    }

    #[test]
    fn a_hanging_mount_is_skipped_while_it_hangs() {
        let (release, gate) = channel::<()>();
        let gate = Mutex::new(gate);
        let (asked_tx, asked) = channel();
        let asked_tx = Mutex::new(asked_tx);
        let ask = move |path: &Path| {
            asked_tx.lock().unwrap().send(path.to_owned()).unwrap();
            if path == Path::new("/hangs") {
                let _ = gate.lock().unwrap().recv();
            }
            if path == Path::new("/fails") { Err(io::Error::other("no")) } else { Ok(SPACE) }
        };
        let patience = Duration::from_secs(1);
        let filesystem = Filesystem { ask: Arc::new(ask), patience, stuck: Arc::default(), turn: Mutex::default() };
        let paths = || ["/a", "/hangs", "/fails", "/b"].map(PathBuf::from).to_vec();
        assert_eq!(filesystem.ask_all(paths()), [Some(SPACE), None, None, Some(SPACE)]);
        assert_eq!(asked.try_iter().count(), 4);
        assert_eq!(filesystem.ask_all(paths()), [Some(SPACE), None, None, Some(SPACE)]);
        assert_eq!(asked.try_iter().count(), 3, "the hanging one is not asked again");
        // Its thread comes back, and from then on it is asked.
        drop(release);
        while !filesystem.stuck.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(filesystem.ask_all(paths())[1], Some(SPACE));
    }
}
