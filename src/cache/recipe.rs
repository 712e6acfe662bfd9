//! The recipe of a task: all that decides its result, in one canonical encoding.
//!
//! The key is the SHA-256 of these bytes, and the explanation of a miss is the difference between
//! two of them: there is no second walk. `docs/cache-key.md` holds the table.

use std::cmp::Ordering;

use crate::base::{Digest, Kind, TaskName, text};
use crate::event::MissReason;

/// The form of the encoding. A change of it changes every key.
const MAGIC: &[u8; 8] = b"rvmkey\0\x01";

/// What an entry of a recipe is about. The number stands in the encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tag {
    Platform = 1,
    Command = 2,
    Shell = 3,
    Directory = 4,
    /// A variable that the manifest sets, or one that it passes: named and valued alike.
    Env = 5,
    Output = 6,
    Tool = 7,
    Dependency = 8,
    Input = 9,
}

impl Tag {
    fn from_u8(value: u8) -> Option<Self> {
        use Tag::{Command, Dependency, Directory, Env, Input, Output, Platform, Shell, Tool};
        [Platform, Command, Shell, Directory, Env, Output, Tool, Dependency, Input]
            .into_iter()
            .find(|&tag| tag as u8 == value)
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Command => "command",
            Self::Shell => "shell",
            Self::Directory => "directory",
            Self::Env => "env",
            Self::Output => "output",
            Self::Tool => "tool",
            Self::Dependency => "dependency",
            Self::Input => "input",
        }
    }
}

/// A recipe in the making: entries go in in the order of their tags, and within one tag sorted
/// by name.
#[derive(Debug, Clone, Default)]
pub struct RecipeBuilder {
    bytes: Vec<u8>,
}

impl RecipeBuilder {
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(MAGIC);
        Self { bytes }
    }

    fn entry(&mut self, tag: Tag, name: &[u8], value: &[u8]) {
        self.bytes.push(tag as u8);
        for field in [name, value] {
            self.bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
            self.bytes.extend_from_slice(field);
        }
    }

    pub fn platform(&mut self, os: &str, arch: &str) {
        self.entry(Tag::Platform, os.as_bytes(), arch.as_bytes());
    }

    pub fn command(&mut self, text: &str) {
        self.entry(Tag::Command, b"", text.as_bytes());
    }

    pub fn shell(&mut self, words: &[String]) {
        for (at, word) in words.iter().enumerate() {
            self.entry(Tag::Shell, &(at as u32).to_be_bytes(), word.as_bytes());
        }
    }

    pub fn directory(&mut self, path: &[u8]) {
        self.entry(Tag::Directory, b"", path);
    }

    /// None: the variable is not set, which differs from set and empty.
    pub fn env(&mut self, name: &str, value: Option<&[u8]>) {
        let mut encoded = vec![u8::from(value.is_some())];
        encoded.extend_from_slice(value.unwrap_or_default());
        self.entry(Tag::Env, name.as_bytes(), &encoded);
    }

    pub fn output(&mut self, path: &[u8]) {
        self.entry(Tag::Output, path, b"");
    }

    pub fn tool(&mut self, name: &str, content: &Digest) {
        self.entry(Tag::Tool, name.as_bytes(), content.as_bytes());
    }

    /// A dependency that the manifest names, by its result. One that is inferred from a file is
    /// in the key as that file.
    pub fn dependency(&mut self, task: &TaskName, result: &Digest) {
        self.entry(Tag::Dependency, task.as_str().as_bytes(), result.as_bytes());
    }

    pub fn input(&mut self, path: &[u8], kind: Kind, digest: &Digest) {
        let mut value = [0; 33];
        value[0] = kind as u8;
        value[1..].copy_from_slice(digest.as_bytes());
        self.entry(Tag::Input, path, &value);
    }

    pub fn finish(self) -> Recipe {
        Recipe(self.bytes)
    }
}

/// A finished recipe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipe(Vec<u8>);

/// One entry, as it stands in the encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    pub tag: Tag,
    pub name: &'a [u8],
    pub value: &'a [u8],
}

impl Entry<'_> {
    /// The name and the value for a person: digests in hex, variables as `=value` or `unset`.
    pub fn shown(&self) -> (String, String) {
        let name = match self.tag {
            Tag::Shell => String::new(),
            _ => text::shown(self.name).into_owned(),
        };
        let value = match self.tag {
            Tag::Env => shown_env(self.value).unwrap_or_else(|| "unset".to_owned()),
            Tag::Tool | Tag::Dependency => hex(self.value),
            Tag::Input => match self.value.split_first() {
                Some((&kind, digest)) => match Kind::from_u8(kind) {
                    Some(Kind::Dir) => "folder".to_owned(),
                    Some(Kind::Executable) => format!("{} executable", hex(digest)),
                    Some(Kind::Link) => format!("{} link", hex(digest)),
                    _ => hex(digest),
                },
                None => String::new(),
            },
            _ => text::shown(self.value).into_owned(),
        };
        (name, value)
    }

    fn order(&self, other: &Entry<'_>) -> Ordering {
        (self.tag, self.name).cmp(&(other.tag, other.name))
    }
}

fn hex(digest: &[u8]) -> String {
    <[u8; 32]>::try_from(digest)
        .map_or_else(|_| String::new(), |bytes| Digest::from_bytes(bytes).hex())
}

/// None: not set.
fn shown_env(value: &[u8]) -> Option<String> {
    match value.split_first() {
        Some((1, rest)) => Some(text::shown(rest).into_owned()),
        _ => None,
    }
}

impl Recipe {
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn key(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The entries in their order; none where the form is not ours.
    pub fn entries(&self) -> Option<Vec<Entry<'_>>> {
        let mut rest = self.0.strip_prefix(MAGIC)?;
        let mut entries = Vec::new();
        while let Some((&tag, after)) = rest.split_first() {
            let (name, after) = field(after)?;
            let (value, after) = field(after)?;
            entries.push(Entry { tag: Tag::from_u8(tag)?, name, value });
            rest = after;
        }
        Some(entries)
    }

    /// Why a task with this recipe is another than it was with the `earlier` one, the most
    /// telling first. Empty only where the two are the same.
    pub fn differences(&self, earlier: &Self) -> Vec<MissReason> {
        let (Some(new), Some(old)) = (self.entries(), earlier.entries()) else {
            return vec![MissReason::KeyVersionChanged];
        };
        let mut reasons = Vec::new();
        let (mut new, mut old) = (new.iter().peekable(), old.iter().peekable());
        loop {
            let order = match (new.peek(), old.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(new), Some(old)) => new.order(old),
            };
            let now = if order == Ordering::Greater { None } else { new.next() };
            let was = if order == Ordering::Less { None } else { old.next() };
            if now.map(|entry| entry.value) != was.map(|entry| entry.value) {
                let reason = reason(was, now);
                if reasons.last() != Some(&reason) {
                    reasons.push(reason);
                }
            }
        }
        reasons
    }
}

fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    (length <= rest.len()).then(|| rest.split_at(length))
}

/// One of the two is there.
fn reason(was: Option<&Entry<'_>>, now: Option<&Entry<'_>>) -> MissReason {
    let Some(any) = now.or(was) else { return MissReason::KeyVersionChanged };
    let path = text::shown(any.name).into_owned();
    match any.tag {
        Tag::Platform => MissReason::PlatformChanged,
        Tag::Command => MissReason::CommandChanged,
        Tag::Shell => MissReason::ShellChanged,
        Tag::Directory => MissReason::DirectoryChanged,
        Tag::Output => MissReason::OutputsChanged,
        Tag::Tool => MissReason::ToolChanged { name: path },
        Tag::Env => {
            let value = |entry: Option<&Entry<'_>>| entry.and_then(|entry| shown_env(entry.value));
            match (value(was), value(now)) {
                (None, None) => MissReason::EnvDeclared { name: path, declared: now.is_some() },
                (was, now) => MissReason::EnvChanged { name: path, was, now },
            }
        }
        Tag::Dependency => match TaskName::parse(&path) {
            Ok(task) => MissReason::DependencyChanged { task },
            Err(_) => MissReason::KeyVersionChanged,
        },
        Tag::Input => match (was.and_then(input_kind), now.and_then(input_kind)) {
            (None, _) => MissReason::InputAdded { path },
            (_, None) => MissReason::InputRemoved { path },
            (Some(was), Some(now)) if was != now => MissReason::KindChanged { path, was, now },
            _ => MissReason::InputChanged { path },
        },
    }
}

fn input_kind(entry: &Entry<'_>) -> Option<Kind> {
    entry.value.first().and_then(|&kind| Kind::from_u8(kind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recipe(fill: impl FnOnce(&mut RecipeBuilder)) -> Recipe {
        let mut builder = RecipeBuilder::new();
        fill(&mut builder);
        builder.finish()
    }

    #[test]
    fn unset_empty_and_set_variables_differ() {
        let keys: Vec<Digest> = [None, Some(&b""[..]), Some(b"1")]
            .into_iter()
            .map(|value| recipe(|builder| builder.env("CC", value)).key())
            .collect();
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }

    #[test]
    fn differences_name_what_changed_and_nothing_else() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let old = recipe(|builder| {
            builder.command("cc");
            builder.env("CC", Some(b"gcc"));
            builder.input(b"a.c", Kind::File, &a);
            builder.input(b"gone.h", Kind::File, &a);
            builder.input(b"run.sh", Kind::File, &a);
        });
        let new = recipe(|builder| {
            builder.command("cc");
            builder.env("CC", Some(b"clang"));
            builder.input(b"a.c", Kind::File, &b);
            builder.input(b"b.h", Kind::File, &a);
            builder.input(b"run.sh", Kind::Executable, &a);
        });
        let shown: Vec<String> =
            new.differences(&old).iter().map(|reason| format!("{reason:?}")).collect();
        assert_eq!(
            shown,
            [
                r#"EnvChanged { name: "CC", was: Some("gcc"), now: Some("clang") }"#,
                r#"InputChanged { path: "a.c" }"#,
                r#"InputAdded { path: "b.h" }"#,
                r#"InputRemoved { path: "gone.h" }"#,
                r#"KindChanged { path: "run.sh", was: File, now: Executable }"#,
            ]
        );
        assert_eq!(new.differences(&new), []);
    }

    proptest! {
        /// K11, K6: where the fields are cut decides, and any difference is seen.
        #[test]
        fn different_entries_have_different_encodings(
            one in proptest::collection::vec(("[a-c]{0,3}", "[a-c]{0,3}"), 0..4),
            two in proptest::collection::vec(("[a-c]{0,3}", "[a-c]{0,3}"), 0..4),
        ) {
            let build = |pairs: &[(String, String)]| recipe(|builder| {
                for (name, value) in pairs {
                    builder.entry(Tag::Env, name.as_bytes(), value.as_bytes());
                }
            });
            prop_assert_eq!(one == two, build(&one).key() == build(&two).key());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = MAGIC.to_vec();
            framed.extend_from_slice(&bytes);
            for bytes in [bytes, framed] {
                let recipe = Recipe::from_bytes(bytes);
                let _ = recipe.entries();
                let _ = recipe.differences(&Recipe::default());
            }
        }
    }
}
