//! Decides whether a command's text needs a shell at all, and finds the program where it does
//! not. In doubt it says that it does: the shell is always right.
//!
//! Knows nothing of starting.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::base::stat::{self, Kind};

/// Words that a shell gives a meaning of its own at the start of a command: POSIX, dash, bash,
/// busybox and ksh together, sorted.
const BUILTINS: [&str; 101] = [
    ".",
    ":",
    "alias",
    "autoload",
    "bg",
    "bind",
    "bindkey",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "chdir",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "fi",
    "float",
    "for",
    "function",
    "functions",
    "getconf",
    "getopts",
    "hash",
    "help",
    "hist",
    "history",
    "if",
    "in",
    "integer",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "namespace",
    "newgrp",
    "nohup",
    "popd",
    "print",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "repeat",
    "return",
    "select",
    "set",
    "setopt",
    "shift",
    "shopt",
    "sleep",
    "source",
    "stop",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unfunction",
    "unset",
    "unsetopt",
    "until",
    "vared",
    "wait",
    "whence",
    "where",
    "which",
    "while",
    "zle",
    "zmodload",
];

/// Variables by which a shell would behave, or change the environment, in ways of its own.
const SHELL_VARIABLES: [&str; 12] = [
    "BASHOPTS",
    "BASH_ENV",
    "ENV",
    "IFS",
    "LINENO",
    "OPTARG",
    "OPTIND",
    "POSIXLY_CORRECT",
    "PPID",
    "PS4",
    "SHELLOPTS",
    "_",
];

/// The words of a text without shell syntax. None: a shell must read it.
pub(super) fn words(text: &str) -> Option<Vec<&str>> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_./,:+@%=^- \t".contains(&b);
    if !text.bytes().all(plain) {
        return None;
    }
    let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    let first = words.first()?;
    let own = first.contains('=')
        || first.starts_with(['%', '-', '+'])
        || BUILTINS.binary_search(first).is_ok();
    (!own).then_some(words)
}

/// Whether a shell would hand on this environment as it is.
pub(super) fn passes_through(env: &[(OsString, OsString)]) -> bool {
    env.iter().all(|(name, _)| {
        let name = name.as_bytes();
        let word = name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_')
            && name.first().is_some_and(|b| !b.is_ascii_digit());
        word && !SHELL_VARIABLES.iter().any(|known| known.as_bytes() == name)
    })
}

/// The program that a shell would execute for `word`, as a process that stands in `cwd` names it.
/// None: the shell would say that there is none, and shall.
pub(super) fn find(word: &str, path: Option<&OsStr>, cwd: &Path) -> Option<CString> {
    if word.contains('/') {
        return executable(word.as_bytes().to_vec(), cwd);
    }
    let path = path?.as_bytes();
    // dash gives `%` in the PATH a meaning.
    if path.is_empty() || path.contains(&b'%') {
        return None;
    }
    for folder in path.split(|&b| b == b':') {
        // An empty entry is the folder that the task stands in; the shells differ in how they
        // then name the program.
        if folder.is_empty() {
            return None;
        }
        if let Some(found) = executable([folder, b"/", word.as_bytes()].concat(), cwd) {
            return Some(found);
        }
    }
    None
}

fn executable(name: Vec<u8>, cwd: &Path) -> Option<CString> {
    let here = cwd.join(OsStr::from_bytes(&name));
    let here = CString::new(here.as_os_str().as_bytes()).ok()?;
    let sig = stat::follow_at(stat::HERE, &here).ok()?;
    let may = || {
        // SAFETY: the path ends in NUL.
        unsafe { libc::faccessat(libc::AT_FDCWD, here.as_ptr(), libc::X_OK, libc::AT_EACCESS) == 0 }
    };
    (matches!(sig.kind(), Kind::File | Kind::Executable) && may())
        .then(|| CString::new(name).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtins_are_sorted_so_that_they_are_found() {
        assert!(BUILTINS.is_sorted());
    }

    #[test]
    fn plain_texts_are_split_and_others_left_to_the_shell() {
        assert_eq!(words("gcc -c  a.c\t-o a.o"), Some(vec!["gcc", "-c", "a.c", "-o", "a.o"]));
        assert_eq!(
            words(" ./run x=1 %a ^b a:b,c@d+e "),
            Some(vec!["./run", "x=1", "%a", "^b", "a:b,c@d+e"])
        );
        for text in [
            "",
            "  ",
            "a=1 b",
            "echo x",
            "cd x",
            "a; b",
            "a\nb",
            "a b\n",
            "a > b",
            "a | b",
            "a & b",
            "a $b",
            "a `b`",
            "a 'b'",
            "a \"b\"",
            "a \\b",
            "ls *",
            "ls ?",
            "ls [a]",
            "a ~",
            "! a",
            "a #b",
            "{ a }",
            "(a)",
            "a {b,c}",
            "%1",
            "-x",
            "if",
            "time a",
            "./größe",
            "a\r",
            "a !b",
        ] {
            assert_eq!(words(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_environment_that_a_shell_would_change_is_seen() {
        let env = |name: &str| vec![(OsString::from(name), OsString::from("x"))];
        assert!(passes_through(&env("HOME")));
        assert!(passes_through(&env("_a1")));
        for name in ["", "1a", "a.b", "BASH_FUNC_x%%", "IFS", "SHELLOPTS"] {
            assert!(!passes_through(&env(name)), "{name}");
        }
    }

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let here = Path::new("/");
        let find = |word, path: &str| {
            find(word, Some(OsStr::new(path)), here).map(|c| c.into_string().expect("plain"))
        };
        assert_eq!(find("sh", "/nowhere:/bin").as_deref(), Some("/bin/sh"));
        assert_eq!(find("sh", "bin").as_deref(), Some("bin/sh"));
        assert_eq!(find("sh", ""), None);
        assert_eq!(find("sh", "/bin:%x"), None);
        assert_eq!(find("bin/sh", "").as_deref(), Some("bin/sh"));
        assert_eq!(find("etc", ":/"), None);
        assert_eq!(find("passwd", "/etc"), None);
        assert_eq!(find("sh", "/bin:"), Some("/bin/sh".into()));
        assert_eq!(find("sh", ":/bin"), None);
        assert_eq!(super::find("sh", None, here), None);
    }
}
