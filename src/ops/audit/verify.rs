//! Whether an audit log is as it was written: its chain, its seals, and what anchors say of it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;

use super::lines::{Lines, Raw};
use super::runs::Pieces;
use super::{Damage, Finding};
use crate::base::place::shown;
use crate::base::text::count;
use crate::base::{Digest, FileError};
use crate::observe::{EpochKey, Line, instance_of};

/// So many things are told at most.
const MOST: usize = 1000;
/// So many anchors are kept of a file of them: the newest.
const MOST_ANCHORS: usize = 100_000;
/// Between two seals lie at most so many epochs that are looked for.
const MOST_EPOCHS: u64 = 1_000_000;

/// What a log is held against.
#[derive(Debug, Clone, Default)]
pub struct Against {
    pub anchors: Vec<Anchored>,
    /// The initial key.
    pub key: Option<EpochKey>,
    /// The key as it stands now, where this machine has it.
    pub live: Option<EpochKey>,
}

impl Against {
    /// Who says that there was a log: the words for it.
    fn knows_one(&self) -> Option<&'static str> {
        let keys = self.key.as_ref().zip(self.live.as_ref());
        if !self.anchors.is_empty() {
            Some("anchors say")
        } else if keys.is_some_and(|(first, live)| live.epoch > first.epoch) {
            // Each seal has moved the key on.
            Some("the key of this machine says")
        } else {
            None
        }
    }
}

/// What is known of a line from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchored {
    pub seq: u64,
    pub hash: Digest,
    /// The name of the log.
    pub instance: Option<String>,
}

impl Anchored {
    /// `SEQ:HASH`.
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, hash) = text.split_once(':')?;
        let hash = Digest::parse(hash.trim()).ok()?;
        Some(Self { seq: seq.trim().parse().ok()?, hash, instance: None })
    }

    /// All of a file that runs have appended to; what is no such line is passed over.
    pub fn read(path: &Path) -> Result<Vec<Self>, FileError> {
        let mut lines = Lines::open(path)?;
        let mut all = Vec::new();
        while let Some(raw) = lines.next()? {
            let Ok(line) = serde_json::from_slice::<serde_json::Value>(raw.bytes) else { continue };
            let hash = line["hash"].as_str().and_then(|hash| Digest::parse(hash).ok());
            let Some((seq, hash)) = line["seq"].as_u64().zip(hash) else { continue };
            let instance = line["instance"].as_str().filter(|name| !name.is_empty());
            all.push(Self { seq, hash, instance: instance.map(str::to_owned) });
        }
        all.drain(..all.len().saturating_sub(MOST_ANCHORS));
        Ok(all)
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct AuditVerified {
    pub file: String,
    pub lines: u64,
    /// The number and the hash of the last line.
    pub seq: u64,
    pub hash: Digest,
    pub instance: Option<String>,
    /// How many seals there are; none: they were not looked at.
    pub seals: Option<u64>,
    pub anchors: usize,
    /// In the order of lines.
    pub findings: Vec<Finding>,
}

/// Reads the log, and says what is wrong with it.
pub(super) fn verify(path: &Path, against: &Against) -> Result<AuditVerified, FileError> {
    let mut check = Check::new(path, against);
    match Lines::open(path) {
        Ok(mut lines) => {
            while let Some(raw) = lines.next()? {
                check.line(&raw);
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let Some(who) = against.knows_one() else { return Err(error) };
            let what = format!("there is no log, and {who} that there was one");
            check.found.findings.push(Finding { line: 0, damage: Damage::Missing, what });
            return Ok(check.found);
        }
        Err(error) => return Err(error),
    }
    let times = times(path, &check.pieces.doubtful())?;
    Ok(check.finish(&times))
}

/// How often each of these lines is in the file.
fn times(path: &Path, hashes: &[Digest]) -> Result<HashMap<Digest, u64>, FileError> {
    let mut times: HashMap<Digest, u64> = hashes.iter().map(|hash| (*hash, 0)).collect();
    if times.is_empty() {
        return Ok(times);
    }
    let mut lines = Lines::open(path)?;
    while let Some(raw) = lines.next()? {
        if let Some(line) = raw.parse()
            && let Some(times) = times.get_mut(&line.hash)
        {
            *times += 1;
        }
    }
    Ok(times)
}

struct Check<'a> {
    against: &'a Against,
    found: AuditVerified,
    pieces: Pieces,
    /// Anchors that no line has answered yet, by number, with the line that has another hash.
    anchors: BTreeMap<u64, (Digest, Option<u64>)>,
    seals: Option<Seals>,
}

/// How far the seals are proved.
struct Seals {
    /// The key of the next.
    key: EpochKey,
    count: u64,
    /// Lines since the last.
    since: u64,
    first_since: u64,
}

impl<'a> Check<'a> {
    fn new(path: &Path, against: &'a Against) -> Self {
        let anchors = against.anchors.iter().map(|one| (one.seq, (one.hash, None))).collect();
        let found = AuditVerified {
            file: shown(path),
            lines: 0,
            seq: 0,
            hash: Digest::default(),
            instance: None,
            seals: None,
            anchors: against.anchors.len(),
            findings: Vec::new(),
        };
        let key = against.key.clone();
        let seals = key.map(|key| Seals { key, count: 0, since: 0, first_since: 0 });
        Self { against, found, pieces: Pieces::default(), anchors, seals }
    }

    fn line(&mut self, raw: &Raw<'_>) {
        self.found.lines += 1;
        let line = raw.parse();
        if !raw.whole {
            let what = "the end of the log is not whole: the program was killed or the disk was \
                        full while it was written; the next run repairs it";
            self.tell(raw.number, Damage::Torn, what.to_owned());
            if line.is_none() {
                return;
            }
        }
        self.pieces.add(raw.number, line.as_ref());
        let Some(line) = line else { return };
        if line.seq == 1 && self.found.instance.is_none() {
            self.found.instance = instance_of(&line).map(str::to_owned);
        }
        if line.seq >= self.found.seq {
            self.found.seq = line.seq;
            self.found.hash = line.hash;
        }
        if let Some((hash, other)) = self.anchors.get_mut(&line.seq) {
            if *hash == line.hash {
                self.anchors.remove(&line.seq);
            } else {
                *other = Some(raw.number);
            }
        }
        self.seal(raw, &line);
    }

    fn tell(&mut self, line: u64, damage: Damage, what: String) {
        if self.found.findings.len() < MOST {
            self.found.findings.push(Finding { line, damage, what });
        }
    }

    fn seal(&mut self, raw: &Raw<'_>, line: &Line) {
        let Some(seals) = &mut self.seals else { return };
        let Some(seal) = line.seal else {
            seals.since += 1;
            if seals.since == 1 {
                seals.first_since = raw.number;
            }
            return;
        };
        seals.since = 0;
        let mut problems = Vec::new();
        let due = seals.key.epoch;
        if seal.epoch > due && seal.epoch - due <= MOST_EPOCHS {
            let last = seal.epoch - 1;
            problems.push((
                Damage::Deleted,
                format!("before this line the seals of epoch {due} to {last} are missing"),
            ));
            while seals.key.epoch < seal.epoch {
                seals.key = seals.key.next();
            }
        }
        let good = seal.epoch == seals.key.epoch
            && raw.text().is_some_and(|text| line.is_sealed_with(text, &seals.key.key));
        if good {
            seals.count += 1;
        } else {
            let what = format!("the seal of epoch {} was not made with its key", seal.epoch);
            problems.push((Damage::BadSeal, what));
        }
        if seal.epoch == seals.key.epoch {
            seals.key = seals.key.next();
        }
        for (damage, what) in problems {
            self.tell(raw.number, damage, what);
        }
    }

    fn finish(mut self, times: &HashMap<Digest, u64>) -> AuditVerified {
        for Finding { line, damage, what } in self.pieces.findings(times) {
            self.tell(line, damage, what);
        }
        if self.pieces.too_many {
            let what = "there is more damage than can be told apart".to_owned();
            self.tell(self.found.lines, Damage::Edited, what);
        }
        self.judge_anchors();
        self.judge_seals();
        self.found.findings.sort_by_key(|one| one.line);
        self.found
    }

    fn judge_anchors(&mut self) {
        let end = (self.found.lines, self.found.seq);
        let instance = self.found.instance.clone();
        let named = self.against.anchors.iter().filter_map(|one| one.instance.as_ref());
        let foreign = named.clone().find(|name| instance.as_ref().is_some_and(|own| own != *name));
        if let Some(name) = foreign {
            let what = format!("the log is another one: an anchor is of the log {name}");
            self.tell(1, Damage::OtherInstance, what);
        }
        let open = std::mem::take(&mut self.anchors);
        let cut = open.keys().filter(|seq| **seq > end.1).max().copied();
        if let Some(seq) = cut {
            let what = format!("the log ends with seq {}, and an anchor knows seq {seq}", end.1);
            self.tell(end.0, Damage::CutTail, what);
        }
        let others = open.into_iter().filter_map(|(seq, (_, line))| Some((seq, line?)));
        for (seq, line) in others {
            let what = format!("an anchor knows another line with this number (seq {seq})");
            self.tell(line, Damage::Rewritten, what);
        }
    }

    fn judge_seals(&mut self) {
        let Some(seals) = self.seals.take() else { return };
        self.found.seals = Some(seals.count);
        if seals.since > 0 {
            let lines = count(usize::try_from(seals.since).unwrap_or(usize::MAX), "line");
            let what = format!("from here on no seal proves what is written ({lines})");
            self.tell(seals.first_since, Damage::Unsealed, what);
        }
        let (Some(first), Some(live)) = (&self.against.key, &self.against.live) else { return };
        let ahead = live.epoch.saturating_sub(first.epoch).min(MOST_EPOCHS);
        let expected = (0..ahead).fold(first.clone(), |key, _| key.next());
        let (line, due) = (self.found.lines, seals.key.epoch);
        if expected != *live {
            let what = "the key of this machine does not come from the initial key".to_owned();
            self.tell(line, Damage::BadSeal, what);
        } else if live.epoch > due {
            let what = format!(
                "the log ends with epoch {}, and the key of this machine is that of epoch {}",
                due.saturating_sub(1),
                live.epoch
            );
            self.tell(line, Damage::CutTail, what);
        }
    }
}
