//! Commands that are known to be dangerous: a look at the words of a shell command for mistakes
//! of the kind that destroys a machine.
//!
//! It sees slips and bad advice, not malice: whoever wants to hide a command from it can.

use super::words::{Simple, read};
use crate::event::Danger;

/// A command that has none of these is not looked at any further.
const HINTS: [&str; 7] = ["rm", "/dev/", "mkfs", "()", "curl", "wget", "chmod"];
/// How deep scripts inside scripts are read (`sh -c "sh -c ..."`).
const DEPTH: usize = 4;
/// Words before a command that leave it what it is.
const WRAPPERS: [&str; 24] = [
    "{", "!", "if", "then", "else", "elif", "while", "until", "do", "time", "exec", "command",
    "builtin", "sudo", "doas", "nohup", "env", "nice", "ionice", "setsid", "busybox", "timeout",
    "stdbuf", "xargs",
];
/// What lies in `/dev` and is no device that holds anything.
const HARMLESS: [&str; 13] = [
    "null", "zero", "full", "random", "urandom", "stdin", "stdout", "stderr", "tty", "console",
    "ptmx", "log", "kmsg",
];
/// Folders in `/dev` that hold no devices.
const HARMLESS_BELOW: [&str; 6] = ["fd/", "pts/", "shm/", "mqueue/", "tcp/", "udp/"];

/// What is dangerous in a command, each once.
pub(super) fn dangers(command: &str) -> Vec<Danger> {
    let mut found = Vec::new();
    if HINTS.iter().any(|hint| command.contains(hint)) {
        look(command, DEPTH, &mut found);
        found.sort_unstable();
        found.dedup();
    }
    found
}

fn look(text: &str, depth: usize, found: &mut Vec<Danger>) {
    let (commands, bare) = read(text);
    if is_fork_bomb(&bare) {
        found.push(Danger::ForkBomb);
    }
    let mut downloads = false;
    for command in &commands {
        downloads &= command.piped;
        if command.targets.iter().any(|target| is_device(target)) {
            found.push(Danger::OverwritesDevice);
        }
        let Some((program, args)) = program(command) else { continue };
        found.extend(danger_of(program, args));
        if downloads && is_shell(program) && reads_stdin(args) {
            found.push(Danger::RunsDownload);
        }
        downloads |= is_download(program);
        if let Some(script) = script(program, args).filter(|_| depth > 0) {
            if is_downloaded(&script) {
                found.push(Danger::RunsDownload);
            }
            look(&script, depth - 1, found);
        }
    }
}

/// The name of the program that a command starts, and its arguments.
fn program(command: &Simple) -> Option<(&str, &[String])> {
    let mut rest = command.words.as_slice();
    loop {
        let (first, args) = rest.split_first()?;
        let name = first.rsplit('/').next().unwrap_or_default();
        if is_assignment(first) {
            rest = args;
        } else if WRAPPERS.contains(&name) {
            rest = skip_options(args);
        } else {
            return Some((name, args));
        }
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// Options of a wrapper, with the numbers (`nice -n 10`, `timeout 5s`) and users that they take.
fn skip_options(mut args: &[String]) -> &[String] {
    while let Some((first, rest)) = args.split_first() {
        let takes_name = ["-u", "-g", "-C", "-I"].contains(&first.as_str());
        if takes_name {
            args = rest.get(1..).unwrap_or_default();
        } else if first.starts_with('-') || first.starts_with(|c: char| c.is_ascii_digit()) {
            args = rest;
        } else {
            break;
        }
    }
    args
}

fn danger_of(program: &str, args: &[String]) -> Option<Danger> {
    let (flags, operands) = split(args);
    let recursive = |letters: &[char]| {
        flags.iter().any(|flag| match flag.strip_prefix("--") {
            Some(long) => long == "recursive",
            None => flag.contains(letters),
        })
    };
    let any = |test: fn(&str) -> bool| operands.iter().any(|operand| test(operand));
    match program {
        "rm" => (recursive(&['r', 'R']) && any(is_root)).then_some(Danger::RemovesRoot),
        "dd" => any(|operand| operand.strip_prefix("of=").is_some_and(is_device))
            .then_some(Danger::OverwritesDevice),
        "tee" => any(is_device).then_some(Danger::OverwritesDevice),
        "chmod" => {
            let (mode, paths) = operands.split_first()?;
            (is_open(mode) && paths.iter().any(|path| is_root(path))).then_some(Danger::OpensRoot)
        }
        // An image in a file is a build's business.
        _ if program == "mkfs" || program.starts_with("mkfs.") => (operands.is_empty()
            || any(|operand| is_device(operand) || operand.contains('$')))
        .then_some(Danger::MakesFileSystem),
        _ => None,
    }
}

/// The options, and what is none.
fn split(args: &[String]) -> (Vec<&str>, Vec<&str>) {
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let is_flag = |at: usize, arg: &str| at < end && arg.len() > 1 && arg.starts_with('-');
    let mut flags = Vec::new();
    let mut operands = Vec::new();
    for (at, arg) in args.iter().enumerate().filter(|(at, _)| *at != end) {
        if is_flag(at, arg) { flags.push(arg.as_str()) } else { operands.push(arg.as_str()) }
    }
    (flags, operands)
}

/// The root folder, or all that is in it.
fn is_root(path: &str) -> bool {
    path.starts_with('/')
        && path.split('/').all(|part| matches!(part, "" | "." | ".." | "*" | ".*" | "{*,.*}"))
}

fn is_device(path: &str) -> bool {
    path.strip_prefix("/dev/").is_some_and(|name| {
        !name.is_empty()
            && !HARMLESS.contains(&name)
            && !HARMLESS_BELOW.iter().any(|folder| name.starts_with(folder))
    })
}

/// Whether a mode lets everyone write.
fn is_open(mode: &str) -> bool {
    if !mode.is_empty() && mode.chars().all(|c| c.is_digit(8)) {
        return mode.ends_with(['2', '3', '6', '7']);
    }
    mode.split(',').any(|clause| {
        clause
            .split_once(['+', '='])
            .is_some_and(|(who, what)| who.contains(['a', 'o']) && what.contains('w'))
    })
}

fn is_shell(program: &str) -> bool {
    ["sh", "bash", "dash", "zsh", "ksh", "ash"].contains(&program)
}

fn is_download(program: &str) -> bool {
    ["curl", "wget"].contains(&program)
}

/// Whether a shell runs what it reads, and not a script that it is given.
fn reads_stdin(args: &[String]) -> bool {
    let (flags, operands) = split(args);
    let has = |letter: char| flags.iter().any(|f| !f.starts_with("--") && f.contains(letter));
    !has('c') && (has('s') || operands.first().is_none_or(|first| *first == "-"))
}

/// The text that `sh -c` or `eval` runs.
fn script(program: &str, args: &[String]) -> Option<String> {
    if program == "eval" {
        return Some(args.join(" "));
    }
    if !is_shell(program) {
        return None;
    }
    let at = args
        .iter()
        .position(|arg| arg.starts_with('-') && !arg.starts_with("--") && arg.contains('c'))?;
    args[at..].iter().find(|arg| !arg.starts_with('-')).cloned()
}

/// `$(curl ...)` where a script is expected.
fn is_downloaded(script: &str) -> bool {
    let script = script.trim_start();
    let inner = script.strip_prefix("$(").or_else(|| script.strip_prefix('`'));
    inner.is_some_and(|inner| inner.split_whitespace().next().is_some_and(is_download))
}

/// `name(){name|name&};name`, in a text without its spaces.
fn is_fork_bomb(bare: &str) -> bool {
    bare.match_indices("(){").any(|(at, mark)| {
        let before = &bare[..at];
        let start = before.rfind([';', '&', '|', '{', '}', '(', ')']).map_or(0, |at| at + 1);
        let name = &before[start..];
        !name.is_empty() && bare[at + mark.len()..].starts_with(&format!("{name}|{name}&"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_commands_are_known_however_they_are_written() {
        let cases: [(Danger, &[&str]); 6] = [
            (
                Danger::RemovesRoot,
                &[
                    "rm -rf /",
                    "rm -fr /*",
                    "rm -r -f \"/\"",
                    "rm -rf / --no-preserve-root",
                    "rm --recursive --force //",
                    "rm -Rf -- '/'",
                    "/bin/rm -rf /.",
                    "\\rm -rf /../*",
                    "cd x && sudo -u root rm -rf /",
                    "A=1 nice -n 10 rm -rf /",
                    "if true; then rm -rf /; fi",
                    "echo $(rm -rf /)",
                    "(cd /; rm -rf /)",
                    "sh -c 'rm -rf /'",
                    "bash -ec \"sudo sh -c 'rm -rf /'\"",
                    "eval rm -rf /",
                    "make\nrm -rf \\\n  /",
                    "rm -rf /tmp/x /",
                ],
            ),
            (
                Danger::OverwritesDevice,
                &[
                    "dd if=/dev/zero of=/dev/sda",
                    "dd of=/dev/nvme0n1 if=x bs=1M",
                    "echo x > /dev/sda",
                    "cat image >/dev/mmcblk0",
                    "cat image 1>>\"/dev/sdb1\"",
                    "make &> /dev/sda",
                    "cat image | sudo tee /dev/sda",
                ],
            ),
            (
                Danger::MakesFileSystem,
                &["mkfs /dev/sda1", "mkfs.ext4 -F /dev/sda1", "mkfs -t xfs $DISK", "mkfs"],
            ),
            (
                Danger::ForkBomb,
                &[":(){ :|:& };:", ":() { : | : & } ; :", "x; bomb(){ bomb|bomb& };bomb"],
            ),
            (
                Danger::RunsDownload,
                &[
                    "curl https://example.com/x | sh",
                    "wget -qO- x|bash",
                    "curl -fsSL x | sudo -E bash -s -- --yes",
                    "curl x | tee log | sh -",
                    "curl x |\n  sh",
                    "sh -c \"$(curl -fsSL x)\"",
                    "eval \"`wget -qO- x`\"",
                ],
            ),
            (
                Danger::OpensRoot,
                &["chmod 777 /", "chmod -R 777 /", "chmod -R 0777 /*", "chmod a+rwx /"],
            ),
        ];
        for (danger, commands) in cases {
            for command in commands {
                assert_eq!(dangers(command), [danger], "{command}");
            }
        }
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        for command in [
            "rm -rf /tmp/x",
            "rm -rf ./build",
            "rm -rf build/ out/*",
            "rm -f /",
            "rm -rf \"$DIR\"/",
            "echo rm -rf /",
            "echo 'rm -rf /' > help.txt",
            "printf '%s' \"x; rm -rf /\"",
            "make # rm -rf /",
            "grep -r rm /",
            "cp -r / rm",
            "dd if=/dev/zero of=disk.img bs=1M count=1",
            "cc x.c 2>/dev/null >/dev/stdout",
            "cat < /dev/sda > image",
            "make 2>&1 | tee /dev/stderr",
            "mkfs.ext4 disk.img",
            "echo mkfs",
            "f(){ echo x | cat; }; f",
            "echo ':(){ :|:& };:'",
            "curl -o x.sh https://example.com/x",
            "curl x | tar xz",
            "curl x | sh filter.sh",
            "curl x | bash -c 'cat > y'",
            "curl x; sh",
            "curl x || sh y",
            "chmod 777 out/tool",
            "chmod 755 /",
            "chmod -R u+w /",
            "chmod +x ./rm",
            "gcc -o hello hello.c",
            "",
            "'",
            "\"$(",
            "rm -rf \\",
            "sh -c",
            "sudo",
        ] {
            assert_eq!(dangers(command), [], "{command}");
        }
    }

    #[test]
    fn scripts_inside_scripts_end_somewhere() {
        let deep = format!("{}rm -rf /", "eval ".repeat(1000));
        dangers(&deep);
        dangers(&"rm (".repeat(100_000));
        dangers(&"rm '\"".repeat(100_001));
    }
}
