//! A mistake in a text, with its place: plain data that the terminal renders.

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostic {
    /// What is wrong, without a full stop: `task `tset` is not known`.
    pub message: String,
    pub place: Option<Place>,
    /// What stands at the place, or what was expected there; may be empty.
    pub label: String,
    /// Other places that belong to it, each with its label.
    pub related: Vec<(Place, String)>,
    /// What to do, a sentence each.
    pub help: Vec<String>,
}

/// A place in a text file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The file's name as the user knows it, printable.
    pub file: String,
    /// Counts from 1.
    pub line: u32,
    /// Counts characters from 1.
    pub column: u32,
    /// The line, or of a very long line a part around the place; printable.
    pub text: String,
    /// The marked bytes of `text`; the end is not smaller than the start.
    pub start: usize,
    pub end: usize,
}

impl Diagnostic {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub fn at(mut self, place: Place, label: impl Into<String>) -> Self {
        self.place = Some(place);
        self.label = label.into();
        self
    }

    pub fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.related.push((place, label.into()));
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}
