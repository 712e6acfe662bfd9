//! What backups there are, and what is in them.

use super::manifest::{Held, HeldRecord, Manifest};
use super::{BackupName, Backups, Error};
use crate::base::clock;

/// A backup in a list. One that cannot be read has a `problem` and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    pub name: String,
    pub created: String,
    pub incremental: bool,
    pub records: usize,
    pub objects: usize,
    /// How many bytes a restore of it has.
    pub bytes: u64,
    /// How many records of the cache were not whole and are not in it.
    pub left_out: u64,
    pub program: String,
    pub problem: Option<String>,
}

/// All that a manifest says.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Metadata {
    #[serde(flatten)]
    pub of: Listed,
    #[serde(rename = "object_list")]
    objects: Vec<Held>,
    #[serde(rename = "record_list")]
    records: Vec<HeldRecord>,
}

impl Backups {
    /// All backups, the oldest first; those that cannot be read stand before them.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut all = Vec::new();
        for name in self.names()? {
            all.push(match self.manifest(&name) {
                Ok(manifest) => (manifest.created_ns, listed(&name, &manifest)),
                Err(error) => (i64::MIN, unreadable(&name, error.to_string())),
            });
        }
        all.sort_by(|one, other| (one.0, &one.1.name).cmp(&(other.0, &other.1.name)));
        Ok(all.into_iter().map(|(_, listed)| listed).collect())
    }

    pub fn info(&self, name: &BackupName) -> Result<Listed, Error> {
        Ok(listed(name, &self.manifest(name)?))
    }

    /// All that is known of one backup, or of all.
    pub fn metadata(&self, name: Option<&BackupName>) -> Result<Vec<Metadata>, Error> {
        let full = |name: &BackupName| -> Result<Metadata, Error> {
            let manifest = self.manifest(name)?;
            let of = listed(name, &manifest);
            Ok(Metadata { of, objects: manifest.objects, records: manifest.records })
        };
        if let Some(name) = name {
            return Ok(vec![full(name)?]);
        }
        let bare = |of: Listed| Metadata { of, objects: Vec::new(), records: Vec::new() };
        let one = |of: Listed| {
            let name = BackupName::parse(&of.name).ok().filter(|_| of.problem.is_none());
            name.map_or_else(|| Ok(bare(of)), |name| full(&name))
        };
        self.list()?.into_iter().map(one).collect()
    }
}

fn listed(name: &BackupName, manifest: &Manifest) -> Listed {
    Listed {
        name: name.to_string(),
        created: clock::rfc3339(manifest.created_ns),
        incremental: manifest.incremental,
        records: manifest.records.len(),
        objects: manifest.objects.len(),
        bytes: manifest.bytes(),
        left_out: manifest.left_out,
        program: manifest.program.clone(),
        problem: None,
    }
}

fn unreadable(name: &BackupName, problem: String) -> Listed {
    Listed { name: name.to_string(), problem: Some(problem), ..Listed::default() }
}
