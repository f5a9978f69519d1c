//! Other people's programs: found below `target/peers` (where `tests/deps.sh` unpacks them) or on the PATH.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running program of others. Killed when dropped.
pub struct Peer(Child);

/// Where the program `name` is; `None`, said aloud, if the machine lacks it.
pub fn peer(name: &str) -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/usr/bin").join(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join(name));
    let found = std::iter::once(unpacked).chain(on_path).find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: {name} is not here; run tests/deps.sh");
    }
    found
}

/// Where Prometheus is: `CAIRN_PROMETHEUS`, or as [`peer`] finds it.
pub fn prometheus() -> Option<PathBuf> {
    std::env::var_os("CAIRN_PROMETHEUS").map(PathBuf::from).or_else(|| peer("prometheus"))
}

/// A port that was free a moment ago, for programs that cannot choose one themselves.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Peer {
    /// Starts `program` in `dir`, its output in `dir/<name>.log`.
    pub fn start(program: &Path, dir: &Path, args: &[String]) -> Self {
        let log = dir.join(program.file_name().unwrap()).with_extension("log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let errors = log.try_clone().unwrap();
        let mut command = Command::new(program);
        command.args(args).current_dir(dir).stdin(Stdio::null()).stdout(log).stderr(errors);
        Peer(command.spawn().unwrap_or_else(|e| panic!("{}: {e}", program.display())))
    }

    /// node_exporter on `port` of the loopback, with the collectors that need nothing special.
    pub fn node_exporter(program: &Path, dir: &Path, port: u16) -> Self {
        Self::start(program, dir, &[format!("--web.listen-address=127.0.0.1:{port}"), "--log.level=error".to_owned()])
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
