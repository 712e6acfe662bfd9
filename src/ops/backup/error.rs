//! Why a verb about backups could not do its work, and what to do.

use std::path::PathBuf;

use super::check::Problem;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("`{name}` cannot be the name of a backup: {problem}")]
    BadName { name: String, problem: &'static str },
    #[error("there is a backup `{0}` already")]
    Exists(String),
    #[error("there is no backup `{name}` in `{}`", dir.display())]
    NoSuch { name: String, dir: PathBuf },
    #[error("there is no cache at `{}` that could be backed up", path.display())]
    NoCache { path: PathBuf },
    /// It is there, but not as it was written.
    #[error("the manifest of backup `{name}` at `{}` cannot be used: {problem}", path.display())]
    BadManifest { name: String, path: PathBuf, problem: String },
    /// Files of it are not as they were written.
    #[error("backup `{name}` is damaged, so nothing was restored")]
    Damaged { name: String, problems: Vec<Problem> },
    #[error("cannot restore to `{}`: {problem}", path.display())]
    BadDestination { path: PathBuf, problem: String, help: &'static str },
    #[error("another process is at work on the backups in `{}`", dir.display())]
    Busy { dir: PathBuf },
}

impl BackupError {
    /// What to do, a line each.
    pub fn help(&self) -> Vec<String> {
        let one = match self {
            Self::BadName { .. } => return Vec::new(),
            Self::Exists(name) => {
                format!("choose another name, or `reprovm backup delete {name}` first")
            }
            Self::NoSuch { .. } => "`reprovm backup list` names them all".to_owned(),
            Self::NoCache { .. } => {
                "build something first, or name the cache with `--cache-dir`".to_owned()
            }
            Self::BadManifest { name, .. } => {
                format!("use another backup; `reprovm backup delete {name}` removes this one")
            }
            Self::Damaged { problems, .. } => {
                let mut lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
                lines.push("a full `reprovm backup create` repairs what the cache has".to_owned());
                return lines;
            }
            Self::BadDestination { help, .. } => (*help).to_owned(),
            Self::Busy { .. } => "wait for it with `--wait SECONDS`".to_owned(),
        };
        vec![one]
    }
}
