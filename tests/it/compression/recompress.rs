//! `cache recompress`: from each form to each other, while runs go on, and ended at any moment.

use std::fs;

use super::{
    CODECS, MANIFEST, OBJECTS, assert_restores_all, bare_bytes, built, data, is_compressed_as,
    project, replace, seq, suffixes,
};
use crate::support::supervisor::{Fault, is_permitted, watched};
use crate::support::{Project, assert_store_is_whole, files_below, long, wait_until};

#[test]
fn each_form_becomes_each_other_and_what_it_has_already_stays() {
    let project = project();
    project.run(["manifest.txt"]).success();
    let mut from = "bare";
    for (algorithm, suffix) in CODECS {
        let to = ["cache", "recompress", "--algorithm", algorithm];
        let tried = data(project.json([&to[..], &["-n"]].concat()).success());
        assert_eq!(tried["dry_run"], true);
        assert!(!is_compressed_as(&project, suffix), "{algorithm}");
        let done = data(project.json(to).success());
        assert!(is_compressed_as(&project, suffix), "{from} to {algorithm}");
        assert_eq!((&done["objects"], &done["changed"]), (&8.into(), &5.into()), "{done}");
        for same in ["changed", "bytes_before", "bytes_after", "objects"] {
            assert_eq!(tried[same], done[same], "{same}: {tried} {done}");
        }
        assert_store_is_whole(&project, algorithm);
        assert_restores_all(&project);
        let again = data(project.json(to).success());
        assert_eq!((&again["changed"], &again["bytes_before"]), (&0.into(), &done["bytes_after"]));
        from = algorithm;
    }
    // What the settings say without a flag: nothing is compressed.
    project.run(["cache", "recompress"]).success().stdout_has("5 of 8 objects became bare: ");
    assert_eq!(suffixes(&project), vec!["bare"; 8]);
    project
        .run(["--compress", "cache", "recompress"])
        .success()
        .stdout_has("became zstd (level 3)");
    assert!(is_compressed_as(&project, ".zst"));
    let run = project.run(["cache", "recompress", "--level", "9"]);
    run.success().stdout_has("0 of 8 objects became zstd (level 9): ");
    assert!(files_below(&project.path(".reprovm/cas/tmp"), &[]).is_empty());
    assert_eq!(files_below(&project.path(".reprovm/cas/recompress"), &[]).len(), 1, "the lock");
}

/// Or the cache would have more than it may until somebody counts it.
#[test]
fn what_becomes_larger_is_noted_for_the_collection() {
    let project = built("zstd");
    let notes = || project.read(".reprovm/cas/size");
    let before = notes();
    project.run(["-n", "cache", "recompress", "--algorithm", "none"]).success();
    assert_eq!(notes(), before);
    let done = data(project.json(["cache", "recompress", "--algorithm", "none"]).success());
    let [from, to] = ["bytes_before", "bytes_after"].map(|part| done[part].as_u64().expect(part));
    assert_eq!(notes(), format!("{before}+{}\n", to - from));
    project.json(["cache", "recompress", "--algorithm", "zstd"]).success();
    assert_eq!(notes(), format!("{before}+{}\n", to - from), "what has gone is not guessed at");
}

#[test]
fn a_cache_that_is_not_there_is_not_made_and_bad_flags_are_refused() {
    let project = Project::new();
    project
        .run(["cache", "recompress", "--algorithm", "zstd"])
        .success()
        .stdout_has("0 of 0 objects");
    assert!(!project.exists(".reprovm"));
    project.run(["cache", "recompress", "--algorithm", "xz"]).code(1).stderr_has("xz");
    project.run(["cache", "recompress", "--level", "13"]).code(1).stderr_has("13");
}

#[test]
fn a_damaged_object_is_named_and_left_as_it_is() {
    let project = built("gzip");
    let object = project.packed_object(&seq(1, 3000), ".gz");
    let mut bytes = project.bytes(&object);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    replace(&object, &bytes);
    let run = project.run(["cache", "recompress", "--algorithm", "zstd"]);
    run.code(9).stdout_has("4 of 8 objects became zstd").stderr_has("damaged object `");
    run.stderr_has("cache verify --repair");
    assert_eq!(project.bytes(&object), bytes);
    assert!(!project.packed_object(&seq(1, 3000), ".zst").exists());
}

#[test]
fn an_object_that_lies_there_twice_is_no_flaw_and_loses_one_of_the_two() {
    let project = built("zstd");
    let bytes = seq(1, 3000);
    let packed = project.packed_object(&bytes, ".zst");
    fs::write(project.object_of(&bytes), &bytes).expect("a writable folder");
    project.run(["cache", "verify"]).success().stdout_has("9 objects (");
    assert_restores_all(&project);
    let run = project.run(["cache", "recompress", "--algorithm", "zstd"]);
    run.success().stdout_has("0 of 8 objects became zstd (level 3), 1 lay there twice: ");
    assert!(packed.is_file() && !project.object_of(&bytes).exists());
    assert_restores_all(&project);
}

/// Killed or failing at some of its calls, and at all of them in the long run.
#[test]
fn ended_at_any_call_it_leaves_a_cache_from_which_all_is_restored() {
    if !is_permitted() {
        return;
    }
    let project = built("none");
    let turn = |round: usize| ["zstd", "none", "gzip"][round % 3];
    let args = |round: usize| ["-j", "2", "cache", "recompress", "--algorithm", turn(round)];
    let total = watched(&project, &args(0), Fault::Never).calls;
    assert!(total > 20, "only {total} calls");
    let step = if long() > 0 { 1 } else { total / 9 + 1 };
    let mut struck = 0;
    for (round, at) in
        (1..total).step_by(usize::try_from(step).expect("a small number")).enumerate()
    {
        let fault =
            if round % 4 == 3 { Fault::FailAt(at, libc::ENOSPC) } else { Fault::KillAt(at) };
        let run = watched(&project, &args(round + 1), fault);
        struck += usize::from(run.struck.is_some());
        let what = format!("{fault:?} of {total}: {}", run.run.transcript());
        assert_store_is_whole(&project, &what);
        project.run(["cache", "verify"]).success().stdout_has(": all sound");
        assert_restores_all(&project);
        // The next one ends what was begun, and clears up.
        project.run(args(round + 1)).success();
        assert_eq!(suffixes(&project).len(), 8, "{what}");
        assert_eq!(files_below(&project.path(".reprovm/cas/recompress"), &[]).len(), 1, "{what}");
    }
    assert!(struck >= 6, "struck {struck} times");
}

#[test]
fn runs_restore_and_store_while_forms_change_under_them() {
    let project = built("none");
    let stop = project.path("stop");
    let script = "while [ ! -e stop ]; do for a in zstd none gzip lz4 none zlib; do \
                  \"$1\" cache recompress --algorithm $a -q || exit 70; done; echo round >> rounds; done; :";
    let changing = project.by_shell(script, [""; 0]);
    for round in 0..3 {
        for output in super::OUTPUTS {
            project.remove(output);
        }
        let more = format!(
            "{MANIFEST}task new {{\n  cmd = seq -f 'number %.0f of all' {round} 4000 > new\n  outputs = new\n}}\n"
        );
        let run = project.manifest(&more).json(["manifest.txt"]);
        assert_eq!(run.success().executed(), ["new"], "{}", run.transcript());
        assert!(run.events_of("cache_damaged").is_empty(), "{}", run.transcript());
        wait_until("a round", || project.exists("rounds"));
        project.remove("rounds");
    }
    fs::write(&stop, "").expect("a writable folder");
    changing.wait().success();
    assert_store_is_whole(&project, "the rounds");
}

#[test]
fn only_one_process_changes_forms_at_a_time() {
    let project = built("none");
    let lock = project.path(".reprovm/cas/recompress/lock");
    fs::create_dir_all(lock.parent().expect("a folder")).expect("a folder");
    let file = fs::File::create(&lock).expect("a lock");
    file.lock().expect("nobody has it");
    let run = project.run(["--no-wait", "cache", "recompress", "--algorithm", "zstd"]);
    run.code(8)
        .stderr_has("another process is changing the form of its objects")
        .stderr_has("help: ");
    assert_eq!(suffixes(&project), vec!["bare"; 8]);
    // A try needs none.
    project.run(["--no-wait", "-n", "cache", "recompress", "--algorithm", "zstd"]).success();
    file.unlock().expect("it is ours");
    project.run(["--no-wait", "cache", "recompress", "--algorithm", "zstd"]).success();
    assert!(is_compressed_as(&project, ".zst"));
}

#[test]
fn a_cache_of_many_objects_is_changed_on_all_cores_and_shared_by_checkouts() {
    let mut first = project();
    first.env("REPROVM_CACHE_DIR", "../shared");
    first.run(["manifest.txt"]).success();
    let folder = first.path("../shared/cas/objects");
    first.run(["cache", "recompress", "--algorithm", "gzip"]).success().stdout_has("5 of 8");
    let mut second = project();
    second.env("REPROVM_CACHE_DIR", first.path("../shared"));
    second.json(["manifest.txt"]).executed_nothing();
    for file in files_below(&folder, &[]) {
        bare_bytes(&folder.join(file)).expect("a readable object");
    }
    assert!(!first.exists(OBJECTS));
}
