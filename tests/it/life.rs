//! The whole life of a cache in any order: filled, harmed, collected, recompressed, verified, backed
//! up and restored. Whatever becomes of it, no run delivers a wrong byte.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::damage::HARMS;
use crate::support::{Project, files_below, long};

/// What happens between two runs. Numbers choose by their remainder.
#[derive(Debug, Clone)]
enum Step {
    /// An input gets one of a few contents, some of which it had before.
    Edit(usize, u8),
    LoseOutputs,
    /// A file of the cache, or of the backups.
    Harm(usize, usize, usize),
    /// All that is older than so many of the files, by their order.
    Collect(usize),
    Pin,
    Recompress(usize),
    Verify(bool),
    Backup(bool),
    /// The latest backup becomes a cache beside the first, which the next runs use.
    Restore,
    /// The next runs use the first cache again.
    Return,
}

const INPUTS: [&str; 3] = ["in/a", "in/b", "in/c"];
const OUTPUTS: [&str; 5] = ["out/pair", "out/all", "out/tree/a", "out/tree/b", "out/long"];
const MANIFEST: &str = "\
task pair {\n  cmd = cat in/a in/b > out/pair\n  inputs = in/a in/b\n  outputs = out/pair\n}\n\
task all {\n  cmd = cat out/pair in/c > out/all\n  inputs = out/pair in/c\n  outputs = out/all\n}\n\
task tree {\n  cmd = cp in/a in/b out/tree\n  inputs = in/a in/b\n  outputs = out/tree/\n}\n\
task long {\n  cmd = seq $(wc -c < in/c) 9999 > out/long\n  inputs = in/c\n  outputs = out/long\n}\n";

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..INPUTS.len(), 0_u8..3).prop_map(|(input, content)| Step::Edit(input, content)),
        2 => Just(Step::LoseOutputs),
        6 => any::<(usize, usize, usize)>().prop_map(|(at, other, how)| Step::Harm(at, other, how)),
        2 => any::<usize>().prop_map(Step::Collect),
        1 => Just(Step::Pin),
        2 => any::<usize>().prop_map(Step::Recompress),
        1 => any::<bool>().prop_map(Step::Verify),
        2 => any::<bool>().prop_map(Step::Backup),
        2 => Just(Step::Restore),
        1 => Just(Step::Return),
    ]
}

struct World {
    project: Project,
    inputs: [String; 3],
    cache: PathBuf,
    made: usize,
}

impl World {
    fn new() -> Self {
        let project = Project::new();
        project.manifest(MANIFEST).dir("out/tree");
        let inputs = ["a0\n", "b0\n", "c0\n"].map(str::to_owned);
        for (path, text) in INPUTS.iter().zip(&inputs) {
            project.file(path, text);
        }
        let world = Self { project, inputs, cache: ".reprovm".into(), made: 0 };
        world.run();
        world
    }

    /// A run is right whatever there is.
    fn run(&self) {
        let cache = self.cache.to_str().expect("a name");
        self.project.run(["--cache-dir", cache, "manifest.txt"]).success();
        let [a, b, c] = &self.inputs;
        let long: String = (c.len()..=9999).map(|number| format!("{number}\n")).collect();
        let right = [a.clone() + b, a.clone() + b + c, a.clone(), b.clone(), long];
        for (path, right) in OUTPUTS.iter().zip(&right) {
            assert_eq!(self.project.read(path), *right, "{path}");
        }
    }

    /// The regular files of the caches and the backups.
    fn files(&self) -> Vec<PathBuf> {
        let folders = [".reprovm/cas/objects", ".reprovm/cache", ".reprovm/backups"];
        let all = folders.iter().flat_map(|folder| {
            let folder = self.project.path(folder);
            let files = if folder.is_dir() { files_below(&folder, &[]) } else { Vec::new() };
            files.into_iter().map(move |file| folder.join(file))
        });
        let is_regular = |file: &PathBuf| file.symlink_metadata().is_ok_and(|meta| meta.is_file());
        let mut files: Vec<PathBuf> = all.filter(is_regular).collect();
        files.sort();
        files
    }

    /// What is broken may be told with any code of ours, but not with a crash.
    fn verb(&self, args: &[&str]) -> i32 {
        let cache = self.cache.to_str().expect("a name");
        let run = self.project.run([&["--cache-dir", cache], args].concat());
        let code = run.exit_code().expect("it ends by itself");
        assert!([0, 2, 3, 8, 9].contains(&code), "{args:?}: {}", run.transcript());
        code
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Edit(input, content) => {
                let text = format!("{}{content}\n", INPUTS[input]).repeat(usize::from(content) + 1);
                self.project.file(INPUTS[input], &text);
                self.inputs[input] = text;
            }
            Step::LoseOutputs => {
                for path in OUTPUTS.iter().filter(|path| self.project.exists(path)) {
                    self.project.remove(path);
                }
            }
            Step::Harm(at, other, how) => {
                let files = self.files();
                if let Some(file) = files.get(at % files.len().max(1)) {
                    HARMS[how % HARMS.len()].1(file, &files[other % files.len()]);
                }
            }
            Step::Collect(share) => {
                let files = self.files();
                for file in files.iter().take(share % (files.len() + 1)) {
                    make_old(file);
                }
                self.verb(&["gc"]);
            }
            Step::Pin => {
                self.verb(&["cache", "pin", "pair"]);
            }
            Step::Recompress(how) => {
                let algorithms = ["none", "zstd", "gzip", "lz4", "zlib"];
                let algorithm = algorithms[how % algorithms.len()];
                self.verb(&["cache", "recompress", "--algorithm", algorithm]);
            }
            Step::Verify(repair) => {
                let args = ["cache", "verify", "--repair"];
                self.verb(if repair { &args } else { &args[..2] });
            }
            Step::Backup(incremental) => {
                let name = format!("b{}", self.made + 1);
                let args = ["backup", "create", &name, "--incremental"];
                if self.verb(if incremental { &args } else { &args[..3] }) == 0 {
                    self.made += 1;
                }
            }
            Step::Restore if self.made > 0 => {
                let name = format!("b{}", self.made);
                if self.verb(&["backup", "restore", &name, "restored", "--overwrite"]) == 0 {
                    self.cache = "restored".into();
                }
            }
            Step::Restore => {}
            Step::Return => self.cache = ".reprovm".into(),
        }
    }
}

fn make_old(file: &Path) {
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(60 * 24 * 3600);
    if let Ok(file) = fs::File::open(file) {
        file.set_modified(then).expect("a file of ours");
    }
}

#[test]
fn in_whatever_order_a_cache_is_filled_harmed_collected_and_restored_no_wrong_byte_comes_of_it() {
    let cases = 10 * (1 + long() * 9);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let seed = std::env::var("REPROVM_TEST_SEED").map_or(0, |text| text.parse().expect("a number"));
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let steps = proptest::collection::vec(step(), 1..14);
    let result = TestRunner::new_with_rng(config, rng).run(&steps, |steps| {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.run();
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("REPROVM_TEST_SEED={seed}: {error}");
    }
}
