//! The cache folder looked at from outside, by the description of its form: is every object what
//! its name says, and is all there that a record names? Uses nothing of the program's own code.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use sha2::{Digest as _, Sha256};

use super::{Project, bare_bytes, files_below};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The names below a folder whose files lie in folders of two digits.
fn names(project: &Project, folder: &str) -> BTreeSet<String> {
    let folder = project.path(folder);
    if !folder.is_dir() {
        return BTreeSet::new();
    }
    files_below(&folder, &[]).iter().map(|path| path.to_string_lossy().replace('/', "")).collect()
}

/// The keys that have a record.
pub(crate) fn records(project: &Project) -> BTreeSet<String> {
    names(project, ".reprovm/cache")
}

/// Fails where an object has other bytes than its name says, or a record is cut or names what is
/// not there.
#[track_caller]
pub(crate) fn assert_store_is_whole(project: &Project, after: &str) {
    let mut objects = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in names(project, ".reprovm/cas/objects") {
        let path = format!(".reprovm/cas/objects/{}/{}", &file[..2], &file[2..]);
        let object = file.split_once('.').map_or(&*file, |(object, _)| object);
        match bare_bytes(&project.path(path)) {
            Ok(bytes) if hex(&Sha256::digest(&bytes)) == object => {}
            Ok(bytes) => wrong.push(format!("object {file} holds {} other bytes", bytes.len())),
            Err(error) => wrong.push(format!("object {file} cannot be read: {error}")),
        }
        objects.insert(object.to_owned());
    }
    for key in records(project) {
        let path = format!(".reprovm/cache/{}/{}", &key[..2], &key[2..]);
        let bytes = fs::read(project.path(path)).expect("a readable record");
        match named(&bytes) {
            None => wrong.push(format!("record {key} of {} bytes is not whole", bytes.len())),
            Some(named) => wrong.extend(
                named
                    .into_iter()
                    .filter(|digest| !objects.contains(digest))
                    .map(|digest| format!("record {key} names {digest}, which is not there")),
            ),
        }
    }
    assert!(wrong.is_empty(), "{after}:\n{}", wrong.join("\n"));
}

/// The objects that a record names, if it is whole.
fn named(record: &[u8]) -> Option<Vec<String>> {
    let (body, check) = record.split_last_chunk::<32>()?;
    if Sha256::digest(body)[..] != check[..] {
        return None;
    }
    let mut rest = body.strip_prefix(b"rvmrec\0\x01")?;
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count)?;
        rest = left;
        Some(taken)
    };
    let number =
        |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let mut found = Vec::new();
    let recipe = number(take(4)?);
    take(recipe)?;
    for _ in 0..number(take(4)?) {
        let path = number(take(4)?);
        take(path)?;
        let is_folder = take(1)? == [3];
        take(4 + 8)?;
        let digest = hex(take(32)?);
        if !is_folder {
            found.push(digest);
        }
    }
    let log = hex(take(32)?);
    if number(take(8)?) > 0 {
        found.push(log);
    }
    (take(5 * 8)?.len() == 40).then_some(found)
}

#[test]
fn a_store_that_is_not_whole_is_seen() {
    let project = Project::new();
    project
        .file("a", "a")
        .manifest("task t {\n cmd = cat a a > b; echo word\n inputs = a\n outputs = b\n}\n");
    project.run(["manifest.txt"]).success();
    assert_store_is_whole(&project, "a run");
    let keys = records(&project);
    assert_eq!(keys.len(), 1);
    let objects: Vec<String> = names(&project, ".reprovm/cas/objects").into_iter().collect();
    assert_eq!(objects.len(), 2, "the output and the log");
    let seen = |path: String, damage: &dyn Fn(&str)| {
        let good = project.bytes(&path);
        damage(&path);
        let check = std::panic::AssertUnwindSafe(|| assert_store_is_whole(&project, "damage"));
        let seen = std::panic::catch_unwind(check).is_err();
        if project.exists(&path) {
            project.remove(&path);
        }
        project.file(&path, good);
        seen
    };
    let cut = |path: &str| {
        project.remove(path).file(path, "a");
    };
    let remove = |path: &str| {
        project.remove(path);
    };
    for object in &objects {
        let path = || format!(".reprovm/cas/objects/{}/{}", &object[..2], &object[2..]);
        assert!(seen(path(), &cut) && seen(path(), &remove));
    }
    let key = keys.first().expect("one record");
    assert!(seen(format!(".reprovm/cache/{}/{}", &key[..2], &key[2..]), &cut));
    assert_store_is_whole(&project, "repair");
}
