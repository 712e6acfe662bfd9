//! How long it takes until something is said: `cargo bench --bench startup`. Prints medians of
//! the whole run of commands that do next to nothing, beside `true`, round about.

use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 51;

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
#[expect(clippy::disallowed_methods, reason = "a benchmark makes its own files and keeps time")]
fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manifest = "task a {\n  cmd = echo a > a\n  outputs = a\n}\n";
    std::fs::write(folder.path().join("manifest.txt"), manifest).expect("room for it");
    let reprovm = env!("CARGO_BIN_EXE_reprovm");
    let commands: [&[&str]; 6] = [
        &["true"],
        &[reprovm, "--version"],
        &[reprovm, "-h"],
        &[reprovm, "config", "show"],
        &[reprovm, "--list-tasks"],
        &[reprovm, "manifest.txt"],
    ];
    let run = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(folder.path()).stdin(Stdio::null());
        let start = Instant::now();
        let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(done.expect("the program starts").success(), "{words:?}");
        start.elapsed().as_secs_f64() * 1000.0
    };
    // The last command has nothing to do from its second run on.
    for words in commands {
        run(words);
    }
    let mut times = commands.map(|_| Vec::new());
    for round in 0..ROUNDS {
        for at in 0..commands.len() {
            let at = (at + round) % commands.len();
            times[at].push(run(commands[at]));
        }
    }
    println!("command                  median     least");
    for (words, times) in commands.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let name = words.join(" ").replace(reprovm, "reprovm");
        println!("{name:<22} {:>5.2} ms  {:>5.2} ms", times[times.len() / 2], times[0]);
    }
}
