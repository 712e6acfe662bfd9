//! A program on a real pseudo-terminal, and what a person would see there.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait_until;

/// Which of the program's streams are the terminal; the others are what the command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    Both,
    Out,
    Err,
}

/// A terminal with a program in its foreground. What is dropped unfinished is killed.
pub(crate) struct Terminal {
    child: Child,
    ended: Option<ExitStatus>,
    master: File,
    parser: vt100::Parser,
    raw: Vec<u8>,
}

impl Terminal {
    /// Starts the program on a terminal of so many columns and rows.
    pub(crate) fn start(mut command: Command, columns: u16, rows: u16, streams: Streams) -> Self {
        let pty = openpty(&winsize(columns, rows), None).expect("a pseudo-terminal");
        let slave = || Stdio::from(pty.slave.try_clone().expect("a second handle"));
        command.stdin(slave());
        if streams != Streams::Err {
            command.stdout(slave());
        }
        if streams != Streams::Out {
            command.stderr(slave());
        }
        // SAFETY: both calls are safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                // A session of its own, whose terminal is the standard input.
                libc::setsid();
                match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().expect("the program starts");
        let master = unblocked(pty.master);
        let parser = vt100::Parser::new(nonzero(rows), nonzero(columns), 0);
        Self { child, ended: None, master, parser, raw: Vec::new() }
    }

    /// Takes in what was written meanwhile.
    fn pump(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.master.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    self.raw.extend_from_slice(&buffer[..count]);
                    self.parser.process(&buffer[..count]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nothing now, or nobody has the other end any more.
                Err(_) => break,
            }
        }
    }

    /// What stands on the screen: its lines without the blanks at their ends.
    pub(crate) fn screen(&mut self) -> Vec<String> {
        self.pump();
        let contents = self.parser.screen().contents();
        contents.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Waits until a line of the screen holds `part`, and gives the screen.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, part: &str) -> Vec<String> {
        let mut screen = Vec::new();
        wait_until(&format!("`{part}` on the screen"), || {
            screen = self.screen();
            screen.iter().any(|line| line.contains(part))
        });
        screen
    }

    /// Waits for the end of the program; its code, and else the signal below zero.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> i32 {
        wait_until("the program's end", || {
            self.pump();
            if self.ended.is_none() {
                self.ended = self.child.try_wait().expect("a child of ours");
            }
            self.ended.is_some()
        });
        self.pump();
        let status = self.ended.expect("it has ended");
        status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())
    }

    /// All that was ever written to the terminal.
    pub(crate) fn raw(&mut self) -> String {
        self.pump();
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// As a person at the keyboard.
    pub(crate) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("a terminal that takes keys");
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.pump();
        let size = winsize(columns, rows);
        // SAFETY: the descriptor is open, and `size` is what this call reads.
        let done =
            unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(done, 0, "the terminal takes a size");
        self.parser.set_size(nonzero(rows), nonzero(columns));
    }

    /// Whether the cursor is visible and at the begin of a line with nothing in it or below.
    pub(crate) fn is_clean(&mut self) -> bool {
        let below = self.screen().len();
        let screen = self.parser.screen();
        let (row, column) = screen.cursor_position();
        !screen.hide_cursor() && column == 0 && usize::from(row) >= below
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.ended.is_none() && self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // It leads its session and group.
            let pid = i32::try_from(self.child.id()).expect("a process id fits");
            let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

fn winsize(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn nonzero(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal has columns and rows")
}

fn unblocked(master: OwnedFd) -> File {
    fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("an open descriptor");
    File::from(master)
}
