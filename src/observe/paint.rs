//! Marks and colours. The meaning is in the words and marks; colour only repeats it.

/// How a task stands, as the one mark that lines and graphs begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Not begun, skipped or cancelled.
    Pending,
    Running,
    /// Did not need to run.
    Cached,
    Success,
    Failed,
}

impl Mark {
    fn text(self) -> &'static str {
        match self {
            Self::Pending => "[ ]",
            Self::Running => "[~]",
            Self::Cached => "[*]",
            Self::Success => "[✔]",
            Self::Failed => "[X]",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Pending => "",
            Self::Running => "33",
            Self::Cached => "36",
            Self::Success => "32",
            Self::Failed => "31",
        }
    }
}

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    pub fn mark(self, mark: Mark) -> String {
        self.wrap(mark.colour(), mark.text())
    }

    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub fn bar(self, text: &str) -> String {
        self.wrap("36", text)
    }

    pub fn error(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub fn warning(self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    pub fn help(self, text: &str) -> String {
        self.wrap("1;36", text)
    }

    fn wrap(self, codes: &str, text: &str) -> String {
        if self.0 && !codes.is_empty() && !text.is_empty() {
            format!("\x1b[{codes}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
