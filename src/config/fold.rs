//! The layers become one value for each setting, with its origin. All mistakes of all layers are
//! found at once.

use std::fmt;
use std::path::{Path, PathBuf};

use super::declare::Setting;
use super::environment::Environment;
use super::files::{self, FileLayer};
use super::table::{Config, settings};
use super::variables;
use crate::base::place::shown;
use crate::base::secret::HIDDEN;
use crate::base::{Diagnostic, Place};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: u32 },
    Variable(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", shown(path)),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One value that a layer gives.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The number of the setting in the order of the table.
    pub setting: usize,
    pub text: String,
    pub origin: Origin,
    /// Where it stands, in a file.
    pub place: Option<Place>,
}

/// The value that a setting has, and why.
#[derive(Debug, Clone)]
pub struct Chosen {
    pub setting: &'static Setting,
    /// As it was written. Not to be shown where the setting is secret: see [`Chosen::shown`].
    text: String,
    pub origin: Origin,
}

impl Chosen {
    /// The text for people: of a secret that is set, stars.
    pub fn shown(&self) -> &str {
        if self.setting.secret && !self.text.is_empty() { HIDDEN } else { &self.text }
    }
}

/// All settings with their values.
#[derive(Debug, Clone)]
pub struct Settings {
    pub config: Config,
    /// In the order of the table.
    pub chosen: Vec<Chosen>,
    /// What was odd and did not matter: unknown keys, settings that nothing reads.
    pub warnings: Vec<Diagnostic>,
    /// The files that were read, in the order in which the later wins.
    pub files: Vec<PathBuf>,
}

impl Settings {
    /// From the files, the environment and the flags, each stronger than the one before.
    /// The error holds every mistake.
    pub fn load(
        files: &[FileLayer],
        environment: &Environment,
        flags: Vec<Entry>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut fold = Fold::default();
        let mut read = Vec::new();
        for layer in files {
            match files::read(layer) {
                Ok(Some(content)) => {
                    read.push(layer.path.clone());
                    fold.warnings.extend(content.warnings);
                    fold.mistakes.extend(content.mistakes);
                    fold.add(content.entries);
                }
                Ok(None) => {}
                Err(mistake) => fold.mistakes.push(*mistake),
            }
        }
        let variables = variables::read(environment);
        fold.warnings.extend(variables.warnings);
        fold.mistakes.extend(variables.mistakes);
        fold.add(variables.entries);
        fold.add(flags);
        fold.finish(read)
    }

    /// The value of the setting of this number.
    pub fn get(&self, index: usize) -> Option<&Chosen> {
        self.chosen.get(index)
    }
}

/// What is wrong in one file, and what is odd in it.
pub fn check_file(path: &Path) -> Result<Settings, Vec<Diagnostic>> {
    let layer = FileLayer { path: path.to_path_buf(), must_exist: true };
    Settings::load(&[layer], &Environment::default(), Vec::new())
}

#[derive(Default)]
struct Fold {
    entries: Vec<Option<Entry>>,
    mistakes: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Fold {
    fn add(&mut self, entries: Vec<Entry>) {
        self.entries.resize_with(settings().count(), || None);
        for entry in entries {
            let Some(setting) = settings().nth(entry.setting) else { continue };
            if setting.allows(&entry.text) {
                let index = entry.setting;
                self.entries[index] = Some(entry);
            } else {
                self.mistakes.push(not_allowed(setting, &entry));
            }
        }
    }

    fn finish(mut self, files: Vec<PathBuf>) -> Result<Settings, Vec<Diagnostic>> {
        self.entries.resize_with(settings().count(), || None);
        let chosen: Vec<Chosen> = settings()
            .zip(self.entries)
            .map(|(setting, entry)| match entry {
                None => {
                    Chosen { setting, text: setting.default.to_owned(), origin: Origin::Default }
                }
                Some(entry) => {
                    if !setting.is_in_use() && entry.text != setting.default {
                        self.warnings.push(not_in_use(setting, &entry.origin));
                    }
                    Chosen { setting, text: entry.text, origin: entry.origin }
                }
            })
            .collect();
        if !self.mistakes.is_empty() {
            return Err(self.mistakes);
        }
        let config = Config::from_texts(chosen.iter().map(|one| one.text.as_str()));
        Ok(Settings { config, chosen, warnings: self.warnings, files })
    }
}

fn not_allowed(setting: &Setting, entry: &Entry) -> Diagnostic {
    let mistake = without_hint(setting, entry);
    match (setting.hint)(&entry.text).filter(|_| !setting.secret) {
        Some(hint) => mistake.help(hint),
        None => mistake,
    }
}

fn without_hint(setting: &Setting, entry: &Entry) -> Diagnostic {
    let text = if setting.secret { HIDDEN } else { &entry.text };
    let what = format!("`{text}` is not allowed for `{}`", setting.name());
    let allowed = format!("allowed is {}", setting.allowed());
    match &entry.place {
        Some(place) => {
            let mistake = Diagnostic::new(what).at(place.clone(), allowed);
            if entry.text.contains([';', '#']) && !setting.secret {
                return mistake.help("a comment stands on a line of its own");
            }
            mistake
        }
        None => Diagnostic::new(format!("{what} ({})", entry.origin)).help(allowed),
    }
}

fn not_in_use(setting: &Setting, origin: &Origin) -> Diagnostic {
    let name = setting.name();
    Diagnostic::new(format!("`{name}` ({origin}) is known, but not yet in use: it changes nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Auto, Find, find};

    fn entry(name: &str, text: &str) -> Entry {
        let Find::Known(setting) = find(name) else { panic!("{name}") };
        let origin = Origin::Flag("--set".to_owned());
        Entry { setting, text: text.to_owned(), origin, place: None }
    }

    #[test]
    fn without_any_source_all_is_default() {
        let none = Environment::default();
        let settings = Settings::load(&[], &none, Vec::new()).expect("defaults are allowed");
        assert_eq!(settings.config.execution.parallel_jobs, Auto(None));
        assert_eq!(settings.config.execution.timeout_seconds, 3600);
        assert!(settings.chosen.iter().all(|one| one.origin == Origin::Default));
        assert!(settings.warnings.is_empty());
    }

    #[test]
    fn the_later_wins_and_every_mistake_is_told() {
        let none = Environment::default();
        let good = vec![entry("parallel_jobs", "2"), entry("parallel_jobs", "3")];
        let settings = Settings::load(&[], &none, good).expect("allowed");
        assert_eq!(settings.config.execution.parallel_jobs, Auto(Some(3)));
        let bad = vec![entry("parallel_jobs", "0"), entry("fail_fast", "maybe")];
        let mistakes = Settings::load(&[], &none, bad).expect_err("two mistakes");
        let messages: Vec<&str> = mistakes.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "`0` is not allowed for `execution.parallel_jobs` (flag --set)",
                "`maybe` is not allowed for `execution.fail_fast` (flag --set)"
            ]
        );
        assert_eq!(mistakes[0].help, ["allowed is a whole number from 1 to 256, or `auto`"]);
    }

    #[test]
    fn a_secret_is_never_shown() {
        let none = Environment::default();
        let flags = vec![entry("remote_cas.secret_key", "hunter2")];
        let settings = Settings::load(&[], &none, flags).expect("allowed");
        let chosen = settings.chosen.iter().find(|one| one.setting.key == "secret_key");
        assert_eq!(chosen.map(Chosen::shown), Some("***"));
        assert!(!format!("{:?}", settings.config).contains("hunter2"));
    }
}
