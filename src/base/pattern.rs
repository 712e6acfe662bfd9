//! A path pattern such as `src/**/*.c`, matched component by component.
//!
//! `*` and `?` stay inside a component, `**` stands for any number of them, `[..]` and `{a,b}`
//! are sets; names that begin with a dot are like any other.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;

use globset::{GlobBuilder, GlobMatcher};

/// A pattern over paths of the project.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone)]
enum Part {
    /// Any number of components.
    Any,
    Literal(Box<[u8]>),
    Glob(GlobMatcher),
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{part}` is not a pattern: {problem}")]
pub struct PatternError {
    pub part: String,
    pub problem: String,
}

impl Pattern {
    /// `text` is normalised as a path is.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let parts = text.split('/').map(Part::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), parts })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The folders before the first component that is a pattern, joined: where a search begins.
    pub fn base(&self) -> Vec<u8> {
        let literal = self.parts.iter().map_while(|part| match part {
            Part::Literal(name) => Some(&**name),
            _ => None,
        });
        literal.collect::<Vec<_>>().join(&b'/')
    }

    pub fn is_match(&self, path: &[u8]) -> bool {
        matches(&self.parts, &components(path), Ask::Whole)
    }

    /// Whether it matches the path or a folder above it.
    pub fn covers(&self, path: &[u8]) -> bool {
        folder_ends(path).any(|end| self.is_match(&path[..end]))
    }

    /// Whether something below `folder` may match.
    pub fn may_match_below(&self, folder: &[u8]) -> bool {
        matches(&self.parts, &components(folder), Ask::Below)
    }
}

impl Part {
    fn parse(part: &str) -> Result<Self, PatternError> {
        if part == "**" {
            return Ok(Self::Any);
        }
        if !has_meta(part) {
            return Ok(Self::Literal(part.as_bytes().into()));
        }
        match GlobBuilder::new(part).literal_separator(true).build() {
            Ok(glob) => Ok(Self::Glob(glob.compile_matcher())),
            Err(error) => {
                Err(PatternError { part: part.to_owned(), problem: error.kind().to_string() })
            }
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => **literal == *name,
            Self::Glob(glob) => glob.is_match(OsStr::from_bytes(name)),
        }
    }
}

/// Whether a text is a pattern rather than a name.
pub fn has_meta(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// The ends of `a`, `a/b` and `a/b/c` in `a/b/c`.
pub fn folder_ends(path: &[u8]) -> impl Iterator<Item = usize> {
    let slashes = path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| at);
    slashes.chain((!path.is_empty()).then_some(path.len()))
}

#[derive(Clone, Copy, PartialEq)]
enum Ask {
    Whole,
    Below,
}

fn components(path: &[u8]) -> Vec<&[u8]> {
    if path.is_empty() { Vec::new() } else { path.split(|&b| b == b'/').collect() }
}

/// Steps through the names with the set of parts that could come next, so that any number of
/// `**` costs names times parts and not more.
fn matches(parts: &[Part], names: &[&[u8]], ask: Ask) -> bool {
    let mut open = vec![false; parts.len() + 1];
    open[0] = true;
    spread(parts, &mut open);
    for name in names {
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate().filter(|&(at, _)| open[at]) {
            if part.matches(name) {
                next[if matches!(part, Part::Any) { at } else { at + 1 }] = true;
            }
        }
        open = next;
        spread(parts, &mut open);
    }
    match ask {
        Ask::Whole => open[parts.len()],
        Ask::Below => open[..parts.len()].contains(&true),
    }
}

/// `**` may also stand for nothing.
fn spread(parts: &[Part], open: &mut [bool]) {
    for (at, part) in parts.iter().enumerate() {
        if open[at] && matches!(part, Part::Any) {
            open[at + 1] = true;
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("a good pattern")
    }

    #[test]
    fn stars_stay_inside_a_component_and_double_stars_do_not() {
        assert!(pattern("src/*.c").is_match(b"src/a.c"));
        assert!(!pattern("src/*.c").is_match(b"src/x/a.c"));
        assert!(pattern("src/**/*.c").is_match(b"src/a.c"));
        assert!(pattern("src/**/*.c").is_match(b"src/x/y/a.c"));
        assert!(pattern("**").is_match(b"a/b"));
        assert!(pattern("*").is_match(b".hidden"));
        assert!(pattern("*.{c,h}").is_match(b"a.h"));
        assert!(!pattern("[!a].c").is_match(b"a.c"));
        assert!(
            pattern("?.c").is_match("ä.c".as_bytes()) || pattern("??.c").is_match("ä.c".as_bytes())
        );
    }

    #[test]
    fn only_folders_that_may_hold_a_match_are_entered() {
        assert_eq!(pattern("src/lib/*.c").base(), b"src/lib");
        assert_eq!(pattern("*.c").base(), b"");
        assert!(pattern("src/*/x.c").may_match_below(b"src"));
        assert!(pattern("src/*/x.c").may_match_below(b"src/a"));
        assert!(!pattern("src/*/x.c").may_match_below(b"src/a/b"));
        assert!(pattern("src/**").may_match_below(b"src/a/b"));
        assert!(!pattern("src/*.c").may_match_below(b"other"));
    }

    #[test]
    fn many_double_stars_cost_no_more_than_few() {
        let deep = vec!["a"; 500].join("/");
        let text = format!("{}/b", vec!["**"; 200].join("/"));
        assert!(!pattern(&text).is_match(deep.as_bytes()));
    }

    #[test]
    fn a_bad_pattern_names_its_part() {
        let error = Pattern::parse("src/[a").expect_err("an open set");
        assert_eq!(error.part, "[a");
    }
}
