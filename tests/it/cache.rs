//! The verbs that look after the cache: verify, clean, stats. They find every damage, and touch
//! nothing that is not ours.

use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use serde_json::Value;

use crate::support::{Project, Run, files_below, wait_until};

const OBJECTS: &str = ".reprovm/cas/objects";
const RECORDS: &str = ".reprovm/cache";

/// Two tasks have run: two outputs, one log, two records.
fn built() -> Project {
    let project = Project::new();
    project.manifest(MANIFEST);
    project.run(["manifest.txt"]).success();
    project
}

const MANIFEST: &str = "task one {\n  cmd = echo alpha > one.txt; echo said\n  outputs = one.txt\n}\n\
    task two {\n  cmd = cat one.txt one.txt > two.txt\n  inputs = one.txt\n  outputs = two.txt\n}\n";

fn data(run: &Run) -> Value {
    serde_json::from_str(&run.out()).unwrap_or_else(|_| panic!("no JSON\n{}", run.transcript()))
}

/// All files below a folder of the project, with the folder before them.
fn below(project: &Project, folder: &str) -> Vec<PathBuf> {
    let files = files_below(&project.path(folder), &[]);
    files.into_iter().map(|file| Path::new(folder).join(file)).collect()
}

/// The object that holds these bytes.
fn object_of(project: &Project, bytes: &[u8]) -> PathBuf {
    let mut all = below(project, OBJECTS).into_iter();
    all.find(|path| project.bytes(path) == bytes).expect("an object with these bytes")
}

/// Puts other bytes in a file's place, which may be protected.
fn replace(project: &Project, path: &Path, bytes: &[u8]) {
    project.remove(path).file(path, bytes);
}

#[test]
fn a_sound_cache_is_verified_and_left_as_it_is() {
    let project = built();
    let before = below(&project, ".reprovm");
    let found = data(project.run(["cache", "verify", "-o", "json"]).success());
    assert_eq!((&found["objects"], &found["records"]), (&3.into(), &2.into()), "{found}");
    assert_eq!(found["bytes"], "alpha\n".len() * 3 + "said\n".len(), "{found}");
    assert_eq!(found["flaws"], Value::Array(Vec::new()));
    project.run(["--verify-cache"]).success().stdout("3 objects (23 B) and 2 records: all sound\n");
    assert_eq!(below(&project, ".reprovm"), before);
}

/// R1: damage of the store is found before a build meets it.
#[test]
fn a_damaged_object_is_named_and_repaired_with_the_records_that_need_it() {
    let project = built();
    let object = object_of(&project, b"alpha\n");
    replace(&project, &object, b"alphA\n");
    let before = below(&project, ".reprovm");
    let found = project.run(["cache", "verify"]);
    found
        .code(9)
        .stdout_has(&format!(
            "damaged object `{}`: its bytes have another digest",
            object.display()
        ))
        .stdout_has("dangling record `.reprovm/cache/")
        .stdout_has("of `one.txt` is damaged")
        .stdout_has("3 objects (17 B) and 2 records: 2 flaws; `reprovm cache verify --repair`");
    assert_eq!(below(&project, ".reprovm"), before, "looking changes nothing");
    project.run(["-n", "cache", "verify", "--repair"]).code(9).stderr_has("repairs nothing");
    assert_eq!(below(&project, ".reprovm"), before, "a dry run changes nothing");

    let repaired = data(project.run(["cache", "verify", "--repair", "-o", "json"]).success());
    let kinds: Vec<&Value> = ["fault", "repaired"].map(|key| &repaired["flaws"][0][key]).to_vec();
    assert_eq!(kinds, [&Value::from("dangling"), &Value::from(true)], "{repaired}");
    assert!(!project.exists(&object));
    let report = project.read(repaired["report"].as_str().expect("a report"));
    assert!(report.contains("another digest"), "{report}");
    let aside = below(&project, ".reprovm/cas/damaged");
    assert!(aside.iter().any(|path| project.bytes(path) == b"alphA\n"), "{aside:?}");

    project.run(["cache", "verify"]).success().stdout_has("and 1 record: all sound");
    project.remove("one.txt").remove("two.txt");
    assert_eq!(project.json(["manifest.txt"]).success().executed(), ["one"]);
    assert_eq!(project.read("two.txt"), "alpha\nalpha\n");
}

#[test]
fn bad_misplaced_and_dangling_records_are_told_apart() {
    let project = built();
    let records = below(&project, RECORDS);
    let good = project.bytes(&records[0]);
    let code_and_fault = |fault: &str, problem: &str| {
        let run = project.run(["cache", "verify", "-o", "json"]);
        let found = data(run.code(8));
        let flaws = found["flaws"].as_array().expect("a list");
        let same = |flaw: &Value| {
            flaw["fault"] == fault
                && flaw["problem"].as_str().is_some_and(|text| text.contains(problem))
        };
        assert!(flaws.len() == 1 && same(&flaws[0]), "{fault}, {problem}: {found}");
    };
    let mut bad = good.clone();
    bad[20] ^= 1;
    replace(&project, &records[0], &bad);
    code_and_fault("record", "check sum");
    replace(&project, &records[0], &project.bytes(&records[1]));
    code_and_fault("record", "another key");
    replace(&project, &records[0], b"");
    code_and_fault("record", "shorter");
    replace(&project, &records[0], &good);
    // The log is an object like any other; of the wrong size it cannot be that object.
    project.remove(object_of(&project, b"said\n"));
    code_and_fault("dangling", "of the log is not there");
    project.run(["cache", "verify", "--repair"]).success().stdout_has("(removed)");
    assert_eq!(below(&project, RECORDS).len(), 1);
}

#[test]
fn what_is_no_regular_file_in_an_objects_place_is_damage_and_no_trap() {
    let project = built();
    let all = below(&project, OBJECTS);
    let kept = project.outside().join("kept");
    std::fs::write(&kept, "alpha\n").expect("a writable folder");
    for path in &all {
        project.remove(path);
    }
    nix::unistd::mkfifo(&project.path(&all[0]), Mode::S_IRWXU).expect("a fifo");
    project.symlink(&kept, &all[1]).dir(all[2].join("inner"));
    // Names that we do not give, on both levels.
    project.file(format!("{OBJECTS}/notes"), "x").file(all[0].with_file_name("odd"), "y");
    project.symlink(project.outside(), format!("{OBJECTS}/ff-link"));
    let found = project.run(["cache", "verify"]);
    found.code(9).stdout_has("no regular file").stdout_has("it is a directory");
    found.stdout_has("it is a fifo").stdout_has("`.reprovm/cas/objects/notes`");
    found.stdout_has("/odd`: its name is none that we give").stdout_has("/ff-link`");
    project.run(["cache", "verify", "--repair"]).success();
    project.run(["cache", "verify"]).success().stdout("0 objects (0 B) and 0 records: all sound\n");
    assert_eq!(std::fs::read_to_string(&kept).expect("it is not ours"), "alpha\n");
    assert!(project.exists("manifest.txt"), "a link was followed");
}

#[test]
fn a_folder_that_cannot_be_read_is_no_sound_cache() {
    let project = built();
    project.remove(OBJECTS).file(OBJECTS, "a file");
    let found = data(project.run(["cache", "verify", "-o", "json"]).code(8 + 64));
    let faults: Vec<&Value> =
        found["flaws"].as_array().expect("a list").iter().map(|flaw| &flaw["fault"]).collect();
    assert!(faults.contains(&&Value::from("unreadable")), "{found}");
    project.remove(RECORDS).dir(RECORDS);
    project.run(["cache", "verify"]).code(3).stdout_has("unreadable `.reprovm/cas/objects`");
}

#[test]
fn what_a_run_writes_meanwhile_is_no_error() {
    let project = Project::new();
    let task = |n: usize| {
        format!("task t{n} {{\n  cmd = head -c 300000 /dev/urandom > o{n}\n  outputs = o{n}\n}}\n")
    };
    project.manifest(&(0..60).map(task).collect::<String>());
    let mut run = project.spawn(["-j2", "manifest.txt"]);
    wait_until("the first record", || {
        project.exists(RECORDS) && !below(&project, RECORDS).is_empty()
    });
    let mut times = 0;
    while !run.is_over() || times == 0 {
        project.run(["cache", "verify", "--repair"]).success();
        times += 1;
    }
    run.wait().success();
    let found = data(project.run(["cache", "verify", "-o", "json"]).success());
    assert_eq!((&found["objects"], &found["records"]), (&60.into(), &60.into()));
}

#[test]
fn cleaning_removes_what_is_ours_and_nothing_else() {
    let project = built();
    let outside = project.outside().join("kept");
    std::fs::write(&outside, "kept").expect("a writable folder");
    let linked = object_of(&project, b"said\n");
    project.remove(&linked).symlink(&outside, &linked);
    let strange = [
        format!("{OBJECTS}/notes"),
        format!("{RECORDS}/00/notes"),
        ".reprovm/state/notes".to_owned(),
        ".reprovm/cas/damaged/notes".to_owned(),
        ".reprovm/cas/notes".to_owned(),
        ".reprovm/cas/going/notes".to_owned(),
        format!(".reprovm/cas/going/record-{}.txt", "a".repeat(64)),
    ];
    for path in &strange {
        project.file(path, "mine");
    }
    let going = format!(".reprovm/cas/going/record-{}", "a".repeat(64));
    project.file(&going, "left by a collection that was killed");
    project.file(".reprovm/reprovm.conf", "parallel_jobs=2\n");
    let would = project.run(["-n", "cache", "clean"]);
    would.success().stdout_has("would remove 3 objects and 2 records, ");
    project.run(["cache", "verify"]).code(9);

    project.run(["cache", "clean"]).success().stdout_has("removed 3 objects and 2 records, ");
    let left = below(&project, ".reprovm");
    for path in strange.iter().map(String::as_str).chain([".reprovm/reprovm.conf"]) {
        assert!(left.contains(&PathBuf::from(path)), "{path}: {left:?}");
    }
    assert_eq!(below(&project, OBJECTS).len() + below(&project, RECORDS).len(), 2, "{left:?}");
    assert!(!left.iter().any(|path| path.extension().is_some_and(|end| end == "state")));
    assert!(!left.contains(&PathBuf::from(&going)));
    assert_eq!(std::fs::read_to_string(&outside).expect("it is not ours"), "kept");
    let second = data(project.run(["cache", "clean", "-o", "json"]).success());
    assert_eq!((&second["objects"], &second["bytes"]), (&0.into(), &0.into()), "{second}");
    assert_eq!(project.json(["manifest.txt"]).success().executed(), ["one", "two"]);
}

#[test]
fn a_cache_that_is_a_link_is_not_followed() {
    let project = built();
    let elsewhere = project.outside().join("cas");
    std::fs::rename(project.path(".reprovm/cas"), &elsewhere).expect("a move");
    project.symlink(&elsewhere, ".reprovm/cas");
    project.json(["manifest.txt"]).executed_nothing();
    let cleaned = project.run(["cache", "clean"]);
    cleaned.code(3).stderr_has("`.reprovm/cas` is a link, which is not followed");
    cleaned.stdout_has("removed 0 objects and 2 records");
    assert_eq!(files_below(&elsewhere.join("objects"), &[]).len(), 3);
    assert!(elsewhere.join("size").exists(), "what was counted there is not ours either");
}

#[test]
fn a_note_that_cannot_be_removed_does_not_end_the_cleaning() {
    let project = built();
    project.remove(".reprovm/cas/size").file(".reprovm/cas/size/notes", "mine");
    let cleaned = project.run(["cache", "clean"]);
    cleaned.code(3).stderr_has("cannot remove `.reprovm/cas/size`");
    cleaned.stdout_has("removed 3 objects and 2 records");
    assert!(project.exists(".reprovm/cas/size/notes"));
}

/// T8: two checkouts share a store; one cleans it.
#[test]
fn who_shares_a_cleaned_cache_misses_and_stays_right() {
    let project = Project::new();
    let shared = project.outside().join("shared");
    let shared = shared.to_str().expect("a plain path");
    project.file("a/manifest.txt", MANIFEST).file("b/manifest.txt", MANIFEST);
    let build = |folder: &str| project.json(["-C", folder, "--cache-dir", shared, "manifest.txt"]);
    assert_eq!(build("a").success().summary().executed, 2);
    assert_eq!(build("b").success().summary().cached, 2);
    for name in ["cache/mine.txt", "mine/cas/objects/x", "cas/tmp/12-3"] {
        project.file(Path::new(shared).join(name), "mine");
    }
    let cleaned = project.run(["-C", "a", "--cache-dir", shared, "cache", "clean"]);
    cleaned.success().stdout_has("removed 3 objects and 2 records");
    for name in ["cache/mine.txt", "mine/cas/objects/x", "cas/tmp/12-3"] {
        assert!(project.exists(Path::new(shared).join(name)), "{name}");
    }
    build("b").executed_nothing();
    project.remove("b/two.txt");
    assert_eq!(build("b").success().executed(), ["two"]);
    assert_eq!(project.read("b/two.txt"), "alpha\nalpha\n");
}

#[test]
fn cleaning_waits_for_a_run_or_says_that_it_did_not() {
    let project = Project::new();
    project.manifest(
        "task slow {\n  cmd = touch up; until [ -e go ]; do sleep 0.01; done; echo x > out\n  \
         outputs = out\n}\n",
    );
    let run = project.spawn(["manifest.txt"]);
    wait_until("the task", || project.exists("up"));
    project
        .run(["--no-wait", "cache", "clean"])
        .code(11)
        .stderr_has(&format!("another run is at work in this project (process {}", run.pid()));
    let clean = project.spawn(["cache", "clean"]);
    wait_until("its word", || {
        String::from_utf8_lossy(&clean.stderr_so_far()).contains("waiting for another run")
    });
    project.file("go", "");
    run.wait().success();
    clean.wait().success().stdout_has("removed 1 object and 1 record");
}

#[test]
fn the_flag_cleans_before_the_manifest_that_is_named_and_alone_only_cleans() {
    let project = built();
    project.remove("one.txt");
    project.run(["--clean-cache"]).success().stdout_has("removed 3 objects and 2 records");
    assert!(!project.exists("one.txt"), "nothing was built");
    project.run(["manifest.txt"]).success();
    // Only the events are on stdout.
    let run = project.json(["--clean-cache", "manifest.txt"]);
    assert_eq!(run.success().executed(), ["one", "two"]);
    let line = "--force --clean-cache --metrics ci-metrics.json --log-file ci.log manifest.txt";
    project.run(line.split(' ')).success().stderr_has("removed 3 objects and 2 records");
    assert!(project.read("ci-metrics.json").contains("\"executed\": 2"));
    let before = below(&project, ".reprovm");
    project.run(["-n", "--clean-cache", "manifest.txt"]).success().stderr_has("would remove 3");
    assert_eq!(below(&project, ".reprovm"), before);
}

#[test]
fn looking_after_a_cache_that_is_not_there_makes_none() {
    let project = Project::new();
    project.run(["cache", "verify"]).success().stdout("0 objects (0 B) and 0 records: all sound\n");
    project.run(["cache", "clean"]).success().stdout("removed 0 objects and 0 records, 0 B\n");
    project.run(["cache", "stats"]).success().stdout_has("records     0\n");
    project.run(["cache", "verify", "--repair"]).success();
    assert!(!project.exists(".reprovm"));
}

#[test]
fn a_cache_is_counted_with_its_orphans_and_what_it_can_save() {
    let project = Project::new();
    project.manifest("task slow {\n  cmd = sleep 0.05; echo x > out\n  outputs = out\n}\n");
    project.run(["manifest.txt"]).success();
    let stats = || data(project.run(["cache", "stats", "-o", "json"]).success());
    let full = stats();
    let records: usize =
        below(&project, RECORDS).iter().map(|path| project.bytes(path).len()).sum();
    assert_eq!(full["total_entries"], 1);
    assert_eq!((&full["cas_objects_count"], &full["cas_objects_bytes"]), (&1.into(), &2.into()));
    assert_eq!(full["total_size_bytes"], records + 2);
    assert_eq!((&full["orphans_count"], &full["damaged_entries"]), (&0.into(), &0.into()));
    assert!(full["recorded_ms"].as_u64().is_some_and(|ms| ms >= 50), "{full}");
    assert_eq!(full["oldest"], full["newest"]);
    assert!(full["oldest"].as_str().is_some_and(|time| time.ends_with('Z')), "{full}");
    let record = below(&project, RECORDS).remove(0);
    replace(&project, &record, b"no record");
    let damaged = stats();
    assert_eq!((&damaged["total_entries"], &damaged["damaged_entries"]), (&0.into(), &1.into()));
    assert_eq!((&damaged["orphans_count"], &damaged["orphans_bytes"]), (&1.into(), &2.into()));
    project.remove(&record);
    let text = project.run(["cache", "stats"]).success().out();
    assert!(text.contains("\nobjects     1 (2 B)\norphans     1 (2 B)\n"), "{text}");
}
