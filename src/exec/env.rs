//! Which variables a command sees, and which it asked for in vain.
//!
//! Knows nothing of where the variables come from or of keys.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::jobserver::MAKEFLAGS;
use crate::config::{Environment, is_secret_variable};

/// The tag by which what a task started is found: the run and the task, of a run inside a task
/// both, separated by commas.
pub(super) const TAG: &str = "REPROVM_RUN";

/// What every task sees, beside `LC_*` and the tag of a run around ours.
const COMMON: [&str; 7] = ["HOME", "LANG", "PATH", "TERM", "TMPDIR", "USER", TAG];

/// Names that a shell or we set, or that stand in too many texts to mean the variable.
const NOISE: [&str; 11] = [
    "COLUMNS", "HOSTNAME", "IFS", "LINES", "LOGNAME", MAKEFLAGS, "OLDPWD", "PPID", "PWD", "SHELL",
    "SHLVL",
];

/// What a task says of its environment.
#[derive(Debug, Clone, Copy)]
pub struct EnvRules<'a> {
    /// Set to these values.
    pub set: &'a BTreeMap<String, String>,
    /// Passed from our environment.
    pub pass: &'a BTreeSet<String>,
    /// Everything is passed but what names the jobserver around us, whose ends nobody inherits.
    pub inherit: bool,
}

impl EnvRules<'_> {
    /// Whether the task itself says what a variable is.
    pub fn names(&self, name: &str) -> bool {
        self.set.contains_key(name) || self.pass.contains(name)
    }

    /// Whether a variable of our environment is passed.
    fn passes(&self, name: &OsStr) -> bool {
        let Some(text) = name.to_str() else { return self.inherit };
        !is_secret_variable(text)
            && ((self.inherit && text != MAKEFLAGS)
                || COMMON.contains(&text)
                || text.starts_with("LC_")
                || self.pass.contains(text))
    }
}

/// All that a task sees, sorted by name.
pub fn task_env(environment: &Environment, rules: &EnvRules<'_>) -> Vec<(OsString, OsString)> {
    let passed = environment.iter().filter(|(name, _)| rules.passes(name));
    let mut all: BTreeMap<&OsStr, &OsStr> = passed.collect();
    all.extend(rules.set.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value))));
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Variables that we have and the task does not, and that its command refers to or the end of its
/// output names: what a person should look at when it fails. Sorted.
pub fn withheld(
    command: &str,
    output: &[u8],
    environment: &Environment,
    rules: &EnvRules<'_>,
) -> Vec<String> {
    let telling = |name: &&str| {
        let bytes = name.as_bytes();
        bytes.len() >= 3
            && bytes[0].is_ascii_uppercase()
            && bytes.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
            && !NOISE.contains(name)
            && !is_secret_variable(name)
    };
    environment
        .iter()
        .filter_map(|(name, _)| name.to_str())
        .filter(telling)
        .filter(|name| !rules.passes(OsStr::new(name)) && !rules.set.contains_key(*name))
        .filter(|name| refers(command, name) || names(output, name.as_bytes()))
        .map(str::to_owned)
        .collect()
}

/// Whether the text holds `$NAME` or `${NAME..`.
fn refers(text: &str, name: &str) -> bool {
    text.split('$').skip(1).any(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.strip_prefix(name).is_some_and(|rest| !rest.bytes().next().is_some_and(is_word))
    })
}

/// Whether the bytes hold the name as a whole word.
fn names(bytes: &[u8], name: &[u8]) -> bool {
    bytes.split(|&b| !is_word(b)).any(|word| word == name)
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// The first value of a variable in a list.
pub(super) fn lookup<'a>(env: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    env.iter()
        .find(|(key, _)| key.as_bytes() == name.as_bytes())
        .map(|(_, value)| value.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(names: &[&str]) -> Environment {
        Environment::from_pairs(names.iter().map(|name| (name.into(), "v".into())))
    }

    fn seen(names: &[&str], set: &[(&str, &str)], pass: &[&str], inherit: bool) -> Vec<String> {
        let set = set.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        let pass = pass.iter().map(|&name| name.into()).collect();
        let rules = EnvRules { set: &set, pass: &pass, inherit };
        task_env(&environment(names), &rules)
            .iter()
            .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
            .collect()
    }

    #[test]
    fn a_task_sees_the_common_variables_and_what_it_names() {
        let ours = ["CC", "HOME", "LC_ALL", "PATH", "SECRET", "LCX"];
        assert_eq!(seen(&ours, &[], &[], false), ["HOME=v", "LC_ALL=v", "PATH=v"]);
        assert_eq!(
            seen(&ours, &[("A", "1"), ("PATH", "/x")], &["CC", "NONE"], false),
            ["A=1", "CC=v", "HOME=v", "LC_ALL=v", "PATH=/x"]
        );
        assert_eq!(seen(&ours, &[], &[], true).len(), 6);
    }

    #[test]
    fn the_jobserver_around_us_is_nobody_elses_unless_it_is_named() {
        let ours = ["CC", "MAKEFLAGS"];
        assert_eq!(seen(&ours, &[], &[], true), ["CC=v"]);
        assert_eq!(seen(&ours, &[], &["MAKEFLAGS"], true), ["CC=v", "MAKEFLAGS=v"]);
        assert_eq!(seen(&ours, &[("MAKEFLAGS", "-k")], &[], true), ["CC=v", "MAKEFLAGS=-k"]);
    }

    #[test]
    fn our_secrets_reach_no_task() {
        let ours = ["REPROVM_REMOTE_CAS_SECRET_KEY", "REPROVM_WEBHOOK_URL", "X"];
        assert_eq!(seen(&ours, &[], &["REPROVM_WEBHOOK_URL"], true), ["X=v"]);
    }

    #[test]
    fn withheld_variables_are_named_only_where_the_task_names_them() {
        let ours =
            environment(&["CC", "API_TOKEN", "API", "PWD", "NPM_TOKEN", "FROM_SET", "lower"]);
        let set = BTreeMap::from([("FROM_SET".to_string(), "1".to_string())]);
        let pass = BTreeSet::from(["NPM_TOKEN".to_string()]);
        let rules = EnvRules { set: &set, pass: &pass, inherit: false };
        let asked =
            |command: &str, output: &str| withheld(command, output.as_bytes(), &ours, &rules);
        assert_eq!(asked("curl -H $API_TOKEN", ""), ["API_TOKEN"]);
        assert_eq!(asked("curl ${API_TOKEN:-x} $API", ""), ["API", "API_TOKEN"]);
        assert_eq!(asked("x", "error: API_TOKEN is not set"), ["API_TOKEN"]);
        assert_eq!(asked("x", "MY_API_TOKEN_2 $API_"), Vec::<String>::new());
        assert_eq!(asked("$PWD $NPM_TOKEN $FROM_SET $lower $CC", ""), Vec::<String>::new());
        let all = EnvRules { inherit: true, ..rules };
        assert_eq!(withheld("$API", b"", &ours, &all), Vec::<String>::new());
    }
}
