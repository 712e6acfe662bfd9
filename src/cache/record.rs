//! The record of an outcome, under its key: what the task made, and the recipe that it was made
//! by. `docs/on-disk-format.md` describes the form.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::bytes::{Reader, Writer};
use super::recipe::Recipe;
use crate::base::{Digest, FileError, Kind, RelPath, fs};
use crate::event::Usage;
use crate::home::{self, Home};
use crate::store::{self, Added};

const MAGIC: &[u8; 8] = b"rvmrec\0\x01";
/// More than any real record, less than could hurt.
const MAX_BYTES: u64 = 1 << 30;

/// One thing that a task made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub path: RelPath,
    pub kind: Kind,
    /// Permission bits, never more than 0o777; 0 for a link.
    pub mode: u32,
    pub size: u64,
    /// Of a file its bytes, of a link its target; all zero for a folder.
    pub digest: Digest,
}

/// What is known of one run that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub recipe: Recipe,
    /// Sorted by path, so that a folder comes before what is in it.
    pub outputs: Vec<Output>,
    /// What the command wrote: both streams in order.
    pub log: Digest,
    pub log_size: u64,
    pub usage: Usage,
}

impl Record {
    /// The digest of the outputs: equal outputs, equal result. A task without outputs has its
    /// key for a result, since nothing else tells what it did.
    pub fn result(outputs: &[Output], key: &Digest) -> Digest {
        if outputs.is_empty() {
            return *key;
        }
        let mut out = Writer(b"rvmres\0\x01".to_vec());
        for output in outputs {
            out.bytes(output.path.as_bytes());
            out.u8(output.kind as u8);
            out.digest(&output.digest);
        }
        Digest::of(&out.0)
    }

    /// The objects that a restore of it reads, each with its size.
    pub fn objects(&self) -> impl Iterator<Item = (Digest, u64)> {
        let outputs = self.outputs.iter().filter(|output| output.kind != Kind::Dir);
        let log = (self.log_size > 0).then_some((self.log, self.log_size));
        outputs.map(|output| (output.digest, output.size)).chain(log)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(MAGIC.to_vec());
        out.bytes(self.recipe.as_bytes());
        out.u32(u32::try_from(self.outputs.len()).expect("outputs are fewer than 4 billion"));
        for output in &self.outputs {
            out.bytes(output.path.as_bytes());
            out.u8(output.kind as u8);
            out.u32(output.mode);
            out.u64(output.size);
            out.digest(&output.digest);
        }
        out.digest(&self.log);
        out.u64(self.log_size);
        for figure in [
            self.usage.duration_ms,
            self.usage.user_ms,
            self.usage.system_ms,
            self.usage.peak_rss_bytes,
            u64::from(self.usage.attempts),
        ] {
            out.u64(figure);
        }
        let check = Digest::of(&out.0);
        out.digest(&check);
        out.0
    }

    /// Reads a record that should belong to `key`. An error says what is wrong with it.
    pub fn parse(bytes: &[u8], key: &Digest) -> Result<Self, &'static str> {
        let (body, check) =
            bytes.split_last_chunk::<32>().ok_or("it is shorter than any record")?;
        if Digest::of(body) != Digest::from_bytes(*check) {
            return Err("its check sum does not fit");
        }
        let body =
            body.strip_prefix(MAGIC).ok_or("it has a form that this version does not know")?;
        let record = Self::parse_body(Reader(body)).ok_or("its fields do not fit")?;
        if record.recipe.key() != *key {
            return Err("it belongs to another key");
        }
        Ok(record)
    }

    fn parse_body(mut from: Reader<'_>) -> Option<Self> {
        let recipe = Recipe::from_bytes(from.bytes()?.to_vec());
        let count = from.u32()?;
        let mut outputs: Vec<Output> = Vec::new();
        for _ in 0..count {
            let path = from.bytes()?;
            let output = Output {
                path: RelPath::parse(path).ok().filter(|parsed| parsed.as_bytes() == path)?,
                kind: Kind::from_u8(from.u8()?).filter(|kind| {
                    matches!(kind, Kind::File | Kind::Executable | Kind::Dir | Kind::Link)
                })?,
                mode: from.u32().filter(|mode| mode & !0o777 == 0)?,
                size: from.u64()?,
                digest: from.digest()?,
            };
            if output.path.is_root() || outputs.last().is_some_and(|last| last.path >= output.path)
            {
                return None;
            }
            outputs.push(output);
        }
        let log = from.digest()?;
        let log_size = from.u64()?;
        let usage = Usage {
            duration_ms: from.u64()?,
            user_ms: from.u64()?,
            system_ms: from.u64()?,
            peak_rss_bytes: from.u64()?,
            attempts: u32::try_from(from.u64()?).ok()?,
        };
        from.is_at_end().then_some(Self { recipe, outputs, log, log_size, usage })
    }
}

/// The records of one cache folder.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
    tmp: PathBuf,
    damaged: PathBuf,
    added: Arc<Added>,
}

/// What lies under a key.
#[derive(Debug)]
pub enum Found {
    Record(Box<Record>),
    Nothing,
    /// It was not usable and has been set aside.
    Damaged {
        path: PathBuf,
        problem: String,
    },
}

/// What is known of the objects that a record needs.
#[derive(Debug)]
pub enum Needs {
    Objects(Box<Record>),
    /// No record is there, or one that nobody can ever use: it is damaged.
    Nothing,
    /// Another version of the program can read it.
    OfAnotherVersion,
    /// It cannot be read now.
    Unreadable(FileError),
}

impl Records {
    pub fn new(home: &Home) -> Self {
        Self {
            folder: home.records(),
            tmp: home.store_tmp(),
            damaged: home.damaged(),
            added: Arc::default(),
        }
    }

    /// What was put here by this value and its clones.
    pub fn added(&self) -> &Added {
        &self.added
    }

    pub fn path(&self, key: &Digest) -> PathBuf {
        home::object_in(&self.folder, key)
    }

    /// What tells what lies under a key from what lay there before; none: nothing does.
    pub fn stamp(&self, key: &Digest) -> Option<(u64, i64, i64)> {
        let meta = self.path(key).symlink_metadata().ok()?;
        Some((meta.ino(), meta.ctime(), meta.ctime_nsec()))
    }

    /// Notes that a record was used, unless its time says so already: it is from `since` or later.
    /// Best effort: in a cache that cannot be written nothing is collected either.
    pub fn used(&self, key: &Digest, since: i64) {
        let path = self.path(key);
        if fs::modified_ns(&path).is_some_and(|time| time < since) {
            let _ = fs::touch(&path);
        }
    }

    /// The keys that have a record, sorted.
    pub fn keys(&self) -> Result<Vec<Digest>, FileError> {
        home::objects_in(&self.folder)
    }

    /// The record under a key as it is written, and what it says. An error says what is wrong.
    pub fn load(&self, key: &Digest) -> Result<(Vec<u8>, Record), String> {
        let bytes =
            fs::read_regular(&self.path(key), MAX_BYTES).map_err(|error| error.to_string())?;
        let record = Record::parse(&bytes, key)?;
        Ok((bytes, record))
    }

    /// What lies under a key for whoever would remove what nobody needs: what is not known is told
    /// from what is not there.
    pub fn needs(&self, key: &Digest) -> Needs {
        let path = self.path(key);
        match fs::read_regular(&path, MAX_BYTES) {
            Ok(bytes) if is_of_another_version(&bytes) => Needs::OfAnotherVersion,
            Ok(bytes) => Record::parse(&bytes, key)
                .map_or(Needs::Nothing, |record| Needs::Objects(Box::new(record))),
            Err(error) if fs::is_no_file(&error) => Needs::Nothing,
            Err(error) => Needs::Unreadable(FileError::new("read", &path, error)),
        }
    }

    /// Looks under a key. What is damaged is set aside unless one may only `look`.
    pub fn find(&self, key: &Digest, look: Look) -> Found {
        let path = self.path(key);
        let problem = match fs::read_regular(&path, MAX_BYTES) {
            // Of another version of the program, for which it is right.
            Ok(bytes) if is_of_another_version(&bytes) => return Found::Nothing,
            Ok(bytes) => match Record::parse(&bytes, key) {
                Ok(record) => return Found::Record(Box::new(record)),
                Err(problem) => problem.to_owned(),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
            Err(error) => error.to_string(),
        };
        if look == Look::AndRepair {
            store::put_aside(&path, &self.damaged);
        }
        Found::Damaged { path, problem }
    }

    /// Takes a record away whose objects are not there any more.
    pub fn forget(&self, key: &Digest) -> Result<(), FileError> {
        fs::remove_file(&self.path(key))
    }

    /// Keeps a record; one that is there already is replaced.
    pub fn put(&self, key: &Digest, record: &Record) -> Result<(), FileError> {
        let tmp = self.tmp.join(fs::unique_name());
        let bytes = record.to_bytes();
        let placed = fs::create_new(&tmp)
            .and_then(|mut file| {
                use std::io::Write as _;
                file.write_all(&bytes).map_err(|e| FileError::new("write", &tmp, e))
            })
            .and_then(|()| store::rename_into(&tmp, &self.path(key)))
            .inspect(|()| self.added.note(bytes.len() as u64));
        if placed.is_err() {
            let _ = fs::remove_file(&tmp);
        }
        placed
    }
}

fn is_of_another_version(bytes: &[u8]) -> bool {
    let (name, version) = MAGIC.split_at(MAGIC.len() - 1);
    bytes.strip_prefix(name).is_some_and(|rest| !rest.starts_with(version) && !rest.is_empty())
}

/// Whether a lookup may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    AndRepair,
    Only,
}

#[cfg(test)]
mod tests {
    use super::super::recipe::RecipeBuilder;
    use super::*;

    fn sample() -> Record {
        let mut recipe = RecipeBuilder::new();
        recipe.command("cc -c a.c");
        let output = |path: &str, kind, mode| Output {
            path: RelPath::parse(path.as_bytes()).expect("a good path"),
            kind,
            mode,
            size: 3,
            digest: Digest::of(b"abc"),
        };
        Record {
            recipe: recipe.finish(),
            outputs: vec![output("a.o", Kind::File, 0o644), output("bin", Kind::Executable, 0o755)],
            log: Digest::of(b""),
            log_size: 0,
            usage: Usage { duration_ms: 12, attempts: 1, ..Usage::default() },
        }
    }

    #[test]
    fn a_record_reads_back_as_it_was() {
        let record = sample();
        assert_eq!(Record::parse(&record.to_bytes(), &record.recipe.key()), Ok(record));
    }

    #[test]
    fn each_bit_of_a_record_counts() {
        let record = sample();
        let key = record.recipe.key();
        let good = record.to_bytes();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(Record::parse(&bad, &key).is_err(), "byte {at}, bit {bit}");
            }
            assert!(Record::parse(&good[..at], &key).is_err(), "cut at {at}");
        }
        assert!(Record::parse(&[&good[..], b"x"].concat(), &key).is_err());
        assert_eq!(Record::parse(&good, &Digest::of(b"")), Err("it belongs to another key"));
    }

    /// R5, R4: whoever can write a record with a good check sum still cannot leave the project.
    #[test]
    fn hostile_outputs_are_no_record() {
        let good = sample();
        let key = good.recipe.key();
        let forged = |path: &[u8], kind: u8, mode: u32| {
            let mut out = Writer(MAGIC.to_vec());
            out.bytes(good.recipe.as_bytes());
            out.u32(1);
            out.bytes(path);
            out.u8(kind);
            out.u32(mode);
            out.u64(0);
            out.digest(&Digest::default());
            out.digest(&Digest::default());
            for _ in 0..6 {
                out.u64(0);
            }
            let check = Digest::of(&out.0);
            out.digest(&check);
            Record::parse(&out.0, &key).is_ok()
        };
        assert!(forged(b"x", 1, 0o644));
        for path in [&b"../x"[..], b"/x", b"a/../../x", b"", b".", b"a//b", b"a\0b"] {
            assert!(!forged(path, 1, 0o644), "{path:?}");
        }
        assert!(!forged(b"x", 0, 0o644) && !forged(b"x", 5, 0o644) && !forged(b"x", 99, 0));
        assert!(!forged(b"x", 1, 0o4755));
    }
}
