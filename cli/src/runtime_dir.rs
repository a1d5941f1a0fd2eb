//! Where a running `tdemo up` leaves its addresses, and how others find them.
//! Written by `cmd::up`; read by `cmd::up` and `cmd::load`.
//!
//! One file a process, in the user's runtime directory (XDG Base Directory
//! Specification), locked for as long as the process lives: a file that nobody
//! holds was left by one that was killed, and is removed by whoever sees it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tdemo_harness::Stack;

use crate::ctx::Ctx;

/// Version of the file's form.
const SCHEMA_VERSION: u32 = 1;

/// What a running `tdemo up` says of itself: its process id and base URLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Version of this form.
    pub schema_version: u32,
    /// The process.
    pub pid: u32,
    /// The frontend.
    pub frontend_url: String,
    /// The middleware.
    pub middleware_url: String,
    /// The backend.
    pub backend_url: String,
    /// The OTLP/gRPC receiver.
    pub otlp_grpc_url: String,
    /// The OTLP/HTTP receiver.
    pub otlp_http_url: String,
    /// The trace store's Tempo API.
    pub tempo_url: String,
}

impl Running {
    /// The addresses of a stack in this process.
    pub fn of(stack: &Stack) -> Self {
        let urls = stack.urls().clone();
        Self {
            schema_version: SCHEMA_VERSION,
            pid: std::process::id(),
            frontend_url: urls.frontend,
            middleware_url: urls.middleware,
            backend_url: urls.backend,
            otlp_grpc_url: urls.otlp_grpc,
            otlp_http_url: urls.otlp_http,
            tempo_url: urls.tempo,
        }
    }

    /// Whether `url` is on one of its three services.
    pub fn serves(&self, url: &str) -> bool {
        [&self.frontend_url, &self.middleware_url, &self.backend_url]
            .into_iter()
            .filter_map(|base| url.strip_prefix(base.as_str()))
            .any(|rest| rest.starts_with('/'))
    }

    /// Whether one of its parts listens on `address`.
    pub fn holds(&self, address: SocketAddr) -> bool {
        [
            &self.frontend_url,
            &self.middleware_url,
            &self.backend_url,
            &self.otlp_grpc_url,
            &self.otlp_http_url,
            &self.tempo_url,
        ]
        .into_iter()
        .filter_map(|url| url.rsplit_once(':'))
        .any(|(_, port)| port.parse() == Ok(address.port()))
    }
}

/// The directory; it need not exist.
pub struct RuntimeDir(PathBuf);

impl RuntimeDir {
    /// `$XDG_RUNTIME_DIR/tdemo`, or where that is unset, as on macOS, a
    /// directory of the user in `$TMPDIR`.
    pub fn of(ctx: &Ctx) -> Self {
        if let Some(dir) = ctx.env("XDG_RUNTIME_DIR") {
            Self(Path::new(&dir).join("tdemo"))
        } else {
            let user = ctx.env("USER").unwrap_or_else(|| "user".to_owned());
            Self(ctx.temp_dir().join(format!("tdemo-{user}")))
        }
    }

    /// The files are in `dir`.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Says that `running` runs, until the result is dropped.
    pub fn announce(&self, running: &Running) -> io::Result<Announcement> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0)?;
        // Locked and whole before it has its name, so that nobody takes it for
        // a left one or reads half of it.
        let path = self.0.join(format!("up-{}.json", running.pid));
        let draft = self.0.join(format!("draft-{}", running.pid));
        let mut file = File::create(&draft)?;
        file.lock()?;
        serde_json::to_writer_pretty(&file, running)?;
        file.write_all(b"\n")?;
        fs::rename(&draft, &path)?;
        Ok(Announcement { path, _lock: file })
    }

    /// Everything that runs now. Files that cannot be read are passed over:
    /// they are of another version, or not ours.
    pub fn running(&self) -> Vec<Running> {
        let Ok(entries) = fs::read_dir(&self.0) else {
            return Vec::new();
        };
        let mut found: Vec<Running> = entries
            .filter_map(|entry| live(&entry.ok()?.path()))
            .collect();
        found.sort_by_key(|running| running.pid);
        found
    }
}

/// Reads one file, and removes it where its process has gone.
fn live(path: &Path) -> Option<Running> {
    let name = path.file_name()?.to_str()?;
    if !name.starts_with("up-") || path.extension()? != "json" {
        return None;
    }
    let file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Ok(()) => {
            // Whoever removes it first has done what there was to do.
            let _ = fs::remove_file(path);
            None
        }
        Err(TryLockError::WouldBlock) => {
            let running: Running = serde_json::from_reader(file).ok()?;
            (running.schema_version == SCHEMA_VERSION).then_some(running)
        }
        Err(TryLockError::Error(_)) => None,
    }
}

/// A file that says what runs here; dropping it removes the file.
#[derive(Debug)]
#[must_use]
pub struct Announcement {
    path: PathBuf,
    _lock: File,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // A file that stays is unlocked, and so known to be left.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Running {
        Running {
            schema_version: SCHEMA_VERSION,
            pid: std::process::id(),
            frontend_url: "http://127.0.0.1:5000".to_owned(),
            middleware_url: "http://127.0.0.1:5001".to_owned(),
            backend_url: "http://127.0.0.1:5002".to_owned(),
            otlp_grpc_url: "http://127.0.0.1:4317".to_owned(),
            otlp_http_url: "http://127.0.0.1:4318".to_owned(),
            tempo_url: "http://127.0.0.1:3200".to_owned(),
        }
    }

    #[test]
    fn what_is_announced_is_found_until_it_is_dropped() {
        let home = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::at(home.path().join("tdemo"));
        assert!(dir.running().is_empty());
        let announcement = dir.announce(&running()).unwrap();
        assert_eq!(dir.running(), [running()]);
        drop(announcement);
        assert!(dir.running().is_empty());
    }

    #[test]
    fn a_file_that_nobody_holds_is_stale_and_goes() {
        let home = tempfile::tempdir().unwrap();
        let left = home.path().join("up-1.json");
        fs::write(&left, serde_json::to_vec(&running()).unwrap()).unwrap();
        let other = home.path().join("notes.json");
        fs::write(&other, "{}").unwrap();
        assert!(RuntimeDir::at(home.path()).running().is_empty());
        assert!(!left.exists() && other.exists());
    }
}
