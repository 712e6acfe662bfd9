//! `explain`: what is in a task's key, and what differs from its last run.

use std::fmt::Write as _;

use super::args::{Explain, Flags, Format};
use super::build;
use super::{Call, Code, Failure};
use crate::base::text::shown;
use crate::observe::{Paint, words};
use crate::ops::{Explanation, KeyPart, Location, Project};

pub(super) fn run(flags: &Flags, what: &Explain, call: &Call) -> Result<u8, Failure> {
    let project = Project::load(&Location { manifest: what.manifest() })?;
    let options = build::options(flags, Vec::new(), call);
    let explanation = project.explain(&options, &what.task())?;
    let text = match flags.output {
        Format::Json => {
            let mut text = serde_json::to_string(&explanation)
                .map_err(|error| Failure::Output(error.into()))?;
            text.push('\n');
            text
        }
        Format::Text => render(&explanation, call.screen.output_paint()),
    };
    call.screen.output(text.as_bytes())?;
    Ok(Code::Success as u8)
}

fn render(all: &Explanation, paint: Paint) -> String {
    let mut out = format!("{} {}\n", paint.bold(all.task.as_str()), state(all));
    if let Some(key) = all.key {
        add(&mut out, format_args!("key       {key}"));
    }
    if let Some(last) = all.last_key {
        let same = if all.key == Some(last) { "the same".to_owned() } else { last.hex() };
        add(&mut out, format_args!("last run  {same}"));
    }
    if !all.differences.is_empty() {
        add(&mut out, format_args!("\n{}", paint.bold("what differs from the last run")));
        for reason in &all.differences {
            add(&mut out, format_args!("  {}", words::full_reason(reason)));
        }
    }
    if !all.parts.is_empty() {
        add(&mut out, format_args!("\n{}", paint.bold("what is in the key")));
        add_parts(&mut out, &all.parts, paint);
    }
    out
}

fn state(all: &Explanation) -> String {
    if let Some(problem) = &all.problem {
        format!("has no key: {}", shown(problem.as_bytes()))
    } else if !all.waits_for.is_empty() {
        format!(
            "waits for {}: its key is known when they are done",
            words::tasks(&all.waits_for, 10)
        )
    } else if all.up_to_date {
        "is up to date".to_owned()
    } else if all.restored {
        "would be restored".to_owned()
    } else {
        "would run".to_owned()
    }
}

/// In columns: what it is, its name, its value; further lines of a value below it.
fn add_parts(out: &mut String, parts: &[KeyPart], paint: Paint) {
    const MAX_PAD: usize = 48;
    let width = |texts: &mut dyn Iterator<Item = &str>| {
        texts.map(|text| text.chars().count()).filter(|&count| count <= MAX_PAD).max().unwrap_or(0)
    };
    let names: Vec<_> = parts.iter().map(|part| shown(part.name.as_bytes())).collect();
    let kinds = width(&mut parts.iter().map(|part| part.what.as_str()));
    let widest = width(&mut names.iter().map(AsRef::as_ref));
    for (part, name) in parts.iter().zip(&names) {
        let kind = paint.dim(&format!("{:kinds$}", part.what));
        let mut lines = part.value.lines();
        let first = shown(lines.next().unwrap_or_default().as_bytes()).into_owned();
        let head = match (name.is_empty(), first.is_empty()) {
            (true, _) => first,
            (false, true) => name.to_string(),
            (false, false) => format!("{name:widest$}  {first}"),
        };
        add(out, format_args!("  {kind}  {head}"));
        for line in lines {
            add(out, format_args!("  {:kinds$}  {}", "", shown(line.as_bytes())));
        }
    }
}

fn add(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Digest, TaskName};
    use crate::event::MissReason;

    fn part(what: &str, name: &str, value: &str) -> KeyPart {
        KeyPart { what: what.into(), name: name.into(), value: value.into() }
    }

    fn explanation() -> Explanation {
        Explanation {
            task: TaskName::parse("app").expect("a good name"),
            key: Some(Digest::of(b"new")),
            last_key: Some(Digest::of(b"old")),
            parts: vec![
                part("command", "", "cc a.c\nstrip a"),
                part("env", "CC", ""),
                part("input", "a.c", "12ab"),
                part("input", "long.h", "34cd"),
            ],
            differences: vec![MissReason::InputChanged { path: "a.c".into() }],
            up_to_date: false,
            restored: false,
            waits_for: Vec::new(),
            problem: None,
        }
    }

    #[test]
    fn the_key_and_the_differences_are_shown() {
        let expected = format!(
            "\
app would run
key       {}
last run  {}

what differs from the last run
  `a.c` changed

what is in the key
  command  cc a.c
           strip a
  env      CC
  input    a.c     12ab
  input    long.h  34cd
",
            Digest::of(b"new"),
            Digest::of(b"old")
        );
        assert_eq!(render(&explanation(), Paint(false)), expected);
    }

    #[test]
    fn the_state_is_said_first() {
        let first = |all: &Explanation| {
            render(all, Paint(false)).lines().next().map(str::to_owned).unwrap_or_default()
        };
        let bare = || Explanation { key: None, last_key: None, parts: Vec::new(), ..explanation() };
        assert_eq!(first(&Explanation { up_to_date: true, ..bare() }), "app is up to date");
        let waits_for = vec![TaskName::parse("lib").expect("a good name")];
        assert_eq!(
            first(&Explanation { waits_for, ..bare() }),
            "app waits for `lib`: its key is known when they are done"
        );
        let problem = Some("input `x` is not there".to_owned());
        assert_eq!(
            first(&Explanation { problem, ..bare() }),
            "app has no key: input `x` is not there"
        );
    }
}
