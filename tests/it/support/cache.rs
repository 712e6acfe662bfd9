//! What lies in a project's cache, and what runs and `explain` say of its keys.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Project, Run, files_below};

/// The digest of bytes, in hex.
pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Project {
    /// Where the object with these bytes lies in the project's own cache.
    pub(crate) fn object_of(&self, bytes: &[u8]) -> PathBuf {
        let hex = hex_digest(bytes);
        self.path(".reprovm/cas/objects").join(&hex[..2]).join(&hex[2..])
    }

    /// Where the object with these bytes lies in the form with this suffix.
    pub(crate) fn packed_object(&self, bytes: &[u8], suffix: &str) -> PathBuf {
        let mut path = self.object_of(bytes).into_os_string();
        path.push(suffix);
        path.into()
    }

    /// Where the record under a key lies.
    pub(crate) fn record_of(&self, key: &str) -> PathBuf {
        self.path(".reprovm/cache").join(&key[..2]).join(&key[2..])
    }

    /// What `explain -o json` says of a task.
    #[track_caller]
    pub(crate) fn explain(&self, task: &str) -> Value {
        let run = self.json(["explain", "manifest.txt", task]);
        serde_json::from_str(&run.success().out()).expect("an explanation")
    }

    /// The key of a task whose dependencies are done.
    #[track_caller]
    pub(crate) fn key(&self, task: &str) -> String {
        let all = self.explain(task);
        all["key"].as_str().unwrap_or_else(|| panic!("no key: {all}")).to_owned()
    }

    /// Every object of the project's cache has the bytes that its name says.
    #[track_caller]
    pub(crate) fn assert_sound_objects(&self) {
        assert_sound_objects(&self.path(".reprovm"));
    }
}

/// Every object of a cache folder has the bytes that its name says; there is at least one.
#[track_caller]
pub(crate) fn assert_sound_objects(cache: &Path) {
    let folder = cache.join("cas/objects");
    let objects = files_below(&folder, &[]);
    assert!(!objects.is_empty(), "no objects in {}", folder.display());
    for object in objects {
        let name = object.to_string_lossy().replace('/', "");
        let bytes = bare_bytes(&folder.join(&object)).expect("a readable object");
        let digest = name.split_once('.').map_or(&*name, |(digest, _)| digest);
        assert_eq!(hex_digest(&bytes), digest, "an object has other bytes than its name says");
    }
}

/// What a file holds, by its suffix: bare bytes, or those of a codec.
pub(crate) fn bare_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    match path.extension().and_then(|suffix| suffix.to_str()) {
        None => BufReader::new(file).read_to_end(&mut bytes),
        Some("zst") => zstd::Decoder::new(file)?.read_to_end(&mut bytes),
        Some("gz") => flate2::read::GzDecoder::new(file).read_to_end(&mut bytes),
        Some("zz") => flate2::read::ZlibDecoder::new(file).read_to_end(&mut bytes),
        Some("lz4") => lz4_flex::frame::FrameDecoder::new(file).read_to_end(&mut bytes),
        Some(other) => panic!("{other} is no suffix of ours"),
    }?;
    Ok(bytes)
}

impl Run {
    /// Why a task ran, from its end.
    #[track_caller]
    pub(crate) fn reasons(&self, task: &str) -> Value {
        let all = self.events_of("task_finished");
        let of = all.iter().find(|event| event["task"] == task);
        of.unwrap_or_else(|| panic!("`{task}` did not end\n{}", self.transcript()))["reasons"]
            .clone()
    }

    /// The key under which a task was looked up.
    #[track_caller]
    pub(crate) fn key(&self, task: &str) -> String {
        let found = self.events().into_iter().find(|event| {
            event["task"] == task && (event["type"] == "cache_hit" || event["type"] == "cache_miss")
        });
        let event =
            found.unwrap_or_else(|| panic!("`{task}` had no lookup\n{}", self.transcript()));
        event["key"].as_str().expect("a key").to_owned()
    }

    /// The line of a task that ran.
    #[track_caller]
    pub(crate) fn line_of(&self, task: &str) -> String {
        let out = self.err();
        let start = format!("[✔] {task}  ");
        let line = out.lines().find(|line| line.starts_with(&start));
        line.unwrap_or_else(|| panic!("no line of `{task}`\n{}", self.transcript())).to_owned()
    }
}
