//! Emptying a cache, and forgetting the state of the workspace.
//!
//! Only what has a name that we give goes; links are removed and never followed.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::gc::is_going;
use super::recompress::at_rest;
use super::sentence;
use super::walk::{self, Names, PROBE};
use crate::base::{FileError, fs};
use crate::config::Config;
use crate::event::Holder;
use crate::home::Home;
use crate::ops::build::take_lock;
use crate::ops::types::Error;

/// What was removed.
#[derive(Debug, Default, Serialize)]
pub struct Cleaned {
    pub objects: usize,
    pub records: usize,
    /// Damaged things that had been set aside, and what killed runs had left in the making.
    pub remains: usize,
    pub bytes: u64,
    /// Whether the workspace of this project was known, and is not any more.
    pub state: bool,
    /// Nothing was removed: this is what would have been.
    pub dry_run: bool,
    /// What could not be removed, a sentence each.
    pub problems: Vec<String>,
}

/// Removes all objects and records, and what is known of this workspace. Takes the lock of the
/// workspace for a run with this command; `busy` is told of whom is waited for.
pub fn clean_cache(
    config: &Config,
    command: &str,
    dry_run: bool,
    busy: impl FnOnce(Option<&Holder>),
) -> Result<Cleaned, Error> {
    let home = Home::new(Some(&config.cache.cache_dir));
    // Where no run ever was there is nothing to lock, and no folder is made for the lock.
    let _lock = if home.exists() && !dry_run {
        Some(take_lock(&home, command, config.execution.lock_wait_seconds, busy)?)
    } else {
        None
    };
    let mut broom = Broom {
        done: Cleaned { dry_run, ..Cleaned::default() },
        may_remove_folders: home.owns_cache(),
    };
    let cas = home.cache_dir().join("cas");
    // What is counted from here on is small.
    broom.note(&cas, &home.size_notes());
    // Records first, so that at no time one names an object that is gone.
    broom.done.records = broom.shelves(&[&home.records()], Names::Records);
    broom.done.objects = broom.shelves(&[&cas, &home.objects()], Names::Objects);
    let mut remains = broom.folder(&[&cas, &home.damaged()], is_unique);
    if home.owns_cache() {
        remains += broom.folder(&[&cas, &home.store_tmp()], is_unique);
    }
    remains += broom.folder(&[&cas, &home.going()], |name| is_going(&home, name));
    remains += broom.folder(&[&home.records()], |name| name.starts_with(PROBE));
    if let Some(_lock) = at_rest(&home) {
        remains += broom.folder(&[&cas, &home.recompress()], is_unique);
    }
    broom.done.remains = remains;
    broom.done.state = broom.folder(&[&home.states()], is_state) > 0;
    Ok(broom.done)
}

struct Broom {
    done: Cleaned,
    /// In a folder that others share, one of them may be about to put something there.
    may_remove_folders: bool,
}

impl Broom {
    /// Removes what lies in the two levels of the last of `folders`, none of which may be a
    /// link; how much that was.
    fn shelves(&mut self, folders: &[&Path], names: Names) -> usize {
        let Some(folder) = self.real(folders) else { return 0 };
        let shelves = self.or_problem(walk::shelves(folder));
        let mut count = 0;
        for shelf in shelves.iter().filter(|shelf| shelf.is_ours()) {
            let items = self.or_problem(shelf.items(names));
            for item in items.iter().filter(|item| item.digest.is_some()) {
                count += usize::from(self.remove(&item.path));
            }
            if self.may_remove_folders && !self.done.dry_run {
                fs::remove_empty_dir(&shelf.path);
            }
        }
        count
    }

    /// Removes what has such a name directly in the last of `folders`.
    fn folder(&mut self, folders: &[&Path], ours: impl Fn(&str) -> bool) -> usize {
        let Some(folder) = self.real(folders) else { return 0 };
        let entries = self.or_problem(walk::list(folder));
        let paths: Vec<PathBuf> = entries
            .iter()
            .filter(|entry| entry.file_name().to_str().is_some_and(&ours))
            .map(std::fs::DirEntry::path)
            .collect();
        paths.iter().filter(|path| self.remove(path)).count()
    }

    /// Removes one of our notes, which is not counted.
    fn note(&mut self, folder: &Path, note: &Path) {
        if self.real(&[folder]).is_some()
            && !self.done.dry_run
            && let Err(error) = fs::remove_file(note)
        {
            self.done.problems.push(sentence(&error));
        }
    }

    /// The last of the folders, unless one of them is a link: what that leads to is not ours.
    fn real<'a>(&mut self, folders: &[&'a Path]) -> Option<&'a Path> {
        for folder in folders {
            if folder.is_symlink() {
                let problem = format!("`{}` is a link, which is not followed", folder.display());
                if !self.done.problems.contains(&problem) {
                    self.done.problems.push(problem);
                }
                return None;
            }
        }
        folders.last().copied()
    }

    fn or_problem<T>(&mut self, result: Result<Vec<T>, FileError>) -> Vec<T> {
        result.unwrap_or_else(|error| {
            self.done.problems.push(sentence(&error));
            Vec::new()
        })
    }

    /// Whether it is gone, or would be.
    fn remove(&mut self, path: &Path) -> bool {
        let Ok(data) = path.symlink_metadata() else { return false };
        if !self.done.dry_run {
            let removed =
                if data.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            if let Err(error) = removed {
                self.done.problems.push(sentence(&error));
                return false;
            }
        }
        if data.is_file() {
            self.done.bytes += data.len();
        }
        true
    }
}

/// `12-3`, or something with that behind its last dot: the names of things in the making and of
/// what was set aside.
pub(super) fn is_unique(name: &str) -> bool {
    let end = name.rsplit('.').next().unwrap_or(name);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    end.split_once('-').is_some_and(|(process, count)| digits(process) && digits(count))
}

/// The state of the workspace for a manifest, its journal, or what is kept beside them.
fn is_state(name: &str) -> bool {
    let of_manifest = |manifest, end| {
        walk::is_hex(manifest, 16) && ["state", "journal", "compiled"].contains(&end)
    };
    name.split_once('.').is_some_and(|(of, end)| match (of.split_once('-'), end) {
        (Some((manifest, targets)), "standing") => {
            walk::is_hex(manifest, 16) && walk::is_hex(targets, 16)
        }
        _ => of_manifest(of, end),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_give_are_ours() {
        for name in ["12-3", "abcdef.12-3", "report-2024-11-16T14:30:00Z.12-3"] {
            assert!(is_unique(name), "{name}");
        }
        for name in ["notes.txt", "12", "-", "12-", "a-b", "2024-11-16", "12-3.txt"] {
            assert!(!is_unique(name), "{name}");
        }
        let ours = ["0123456789abcdef.state", "0123456789abcdef.journal"];
        let beside = ["0123456789abcdef.compiled", "0123456789abcdef-0123456789abcdef.standing"];
        assert!(ours.iter().chain(&beside).all(|name| is_state(name)));
        for name in
            ["my.state", "0123456789abcdef.txt", "0123456789abcdef", "0123456789ABCDEF.state"]
        {
            assert!(!is_state(name), "{name}");
        }
    }
}
