//! Paths and patterns as a manifest may name them: inside the project, outside of our own folder.
//!
//! Knows nothing of what is on disk.

use globset::GlobBuilder;

use super::fields::{Entry, Values};
use super::mistake::{Mistake, quoted};
use super::{Input, Span, Spanned};
use crate::base::pattern::has_meta;
use crate::base::{PathError, RelPath, text};
use crate::home;

/// What a pattern costs beyond its text: it is compiled later.
const PATTERN_WEIGHT: usize = 200;

/// An entry of `inputs`.
pub(super) fn input(values: &mut Values<'_>, entry: &Entry<'_>) -> Option<Input> {
    if entry.quoted {
        let path = checked(values, entry.value, entry.span, "an input")?;
        if entry.prefix.is_empty() {
            return Some(Input::Path(path));
        }
        if entry.prefix != "!" {
            values.mistakes.add(half_quoted(entry.span));
            return None;
        }
        return utf8(values, &path, entry.span).map(|text| Input::Exclude(escaped(&text)));
    }
    let (excluded, rest) = match entry.value.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, entry.value),
    };
    let path = checked(values, rest, entry.span, "an input")?;
    let pattern = std::str::from_utf8(path.as_bytes()).is_ok_and(has_meta);
    if !pattern && !excluded {
        return Some(Input::Path(path));
    }
    let text = utf8(values, &path, entry.span)?;
    if pattern {
        good_pattern(values, &text, entry.span)?;
    }
    Some(if excluded { Input::Exclude(text) } else { Input::Glob(text) })
}

/// An entry of `outputs`.
pub(super) fn output(values: &mut Values<'_>, entry: &Entry<'_>) -> Option<RelPath> {
    if !entry.prefix.is_empty() {
        values.mistakes.add(half_quoted(entry.span));
        return None;
    }
    let shown = text::shown(entry.value).into_owned();
    if !entry.quoted && has_meta(&shown) {
        values.mistakes.add(
            Mistake::new(entry.span, format!("`{}` is a pattern", quoted(&shown)))
                .label("expected the path of an output")
                .help("name each file, or the folder that they lie in")
                .help("a path that has such characters in its name is quoted"),
        );
        return None;
    }
    let path = checked(values, entry.value, entry.span, "an output")?;
    let reason = if path.is_root() {
        "it is the project itself"
    } else if path.as_bytes().split(|&b| b == b'/').any(|part| part == b".git") {
        "it lies in `.git`"
    } else {
        return Some(path);
    };
    values.mistakes.add(
        Mistake::new(entry.span, format!("`{}` cannot be an output: {reason}", quoted(&shown)))
            .label("not here")
            .help("write the result to a path of its own in the project"),
    );
    None
}

/// The value of `cwd`.
pub(super) fn folder(values: &mut Values<'_>, words: &Spanned<String>) -> Option<RelPath> {
    if !words.value.starts_with('"') {
        return checked(values, words.value.as_bytes(), words.span, "the folder of a command");
    }
    match super::list::unquote(&words.value, 0) {
        Ok((path, end)) if end == words.value.len() => {
            checked(values, &path, words.span, "the folder of a command")
        }
        _ => {
            values.mistakes.add(half_quoted(words.span));
            None
        }
    }
}

fn half_quoted(span: Span) -> Mistake {
    Mistake::new(span, "the quotes do not enclose the whole path").label("expected `\"path\"`")
}

/// A path inside the project and outside of our own folder.
fn checked(values: &mut Values<'_>, bytes: &[u8], span: Span, role: &str) -> Option<RelPath> {
    let mistake = |reason: &str| {
        let shown = text::shown(bytes);
        Mistake::new(span, format!("`{}` cannot be {role}: {reason}", quoted(&shown)))
    };
    match RelPath::parse(bytes) {
        Ok(path) if is_ours(&path) => {
            let mistake =
                mistake(&format!("`{}` is where the cache is kept", home::DIR)).label("not here");
            values.mistakes.add(mistake);
            None
        }
        Ok(path) => Some(path),
        Err(error) => {
            let mistake = mistake(&error.to_string());
            values.mistakes.add(match error {
                PathError::Absolute | PathError::Outside => {
                    let mistake = mistake.label("not in the project");
                    if role == "an input" {
                        mistake
                            .help("copy it into the project, or stand in the folder that holds both (`-C DIR`)")
                            .help("a program is named in `tools`")
                    } else {
                        mistake.help("stand in the folder that holds all of it (`-C DIR`)")
                    }
                }
                _ => mistake.label("not a path of the project"),
            });
            None
        }
    }
}

fn is_ours(path: &RelPath) -> bool {
    path.as_bytes().split(|&b| b == b'/').next() == Some(home::DIR.as_bytes())
}

fn utf8(values: &mut Values<'_>, path: &RelPath, span: Span) -> Option<String> {
    let text = std::str::from_utf8(path.as_bytes()).ok().map(str::to_owned);
    if text.is_none() {
        let mistake = Mistake::new(span, "a pattern can only have text");
        values.mistakes.add(mistake.label("not UTF-8").help("use `?` for the byte"));
    }
    text
}

/// Checks a pattern component by component, as it is matched.
fn good_pattern(values: &mut Values<'_>, pattern: &str, span: Span) -> Option<()> {
    let weight = PATTERN_WEIGHT + 16 * pattern.len();
    if !values.budget.spend(weight) {
        values.mistakes.add(super::raw::too_large(span));
        return None;
    }
    // A pattern of stars and question marks alone is always good.
    if !pattern.contains(['[', '{', '\\']) {
        return Some(());
    }
    for part in pattern.split('/').filter(|part| *part != "**" && has_meta(part)) {
        if let Err(error) = GlobBuilder::new(part).literal_separator(true).build() {
            let mistake = Mistake::new(
                span,
                format!("`{}` is not a pattern: {}", quoted(part), error.kind()),
            )
            .label("a pattern because of `*`, `?`, `[` or `{`")
            .help("a path that has such characters in its name is quoted");
            values.mistakes.add(if pattern.contains('{') {
                mistake.help("what stands in `{..}` cannot have a `/`")
            } else {
                mistake
            });
            return None;
        }
    }
    Some(())
}

/// A pattern that matches only this path.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for (number, part) in path.split('/').enumerate() {
        if number > 0 {
            out.push('/');
        }
        // A component without special characters is compared as it is.
        if !has_meta(part) {
            out.push_str(part);
            continue;
        }
        for c in part.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
                out.extend(['[', c, ']']);
            } else {
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Pattern;

    #[test]
    fn an_escaped_path_matches_itself_only() {
        for path in ["a b", "a[1].c", "x/{y,z}/*", "a\\[b", "a\\b", "]"] {
            let pattern = Pattern::parse(&escaped(path)).expect("a good pattern");
            assert!(pattern.is_match(path.as_bytes()), "{path}");
        }
        assert!(!Pattern::parse(&escaped("a*")).expect("good").is_match(b"ab"));
    }
}
