//! The types of settings that notifications have: lists of events, addresses, templates.

use super::value::{Range, Value};
use crate::base::http::hook::Hook;
use crate::base::nearest::nearest;
use crate::base::net::Reach;
use crate::base::net::mail::is_address;
use crate::base::{Secret, text};
use crate::event::NoticeKind;

/// The address of a webhook. All of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookUrl(pub Secret);

impl Value for Option<HookUrl> {
    fn read(text: &str, _: Range) -> Option<Self> {
        if text.is_empty() {
            return Some(None);
        }
        let is_good = Hook::parse(text, Reach::Public).is_ok();
        is_good.then(|| Some(HookUrl(Secret::new(text))))
    }

    fn allowed(_: Range) -> String {
        "an address that begins with `https://` or `http://`, or nothing".to_owned()
    }
}

/// Which events somebody is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeKinds(Vec<NoticeKind>);

impl NoticeKinds {
    pub fn has(&self, kind: NoticeKind) -> bool {
        self.0.contains(&kind)
    }
}

/// The words of a list; `default` and `all` stand alone.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t']).filter(|word| !word.is_empty())
}

fn kind(word: &str) -> Option<NoticeKind> {
    NoticeKind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(word))
}

impl Value for NoticeKinds {
    fn read(text: &str, _: Range) -> Option<Self> {
        let kinds = match text.trim() {
            "default" => NoticeKind::DEFAULT.to_vec(),
            "all" => NoticeKind::ALL.to_vec(),
            list => words(list).map(kind).collect::<Option<Vec<_>>>()?,
        };
        (!kinds.is_empty()).then_some(Self(kinds))
    }

    fn allowed(_: Range) -> String {
        let names = NoticeKind::ALL.map(NoticeKind::name).join(", ");
        format!("a list of {names}; or `default`, or `all`")
    }

    fn hint(text: &str) -> Option<String> {
        let unknown = words(text).find(|word| kind(word).is_none())?;
        let near = nearest(unknown, NoticeKind::ALL.map(NoticeKind::name))?;
        Some(format!("there is an event `{near}`"))
    }
}

/// Addresses of mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(pub Vec<String>);

impl Value for Addresses {
    fn read(text: &str, range: Range) -> Option<Self> {
        let all: Vec<String> = words(text).map(str::to_owned).collect();
        let most = range.map_or(u64::MAX, |(_, most)| most);
        let is_good = all.iter().all(|one| is_address(one)) && all.len() as u64 <= most;
        is_good.then_some(Self(all))
    }

    fn allowed(range: Range) -> String {
        match range {
            Some(_) => "an address such as builds@example.com, or nothing".to_owned(),
            None => "addresses such as builds@example.com with commas between them, or nothing"
                .to_owned(),
        }
    }
}

/// A text with names in braces, which a message gives their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

macro_rules! fields {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// What a template can name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Field {
            $($variant,)+
        }

        impl Field {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

fields! {
    Event = "event",
    Outcome = "outcome",
    Summary = "summary",
    Details = "details",
    Task = "task",
    Project = "project",
    Folder = "folder",
    Manifest = "manifest",
    Host = "host",
    Run = "run",
    Time = "time",
}

impl Template {
    /// The text, with a value for each name. An empty value leaves no empty line.
    pub fn render(&self, value: &dyn Fn(Field) -> String) -> String {
        let text: String = self
            .0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Field(field) => value(*field),
            })
            .collect();
        text.trim().to_owned()
    }

    /// The error says what is wrong.
    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.next_if_eq(&'n').is_some() => plain.push('\n'),
                '{' | '}' if chars.next_if_eq(&c).is_some() => plain.push(c),
                '{' => {
                    let name: String =
                        std::iter::from_fn(|| chars.next_if(|&c| c != '}')).collect();
                    if chars.next().is_none() {
                        return Err("a `{` has no `}`; `{{` is a brace of its own".to_owned());
                    }
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(Part::Field(field(&name)?));
                }
                '}' => return Err("a `}` has no `{`; `}}` is a brace of its own".to_owned()),
                c if c.is_control() => return Err("it is not on one line".to_owned()),
                c => plain.push(c),
            }
        }
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }
}

fn field(name: &str) -> Result<Field, String> {
    if let Some(field) = Field::ALL.iter().find(|field| field.name() == name) {
        return Ok(*field);
    }
    let shown = text::shown(name.as_bytes());
    let near = nearest(name, Field::ALL.iter().map(|field| field.name()));
    Err(match near {
        Some(near) => format!("there is no `{{{shown}}}`, but there is `{{{near}}}`"),
        None => format!("there is no `{{{shown}}}`"),
    })
}

impl Value for Template {
    fn read(text: &str, _: Range) -> Option<Self> {
        Self::parse(text).ok()
    }

    fn allowed(_: Range) -> String {
        let names: Vec<String> =
            Field::ALL.iter().map(|field| format!("`{{{}}}`", field.name())).collect();
        format!("text on one line with any of {}", names.join(", "))
    }

    fn hint(text: &str) -> Option<String> {
        Self::parse(text).err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_gets_its_values_and_knows_its_names() {
        let parse = |text| Template::parse(text);
        let render =
            |text| parse(text).expect("a template").render(&|field| format!("<{}>", field.name()));
        assert_eq!(render("{project}: {{{outcome}}}"), "<project>: {<outcome>}");
        assert_eq!(render("a\\nb\\c"), "a\nb\\c");
        assert_eq!(parse("{tsak}"), Err("there is no `{tsak}`, but there is `{task}`".into()));
        assert_eq!(parse("{xyzzy}"), Err("there is no `{xyzzy}`".into()));
        for bad in ["{task", "task}", "{", "}", "{task}}", "a\nb"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lists_of_events_are_checked() {
        let read = |text| NoticeKinds::read(text, None);
        let some = read("run_failed, Task_Failed").expect("two events");
        assert!(some.has(NoticeKind::TaskFailed) && !some.has(NoticeKind::RunCompleted));
        assert!(read("all").expect("all").has(NoticeKind::Warning));
        assert!(!read("default").expect("some").has(NoticeKind::TaskFailed));
        assert_eq!((read(""), read("run_faild"), read("test")), (None, None, None));
        assert_eq!(
            NoticeKinds::hint("error run_faild").as_deref(),
            Some("there is an event `run_failed`")
        );
    }
}
