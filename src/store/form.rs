//! The forms in which an object may lie, and the names that tell them apart: the bare bytes, or
//! those of a codec, with the suffix that its tools know.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::Digest;

/// Shorter objects are always bare: what could be saved is less than a name in a folder takes.
pub(super) const LEAST: u64 = 128;

/// In which form an object lies; in the order in which they are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    Bare,
    Zstd,
    Lz4,
    Gzip,
    Zlib,
}

impl Form {
    pub const ALL: [Self; 5] = [Self::Bare, Self::Zstd, Self::Lz4, Self::Gzip, Self::Zlib];

    /// Those that an object of so many bytes may have.
    pub fn of_length(length: u64) -> &'static [Self] {
        const ALL: &[Form] = &Form::ALL;
        if length < LEAST { &ALL[..1] } else { ALL }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
        }
    }

    /// What the name of a file in this form ends with.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Bare => "",
            Self::Zstd => ".zst",
            Self::Lz4 => ".lz4",
            Self::Gzip => ".gz",
            Self::Zlib => ".zz",
        }
    }

    /// Where an object lies in this form, by the place of its bare bytes.
    pub fn at(self, bare: &Path) -> PathBuf {
        let mut path = bare.as_os_str().to_os_string();
        path.push(self.suffix());
        path.into()
    }

    /// The digest and the form of an object, by the name of its folder and its own.
    pub fn parse(digits: &str, name: &str) -> Option<(Digest, Self)> {
        let (rest, end) = name.split_once('.').map_or((name, ""), |(rest, _)| {
            let end = &name[rest.len()..];
            (rest, end)
        });
        let form = Self::ALL.into_iter().find(|form| form.suffix() == end)?;
        Some((Digest::parse(&format!("{digits}{rest}")).ok()?, form))
    }

    /// Whether a file of so many bytes can hold an object of `length` in this form. One that is
    /// compressed is always smaller.
    pub fn can_hold(self, length: u64, stored: u64) -> bool {
        match self {
            Self::Bare => stored == length,
            _ => (1..length).contains(&stored),
        }
    }
}

/// What `look` finds first in the places of the forms that an object of `length` may have.
pub(super) fn first<T>(
    bare: &Path,
    length: u64,
    mut look: impl FnMut(Form, &Path) -> Option<T>,
) -> Option<T> {
    // The path of the bare form is not made twice: it is the one that is nearly always asked for.
    if let Some(found) = look(Form::Bare, bare) {
        return Some(found);
    }
    Form::of_length(length)[1..].iter().find_map(|form| look(*form, &form.at(bare)))
}

/// The same with a second look, since `cache recompress` may put an object where one had looked and
/// take it from where one had not.
pub(super) fn first_of_two<T>(
    bare: &Path,
    length: u64,
    mut look: impl FnMut(Form, &Path) -> Option<T>,
) -> Option<T> {
    first(bare, length, &mut look).or_else(|| first(bare, length, look))
}

/// The form and the place in which an object of `length` seems to lie below this place, also while
/// its form is changed.
pub fn locate(bare: &Path, length: u64) -> Option<(Form, PathBuf)> {
    first_of_two(bare, length, |form, path| seen(form, path, length))
}

/// The same for whom an object that is just changing its form may as well not be there: it costs
/// half as much where nothing is there.
pub(super) fn glance(bare: &Path, length: u64) -> Option<(Form, PathBuf)> {
    first(bare, length, |form, path| seen(form, path, length))
}

fn seen(form: Form, path: &Path, length: u64) -> Option<(Form, PathBuf)> {
    seems(form, path, length).then(|| (form, path.to_path_buf()))
}

/// Whether a file lies there that can be an object of this length in this form.
pub(super) fn seems(form: Form, path: &Path, length: u64) -> bool {
    std::fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_file() && form.can_hold(length, found.len()))
}

/// All that lies in the places of an object's forms, whatever it is.
pub(super) fn present(bare: &Path) -> Vec<(Form, PathBuf)> {
    let all = Form::ALL.into_iter().map(|form| (form, form.at(bare)));
    all.filter(|(_, path)| path.symlink_metadata().is_ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It was looked for bare, then it became bare, then it was looked for where it had been.
    #[test]
    fn an_object_that_changes_its_form_between_two_looks_is_found() {
        let bare = Path::new("x");
        let mut asked = 0;
        let found = first_of_two(bare, LEAST, |form, _| {
            asked += 1;
            (asked > 1 && form == Form::Bare).then_some(form)
        });
        assert_eq!((found, asked), (Some(Form::Bare), Form::ALL.len() + 1));
    }

    #[test]
    fn a_name_tells_digest_and_form_and_nothing_else_is_a_name() {
        let digest = Digest::of(b"x");
        let hex = digest.hex();
        for form in Form::ALL {
            let path = form.at(&Path::new(&hex[..2]).join(&hex[2..]));
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            assert_eq!(Form::parse(&hex[..2], name), Some((digest, form)));
            assert_eq!(
                Form::parse(&hex[..2], &format!("{name}.zst")),
                None.filter(|_| true).or({
                    // A bare name with a suffix is that form's name.
                    (form == Form::Bare).then_some((digest, Form::Zstd))
                })
            );
        }
        for end in [".", ".xz", ".zst.gz", ".ZST", "0", ".zst "] {
            assert_eq!(Form::parse(&hex[..2], &format!("{}{end}", &hex[2..])), None, "{end}");
        }
    }
}
