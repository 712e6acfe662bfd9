//! Settings that are known and checked, and that nothing reads so far, because the part of the
//! program that they are for is not there yet. Each part that is added shortens this list.

use super::declare::Setting;

/// `section.*`, or `section.key`.
const NOT_YET: &[&str] = &["security.enable_sandboxing"];

impl Setting {
    /// Whether something in the program reads it.
    pub fn is_in_use(&self) -> bool {
        !NOT_YET.iter().any(|row| {
            row.split_once('.').is_some_and(|(section, key)| {
                section == self.section && [self.key, "*"].contains(&key)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings;

    #[test]
    fn each_row_names_settings_of_the_table() {
        for row in NOT_YET {
            let names = |setting: &Setting| {
                setting.name() == *row
                    || row.strip_suffix('*') == Some(&format!("{}.", setting.section))
            };
            assert!(settings().any(names), "{row}");
        }
        assert!(settings().any(Setting::is_in_use));
    }
}
