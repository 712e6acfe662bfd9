//! A store whose objects are compressed: what goes in comes out, whatever the codec was and is,
//! the usual tools read it, and nothing that is damaged or hostile is believed.

mod recompress;
mod shared;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{
    Project, Run, assert_store_is_whole, bare_bytes, files_below, hex_digest, long,
};

/// Each algorithm, and what its objects' names end with.
const CODECS: [(&str, &str); 4] =
    [("zlib", ".zz"), ("gzip", ".gz"), ("lz4", ".lz4"), ("zstd", ".zst")];

const OBJECTS: &str = ".reprovm/cas/objects";

/// Words, more of them, some that are too few, bytes that do not shrink, a folder and a log.
const MANIFEST: &str = "\
task words {
  cmd = seq -f 'number %.0f of all' 1 3000 > words.txt; seq -f 'number %.0f of all' 1 500
  outputs = words.txt
}
task many {
  cmd = seq -f 'number %.0f of all' 1 60000 > many.txt
  outputs = many.txt
}
task few {
  cmd = echo few > few.txt
  outputs = few.txt
}
task noise {
  cmd = cp in/noise noise.bin
  inputs = in/noise
  outputs = noise.bin
}
task tree {
  cmd = mkdir -p tree/sub && seq -f 'number %.0f of all' 5 900 > tree/sub/a && ln -s sub/a tree/link && seq -f 'number %.0f of all' 6 900 > tree/run && chmod 755 tree/run
  outputs = tree
}
";

const OUTPUTS: [&str; 5] = ["words.txt", "many.txt", "few.txt", "noise.bin", "tree"];

/// Bytes in which nothing can be saved.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// The lines with these numbers, as the tasks write them.
fn seq(from: usize, to: usize) -> Vec<u8> {
    (from..=to).flat_map(|number| format!("number {number} of all\n").into_bytes()).collect()
}

fn project() -> Project {
    let project = Project::new();
    project.file("in/noise", noise(100_000)).manifest(MANIFEST);
    project
}

/// Built with this algorithm.
fn built(algorithm: &str) -> Project {
    let mut project = project();
    project.env("REPROVM_COMPRESSION", algorithm);
    project.run(["manifest.txt"]).success();
    project
}

/// The objects by the suffixes of their names, sorted; none: `bare`.
fn suffixes(project: &Project) -> Vec<String> {
    let all = files_below(&project.path(OBJECTS), &[]);
    let suffix = |path: PathBuf| {
        path.extension()
            .map_or("bare".to_owned(), |suffix| format!(".{}", suffix.to_string_lossy()))
    };
    let mut suffixes: Vec<String> = all.into_iter().map(suffix).collect();
    suffixes.sort();
    suffixes
}

fn is_compressed_as(project: &Project, suffix: &str) -> bool {
    // The short text, the link and the noise stay bare; two texts, two files and the log do not.
    let mut expected = vec![suffix; 5];
    expected.extend(["bare"; 3]);
    suffixes(project) == expected
}

/// Removes all outputs, and has them again from the cache alone.
#[track_caller]
fn assert_restores_all(project: &Project) -> Run {
    let before = project.tree();
    for output in OUTPUTS {
        project.remove(output);
    }
    let run = project.json(["manifest.txt"]);
    run.executed_nothing();
    crate::support::assert_same_tree(&project.tree(), &before);
    run
}

#[test]
fn what_each_codec_stores_is_restored_byte_for_byte() {
    for (algorithm, suffix) in CODECS {
        let project = built(algorithm);
        assert!(is_compressed_as(&project, suffix), "{algorithm}: {:?}", suffixes(&project));
        assert_store_is_whole(&project, algorithm);
        assert_restores_all(&project);
        assert_eq!(project.bytes("many.txt"), seq(1, 60_000));
        assert_eq!(project.mode("tree/run"), 0o755);
        let shown = project.json(["--replay", "manifest.txt", "words"]);
        let log = shown.success().events_of("task_output");
        assert_eq!(log[0]["output"].as_str().map(str::as_bytes), Some(&seq(1, 500)[..]));
        project.run(["cache", "verify"]).success().stdout_has("8 objects (");
        // The objects can be written to by nobody, as bare ones.
        let packed = project.packed_object(&seq(1, 3000), suffix);
        assert_eq!(project.mode(packed), 0o444);
    }
}

#[test]
fn the_flag_compresses_and_without_it_nothing_is_compressed() {
    let project = project();
    project.run(["manifest.txt"]).success();
    assert_eq!(suffixes(&project), vec!["bare"; 8]);
    assert!(!project.exists(".reprovm/cas/compressed"));
    let project = self::project();
    project.run(["--compress", "manifest.txt"]).success();
    assert!(is_compressed_as(&project, ".zst"), "{:?}", suffixes(&project));
    // The flag is stronger than the variable that switches it off.
    let mut project = self::project();
    project.env("REPROVM_COMPRESSION", "none");
    project.run(["--compress", "manifest.txt"]).success();
    assert!(is_compressed_as(&project, ".zst"), "{:?}", suffixes(&project));
}

/// The program that reads such a file, with its arguments.
fn reader(suffix: &str, path: &Path) -> Command {
    let (program, args): (&str, &[&str]) = match suffix {
        ".gz" => ("gzip", &["-dc"]),
        ".zst" => ("zstd", &["-dcq"]),
        ".lz4" => ("lz4", &["-dcq"]),
        _ => (
            "python3",
            &[
                "-c",
                "import sys, zlib\nd = zlib.decompressobj()\n\
               b = d.decompress(open(sys.argv[1], 'rb').read())\n\
               assert d.eof and not d.unused_data\nsys.stdout.buffer.write(b)",
            ],
        ),
    };
    let mut command = Command::new(program);
    command.args(args).arg(path);
    command
}

#[test]
fn the_usual_tools_read_the_objects() {
    for (algorithm, suffix) in CODECS {
        let project = built(algorithm);
        let mut zeros = String::from(MANIFEST);
        zeros += "task zeros {\n  cmd = head -c 8000000 /dev/zero > zeros\n  outputs = zeros\n}\n";
        // What shrinks so far that it is filled up.
        project.manifest(&zeros).run(["manifest.txt"]).success();
        for bytes in [seq(1, 3000), seq(1, 60_000), seq(1, 500), vec![0; 8_000_000]] {
            let path = project.packed_object(&bytes, suffix);
            let mut command = reader(suffix, &path);
            let output = command.output().unwrap_or_else(|error| {
                panic!("{command:?}: {error}; `sh tests/servers.sh` installs it")
            });
            assert!(output.status.success(), "{command:?}: {output:?}");
            assert!(output.stdout == bytes, "{algorithm}: {} bytes", bytes.len());
        }
        project.remove("zeros").json(["manifest.txt"]).executed_nothing();
        assert_eq!(project.bytes("zeros").len(), 8_000_000);
    }
}

#[test]
fn another_algorithm_reads_what_is_there_and_writes_only_what_is_new() {
    let mut project = built("zstd");
    let old = suffixes(&project);
    for (at, (algorithm, suffix)) in CODECS.into_iter().chain([("none", "bare")]).enumerate() {
        project.env("REPROVM_COMPRESSION", algorithm);
        assert_restores_all(&project);
        assert_eq!(suffixes(&project).len(), old.len() + 2 * at, "{algorithm}");
        // The same results once more are not stored once more.
        project.run(["-f", "manifest.txt"]).success();
        assert_eq!(suffixes(&project).len(), old.len() + 2 * at, "{algorithm}");
        let more = format!(
            "{MANIFEST}task new {{\n  cmd = seq -f 'number %.0f of all' {at} 4000 > new; seq -f 'number %.0f of all' {at} 800\n  outputs = new\n}}\n"
        );
        project.manifest(&more).run(["manifest.txt"]).success();
        let object = match suffix {
            "bare" => project.object_of(&seq(at, 4000)),
            _ => project.packed_object(&seq(at, 4000), suffix),
        };
        assert!(object.is_file(), "{algorithm}");
        assert_store_is_whole(&project, algorithm);
    }
    project.run(["cache", "verify"]).success().stdout_has(": all sound");
}

/// Does something to a compressed object; another one is of the same codec.
type Harm = fn(good: &[u8], other: &[u8]) -> Vec<u8>;

const HARMS: [(&str, Harm); 7] = [
    ("empty", |_, _| Vec::new()),
    ("cut by a byte", |good, _| good[..good.len() - 1].to_vec()),
    ("cut in half", |good, _| good[..good.len() / 2].to_vec()),
    ("longer", |good, _| [good, b"x"].concat()),
    ("a bit of its middle flipped", |good, _| {
        let mut bytes = good.to_vec();
        bytes[good.len() / 2] ^= 4;
        bytes
    }),
    ("another object", |_, other| other.to_vec()),
    ("no frame at all", |_, _| seq(1, 50)),
];

/// Replaces the file, so that it does not matter that it is read-only.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).and_then(|()| fs::write(path, bytes)).expect("a writable folder");
}

#[test]
fn a_damaged_compressed_object_is_told_set_aside_and_made_anew() {
    for (turn, (algorithm, suffix)) in CODECS.into_iter().enumerate() {
        let (skipped, step) = if long() > 0 { (0, 1) } else { (turn % 3, 3) };
        let project = built(algorithm);
        let object = project.packed_object(&seq(1, 3000), suffix);
        let other = project.packed_object(&seq(5, 900), suffix);
        let (good, other) = (project.bytes(&object), project.bytes(other));
        // Each codec meets each harm in the long run, and two or three of them in the short one.
        let harms: Vec<(&str, Harm)> = HARMS.into_iter().skip(skipped).step_by(step).collect();
        for &(what, harm) in &harms {
            replace(&object, &harm(&good, &other));
            let found = project.json(["cache", "verify"]);
            found.code(9).stdout_has(suffix);
            project.remove("words.txt");
            let run = project.json(["manifest.txt"]);
            assert_eq!(run.success().executed(), ["words"], "{algorithm}: {what}");
            let told = run.events_of("cache_damaged");
            assert_eq!(told.len(), 1, "{algorithm}: {what}\n{}", run.transcript());
            let path = told[0]["path"].as_str().expect("a path");
            assert!(path.ends_with(suffix), "{path}");
            assert_eq!(project.bytes("words.txt"), seq(1, 3000), "{algorithm}: {what}");
            assert_eq!(project.bytes(&object), good, "{algorithm}: {what}");
            assert_restores_all(&project);
        }
        // It lies aside under its own name.
        let aside = files_below(&project.path(".reprovm/cas/damaged"), &[]);
        assert_eq!(aside.len(), harms.len(), "{aside:?}");
    }
}

#[test]
fn every_byte_of_a_compressed_object_matters_or_changes_nothing() {
    for (algorithm, suffix) in CODECS {
        let mut project = Project::new();
        project.env("REPROVM_COMPRESSION", algorithm);
        project.manifest(
            "task t {\n  cmd = seq -f 'number %.0f of all' 1 60 > out\n  outputs = out\n}\n",
        );
        project.run(["manifest.txt"]).success();
        let object = project.packed_object(&seq(1, 60), suffix);
        let good = project.bytes(&object);
        let step = if long() > 0 { 1 } else { 40 };
        for at in (0..good.len()).step_by(step) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            replace(&object, &bad);
            project.remove("out").json(["manifest.txt"]).success();
            assert_eq!(project.bytes("out"), seq(1, 60), "{algorithm}: byte {at}");
        }
    }
}

/// 96 MiB of zeros in a few KiB, without what the program adds to such.
fn bomb(suffix: &str) -> Vec<u8> {
    let zeros = || std::io::Read::take(std::io::repeat(0), 96 << 20);
    match suffix {
        ".zst" => zstd::encode_all(zeros(), 1).expect("room in memory"),
        _ => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::copy(&mut zeros(), &mut out).expect("room in memory");
            out.finish().expect("room in memory")
        }
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_large_anywhere() {
    for (algorithm, suffix) in [("zstd", ".zst"), ("gzip", ".gz")] {
        let project = built(algorithm);
        let object = project.packed_object(&seq(1, 3000), suffix);
        let bomb = bomb(suffix);
        replace(&object, &bomb[..]);
        // It is larger than the object that it stands for: then it cannot be that one.
        let limit = "ulimit -f 20000; exec \"$@\"";
        let verified = project.by_shell(limit, ["cache", "verify"]).wait();
        verified.code(9).within_memory(64).stdout_has("damaged object");
        project.remove("words.txt");
        let run = project.by_shell(limit, ["-o", "json", "manifest.txt"]).wait();
        assert_eq!(run.success().within_memory(64).executed(), ["words"]);
        assert_restores_all(&project);
    }
    // One that is as small as the object may be.
    let project = built("zstd");
    let object = project.packed_object(&seq(1, 60_000), ".zst");
    replace(&object, &bomb(".zst"));
    let limit = "ulimit -f 20000; exec \"$@\"";
    let verified = project.by_shell(limit, ["cache", "verify"]).wait();
    verified.code(9).within_memory(64).stdout_has("more than 2048 times");
    project.remove("many.txt");
    let run = project.by_shell(limit, ["-o", "json", "manifest.txt"]).wait();
    assert_eq!(run.success().within_memory(64).executed(), ["many"]);
    let told = run.events_of("cache_damaged");
    assert!(told[0]["problem"].as_str().is_some_and(|it| it.contains("more than")), "{told:?}");
    assert_eq!(project.bytes("many.txt"), seq(1, 60_000));
}

#[test]
fn a_large_log_is_shown_whole_when_it_is_written_and_when_it_is_replayed() {
    let project = Project::new();
    project.manifest("task loud {\n  cmd = seq -f 'number %.0f of all' 1 60000\n}\n");
    let bytes = seq(1, 60_000);
    let first = project.json(["--compress", "manifest.txt"]);
    let shown = |run: &Run| {
        let events = run.success().events_of("task_output");
        assert_eq!(events.len(), 1, "{}", run.figures());
        events[0]["output"].as_str().is_some_and(|text| text.as_bytes() == bytes)
    };
    assert!(shown(&first));
    assert!(project.packed_object(&bytes, ".zst").is_file());
    assert!(shown(project.json(["--replay", "manifest.txt"]).executed_nothing()));
    let text = project.run(["--replay", "manifest.txt"]);
    assert!(text.success().err().contains(std::str::from_utf8(&bytes).expect("digits")));
    assert!(files_below(&project.path(".reprovm/stage"), &[]).is_empty());
}

/// What a verb printed as JSON.
#[track_caller]
fn data(run: &Run) -> Value {
    serde_json::from_str(&run.out()).unwrap_or_else(|_| panic!("no JSON\n{}", run.transcript()))
}

#[test]
fn stats_count_what_is_stored_what_it_stands_for_and_each_codec() {
    let mut project = built("zstd");
    project.env("REPROVM_COMPRESSION", "gzip");
    let more = format!(
        "{MANIFEST}task new {{\n  cmd = seq -f 'number %.0f of all' 1 4000 > new\n  outputs = new\n}}\n"
    );
    project.manifest(&more).run(["manifest.txt"]).success();
    let stats = data(project.run(["cache", "stats", "-o", "json"]).success());
    let files = files_below(&project.path(OBJECTS), &[]);
    let folder = project.path(OBJECTS);
    let stored: u64 =
        files.iter().map(|file| folder.join(file).metadata().expect("an object").len()).sum();
    let raw: usize =
        files.iter().map(|file| bare_bytes(&folder.join(file)).expect("an object").len()).sum();
    assert_eq!(stats["cas_objects_bytes"], stored, "{stats}");
    assert_eq!(stats["cas_raw_bytes"], raw, "{stats}");
    let ratio = stats["compression_ratio"].as_f64().expect("a number");
    assert!((ratio - stored as f64 / raw as f64).abs() < 0.001, "{stats}");
    let of = |form: &str| stats["forms"][form]["objects"].as_u64();
    assert_eq!((of("bare"), of("zstd"), of("gzip"), of("lz4")), (Some(3), Some(5), Some(1), None));
    let text = project.run(["cache", "stats"]).success().out();
    assert!(text.contains("\ncompressed  6 of 9 objects (zstd 5, gzip 1), "), "{text}");
    // A bare cache says so.
    let bare = built("none");
    bare.run(["cache", "stats"]).success().stdout_has("\ncompressed  none\n");
}

#[test]
fn a_compressed_cache_is_cleaned_and_its_names_are_ours() {
    let project = built("lz4");
    project.file(format!("{OBJECTS}/ab/notes.lz4"), "mine");
    project
        .run(["cache", "verify"])
        .code(9)
        .stdout_has("notes.lz4`: its name is none that we give");
    // A record has no such form.
    let record = project.record_of(&project.key("few"));
    let name = record.file_name().expect("a name").to_string_lossy().into_owned();
    fs::copy(&record, record.with_file_name(format!("{name}.zst"))).expect("a copy");
    let found = data(project.json(["cache", "verify"]).code(9));
    assert_eq!(found["flaws"].as_array().map(Vec::len), Some(2), "{found}");
    project.run(["cache", "clean"]).success().stdout_has("removed 8 objects and 5 records, ");
    assert_eq!(suffixes(&project), [".lz4"]);
    let hex = hex_digest(&seq(1, 3000));
    assert!(!project.exists(format!("{OBJECTS}/{}", &hex[..2])));
}
