//! The layer of the environment: each setting has a variable, some a shorter one, and a few
//! variables set several settings at once.

use std::ffi::OsStr;

use super::environment::Environment;
use super::files::Content;
use super::fold::{Entry, Origin};
use super::table::{index_of, settings};
use super::value::truth;
use crate::base::nearest::nearest;
use crate::base::{Diagnostic, text};

/// Variables of ours that set nothing in the table.
const OTHERS: [&str; 4] =
    ["REPROVM_RUN", "REPROVM_EVENT", "REPROVM_SYSTEM_CONFIG", "REPROVM_DEBUG_PANIC"];

/// What a variable that is no plain value of one setting sets: section, key and text.
type Effects = Vec<(&'static str, &'static str, String)>;

/// A variable that means more than the value of one setting.
struct Special {
    name: &'static str,
    /// The text is known not to be empty. The error says what is allowed.
    effects: fn(&str) -> Result<Effects, String>,
    secret: bool,
}

const SPECIAL: [Special; 9] = [
    Special {
        name: "REPROVM_NO_COLOR",
        effects: |text| not(text, "logging", "log_colors"),
        secret: false,
    },
    Special {
        name: "REPROVM_NO_PROGRESS",
        effects: |text| not(text, "output", "progress"),
        secret: false,
    },
    Special {
        name: "REPROVM_COMPRESSION",
        effects: |text| {
            // The algorithm stays for whoever asks for compression by a flag.
            if text.eq_ignore_ascii_case("none") {
                return Ok(vec![("compression", "enabled", "false".to_owned())]);
            }
            Ok(vec![
                ("compression", "algorithm", text.to_owned()),
                ("compression", "enabled", "true".to_owned()),
            ])
        },
        secret: false,
    },
    Special { name: "REPROVM_REMOTE_CAS_URL", effects: remote, secret: true },
    Special {
        name: "REPROVM_WEBHOOK_URL",
        effects: |text| Ok(channel("webhook_url", text)),
        secret: true,
    },
    Special {
        name: "REPROVM_SLACK_WEBHOOK",
        effects: |text| Ok(channel("slack_webhook", text)),
        secret: true,
    },
    Special {
        name: "REPROVM_DISCORD_WEBHOOK",
        effects: |text| Ok(channel("discord_webhook", text)),
        secret: true,
    },
    Special {
        name: "REPROVM_AUDIT_LOG",
        effects: |text| {
            Ok(vec![
                ("audit", "log_file", text.to_owned()),
                ("audit", "enabled", "true".to_owned()),
            ])
        },
        secret: false,
    },
    Special {
        name: "REPROVM_METRICS_FILE",
        effects: |text| {
            Ok(vec![
                ("performance", "metrics_file", text.to_owned()),
                ("performance", "enable_metrics", "true".to_owned()),
            ])
        },
        secret: false,
    },
];

fn not(text: &str, section: &'static str, key: &'static str) -> Result<Effects, String> {
    match truth(text) {
        Some(truth) => Ok(vec![(section, key, (!truth).to_string())]),
        None => Err("allowed is 1 or 0, true or false, yes or no, on or off".to_owned()),
    }
}

fn channel(key: &'static str, text: &str) -> Effects {
    vec![("notifications", key, text.to_owned()), ("notifications", "enabled", "true".to_owned())]
}

/// The place of a remote store in one address.
fn remote(text: &str) -> Result<Effects, String> {
    const FORMS: &str = "allowed is https://…, http://…, s3://bucket/prefix, gs://bucket/prefix \
                         or azblob://container/prefix";
    let (scheme, rest) = text.split_once("://").ok_or(FORMS)?;
    if rest.split('/').next().is_some_and(|host| host.contains('@')) {
        return Err("a name and a password stand in REPROVM_REMOTE_CAS_ACCESS_KEY and \
                    REPROVM_REMOTE_CAS_SECRET_KEY, not in the address"
            .to_owned());
    }
    let mut effects: Effects = vec![("remote_cas", "enabled", "true".to_owned())];
    let backend = match scheme {
        "http" | "https" => {
            effects.push(("remote_cas", "endpoint", text.to_owned()));
            "http"
        }
        "s3" | "gs" | "azblob" => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(format!("the bucket is missing; {FORMS}"));
            }
            effects.push(("remote_cas", "bucket", bucket.to_owned()));
            effects.push(("remote_cas", "prefix", prefix.trim_matches('/').to_owned()));
            match scheme {
                "s3" => "s3",
                "gs" => "gcs",
                _ => "azure",
            }
        }
        _ => return Err(FORMS.to_owned()),
    };
    effects.push(("remote_cas", "backend", backend.to_owned()));
    Ok(effects)
}

/// Whether a variable holds a secret of ours, which no task may see.
pub fn is_secret_variable(name: &str) -> bool {
    name.starts_with("REPROVM_")
        && (SPECIAL.iter().any(|special| special.secret && special.name == name)
            || settings()
                .filter(|setting| setting.secret)
                .any(|setting| setting.variable == Some(name) || setting.long_variable() == name))
}

/// The variables that hold secrets of ours, sorted.
pub fn secret_variables() -> Vec<String> {
    let special = SPECIAL.iter().filter(|special| special.secret);
    let mut names: Vec<String> = special.map(|special| special.name.to_owned()).collect();
    for setting in settings().filter(|setting| setting.secret) {
        names.extend(setting.variable.map(str::to_owned));
        names.push(setting.long_variable());
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// What the environment sets. A variable that is empty is as one that is not set. Of two for one
/// setting, the long one wins.
pub(super) fn read(environment: &Environment) -> Content {
    let mut content = Content::default();
    for special in &SPECIAL {
        let Some(text) = value(environment, special.name, special.secret, &mut content) else {
            continue;
        };
        match (special.effects)(&text) {
            Ok(effects) => {
                for (section, key, text) in effects {
                    content.entries.extend(entry(section, key, text, special.name));
                }
            }
            Err(allowed) => {
                let shown = if special.secret { "***" } else { &text };
                let what = format!("`{shown}` is not allowed for the variable {}", special.name);
                content.mistakes.push(Diagnostic::new(what).help(allowed));
            }
        }
    }
    for setting in settings() {
        let short =
            setting.variable.filter(|name| !SPECIAL.iter().any(|special| special.name == *name));
        let long = setting.long_variable();
        let long = Some(long.as_str()).filter(|long| {
            short != Some(long) && !SPECIAL.iter().any(|special| special.name == *long)
        });
        for name in short.into_iter().chain(long) {
            if let Some(text) = value(environment, name, setting.secret, &mut content) {
                content.entries.extend(entry(setting.section, setting.key, text, name));
            }
        }
    }
    content.warnings.extend(typos(environment));
    content
}

fn entry(section: &str, key: &str, text: String, variable: &str) -> Option<Entry> {
    let setting = index_of(section, key)?;
    let origin = Origin::Variable(variable.to_owned());
    Some(Entry { setting, text, origin, place: None })
}

fn value(
    environment: &Environment,
    name: &str,
    secret: bool,
    content: &mut Content,
) -> Option<String> {
    let value = environment.get(name).filter(|value| !value.is_empty())?;
    if let Some(text) = value.to_str() {
        return Some(text.to_owned());
    }
    let shown = if secret { "***".into() } else { text::shown(value.as_encoded_bytes()) };
    let what = format!("`{shown}` is not allowed for the variable {name}");
    content.mistakes.push(Diagnostic::new(what).help("allowed is text in UTF-8"));
    None
}

/// Variables that begin as ours do, set nothing, and are near to one that does.
fn typos(environment: &Environment) -> Vec<Diagnostic> {
    let mut names: Vec<String> = SPECIAL.iter().map(|special| special.name.to_owned()).collect();
    names.extend(OTHERS.map(str::to_owned));
    for setting in settings() {
        names.extend(setting.variable.map(str::to_owned));
        names.push(setting.long_variable());
    }
    let ours =
        |name: &OsStr| name.to_str().filter(|name| name.starts_with("REPROVM_")).map(str::to_owned);
    let strangers = environment.iter().filter_map(|(name, _)| ours(name));
    strangers
        .filter(|name| !names.contains(name))
        .filter_map(|name| {
            // What they all begin with says nothing of how near they are.
            let word = |name: &'_ str| name.strip_prefix("REPROVM_").map(str::to_owned);
            let words: Vec<String> = names.iter().filter_map(|name| word(name)).collect();
            let near = nearest(&word(&name)?, words.iter().map(String::as_str))?;
            let what = format!("the variable {} sets nothing", text::shown(name.as_bytes()));
            Some(Diagnostic::new(what).help(format!("there is a variable REPROVM_{near}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings;

    fn read_pairs(pairs: &[(&str, &str)]) -> Content {
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        read(&Environment::from_pairs(pairs))
    }

    fn set(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let content = read_pairs(pairs);
        assert!(content.mistakes.is_empty(), "{:?}", content.mistakes);
        let name = |index: usize| settings().nth(index).expect("a row").name();
        content.entries.into_iter().map(|entry| (name(entry.setting), entry.text)).collect()
    }

    fn pair(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    #[test]
    fn each_setting_has_a_variable() {
        assert_eq!(set(&[("REPROVM_JOBS", "4")]), [pair("execution.parallel_jobs", "4")]);
        assert_eq!(
            set(&[("REPROVM_EXECUTION_PARALLEL_JOBS", "5"), ("REPROVM_JOBS", "4")]),
            [pair("execution.parallel_jobs", "4"), pair("execution.parallel_jobs", "5")]
        );
        assert_eq!(set(&[("REPROVM_JOBS", "")]), []);
    }

    #[test]
    fn no_turns_a_setting_off_and_its_denial_leaves_it_on() {
        assert_eq!(set(&[("REPROVM_NO_COLOR", "0")]), [pair("logging.log_colors", "true")]);
        assert_eq!(set(&[("REPROVM_NO_COLOR", "1")]), [pair("logging.log_colors", "false")]);
        assert_eq!(set(&[("REPROVM_NO_PROGRESS", "yes")]), [pair("output.progress", "false")]);
        assert_eq!(read_pairs(&[("REPROVM_NO_COLOR", "maybe")]).mistakes.len(), 1);
    }

    #[test]
    fn an_address_sets_the_whole_place_of_a_remote_store() {
        let s3 = set(&[("REPROVM_REMOTE_CAS_URL", "s3://my-cache-bucket/reprovm")]);
        assert_eq!(
            s3,
            [
                pair("remote_cas.enabled", "true"),
                pair("remote_cas.bucket", "my-cache-bucket"),
                pair("remote_cas.prefix", "reprovm"),
                pair("remote_cas.backend", "s3"),
            ]
        );
        let http = set(&[("REPROVM_REMOTE_CAS_URL", "https://cache.example.com")]);
        assert!(http.contains(&pair("remote_cas.endpoint", "https://cache.example.com")));
        for bad in ["cache.example.com", "ftp://x", "s3:///p", "https://me:pw@host/"] {
            let content = read_pairs(&[("REPROVM_REMOTE_CAS_URL", bad)]);
            assert_eq!(content.mistakes.len(), 1, "{bad}");
            assert!(!format!("{:?}", content.mistakes).contains("pw@"), "{bad}");
        }
    }

    #[test]
    fn an_algorithm_switches_compression_on() {
        assert!(
            set(&[("REPROVM_COMPRESSION", "zstd")]).contains(&pair("compression.enabled", "true"))
        );
        let off = set(&[("REPROVM_COMPRESSION", "none")]);
        assert_eq!(off, [pair("compression.enabled", "false")]);
    }

    #[test]
    fn secrets_are_known_by_their_variables() {
        for name in [
            "REPROVM_REMOTE_CAS_SECRET_KEY",
            "REPROVM_NOTIFICATIONS_SLACK_WEBHOOK",
            "REPROVM_REMOTE_CAS_URL",
            "REPROVM_WEBHOOK_URL",
        ] {
            assert!(is_secret_variable(name), "{name}");
            assert!(secret_variables().contains(&name.to_owned()), "{name}");
        }
        assert!(!is_secret_variable("REPROVM_JOBS"));
    }

    #[test]
    fn a_mistyped_variable_is_told() {
        let warnings = read_pairs(&[("REPROVM_JOBZ", "4"), ("REPROVM_OF_MINE", "x")]).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].help, ["there is a variable REPROVM_JOBS"]);
    }
}
