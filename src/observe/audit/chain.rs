//! The file of the audit log: lines are appended under a lock, each with the hash of the one
//! before, so that the chain never forks however many processes write.
//!
//! Knows nothing of events, and nothing of when it is written.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};

use super::keys::{EpochKey, KeyFile};
use super::line::{self, Beside, Place};
use super::record::{AuditType, Record};
use super::tail::{self, Head, Tail};
use crate::base::fs::{self, Context as _};
use crate::base::{Digest, FileError, clock};

/// Where in the file the locks lie by which processes say that they live: far behind all lines.
const ALIVE: i64 = 1 << 60;
/// How many epochs a key can be behind the log, where it could not be replaced.
const MOST_BEHIND: u64 = 100_000;
/// How much of what is removed is told.
const SHOWN: usize = 1000;

/// What is to be written.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Plain(Record),
    /// A process begins.
    Begin(Box<Begin>),
    /// This process ends.
    End(Record),
}

/// The first lines of a process.
#[derive(Debug, Clone)]
pub(super) struct Begin {
    pub(super) start: Record,
    pub(super) load: Record,
    /// Written where the settings differ from those of the process before.
    pub(super) change: Record,
    /// The settings in short.
    pub(super) config: String,
}

/// How far the log got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    pub seq: u64,
    pub hash: Digest,
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Chain {
    path: PathBuf,
    file: File,
    keys: Option<KeyFile>,
    user: String,
    /// The length of the file when it was last written here, and where the chain stood then.
    known: Option<(u64, Head)>,
    begun: Option<Begun>,
    /// What went wrong beside the log itself.
    trouble: Option<String>,
}

/// How this process began.
#[derive(Debug, Clone)]
struct Begun {
    /// The number of its line.
    seq: u64,
    config: String,
    /// Which processes were at work then.
    open: Vec<u64>,
    /// Nobody else has written since.
    alone: bool,
}

/// Lines in the making.
struct Draft<'a> {
    text: String,
    head: Option<Head>,
    user: &'a str,
    /// The newest record is held back: the last of all bears the seal.
    held: Option<(Record, Option<Vec<u64>>, Option<String>)>,
}

impl Draft<'_> {
    fn add(&mut self, record: Record) {
        self.add_turn(record, None, None);
    }

    fn add_turn(&mut self, record: Record, open: Option<Vec<u64>>, config: Option<String>) {
        self.put(None);
        self.held = Some((record, open, config));
    }

    /// The number that the next record gets.
    fn next_seq(&self) -> u64 {
        self.head.map_or(0, |head| head.seq) + 1 + u64::from(self.held.is_some())
    }

    fn put(&mut self, key: Option<&EpochKey>) {
        let Some((record, open, config)) = self.held.take() else { return };
        let (seq, prev) =
            self.head.map_or((1, Digest::default()), |head| (head.seq + 1, head.hash));
        let beside = Beside {
            open: open.as_deref(),
            config: config.as_deref(),
            seals: key.map(|key| (key.epoch, &key.key)),
        };
        let hash = line::write(&mut self.text, &record, self.user, Place { seq, prev }, beside);
        let sealed = key.map(|key| key.epoch).or(self.head.and_then(|head| head.sealed));
        self.head = Some(Head { seq, hash, sealed });
    }
}

impl Chain {
    /// Opens the file, and makes it and its folder if need be.
    pub(super) fn open(path: &Path, key: Option<&Path>, user: String) -> Result<Self, FileError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let file = fs::open_journal(path)?;
        let keys = key.map(KeyFile::new);
        Ok(Self {
            path: path.to_path_buf(),
            file,
            keys,
            user,
            known: None,
            begun: None,
            trouble: None,
        })
    }

    /// Appends all of it or nothing, and returns the lines. `sync` waits until they are on the
    /// disk.
    pub(super) fn append(&mut self, entries: &[Entry], sync: bool) -> Result<String, FileError> {
        self.lock_current().at("lock", &self.path)?;
        let written = self.append_locked(entries, sync);
        let unlocked = self.file.unlock().at("unlock", &self.path);
        written.and_then(|text| unlocked.map(|()| text))
    }

    /// Waits until what was appended is on the disk.
    pub(super) fn sync(&self) -> Result<(), FileError> {
        self.file.sync_data().at("write to the disk", &self.path)
    }

    /// How far the log got, as far as this process knows.
    pub(super) fn mark(&self) -> Option<Anchor> {
        self.known.map(|(_, Head { seq, hash, .. })| Anchor { seq, hash })
    }

    /// The name of this log, from its first line.
    pub(super) fn instance(&self) -> Option<String> {
        use std::os::unix::fs::FileExt as _;
        let mut bytes = [0; 1024];
        let count = self.file.read_at(&mut bytes, 0).ok()?;
        let end = bytes[..count].iter().position(|byte| *byte == b'\n')?;
        let line = line::Line::parse(std::str::from_utf8(&bytes[..end]).ok()?)?;
        instance_of(&line).map(str::to_owned)
    }

    /// Locks the file that has the name now: the one that is open here may have been replaced.
    fn lock_current(&mut self) -> io::Result<()> {
        loop {
            self.file.lock()?;
            let own = self.file.metadata()?;
            match std::fs::metadata(&self.path) {
                Ok(named) if (named.dev(), named.ino()) == (own.dev(), own.ino()) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(_) | Err(_) => {
                    self.file = fs::open_journal(&self.path).map_err(|error| error.source)?;
                    self.known = None;
                    if let Some(begun) = &self.begun {
                        self.live(begun.seq)?;
                    }
                }
            }
        }
    }

    fn append_locked(&mut self, entries: &[Entry], sync: bool) -> Result<String, FileError> {
        let path = self.path.clone();
        let len = self.file.metadata().at("look at", &path)?.len();
        let tail = match self.known {
            Some((known, head)) if known == len => Tail { head: Some(head), ..Tail::default() },
            _ if len == 0 => Tail::default(),
            _ => self.tail(len)?.ok_or_else(|| {
                let what = "it is no audit log; name another file, or move this one away";
                FileError::new("append to", &path, io::Error::new(io::ErrorKind::InvalidData, what))
            })?,
        };
        if let Some(begun) = &mut self.begun {
            begun.alone &= self.known.is_some_and(|(known, _)| known == len);
        }
        let keep = len - tail.torn.len() as u64 - tail.zeros;
        let key = self.key(tail.head)?;
        let user = self.user.clone();
        let text = if tail.wants_end { "\n".to_owned() } else { String::new() };
        let mut draft = Draft { text, head: tail.head, user: &user, held: None };
        repair(&mut draft, &tail);
        let begun = self.begun.clone();
        for entry in entries {
            self.draft(&mut draft, entry, keep)?;
        }
        draft.put(key.as_ref());
        let done = self.put(&draft, len, keep, sync || key.is_some() || tail.head.is_none());
        if let Err(error) = done {
            self.begun = begun;
            return Err(error);
        }
        if let Some((keys, key)) = self.keys.as_ref().zip(key) {
            // The lines are sealed; that the old key lies there still is to be told.
            if let Err(error) = keys.replace(&key.next()) {
                self.trouble = Some(format!("{error}: {}", error.source));
            }
        }
        Ok(draft.text)
    }

    /// The end of the file. Its newest seal matters to who seals, or it may lie far back.
    fn tail(&self, len: u64) -> Result<Option<Tail>, FileError> {
        tail::read(&self.file, len, self.keys.is_some()).at("read", &self.path)
    }

    fn draft(&mut self, draft: &mut Draft<'_>, entry: &Entry, len: u64) -> Result<(), FileError> {
        match entry {
            Entry::Plain(record) => draft.add(record.clone()),
            Entry::Begin(begin) => {
                let turn = tail::last_turn(&self.file, len).at("read", &self.path)?;
                let (open, config) = turn
                    .map(|line| (line.open.unwrap_or_default(), line.config))
                    .unwrap_or_default();
                let mut alive = Vec::new();
                for seq in open {
                    if self.lives(seq).at("look at the locks of", &self.path)? {
                        alive.push(seq);
                    } else {
                        draft.add(gap(seq));
                    }
                }
                let seq = draft.next_seq();
                self.live(seq).at("lock", &self.path)?;
                alive.push(seq);
                draft.add_turn(
                    begin.start.clone(),
                    Some(alive.clone()),
                    Some(begin.config.clone()),
                );
                draft.add(begin.load.clone());
                if let Some(before) = config.filter(|before| *before != begin.config) {
                    let what = format!("they were {before} before and are {}", begin.config);
                    draft.add(begin.change.clone().details(what));
                }
                let config = begin.config.clone();
                self.begun = Some(Begun { seq, config, open: alive, alone: true });
            }
            Entry::End(record) => {
                let Some(begun) = self.begun.clone() else {
                    draft.add(record.clone());
                    return Ok(());
                };
                let mut open = if begun.alone {
                    begun.open
                } else {
                    let turn = tail::last_turn(&self.file, len).at("read", &self.path)?;
                    turn.and_then(|line| line.open).unwrap_or_default()
                };
                open.retain(|seq| *seq != begun.seq);
                draft.add_turn(record.clone(), Some(open), Some(begun.config));
            }
        }
        Ok(())
    }

    /// Writes the text where the torn end was. What cannot be written whole and brought onto the
    /// disk is taken back.
    fn put(&mut self, draft: &Draft<'_>, len: u64, keep: u64, sync: bool) -> Result<(), FileError> {
        self.known = None;
        if keep < len {
            self.file.set_len(keep).at("shorten", &self.path)?;
        }
        if let Err(error) = self.put_at_end(&draft.text, keep == 0, sync) {
            let _ = self.file.set_len(keep);
            return Err(error);
        }
        self.known = draft.head.map(|head| (keep + draft.text.len() as u64, head));
        Ok(())
    }

    fn put_at_end(&mut self, text: &str, is_new: bool, sync: bool) -> Result<(), FileError> {
        let path = &self.path;
        self.file.write_all(text.as_bytes()).at("write to", path)?;
        if sync {
            self.file.sync_data().at("write to the disk", path)?;
        }
        match path.parent().filter(|_| is_new) {
            Some(folder) => fs::sync(folder),
            None => Ok(()),
        }
    }

    /// The key that seals what is written now. If the last seal was written and its key is still
    /// there, a crash came in between.
    fn key(&self, head: Option<Head>) -> Result<Option<EpochKey>, FileError> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let key = keys.read()?;
        let sealed = head.and_then(|head| head.sealed).map_or(0, |sealed| sealed + 1);
        let behind = sealed.saturating_sub(key.epoch).min(MOST_BEHIND);
        Ok(Some((0..behind).fold(key, |key, _| key.next())))
    }

    /// Says that this process lives, until it ends in whatever way.
    fn live(&self, seq: u64) -> io::Result<()> {
        let lock = alive(seq);
        fcntl(self.file.as_fd(), FcntlArg::F_OFD_SETLK(&lock)).map_err(io::Error::from)?;
        Ok(())
    }

    /// Whether the process lives that began with this line.
    fn lives(&self, seq: u64) -> io::Result<bool> {
        let mut lock = alive(seq);
        fcntl(self.file.as_fd(), FcntlArg::F_OFD_GETLK(&mut lock)).map_err(io::Error::from)?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    /// What went wrong beside the log itself, once.
    pub(super) fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }
}

/// The name of a log, in its first line.
pub fn instance_of(line: &line::Line) -> Option<&str> {
    line.details.strip_prefix("instance=")?.split(' ').next()
}

fn alive(seq: u64) -> libc::flock {
    // SAFETY: an all-zero `flock` is a valid value of that plain C struct.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = ALIVE.saturating_add(i64::try_from(seq).unwrap_or(0));
    lock.l_len = 1;
    lock
}

/// What comes before everything: the first line of a log, and what was found at its end.
fn repair(draft: &mut Draft<'_>, tail: &Tail) {
    if tail.head.is_none() {
        let seed = format!("{} {} {}", clock::now_ns(), std::process::id(), fs::unique_name());
        let mut instance = Digest::of(seed.as_bytes()).hex();
        instance.truncate(32);
        let host = nix::unistd::gethostname().unwrap_or_default();
        let details = format!("instance={instance} form=1 host={}", host.to_string_lossy());
        draft.add(Record::new(AuditType::SystemStart, "audit-log", "begin").details(details));
    }
    let mut warn = |what: String| {
        let record = Record::new(AuditType::Warning, "audit-log", "repair");
        draft.add(record.details(what).failed());
    };
    let zeros = match tail.zeros {
        0 => String::new(),
        zeros => format!("{zeros} zeros, as a power failure leaves them"),
    };
    if !tail.torn.is_empty() {
        let shown = crate::base::text::shown(&tail.torn[..tail.torn.len().min(SHOWN)]);
        let count = tail.torn.len();
        let zeros = if zeros.is_empty() { zeros } else { format!("; and {zeros}") };
        warn(format!("removed {count} bytes of a line that was cut short: {shown}{zeros}"));
    } else if !zeros.is_empty() {
        warn(format!("removed {zeros}"));
    }
    if tail.wants_end {
        warn("the last line had no end, and got one".to_owned());
    }
    if tail.unreadable > 0 {
        let count = tail.unreadable;
        warn(format!("the last lines, {count} in number, are not as they were written"));
    }
}

/// What is written of a process that never said that it ended.
fn gap(seq: u64) -> Record {
    let what = format!(
        "the process that began with line seq={seq} did not end: it was killed or the machine \
         stopped, and what it did last may be missing"
    );
    Record::new(AuditType::Error, "audit-log", "gap").details(what).failed()
}

#[cfg(test)]
mod tests;
