//! A Rust file split into what the checks look at: code, string literals, and tests. Knows just
//! enough of the language to tell them apart.

/// A file with its comments and literals taken out of the code.
#[derive(Debug)]
pub(super) struct Source {
    /// From the root of the repository.
    pub(super) path: String,
    pub(super) text: String,
    /// The text with comments and the insides of literals blanked, lines kept.
    pub(super) code: String,
    /// As `code`, without the inline modules of tests.
    pub(super) production: String,
    /// Where string literals outside of tests begin (line, from 1), and what they hold.
    pub(super) strings: Vec<(usize, String)>,
}

impl Source {
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let (code, mut strings) = split(&text);
        let production = without_tests(&code);
        let blank: Vec<bool> =
            code.lines().zip(production.lines()).map(|(all, kept)| all != kept).collect();
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        strings.retain(|(line, _)| !is_test && !blank.get(line - 1).copied().unwrap_or(false));
        let production = if is_test { String::new() } else { production };
        Self { path, text, code, production, strings }
    }

    /// The room of a file in `src/`: `src/store/disk.rs` and `src/store.rs` are in `store`.
    pub(super) fn room(&self) -> Option<&str> {
        let inner = self.path.strip_prefix("src/")?;
        let name = inner.split('/').next().expect("a split gives something");
        match name.strip_suffix(".rs") {
            Some("lib" | "main") => None,
            Some(room) => Some(room),
            None => Some(name),
        }
    }

    /// Whether the file holds nothing but tests.
    pub(super) fn is_test(&self) -> bool {
        self.production.is_empty() && !self.text.is_empty()
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `word` stands in `code` as a word of its own, as byte offsets.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word)
    })
}

/// The names that directly follow `path::` at `at` (its end): one, or those of a group.
pub(super) fn following(code: &str, at: usize) -> Vec<String> {
    let rest = code[at..].trim_start();
    let Some(group) = rest.strip_prefix('{') else {
        return vec![rest.chars().take_while(|&c| is_word(c)).collect()];
    };
    let mut names = vec![String::new()];
    let mut depth = 0;
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            _ if depth == 0 => names.last_mut().expect("never empty").push(c),
            _ => {}
        }
    }
    let first = |name: &String| name.trim().chars().take_while(|&c| is_word(c)).collect();
    names.iter().map(first).filter(|name: &String| !name.is_empty()).collect()
}

/// The line of a byte offset, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The code with comments and literals blanked, and the string literals with their lines.
fn split(text: &str) -> (String, Vec<(usize, String)>) {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut strings = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < chars.len() {
        let (end, literal) = token(&chars, at);
        if let Some(literal) = literal {
            strings.push((line, literal));
        }
        if end == at {
            code.push(chars[at]);
            line += usize::from(chars[at] == '\n');
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            line += chars[at..end].iter().filter(|&&c| c == '\n').count();
            at = end;
        }
    }
    (code, strings)
}

/// Where a comment or literal that begins at `at` ends (`at` if none begins), and what a string
/// holds.
fn token(chars: &[char], at: usize) -> (usize, Option<String>) {
    let starts = |text: &str| text.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let in_word = at > 0 && is_word(chars[at - 1]);
    if starts("//") {
        let length = chars[at..].iter().take_while(|&&c| c != '\n').count();
        (at + length, None)
    } else if starts("/*") {
        (comment_end(chars, at), None)
    } else if chars[at] == '"' {
        string(chars, at + 1)
    } else if chars[at] == 'r' && (!in_word || (at > 0 && matches!(chars[at - 1], 'b' | 'c'))) {
        let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
        match chars.get(at + 1 + hashes) {
            Some('"') => raw_string(chars, at + 2 + hashes, hashes),
            _ => (at, None),
        }
    } else if chars[at] == '\'' {
        (char_end(chars, at), None)
    } else {
        (at, None)
    }
}

fn comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string(chars: &[char], start: usize) -> (usize, Option<String>) {
    let mut at = start;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    let end = at.min(chars.len());
    ((end + 1).min(chars.len()), Some(chars[start..end].iter().collect()))
}

fn raw_string(chars: &[char], start: usize, hashes: usize) -> (usize, Option<String>) {
    let closes =
        |at: usize| chars[at] == '"' && (1..=hashes).all(|i| chars.get(at + i) == Some(&'#'));
    let end = (start..chars.len()).find(|&at| closes(at)).unwrap_or(chars.len());
    ((end + 1 + hashes).min(chars.len()), Some(chars[start..end].iter().collect()))
}

/// A character literal ends within a few characters; a lifetime is left as code.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let length = chars[at + 3..].iter().take_while(|&&c| c != '\'').count();
            (at + 4 + length).min(chars.len())
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// The code with the modules under `#[cfg(test)]` blanked, lines kept.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        // The item ends where a line at its own depth closes it.
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indent}}}");
        kept.push('\n');
        for inner in lines.by_ref() {
            kept.push('\n');
            let one_line = inner.starts_with(indent) && inner.trim_end().ends_with(';');
            let attribute =
                inner.trim_start().starts_with('#') || inner.trim_start().starts_with(')');
            if inner.trim_end() == closing
                || (one_line && !attribute && inner[indent.len()..].starts_with(is_word))
            {
                break;
            }
        }
    }
    kept
}

mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let source = Source::new(
            "src/a.rs",
            "// sha2\n/* a /* b */ sha2 */ let x = \"sha2 \\\" y\"; let c = '\"'; r#\"raw \"sha2\" \"# 'a: b'\\n' end",
        );
        assert!(!source.code.contains("sha2") && source.code.contains("let c"), "{}", source.code);
        assert!(source.code.contains("'a: b") && source.code.ends_with("end"), "{}", source.code);
        let strings: Vec<&str> = source.strings.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(strings, ["sha2 \\\" y", "raw \"sha2\" "]);
        assert_eq!(source.strings[0].0, 2);
    }

    #[test]
    fn tests_are_no_production() {
        let text = "fn a() {}\n#[cfg(test)]\n#[expect(x, reason = \"y\")]\nmod tests {\n    fn b() { \"s\"; }\n}\nfn c() { \"t\"; }\n";
        let source = Source::new("src/a.rs", text);
        assert!(source.production.contains("fn a") && source.production.contains("fn c"));
        assert!(!source.production.contains("fn b") && source.code.contains("fn b"));
        assert_eq!(source.strings, [(7, "t".to_owned())]);
        assert_eq!(source.production.lines().count(), text.lines().count());
        let outside = Source::new("src/a.rs", "#[cfg(test)]\nmod tests;\nfn a() {}\n");
        assert!(outside.production.contains("fn a") && !outside.production.contains("mod tests"));
        assert!(Source::new("src/a/tests.rs", "fn a() {}\n").is_test());
    }

    #[test]
    fn names_behind_a_path_are_found() {
        let code = "use crate::{base::{Digest, fs}, event, graph as g};";
        assert_eq!(following(code, 11), ["base", "event", "graph"]);
        assert_eq!(following("crate::store::Disk", 7), ["store"]);
        assert_eq!(words("sha2 sha256 xsha2 sha2::", "sha2").collect::<Vec<_>>(), [0, 18]);
        assert_eq!(Source::new("src/store/disk.rs", "").room(), Some("store"));
        assert_eq!(Source::new("src/graph.rs", "").room(), Some("graph"));
        assert_eq!(Source::new("src/lib.rs", "").room(), None);
    }
}
