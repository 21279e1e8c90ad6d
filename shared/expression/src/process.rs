//! The parent's side of one child process.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::child::{ARGUMENT, HELLO};
use super::wire::{self, Reply};

/// How long a program may take to report that it is a child.
const START: Duration = Duration::from_secs(20);

/// What a child that ended may still say of its end.
const LAST_WORDS: Duration = Duration::from_secs(1);
const LAST_WORDS_BYTES: u64 = 4 * 1024;

/// A child process. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    errors: ChildStderr,
}

impl Process {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(program: &PathBuf, memory: u64, stack: u64) -> io::Result<Self> {
        let numbers = [memory, stack].map(|number| OsString::from(number.to_string()));
        let mut child = Command::new(program)
            .arg(ARGUMENT)
            .args(numbers)
            // It must not see tokens and passwords.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(mut output), Some(errors)) = pipes else {
            return Err(io::Error::other("it has no pipes"));
        };
        let mut hello = [0; HELLO.len()];
        let heard = tokio::time::timeout(START, output.read_exact(&mut hello)).await;
        if !matches!(heard, Ok(Ok(_))) || &hello != HELLO {
            return Err(io::Error::other("it does not serve expressions"));
        }
        Ok(Self {
            child,
            input,
            output,
            errors,
        })
    }

    /// One round trip. After an error the child cannot be used any more.
    pub(crate) async fn exchange(&mut self, frame: &[u8], max_bytes: u64) -> io::Result<Reply> {
        self.input.write_all(frame).await?;
        self.input.flush().await?;
        let length = self.output.read_u64().await?;
        if length > max_bytes {
            return Err(io::Error::other("its reply is too long"));
        }
        let mut reply = Vec::new();
        (&mut self.output).take(length).read_to_end(&mut reply).await?;
        if reply.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        wire::decode(&reply)
    }

    /// Why it ended, in words for people.
    pub(crate) async fn end(mut self) -> &'static str {
        let mut words = Vec::new();
        let mut errors = self.errors.take(LAST_WORDS_BYTES);
        let _ = tokio::time::timeout(LAST_WORDS, errors.read_to_end(&mut words)).await;
        let _ = self.child.start_kill();
        let _ = tokio::time::timeout(LAST_WORDS, self.child.wait()).await;
        let words = String::from_utf8_lossy(&words);
        if words.contains("overflowed its stack") {
            "it nests too deeply (expressions.stack)"
        } else if words.contains("memory allocation") {
            "it needs more memory than expressions.memory allows"
        } else {
            "its process ended (expressions.memory may be too small)"
        }
    }
}
