//! Damaged and lost files of the cache, and those of other versions: the result is right, and no
//! damage is believed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use serde_json::json;

use crate::support::{Project, Run, assert_same_tree, files_below, hex_digest};

/// Does something to a file, given another one of the same kind.
pub(crate) type Harm = fn(&Path, &Path);

/// What can befall a file: each has a name.
pub(crate) const HARMS: [(&str, Harm); 13] = [
    ("gone", |file, _| remove(file)),
    ("empty", |file, _| write(file, b"")),
    ("cut", |file, _| edit(file, |bytes| bytes.truncate(bytes.len() / 2))),
    ("longer", |file, _| edit(file, |bytes| bytes.push(b'x'))),
    ("first bit flipped", |file, _| {
        edit(file, |bytes| bytes.first_mut().into_iter().for_each(|byte| *byte ^= 1));
    }),
    ("middle bit flipped", |file, _| {
        edit(file, |bytes| {
            let middle = bytes.len() / 2;
            bytes.get_mut(middle).into_iter().for_each(|byte| *byte ^= 0x10);
        });
    }),
    ("garbage", |file, _| write(file, &[0xa5; 4096])),
    ("swapped", |file, other| write(file, &fs::read(other).expect("another file"))),
    ("a folder", |file, _| {
        remove(file);
        fs::create_dir(file).expect("a folder");
    }),
    ("a full folder", |file, _| {
        remove(file);
        fs::create_dir(file).and_then(|()| fs::write(file.join("x"), "x")).expect("a folder");
    }),
    ("a link to the same bytes", |file, _| {
        let cache = file.ancestors().find(|folder| folder.ends_with(".reprovm"));
        let moved = cache.expect("it lies in the cache").with_file_name("moved");
        fs::rename(file, &moved).and_then(|()| symlink(&moved, file)).expect("a link");
    }),
    ("a link to nothing", |file, _| {
        remove(file);
        symlink("nowhere", file).expect("a link");
    }),
    ("a fifo", |file, _| {
        remove(file);
        nix::unistd::mkfifo(file, Mode::S_IRWXU).expect("a fifo");
    }),
];

fn remove(file: &Path) {
    fs::remove_file(file).expect("a file to remove");
}

/// Replaces the file, so that it does not matter that it is read-only.
fn write(file: &Path, bytes: &[u8]) {
    remove(file);
    fs::write(file, bytes).expect("a writable folder");
}

fn edit(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).expect("a readable file");
    change(&mut bytes);
    write(file, &bytes);
}

/// Two tasks whose outputs have equally many bytes.
fn built() -> Project {
    let project = Project::new();
    project.file("in", "words\n").manifest(
        "task t {\n  cmd = cp in out\n  inputs = in\n  outputs = out\n}\n\
         task u {\n  cmd = tr a-z A-Z < in > other\n  inputs = in\n  outputs = other\n}\n",
    );
    project.run(["manifest.txt"]).success();
    project
}

/// After some harm: the next run is right and without a hang, and the one after it finds all in
/// order.
#[track_caller]
fn assert_healed(project: &Project, what: &str) -> Run {
    let run = project.json(["manifest.txt"]);
    assert_eq!(run.success().tasks_with("failed"), [""; 0], "{what}");
    assert_eq!(
        (project.read("out"), project.read("other")),
        ("words\n".into(), "WORDS\n".into()),
        "{what}"
    );
    let second = project.json(["manifest.txt"]);
    assert!(second.executed_nothing().events_of("cache_damaged").is_empty(), "{what}");
    project.remove("out").remove("other").json(["manifest.txt"]).executed_nothing();
    project.assert_sound_objects();
    run
}

// D3 and D4.
#[test]
fn a_harmed_object_is_found_and_made_anew() {
    let project = built();
    let (object, other) = (project.object_of(b"words\n"), project.object_of(b"WORDS\n"));
    for (what, harm) in HARMS {
        harm(&object, &other);
        // Where the workspace has the result, nobody needs the object.
        project.json(["manifest.txt"]).executed_nothing();
        project.remove("out");
        let run = assert_healed(&project, what);
        assert_eq!(run.executed(), ["t"], "{what}");
        let told = run.events_of("cache_damaged");
        assert_eq!(told.len(), usize::from(what != "gone"), "{what}\n{}", run.transcript());
        assert_eq!(run.reasons("t")[0]["reason"], "store_damaged", "{what}");
    }
}

#[test]
fn a_harmed_record_is_found_and_made_anew() {
    let project = built();
    let (record, other) =
        (project.record_of(&project.key("t")), project.record_of(&project.key("u")));
    for (what, harm) in HARMS {
        harm(&record, &other);
        project.json(["manifest.txt"]).executed_nothing();
        project.remove("out");
        let run = assert_healed(&project, what);
        assert_eq!(run.executed(), ["t"], "{what}");
        let told = run.events_of("cache_damaged");
        assert_eq!(told.len(), usize::from(what != "gone"), "{what}\n{}", run.transcript());
    }
}

#[test]
fn every_byte_of_a_record_matters() {
    let project = built();
    let record = project.record_of(&project.key("t"));
    let whole = fs::read(&record).expect("a record");
    for at in (0..whole.len()).step_by(23) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        write(&record, &bytes);
        project.remove("out");
        let run = project.json(["manifest.txt"]);
        assert_eq!(run.success().executed(), ["t"], "byte {at}");
        assert_eq!(project.read("out"), "words\n", "byte {at}");
    }
}

/// The state of the project, or its journal where a run was killed.
fn state_file(project: &Project, suffix: &str) -> PathBuf {
    let folder = project.path(".reprovm/state");
    let name = files_below(&folder, &[])
        .into_iter()
        .find(|name| name.extension().is_some_and(|found| found == "state"));
    folder.join(name.expect("a state")).with_extension(suffix)
}

#[test]
fn a_harmed_state_of_the_workspace_is_made_anew() {
    let project = built();
    let elsewhere = built();
    elsewhere.file("in", "others\n").run(["manifest.txt"]).success();
    let other = state_file(&elsewhere, "state");
    for (what, harm) in HARMS {
        // A full folder stays until someone removes it: it can hold anything.
        if what == "a full folder" || what == "a folder" {
            continue;
        }
        harm(&state_file(&project, "state"), &other);
        let run = assert_healed(&project, what);
        assert_eq!(run.executed(), [""; 0], "{what}: the cache knows the results");
    }
}

#[test]
fn a_harmed_journal_is_read_as_far_as_it_is_whole() {
    let project = built();
    let journal = state_file(&project, "journal");
    type Found = fn(&Path);
    let harms: [(&str, Found); 5] = [
        ("empty", |journal| fs::write(journal, "").expect("a journal")),
        ("garbage", |journal| fs::write(journal, [0xa5; 4096]).expect("a journal")),
        ("a huge length", |journal| fs::write(journal, [0xff; 8]).expect("a journal")),
        ("a link to nothing", |journal| symlink("nowhere/at/all", journal).expect("a link")),
        ("a fifo", |journal| nix::unistd::mkfifo(journal, Mode::S_IRWXU).expect("a fifo")),
    ];
    let plant = |harm: Found| {
        if journal.exists() {
            remove(&journal);
        }
        harm(&journal);
    };
    for (what, harm) in harms {
        plant(harm);
        let run = assert_healed(&project, what);
        assert_eq!(run.executed(), [""; 0], "{what}");
        plant(harm);
        project.file("in", "others\n").run(["manifest.txt"]).success();
        assert_eq!(project.read("out"), "others\n", "{what}");
        project.file("in", "words\n").json(["manifest.txt"]).executed_nothing();
        // A run that looks at everything takes it in.
        project.json(["--graph", "manifest.txt"]).executed_nothing();
        assert!(!journal.exists(), "{what}");
    }
}

#[test]
fn a_folder_in_the_place_of_the_state_is_told_of_and_costs_no_result() {
    let project = built();
    let state = state_file(&project, "state");
    remove(&state);
    fs::create_dir(&state).expect("a folder");
    let run = project.run(["manifest.txt"]);
    run.success().says(".state`");
    assert_eq!(project.read("out"), "words\n");
    project.file("in", "others\n").run(["manifest.txt"]).success();
    assert_eq!(project.read("out"), "others\n");
}

// D4: all that is left of the cache are its objects.
#[test]
fn objects_without_records_are_no_results() {
    let project = built();
    project.remove(".reprovm/cache").remove("out").remove("other");
    let run = assert_healed(&project, "no records");
    assert_eq!(run.executed(), ["t", "u"]);
    project.remove(".reprovm/cache").remove(".reprovm/state");
    let run = project.json(["manifest.txt"]);
    assert_eq!(run.success().reasons("t"), json!([{"reason": "no_record"}]));
    let before = project.tree();
    project.remove(".reprovm").run(["manifest.txt"]).success();
    assert_same_tree(&project.tree(), &before);
}

// D8.
#[test]
fn a_record_or_state_of_another_version_is_a_miss_and_no_damage() {
    let project = built();
    let record = project.record_of(&project.key("t"));
    for later in [1, 0x7f, 0xff] {
        let other = |version: u8| version.wrapping_add(later);
        edit(&record, |bytes| {
            bytes[7] = other(bytes[7]);
            let body = bytes.len() - 32;
            let check = raw(&hex_digest(&bytes[..body]));
            bytes[body..].copy_from_slice(&check);
        });
        edit(&state_file(&project, "state"), |bytes| bytes[7] = other(bytes[7]));
        project.remove("out");
        let run = project.json(["manifest.txt"]);
        assert_eq!(run.success().executed(), ["t"], "{later} later");
        assert!(run.events_of("cache_damaged").is_empty(), "{}", run.transcript());
        assert_eq!(run.reasons("t"), json!([{"reason": "no_record"}]));
        project.remove("out").json(["manifest.txt"]).executed_nothing();
    }
}

#[test]
fn a_key_of_another_version_is_named_as_the_reason() {
    let project = built();
    let key = project.key("t");
    // The record of the last run becomes what another version would have left: a recipe of its
    // form under the key of that recipe, which the state names.
    let mut recipe = Vec::new();
    edit(&project.record_of(&key), |bytes| {
        let length = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
        let end = 12 + usize::try_from(length).expect("it fits");
        bytes[12 + 7] = 2;
        recipe = bytes[12..end].to_vec();
        let body = bytes.len() - 32;
        let check = raw(&hex_digest(&bytes[..body]));
        bytes[body..].copy_from_slice(&check);
    });
    let other = hex_digest(&recipe);
    let target = project.record_of(&other);
    fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
    fs::rename(project.record_of(&key), target).expect("a record");
    edit(&state_file(&project, "state"), |bytes| {
        let old = raw(&key);
        let at = bytes.windows(32).position(|window| window == old).expect("the key");
        bytes[at..at + 32].copy_from_slice(&raw(&other));
        let check = crc32fast::hash(&bytes[12..]);
        bytes[8..12].copy_from_slice(&check.to_le_bytes());
    });
    let run = project.json(["manifest.txt"]);
    assert_eq!(run.success().reasons("t"), json!([{"reason": "key_version_changed"}]));
    assert_eq!(run.executed(), ["t"]);
    project.json(["manifest.txt"]).executed_nothing();
}

fn raw(hex: &str) -> Vec<u8> {
    (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex")).collect()
}
