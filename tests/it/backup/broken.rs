//! Backups that are damaged or hostile, and caches that are: what is bad is named, nothing bad is
//! restored, and nothing is written before it is seen.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use sha2::{Digest as _, Sha256};

use super::{BACKUPS, answer, assert_restores_all, built, names, object, objects, project, put};
use crate::support::Project;

type Harm = fn(&Path);

const HARMS: [(&str, Harm); 8] = [
    ("it is not there", |file| fs::remove_file(file).expect("a file")),
    ("its bytes have another digest", |file| {
        let mut bytes = fs::read(file).expect("a readable file");
        bytes[0] ^= 1;
        put(file, &bytes);
    }),
    ("it has 3 bytes instead of 6", |file| put(file, b"wor")),
    ("it has 7 bytes instead of 6", |file| put(file, b"words\n!")),
    ("it has 0 bytes instead of 6", |file| put(file, b"")),
    ("it is a directory", |file| {
        fs::remove_file(file).and_then(|()| fs::create_dir(file)).expect("a folder");
    }),
    ("it is no regular file", |file| {
        let moved = file.ancestors().nth(3).expect("the folder of backups").join("moved");
        fs::rename(file, &moved).and_then(|()| symlink(&moved, file)).expect("a link");
    }),
    ("it is a fifo, socket or device", |file| {
        fs::remove_file(file).expect("a file");
        nix::unistd::mkfifo(file, Mode::S_IRWXU).expect("a fifo");
    }),
];

/// Nothing was made where a restore should go, nor beside it.
#[track_caller]
fn assert_nothing_restored(project: &Project, what: &str) {
    let entries = fs::read_dir(project.root()).expect("the project").flatten();
    let names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("copy")), "{what}: {names:?}");
}

#[test]
fn each_kind_of_damage_is_named_with_the_backups_that_it_hits_and_repaired_by_a_full_backup() {
    let project = built();
    project.run(["backup", "create", "one"]).success();
    project.run(["backup", "create", "two", "--incremental"]).success();
    let file = object(&project, b"words\n");
    for (what, harm) in HARMS {
        harm(&file);
        let run = project.run(["backup", "verify", "one"]);
        run.code(9).stdout("").stderr_has("backup `one` is damaged: 1 file\n").stderr_has(what);
        run.stderr_has("needed by one, two");
        // Other bytes of the same size are seen when they are copied, all else before.
        let dest = if what.contains("digest") { "copy" } else { "copy/of/it" };
        let run = project.run(["backup", "restore", "one", dest]);
        run.code(9).stderr_has("nothing was restored").stderr_has("needed by one, two");
        assert_nothing_restored(&project, what);
        let json = project.json(["backup", "verify", "two"]);
        let found: serde_json::Value = serde_json::from_str(&json.code(9).out()).expect("JSON");
        assert_eq!(found["problems"].as_array().map(Vec::len), Some(1), "{found}");

        project.run(["backup", "create", "three"]).success();
        project.run(["backup", "verify", "one"]).success();
        project.run(["backup", "delete", "three"]).success();
    }
    project.run(["backup", "restore", "two", "copy"]).success();
    assert_restores_all(&project, "copy");
}

#[test]
fn an_incremental_backup_trusts_what_has_the_right_size_and_a_full_one_nothing() {
    let project = built();
    project.run(["backup", "create", "one"]).success();
    put(&object(&project, b"words\n"), b"wor");
    let made = answer(&project, &["create", "two", "--incremental"]);
    assert_eq!(made["new_files"], 1);
    project.run(["backup", "verify", "one"]).success();

    put(&object(&project, b"words\n"), b"Words\n");
    let made = answer(&project, &["create", "three", "--incremental"]);
    assert_eq!(made["new_files"], 0);
    project.run(["backup", "verify", "three"]).code(9).stderr_has("one, three, two");
    let made = answer(&project, &["create", "four"]);
    assert_eq!(made["new_files"], 1);
    project.run(["backup", "verify", "three"]).success();
}

#[test]
fn a_record_whose_object_is_gone_or_bad_is_left_out_and_the_cache_is_left_alone() {
    let project = built();
    let bad = project.object_of(b"WORDS\n");
    put(&bad, b"wordz\n");
    let run = project.run(["backup", "create", "one"]);
    run.success().stderr_has("1 record of the cache is not whole, and left out of the backup");
    assert_eq!(fs::read(&bad).expect("it stays"), b"wordz\n");
    let info = answer(&project, &["info", "one"]);
    assert_eq!((info["records"].as_u64(), info["left_out"].as_u64()), (Some(2), Some(1)));
    project.run(["backup", "verify", "one"]).success();
    let record = project.record_of(&project.key("copy"));
    put(&record, b"rubbish");
    fs::remove_file(&bad).expect("an object");
    let made = answer(&project, &["create", "two"]);
    assert_eq!((made["records"].as_u64(), made["left_out"].as_u64()), (Some(1), Some(2)));
    project.run(["backup", "verify", "two"]).success();
}

fn manifest_of(project: &Project, name: &str) -> PathBuf {
    project.path(BACKUPS).join(format!("{name}.manifest"))
}

/// The manifest with a good check sum again.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let check = Sha256::digest(&body);
    body.extend_from_slice(&check);
    body
}

#[test]
fn every_byte_of_a_manifest_counts() {
    let project = built();
    project.run(["backup", "create", "one"]).success();
    let place = manifest_of(&project, "one");
    let whole = fs::read(&place).expect("a manifest");
    let listed = || answer(&project, &["list"])[0].clone();
    let good = listed();
    // All bytes of the head, and of each kind of field behind it.
    for at in (0..60).chain((60..whole.len()).step_by(7)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        put(&place, &bytes);
        assert!(listed()["problem"].is_string(), "byte {at}");
    }
    for length in [0, 7, 8, 40, whole.len() - 1] {
        put(&place, &whole[..length]);
        let run = project.run(["backup", "restore", "one", "copy"]);
        run.code(9).stderr_has("the manifest of backup `one`").stderr_has("help: ");
    }
    assert_nothing_restored(&project, "a cut manifest");
    put(&place, &whole);
    assert_eq!(listed(), good);
}

#[test]
fn hostile_manifests_are_refused_before_anything_is_written() {
    let project = built();
    project.run(["backup", "create", "one"]).success();
    let place = manifest_of(&project, "one");
    let whole = fs::read(&place).expect("a manifest");
    let body = &whole[..whole.len() - 32];
    let version = env!("CARGO_PKG_VERSION").len();
    // Magic, time, kind, count of records left out, the program's version.
    let count = 8 + 8 + 1 + 8 + 4 + version;
    assert_eq!(body[count..count + 8], 5_u64.to_le_bytes());
    let edit = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut body = body.to_vec();
        change(&mut body);
        sealed(body)
    };
    let object = count + 8;
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("an unknown version", edit(&|body| body[7] = 2), "does not know"),
        ("a huge count", edit(&|body| body[count..object].fill(0xff)), "do not fit"),
        ("a huge size", edit(&|body| body[object + 32..object + 40].fill(0xff)), "cannot be"),
        ("a wrong size", edit(&|body| body[object + 32] ^= 1), "bytes instead of"),
        (
            "a duplicate",
            edit(&|body| {
                let first = body[object..object + 40].to_vec();
                body[object + 40..object + 80].copy_from_slice(&first);
            }),
            "do not fit",
        ),
        (
            "another key for a record",
            edit(&|body| {
                let at = body.len() - 72;
                body[at + 31] ^= 1;
            }),
            "it is no record of",
        ),
        (
            "an object that is missing from the list",
            edit(&|body| {
                body[count..object].copy_from_slice(&4_u64.to_le_bytes());
                body.drain(object..object + 40);
            }),
            "which is not listed",
        ),
    ];
    for (what, bytes, says) in cases {
        put(&place, &bytes);
        let run = project.run(["backup", "restore", "one", "copy"]);
        assert!(run.err().contains(says), "{what}: {}", run.transcript());
        run.code(9);
        assert_nothing_restored(&project, what);
        project.run(["backup", "verify", "one"]).code(9);
    }
}

#[test]
fn what_is_no_regular_file_is_no_manifest_and_holds_nobody_up() {
    let project = built();
    project.run(["backup", "create", "one"]).success();
    let place = manifest_of(&project, "one");
    let whole = fs::read(&place).expect("a manifest");
    for (what, harm) in &HARMS[5..] {
        put(&place, &whole);
        harm(&place);
        project.run(["backup", "restore", "one", "copy"]).code(9);
        assert_nothing_restored(&project, what);
        let _ = fs::remove_dir(&place);
        let _ = fs::remove_file(&place);
        fs::write(&place, b"").expect("a file again");
    }
}

#[test]
fn while_a_manifest_cannot_be_read_no_object_is_removed() {
    let project = built();
    project.run(["backup", "create", "one"]).success();
    project.run(["backup", "create", "two"]).success();
    let before = objects(&project);
    let place = manifest_of(&project, "one");
    let whole = fs::read(&place).expect("a manifest");
    put(&place, &whole[1..]);
    let run = project.run(["backup", "cleanup", "1"]);
    run.success().stderr_has("the manifest of backup `one` cannot be read");
    project.run(["backup", "delete", "two"]).success();
    assert_eq!(objects(&project), before);
    project.run(["backup", "list"]).success().stdout_has("one  the manifest of backup `one`");
    put(&place, &whole);
    project.run(["backup", "verify", "one"]).success();
    put(&place, b"");
    project.run(["backup", "delete", "one"]).success();
    assert!(objects(&project).is_empty() && names(&project).is_empty());
}

#[test]
fn a_cache_that_cannot_be_written_to_is_backed_up() {
    let maker = built();
    let taker = project();
    let shared = maker.outside().join("shared");
    let mut copy = std::process::Command::new("cp");
    let copied = copy.arg("-a").arg(maker.path(".reprovm")).arg(&shared).status();
    assert!(copied.expect("cp").success());
    let mount = |args: &[&str]| {
        let mut command = std::process::Command::new("mount");
        command.args(args).stderr(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let place = shared.to_str().expect("a plain path");
    let read_only = mount(&["--bind", place, place]) && mount(&["-o", "remount,bind,ro", place]);
    let run = taker.run(["--cache-dir", place, "backup", "create", "one"]);
    let refused = fs::write(shared.join("x"), "x").is_err();
    let _ = std::process::Command::new("umount").arg("-l").arg(place).status();
    assert!(!read_only || refused, "the cache was read-only");
    run.success().stdout_has("3 records");
    taker.run(["backup", "restore", "one", "copy"]).success();
    assert_restores_all(&taker, "copy");
}
