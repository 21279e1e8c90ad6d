//! A folder with a configuration, and the program run in it.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Anything that takes longer is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A source of ten files.
pub(crate) const FILES: &str = "store: sqlite://t.db\nlisten: none\nsources:\n  - name: folder\n    type: files\n    path: records\n    \
                         rest: 1h\n";

pub(crate) struct Home {
    folder: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless it ended with this code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// An address without a listener.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Home {
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// With this configuration.
    pub(crate) fn with(config: &str) -> Self {
        let home = Self::empty();
        home.write("tideline.yaml", config);
        home
    }

    /// With a source of ten files.
    pub(crate) fn with_files() -> Self {
        let home = Self::with(FILES);
        for number in 0..10 {
            home.record(number, "first");
        }
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes one record of the source.
    pub(crate) fn record(&self, number: u32, title: &str) {
        let text = format!("kind: Component\nmetadata:\n  name: c{number}\n  title: {title}\n");
        self.write(&format!("records/c{number}.yaml"), &text);
    }

    pub(crate) fn remove_record(&self, number: u32) {
        fs::remove_file(self.path(&format!("records/c{number}.yaml"))).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tideline"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in [
            "TIDELINE_CONFIG",
            "TIDELINE_STORE",
            "RUST_LOG",
            "NO_COLOR",
            "TIDELINE_API_TOKEN",
            "TIDELINE_SERVER",
            "TIDELINE_TOKEN",
        ] {
            command.env_remove(name);
        }
        command.env("XDG_CONFIG_HOME", self.folder.path().join("user"));
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        let running = self.start(arguments);
        running.end()
    }

    /// Runs it to its end with this on its standard input, and these variables.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Said {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).envs(variables.iter().copied());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Running { child }.end()
    }

    /// Starts it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running {
            child: self.command(arguments).spawn().unwrap(),
        }
    }

    /// Asks until the answer is as wanted.
    #[track_caller]
    pub(crate) fn wait_for(&self, arguments: &[&str], wanted: impl Fn(&Said) -> bool) -> Said {
        let started = Instant::now();
        loop {
            let said = self.run(arguments);
            if wanted(&said) {
                return said;
            }
            assert!(started.elapsed() < DEADLINE, "it never came: {said:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A process that is killed when this is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Said {
        let read = |mut stream: Box<dyn Read + Send>| {
            std::thread::spawn(move || {
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                text
            })
        };
        let out = read(Box::new(self.child.stdout.take().unwrap()));
        let err = read(Box::new(self.child.stderr.take().unwrap()));
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < DEADLINE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        Said {
            code: status.code().unwrap_or(-1),
            out: out.join().unwrap(),
            err: err.join().unwrap(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
