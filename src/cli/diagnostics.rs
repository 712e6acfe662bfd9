//! Errors as text: what is wrong, where it stands with a caret under it, and what to do.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use crate::base::text::shown;
use crate::base::{Diagnostic, Place};
use crate::observe::{Paint, words};
use crate::ops::Error;

/// An error of a verb, with a newline at the end.
pub(super) fn render(error: &Error, paint: Paint) -> String {
    match error {
        Error::Manifest(all)
        | Error::Cycle(all)
        | Error::MissingInputs(all)
        | Error::Config(all)
        | Error::Dangerous(all)
            if !all.is_empty() =>
        {
            let label = paint.error("error:");
            let texts: Vec<String> = all.iter().map(|one| diagnostic(one, &label, paint)).collect();
            texts.join("\n")
        }
        Error::NoManifest { help, .. }
        | Error::Cache { help, .. }
        | Error::NoRun { help, .. }
        | Error::Exposed { help, .. } => plain(&chain(error), help, paint),
        Error::Remote(reason) => plain(&chain(error), &[reason.help().to_owned()], paint),
        Error::Backup(reason) => plain(&chain(error), &reason.help(), paint),
        Error::Busy { holder } => {
            let who = words::holder_in_brackets(holder.as_ref());
            let help = "wait for it with `--wait SECONDS`, or without an end by neither \
                        `--wait` nor `--no-wait`";
            plain(&format!("{}{who}", chain(error)), &[help.to_owned()], paint)
        }
        Error::UnknownTarget { nearest, manifest, .. } => {
            let help = match nearest {
                Some(nearest) => format!("there is a task `{nearest}`"),
                None => format!("`reprovm --list-tasks {manifest}` names the tasks"),
            };
            plain(&chain(error), &[help], paint)
        }
        Error::NotPinned { .. } => {
            let help = "`reprovm cache pins` prints what is pinned, each with its id";
            plain(&chain(error), &[help.to_owned()], paint)
        }
        _ => plain(&chain(error), &[], paint),
    }
}

/// `error: what`, and the help, a line each.
pub(super) fn plain(message: &str, help: &[String], paint: Paint) -> String {
    let mut text = format!("{} {}\n", paint.error("error:"), paint.bold(message));
    add_help(&mut text, help, paint);
    text
}

/// The error in one line: where it is many, the first of them and how many more there are.
pub(super) fn line(error: &Error) -> String {
    match error {
        Error::Manifest(all)
        | Error::Cycle(all)
        | Error::MissingInputs(all)
        | Error::Config(all)
        | Error::Dangerous(all) => match all.as_slice() {
            [] => chain(error),
            [one] => one.message.clone(),
            [first, rest @ ..] => format!("{} (and {} more)", first.message, rest.len()),
        },
        _ => chain(error),
    }
}

/// The error and its causes, joined by colons.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("writing to a string cannot fail");
        cause = error.source();
    }
    shown(text.as_bytes()).into_owned()
}

fn add_help(text: &mut String, help: &[String], paint: Paint) {
    for line in help {
        writeln!(text, "  {} {line}", paint.help("help:"))
            .expect("writing to a string cannot fail");
    }
}

/// A warning with its place.
pub(super) fn warning(one: &Diagnostic, paint: Paint) -> String {
    diagnostic(one, &paint.warning("warning:"), paint)
}

fn diagnostic(one: &Diagnostic, label: &str, paint: Paint) -> String {
    let mut text = format!("{label} {}\n", paint.bold(&one.message));
    let places = one.place.iter().map(|place| (place, one.label.as_str()));
    let related = one.related.iter().map(|(place, label)| (place, label.as_str()));
    let width = places
        .clone()
        .chain(related.clone())
        .map(|(place, _)| place.line.to_string().len())
        .max()
        .unwrap_or(0);
    for (place, label) in places {
        add_place(&mut text, place, (label, "^"), (width, paint));
    }
    for (place, label) in related {
        add_place(&mut text, place, (label, "-"), (width, paint));
    }
    add_help(&mut text, &one.help, paint);
    text
}

/// The file and line, the text, and under the marked part a row of `mark` with the label.
fn add_place(text: &mut String, place: &Place, (label, mark): (&str, &str), look: (usize, Paint)) {
    let (width, paint) = look;
    let Place { file, line, column, .. } = place;
    let bar = paint.help("|");
    let (before, marked, after) = parts(place);
    let pad = " ".repeat(columns(&before));
    let marks = mark.repeat(columns(&marked).max(1));
    let under = if label.is_empty() { marks } else { format!("{marks} {label}") };
    let under = if mark == "^" { paint.error(&under) } else { paint.help(&under) };
    let number = paint.help(&format!("{line:>width$}"));
    let source = format!("{before}{marked}{after}");
    let gap = if source.is_empty() { "" } else { " " };
    writeln!(text, "{:width$}{} {file}:{line}:{column}", "", paint.help("-->"))
        .and_then(|()| writeln!(text, "{:width$} {bar}", ""))
        .and_then(|()| writeln!(text, "{number} {bar}{gap}{source}"))
        .and_then(|()| writeln!(text, "{:width$} {bar} {pad}{under}", ""))
        .expect("writing to a string cannot fail");
}

/// The line before, in and behind the marked part, tabs as spaces. A mark that does not lie in
/// the line, or cuts a character, is moved to where it can stand.
fn parts(place: &Place) -> (String, String, String) {
    let text = place.text.as_str();
    let start = text.floor_char_boundary(place.start);
    let end = text.ceil_char_boundary(place.end.max(start));
    let spaced = |part: &str| part.replace('\t', "    ");
    (spaced(&text[..start]), spaced(&text[start..end]), spaced(&text[end..]))
}

fn columns(text: &str) -> usize {
    text.width()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::base::FileError;

    const PLAIN: Paint = Paint(false);

    fn place(line: u32, text: &str, marked: &str) -> Place {
        let start = text.find(marked).expect("a part of the line");
        Place {
            file: "manifest.txt".into(),
            line,
            column: u32::try_from(text[..start].chars().count()).expect("a short line") + 1,
            text: text.into(),
            start,
            end: start + marked.len(),
        }
    }

    #[test]
    fn a_mistake_points_at_its_place() {
        let typo = Diagnostic::new("`inptus` is no field of a task")
            .at(place(3, "  inptus = a.c", "inptus"), "expected a field")
            .help("there is a field `inputs`");
        let twice = Diagnostic::new("there are two tasks `a`")
            .at(place(12, "task a {", " a {"), "again")
            .also(place(9, "task a {", "task"), "first");
        assert_eq!(
            render(&Error::Manifest(vec![typo, twice]), PLAIN),
            "\
error: `inptus` is no field of a task
 --> manifest.txt:3:3
  |
3 |   inptus = a.c
  |   ^^^^^^ expected a field
  help: there is a field `inputs`

error: there are two tasks `a`
  --> manifest.txt:12:5
   |
12 | task a {
   |     ^^^^ again
  --> manifest.txt:9:1
   |
 9 | task a {
   | ---- first
"
        );
    }

    #[test]
    fn the_caret_stands_under_wide_and_odd_characters() {
        let text =
            warning(&Diagnostic::new("x").at(place(1, "日本\té e\u{301}=?", "?"), ""), PLAIN);
        assert!(text.ends_with("1 | 日本    é e\u{301}=?\n  |             ^\n"), "{text}");
    }

    #[test]
    fn a_mark_outside_the_line_is_moved_into_it() {
        for (start, end) in [(0, 0), (1, 1), (9, 99), (2, 1)] {
            let place = Place { line: 1, text: "é".into(), start, end, ..Place::default() };
            let text = warning(&Diagnostic::new("x").at(place, "here"), PLAIN);
            assert!(text.contains("^ here"), "{text}");
        }
        let empty = Place { line: 1, ..Place::default() };
        let text = warning(&Diagnostic::new("x").at(empty, "end"), PLAIN);
        assert!(text.ends_with("1 |\n  | ^ end\n"), "{text}");
    }

    #[test]
    fn other_errors_name_their_cause_and_what_to_do() {
        let file =
            FileError::new("read", Path::new("a\nb"), io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            render(&Error::File(file), PLAIN),
            "error: cannot read `a\\nb`: permission denied\n"
        );
        let none = Error::NoManifest {
            path: PathBuf::from("manifest.txt"),
            help: vec!["name the manifest".into()],
        };
        assert_eq!(
            render(&none, PLAIN),
            "error: no manifest at `manifest.txt`\n  help: name the manifest\n"
        );
        let target = Error::UnknownTarget {
            name: "tset".into(),
            manifest: "m.txt".into(),
            nearest: Some("test".into()),
        };
        assert_eq!(
            render(&target, PLAIN),
            "error: there is no task `tset` in `m.txt`\n  help: there is a task `test`\n"
        );
    }
}
