//! Names of settings as people write them, and the setting that is meant.

use super::declare::Setting;
use super::table::{SECTIONS, index_of, settings};
use crate::base::nearest::nearest;

/// Keys of several sections that mean one of them where no section is named.
const USUAL: [(&str, &str); 1] = [("log_file", "logging")];

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Find {
    /// The number of the setting in the order of the table.
    Known(usize),
    /// No setting; perhaps this one was meant.
    Unknown { nearest: Option<String> },
    /// A key of several sections, and their full names.
    Ambiguous(Vec<String>),
}

/// The setting of a name without a section around it: `section.key`, a key that only one section
/// has, or `section_key`.
pub fn find(name: &str) -> Find {
    if let Some((section, key)) = name.split_once('.') {
        return in_section(section, key);
    }
    let usual = USUAL.iter().find(|(key, _)| *key == name);
    if let Some(index) = usual.and_then(|(key, section)| index_of(section, key)) {
        return Find::Known(index);
    }
    let same: Vec<&Setting> = settings().filter(|setting| setting.key == name).collect();
    match same.as_slice() {
        [one] => return known(one.section, one.key),
        [] => {}
        several => return Find::Ambiguous(several.iter().map(|one| one.name()).collect()),
    }
    let joined = |section: &str| name.strip_prefix(section)?.strip_prefix('_');
    let found = SECTIONS
        .iter()
        .find_map(|section| joined(section.name).and_then(|key| index_of(section.name, key)));
    match found {
        Some(index) => Find::Known(index),
        None => unknown(name),
    }
}

/// The setting of a key in a section.
pub(super) fn in_section(section: &str, key: &str) -> Find {
    match index_of(section, key) {
        Some(index) => Find::Known(index),
        None => unknown_in(section, key),
    }
}

/// The section that was probably meant; none for one that exists.
pub(super) fn nearest_section(name: &str) -> Option<&'static str> {
    nearest(name, SECTIONS.iter().map(|section| section.name))
}

pub(super) fn section_exists(name: &str) -> bool {
    SECTIONS.iter().any(|section| section.name == name)
}

fn known(section: &str, key: &str) -> Find {
    index_of(section, key).map_or(Find::Unknown { nearest: None }, Find::Known)
}

/// A key that another section has is not far away, however far the sections are apart.
fn unknown_in(section: &str, key: &str) -> Find {
    let own = settings().filter(|setting| setting.section == section).map(|one| one.key);
    if let Some(key) = nearest(key, own) {
        return Find::Unknown { nearest: Some(format!("{section}.{key}")) };
    }
    let elsewhere = settings().find(|setting| setting.key == key).map(Setting::name);
    match elsewhere {
        Some(name) => Find::Unknown { nearest: Some(name) },
        None => unknown(&format!("{section}.{key}")),
    }
}

fn unknown(name: &str) -> Find {
    let names: Vec<String> = settings().map(Setting::name).collect();
    let by_name = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
    let by_key = || {
        let key = nearest(name, settings().map(|setting| setting.key))?;
        settings().find(|setting| setting.key == key).map(Setting::name)
    };
    Find::Unknown { nearest: by_name.or_else(by_key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(found: &Find) -> String {
        match found {
            Find::Known(index) => settings().nth(*index).map(Setting::name).unwrap_or_default(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn names_are_found_with_and_without_their_section() {
        for (given, meant) in [
            ("execution.parallel_jobs", "execution.parallel_jobs"),
            ("parallel_jobs", "execution.parallel_jobs"),
            ("log_file", "logging.log_file"),
            ("audit.log_file", "audit.log_file"),
            ("audit_log_file", "audit.log_file"),
            ("compression_enabled", "compression.enabled"),
            ("compression_level", "compression.level"),
        ] {
            assert_eq!(name_of(&find(given)), meant, "{given}");
        }
    }

    #[test]
    fn typos_find_their_setting_and_strangers_none() {
        let nearest = |name: &str| match find(name) {
            Find::Unknown { nearest } => nearest,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(nearest("paralel_jobs").as_deref(), Some("execution.parallel_jobs"));
        assert_eq!(nearest("execution.paralel_jobs").as_deref(), Some("execution.parallel_jobs"));
        assert_eq!(nearest("cache.parallel_jobs").as_deref(), Some("execution.parallel_jobs"));
        assert_eq!(nearest("frobnicate_the_widget"), None);
    }

    #[test]
    fn a_key_of_several_sections_needs_one() {
        let Find::Ambiguous(names) = find("enabled") else { panic!("one of many") };
        assert!(names.contains(&"compression.enabled".to_owned()), "{names:?}");
    }
}
