//! How settings are declared: one row makes the field of a typed section, its entry in the table,
//! and its place in the fold. What stands in one place cannot disagree.

use super::value::Range;

/// One setting, as the table has it.
#[derive(Debug)]
pub struct Setting {
    pub section: &'static str,
    pub key: &'static str,
    /// The value without any source, as text.
    pub default: &'static str,
    /// The short variable that sets it, beside the long one that each setting has.
    pub variable: Option<&'static str>,
    /// The flag that sets it, beside `--set`.
    pub flag: Option<&'static str>,
    /// Never shown; not read from a file that others may read.
    pub secret: bool,
    /// What it does: a sentence or more, without the last full stop.
    pub doc: &'static [&'static str],
    pub(super) range: Range,
    pub(super) is_allowed: fn(&str, Range) -> bool,
    pub(super) allowed: fn(Range) -> String,
    pub(super) hint: fn(&str) -> Option<String>,
}

impl Setting {
    /// `section.key`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// The variable that every setting has, by its section and key.
    pub fn long_variable(&self) -> String {
        format!("REPROVM_{}_{}", self.section, self.key).to_uppercase()
    }

    /// What is allowed, to follow `allowed is`.
    pub fn allowed(&self) -> String {
        (self.allowed)(self.range)
    }

    pub(super) fn allows(&self, text: &str) -> bool {
        (self.is_allowed)(text, self.range)
    }

    /// The documentation in one line.
    pub fn doc(&self) -> String {
        self.doc.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// A section of the table.
#[derive(Debug)]
pub struct Section {
    pub name: &'static str,
    pub doc: &'static str,
    pub settings: &'static [Setting],
}

macro_rules! settings {
    (@some) => { None };
    (@some $value:literal) => { Some($value) };
    (@range) => { None };
    (@range $least:literal $most:literal) => { Some(($least, $most)) };
    (@secret) => { false };
    (@secret $secret:literal) => { $secret };
    ($(
        #[doc = $section_doc:literal]
        $section:ident: $type:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $value:ty = $default:literal
                    $(in $least:literal to $most:literal)?
                    $(, var $variable:literal)?
                    $(, flag $flag:literal)?
                    $(, secret = $secret:literal)?;
            )+
        }
    )+) => {
        $(
            #[doc = $section_doc]
            #[derive(Debug, Clone)]
            pub struct $type {
                $($(#[doc = $doc])+ pub $key: $value,)+
            }
        )+

        /// All settings, each in its section.
        #[derive(Debug, Clone)]
        pub struct Config {
            $(pub $section: $type,)+
        }

        /// The table.
        pub static SECTIONS: &[Section] = &[$(
            Section {
                name: stringify!($section),
                doc: $section_doc,
                settings: &[$(
                    Setting {
                        section: stringify!($section),
                        key: stringify!($key),
                        default: $default,
                        variable: settings!(@some $($variable)?),
                        flag: settings!(@some $($flag)?),
                        secret: settings!(@secret $($secret)?),
                        doc: &[$($doc),+],
                        range: settings!(@range $($least $most)?),
                        is_allowed: |text, range| <$value as Value>::read(text, range).is_some(),
                        allowed: <$value as Value>::allowed,
                        hint: <$value as Value>::hint,
                    },
                )+],
            },
        )+];

        impl Config {
            /// From one text for each setting, in the order of the table. Each was allowed.
            pub(super) fn from_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
                let mut texts = texts.into_iter();
                Self {
                    $($section: $type {
                        $($key: <$value as Value>::read(
                            texts.next().expect("one text for each setting"),
                            settings!(@range $($least $most)?),
                        )
                        .expect("the text was allowed"),)+
                    },)+
                }
            }
        }
    };
}

pub(super) use settings;
