//! The same tasks as each tool wants to have them: as many as are asked for, each with a source of
//! its own, none waiting for another.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What each task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// `cp IN OUT`, for which no shell is needed.
    Plain,
    /// `cat IN > OUT`, for which one is.
    Shell,
    /// `:`, on outputs that are there already: brings a tool up to date with many tasks.
    Nothing,
    /// `cp` of 20 MiB that nothing can make smaller and that are no declared input.
    Large,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) tasks: usize,
    pub(crate) command: Command,
}

const LARGE: usize = 20 << 20;

/// A new folder in `BENCH_DIR`, or in memory where the machine has a file system for that.
#[expect(clippy::disallowed_methods, reason = "a benchmark may be told where to work")]
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = match std::env::var_os("BENCH_DIR") {
        Some(told) => tempfile::tempdir_in(told),
        None if memory.is_dir() => tempfile::tempdir_in(memory),
        None => tempfile::tempdir(),
    };
    folder.expect("a temporary folder")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark makes and clears its own files")]
impl Workload {
    pub(crate) fn make(self, tool: &str) -> tempfile::TempDir {
        let folder = folder();
        let root = folder.path();
        if self.command == Command::Large {
            fs::create_dir(root.join("blobs")).expect("a writable folder");
            for n in 0..self.tasks {
                fs::write(root.join(format!("blobs/{n}")), noise(n)).expect("room for it");
            }
        }
        if tool == "turbo" {
            self.packages(root);
        } else {
            self.one_folder(tool, root);
        }
        folder
    }

    fn text(self, from: &str, to: &str, blob: &str) -> String {
        match self.command {
            Command::Plain => format!("cp {from} {to}"),
            Command::Shell => format!("cat {from} > {to}"),
            Command::Nothing => format!(": {from} {to}"),
            Command::Large => format!("cp {blob} {to}"),
        }
    }

    fn one_folder(self, tool: &str, root: &Path) {
        let mut text = String::new();
        if tool == "ninja" {
            text.push_str("rule r\n  command = $cmd\n");
        }
        for name in ["src", "out"] {
            fs::create_dir(root.join(name)).expect("a writable folder");
        }
        for n in 0..self.tasks {
            let (from, to) = (format!("src/{n}"), format!("out/{n}"));
            fs::write(root.join(&from), format!("{n}\n")).expect("room for it");
            if self.command == Command::Nothing {
                fs::write(root.join(&to), "made\n").expect("room for it");
            }
            let command = self.text(&from, &to, &format!("blobs/{n}"));
            let written = if tool == "ninja" {
                writeln!(text, "build {to}: r {from}\n  cmd = {command}")
            } else {
                writeln!(
                    text,
                    "task t{n} {{\n  cmd = {command}\n  inputs = {from}\n  outputs = {to}\n}}"
                )
            };
            written.expect("writing to a string cannot fail");
        }
        let name = if tool == "ninja" { "build.ninja" } else { "manifest.txt" };
        fs::write(root.join(name), text).expect("room for it");
    }

    /// A package for each task, in a git repository, as turbo wants them.
    fn packages(self, root: &Path) {
        let write = |path: &str, json: serde_json::Value| {
            fs::write(root.join(path), format!("{json:#}\n")).expect("room for it");
        };
        let mut locked = serde_json::Map::new();
        let version = "1.0.0";
        for n in 0..self.tasks {
            let (name, folder) = (format!("t{n}"), format!("packages/t{n}"));
            fs::create_dir_all(root.join(&folder)).expect("a writable folder");
            fs::write(root.join(&folder).join("src"), format!("{n}\n")).expect("room for it");
            let build = self.text("src", "out", &format!("../../blobs/{n}"));
            write(
                &format!("{folder}/package.json"),
                serde_json::json!({ "name": name, "version": version, "scripts": { "build": build } }),
            );
            let link = serde_json::json!({ "resolved": folder, "link": true });
            locked.insert(format!("node_modules/{name}"), link);
            locked.insert(folder, serde_json::json!({ "name": name, "version": version }));
        }
        write(
            "package.json",
            serde_json::json!({
                "name": "bench", "version": version, "private": true,
                "packageManager": "npm@10.0.0", "workspaces": ["packages/*"],
            }),
        );
        let task = serde_json::json!({ "inputs": ["src", "package.json"], "outputs": ["out"] });
        write("turbo.json", serde_json::json!({ "tasks": { "build": task } }));
        let lock = serde_json::json!({
            "name": "bench", "version": version, "lockfileVersion": 3, "packages": locked,
        });
        write("package-lock.json", lock);
        fs::write(root.join(".gitignore"), "out\nnode_modules\nblobs\n.turbo\n")
            .expect("room for it");
        let git = "git init -q && git add -A && \
                   git -c user.name=bench -c user.email=bench@localhost commit -q -m workload";
        let made = std::process::Command::new("sh").args(["-c", git]).current_dir(root).status();
        assert!(made.is_ok_and(|status| status.success()), "turbo needs git");
    }

    fn output(root: &Path, n: usize) -> std::path::PathBuf {
        let package = root.join(format!("packages/t{n}"));
        if package.is_dir() { package.join("out") } else { root.join(format!("out/{n}")) }
    }

    pub(crate) fn edit(self, root: &Path, round: usize) {
        let path = root.join(format!("src/{}", self.tasks / 2));
        fs::write(path, format!("round {round}\n")).expect("room for it");
    }

    pub(crate) fn lose(self, root: &Path) {
        for n in 0..self.tasks {
            // Not there in the first round.
            let _ = fs::remove_file(Self::output(root, n));
        }
    }

    /// What was measured must have been done.
    pub(crate) fn check(self, tool: &str, root: &Path) {
        for n in 0..self.tasks {
            let found = fs::read(Self::output(root, n)).unwrap_or_default();
            let right = match self.command {
                Command::Nothing => found == b"made\n",
                Command::Large => found == noise(n),
                // One source of them was edited.
                Command::Plain | Command::Shell => {
                    n == self.tasks / 2 || found == format!("{n}\n").as_bytes()
                }
            };
            assert!(right, "{tool}: output {n} is not what it should be");
        }
    }
}

/// 20 MiB that look like chance, the same each time for a number.
fn noise(number: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(LARGE / 8).flatten().collect()
}
