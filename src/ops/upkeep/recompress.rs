//! All objects of a cache in one form. Runs may be at work meanwhile, and this may end at any
//! moment: each object is there at each moment, in the old form, the new one, or both.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rayon::prelude::*;
use serde::Serialize;

use super::gc::note_added;
use super::patience;
use super::walk::{self, Item, Names};
use crate::base::fs::Context as _;
use crate::base::text::shown;
use crate::base::{Digest, fs};
use crate::config::Config;
use crate::home::{Home, object_in};
use crate::ops::types::Error;
use crate::store::{self, DiskStore, Flaw, Form, Outcome, Packing};

/// What was done to the objects.
#[derive(Debug, Serialize)]
pub struct Recompressed {
    /// The form that was asked for, and how hard.
    pub form: Form,
    pub level: u64,
    pub objects: usize,
    /// How many have another form now.
    pub changed: usize,
    /// How many lay there twice.
    pub doubles: usize,
    /// What the files of the objects had and have.
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// Nothing was changed: this is what would have been.
    pub dry_run: bool,
    /// Objects that are not what their names say, a sentence each; they were left as they are.
    pub damaged: Vec<String>,
    /// What could not be read or written, a sentence each.
    pub problems: Vec<String>,
}

/// Gives each object the form of `packing` where that is worth it.
pub fn recompress(config: &Config, packing: Packing, dry_run: bool) -> Result<Recompressed, Error> {
    let home = Home::new(Some(&config.cache.cache_dir));
    let _lock = match home.objects().is_dir() && !dry_run {
        true => Some(lock(&home, patience(config))?),
        false => None,
    };
    if !dry_run && packing.form() != Form::Bare && home.objects().is_dir() {
        DiskStore::new(&home).expect_compressed();
    }
    let work = Work {
        objects: home.objects(),
        tmp: (!dry_run).then(|| home.recompress()),
        packing,
        full: AtomicBool::new(false),
    };
    let shelves = walk::shelves(&work.objects)?;
    let done = shelves.par_iter().map(|shelf| match shelf.items(Names::Objects) {
        Ok(items) => work.shelf(&items),
        Err(error) => Part { problems: vec![super::sentence(&error)], ..Part::default() },
    });
    let mut all = done.reduce(Part::default, Part::join);
    all.damaged.sort_unstable();
    all.problems.sort_unstable();
    if !dry_run {
        note_added(&home, all.after.saturating_sub(all.before));
    }
    Ok(Recompressed {
        form: packing.form(),
        level: packing.level(),
        objects: all.objects,
        changed: all.changed,
        doubles: all.doubles,
        bytes_before: all.before,
        bytes_after: all.after,
        dry_run,
        damaged: all.damaged,
        problems: all.problems,
    })
}

/// Nobody else changes forms while the file lives. What one who was killed left in the making goes.
fn lock(home: &Home, patience: Duration) -> Result<File, Error> {
    let folder = home.recompress();
    fs::create_private_dir(&folder)?;
    let path = home.recompress_lock();
    let file = fs::open_append(&path)?;
    if !fs::lock_within(&file, patience, File::try_lock).at("lock", &path)? {
        return Err(Error::Cache {
            path: home.cache_dir().to_path_buf(),
            problem: "another process is changing the form of its objects".to_owned(),
            help: vec!["try again when it has ended, or wait for it with `--wait`".to_owned()],
        });
    }
    for name in fs::names(&folder)? {
        if folder.join(&name) != path {
            fs::remove_file(&folder.join(name))?;
        }
    }
    Ok(file)
}

/// Nobody changes forms while the file lives. None where somebody does so, or nobody ever did.
pub(super) fn at_rest(home: &Home) -> Option<File> {
    File::open(home.recompress_lock()).ok().filter(|lock| lock.try_lock().is_ok())
}

struct Work {
    objects: PathBuf,
    /// Where new forms are made; none: nothing is written.
    tmp: Option<PathBuf>,
    packing: Packing,
    /// Something could not be written: nothing more is begun.
    full: AtomicBool,
}

#[derive(Default)]
struct Part {
    objects: usize,
    changed: usize,
    doubles: usize,
    before: u64,
    after: u64,
    damaged: Vec<String>,
    problems: Vec<String>,
}

impl Part {
    fn join(mut self, mut other: Self) -> Self {
        self.objects += other.objects;
        self.changed += other.changed;
        self.doubles += other.doubles;
        self.before += other.before;
        self.after += other.after;
        self.damaged.append(&mut other.damaged);
        self.problems.append(&mut other.problems);
        self
    }
}

impl Work {
    /// The forms of one object lie behind each other.
    fn shelf(&self, items: &[Item]) -> Part {
        let objects: Vec<&Digest> = items
            .chunk_by(|one, next| one.digest == next.digest)
            .filter_map(|forms| forms[0].digest.as_ref())
            .collect();
        objects.par_iter().map(|digest| self.object(digest)).reduce(Part::default, Part::join)
    }

    fn object(&self, digest: &Digest) -> Part {
        if self.full.load(Ordering::Relaxed) {
            return Part::default();
        }
        let bare = object_in(&self.objects, digest);
        let tmp = self.tmp.as_ref().map(|folder| folder.join(fs::unique_name()));
        let changed = store::change_form(&bare, digest, self.packing, tmp.as_deref());
        if let Some(tmp) = &tmp {
            // It is not there where it became the object, or was never begun.
            let _ = fs::remove_file(tmp);
        }
        let part = Part { objects: 1, ..Part::default() };
        match changed {
            Ok(change) => Part {
                changed: usize::from(change.outcome == Outcome::Changed),
                doubles: usize::from(change.outcome == Outcome::DoubleRemoved),
                before: change.before,
                after: change.after,
                ..part
            },
            Err(Flaw::Missing) => Part::default(),
            Err(Flaw::Damaged { path, problem }) => {
                Part { damaged: vec![of(&path, &problem)], ..part }
            }
            Err(Flaw::Unreadable(error)) => {
                Part { problems: vec![super::sentence(&error)], ..part }
            }
            Err(Flaw::Write(error)) => {
                self.full.store(true, Ordering::Relaxed);
                let problem = format!("its new form cannot be written: {error}");
                Part { problems: vec![of(&bare, &problem)], ..part }
            }
        }
    }
}

fn of(path: &Path, problem: &str) -> String {
    format!("`{}`: {problem}", shown(path.as_os_str().as_encoded_bytes()))
}
