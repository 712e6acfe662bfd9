//! Compressed objects elsewhere: in backups, and on their way to and from a remote store.

use std::fs;
use std::path::PathBuf;

use super::{MANIFEST, assert_restores_all, bare_bytes, built, data, noise, project, replace, seq};
use crate::support::{Fake, Project, files_below, hex_digest};

const BACKUPS: &str = ".reprovm/backups/objects";

/// Where a backup has the object with these bytes.
fn object(project: &Project, bytes: &[u8], suffix: &str) -> PathBuf {
    let hex = hex_digest(bytes);
    project.path(format!("{BACKUPS}/{}/{}{suffix}", &hex[..2], &hex[2..]))
}

fn backup(project: &Project, verb: &str, compression: &str) {
    let set = format!("backup.compression={compression}");
    project
        .run([&["backup", "--set", &set], &verb.split(' ').collect::<Vec<_>>()[..]].concat())
        .success();
}

/// A project that has nothing but the cache that was restored to `folder`.
#[track_caller]
fn assert_all_is_in(project: &Project, folder: &str) -> Project {
    let cache = project.path(folder);
    let mut fresh = self::project();
    fresh.env("REPROVM_CACHE_DIR", &cache);
    fresh.json(["manifest.txt"]).executed_nothing();
    assert_eq!(fresh.bytes("many.txt"), seq(1, 60_000));
    fresh
}

#[test]
fn a_compressed_backup_is_proved_and_restored_from_each_form_of_a_cache() {
    for (cache, kept, suffix) in
        [("none", "zstd", ".zst"), ("zstd", "zstd", ".zst"), ("lz4", "none", "")]
    {
        let project = built(cache);
        backup(&project, "create one", kept);
        let bytes = seq(1, 60_000);
        let there = object(&project, &bytes, suffix);
        assert!(bare_bytes(&there).expect("an object") == bytes, "{cache} to {kept}");
        project.run(["backup", "verify", "one"]).success().stdout_has("is whole");
        project.run(["backup", "restore", "one", "copy"]).success();
        let fresh = assert_all_is_in(&project, "copy");
        let mut all = files_below(&project.path("copy/cas/objects"), &[]);
        all.retain(|path| path.extension().is_some());
        assert_eq!(all.len(), if cache == "none" { 0 } else { 5 }, "as the settings say: {all:?}");
        fresh.run(["cache", "verify"]).success().stdout_has("8 objects (");
        assert_eq!(project.exists("copy/cas/compressed"), cache != "none");
    }
}

#[test]
fn incremental_backups_share_objects_whatever_their_codec() {
    let project = built("none");
    backup(&project, "create one", "gzip");
    let set = "backup.compression=lz4";
    let again =
        data(project.json(["backup", "--set", set, "create", "two", "--incremental"]).success());
    assert_eq!(again["new_files"], 0, "{again}");
    let more = format!(
        "{MANIFEST}task new {{\n  cmd = seq -f 'number %.0f of all' 1 4000 > new\n  outputs = new\n}}\n"
    );
    project.manifest(&more).run(["manifest.txt"]).success();
    backup(&project, "create three --incremental", "lz4");
    assert!(object(&project, &seq(1, 3000), ".gz").is_file());
    assert!(object(&project, &seq(1, 4000), ".lz4").is_file());
    for name in ["one", "two", "three"] {
        project.run(["backup", "verify", name]).success();
    }
    for name in ["one", "two"] {
        project.run(["backup", "delete", name]).success();
    }
    project.run(["backup", "verify", "three"]).success();
    project.run(["backup", "restore", "three", "copy"]).success();
    assert_all_is_in(&project, "copy");
    project.run(["backup", "delete", "three"]).success();
    assert!(files_below(&project.path(BACKUPS), &[]).is_empty());
}

#[test]
fn a_damaged_file_of_a_compressed_backup_is_named_and_mended_by_a_full_one() {
    let project = built("none");
    backup(&project, "create one", "zstd");
    let there = object(&project, &seq(1, 3000), ".zst");
    let good = fs::read(&there).expect("an object");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [flipped, good[..9].to_vec(), Vec::new(), [&good[..], b"x"].concat()] {
        replace(&there, &bad);
        let run = project.run(["backup", "verify", "one"]);
        run.code(9).stderr_has("is damaged: 1 file\n").stderr_has(".zst`: ");
        project
            .run(["backup", "restore", "one", "copy"])
            .code(9)
            .stderr_has("nothing was restored");
        assert!(!project.exists("copy"));
        // In another codec it is as good, and there is one of it.
        backup(&project, "create two", "gzip");
        assert!(!there.exists() && object(&project, &seq(1, 3000), ".gz").is_file());
        project.run(["backup", "verify", "one"]).success();
        project.run(["backup", "delete", "two"]).success();
        fs::remove_file(object(&project, &seq(1, 3000), ".gz")).expect("an object");
        fs::write(&there, &good).expect("a writable folder");
    }
    project.run(["backup", "verify", "one"]).success();
}

/// Objects in a remote store are bare, whatever they are here and there.
#[test]
fn a_remote_store_gets_bare_bytes_and_what_is_fetched_has_the_form_of_the_settings() {
    let fake = Fake::new();
    let large = format!(
        "{MANIFEST}task large {{\n  cmd = seq -f 'number %.0f of all' 1 250000 > large\n  outputs = large\n}}\n"
    );
    let with = |algorithm: &str| {
        let mut project = project();
        project.env("REPROVM_COMPRESSION", algorithm).env("REPROVM_REMOTE_CAS_URL", fake.url());
        project.manifest(&large);
        project
    };
    let sender = with("zstd");
    sender.run(["manifest.txt"]).success();
    assert!(sender.packed_object(&seq(1, 250_000), ".zst").is_file());
    sender.run(["--sync-to-remote"]).success();
    let there = fake.things();
    for bytes in [seq(1, 3000), seq(1, 250_000), noise(100_000)] {
        let hex = hex_digest(&bytes);
        let found = there.iter().find(|(path, _)| path.ends_with(&hex)).expect("the object");
        assert!(*found.1 == bytes, "{} bytes", bytes.len());
    }
    let again = data(sender.json(["--sync-to-remote"]).success());
    assert_eq!((&again["objects"], &again["objects_there"]), (&0.into(), &9.into()), "{again}");
    for (algorithm, suffix) in [("gzip", ".gz"), ("none", "")] {
        let fetcher = with(algorithm);
        fetcher.run(["--sync-from-remote"]).success();
        for bytes in [seq(1, 3000), seq(1, 250_000)] {
            assert!(fetcher.packed_object(&bytes, suffix).is_file(), "{algorithm}");
        }
        assert!(fetcher.object_of(&noise(100_000)).is_file());
        fetcher.json(["manifest.txt"]).executed_nothing();
        assert_restores_all(&fetcher);
    }
}
