//! The words of a shell command, as far as they can be known without running it: what it starts,
//! with which arguments, and where it sends what it writes.
//!
//! Knows nothing of what the words mean. Variables and substitutions stay as they are written.

use std::iter::Peekable;
use std::str::Chars;

/// One program that a command starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Simple {
    /// Without their quotes.
    pub(super) words: Vec<String>,
    /// The files that its output goes to.
    pub(super) targets: Vec<String>,
    /// Whether it reads what the one before writes.
    pub(super) piped: bool,
}

/// The programs that a text starts, in its order, and the text without quoted parts and spaces.
pub(super) fn read(text: &str) -> (Vec<Simple>, String) {
    let mut reader = Reader {
        chars: text.chars().peekable(),
        commands: Vec::new(),
        current: Simple::default(),
        word: None,
        next: Next::Argument,
        bare: String::new(),
    };
    while let Some(c) = reader.chars.next() {
        reader.take(c);
    }
    reader.end_command(false);
    (reader.commands, reader.bare)
}

/// What the next word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Argument,
    /// The file of `>`.
    Target,
    /// The file of `<`.
    Source,
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    commands: Vec<Simple>,
    current: Simple,
    word: Option<String>,
    next: Next,
    bare: String,
}

impl Reader<'_> {
    fn take(&mut self, c: char) {
        if !c.is_whitespace() && !matches!(c, '\'' | '"' | '\\') {
            self.bare.push(c);
        }
        match c {
            '\\' => {
                if let Some(escaped) = self.chars.next().filter(|&c| c != '\n') {
                    self.push(escaped);
                }
            }
            '\'' | '"' => self.quoted(c),
            '#' if self.word.is_none() => while self.chars.next_if(|&c| c != '\n').is_some() {},
            // A pipe may end its line.
            '\n' if self.is_empty() => {}
            '\n' | ';' | '(' | ')' | '`' => self.end_command(false),
            '&' if self.chars.next_if_eq(&'>').is_some() => self.redirect(Next::Target),
            '&' => self.end_command(false),
            '|' => {
                let piped = self.chars.next_if_eq(&'|').is_none();
                self.chars.next_if_eq(&'&');
                self.end_command(piped);
            }
            '>' => self.redirect(Next::Target),
            '<' => self.redirect(Next::Source),
            c if c.is_whitespace() => self.end_word(),
            c => self.push(c),
        }
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn quoted(&mut self, quote: char) {
        self.bare.push('"');
        self.word.get_or_insert_default();
        while let Some(c) = self.chars.next() {
            if c == quote {
                return;
            }
            let escaped = c == '\\' && quote == '"';
            let escaped = escaped.then(|| self.chars.next_if(|c| "\"\\$`".contains(*c))).flatten();
            self.push(escaped.unwrap_or(c));
        }
    }

    /// `>`, `>>`, `>|`, `>&`, `2>`, and the same with `<`.
    fn redirect(&mut self, next: Next) {
        let is_number = |word: &String| word.bytes().all(|b| b.is_ascii_digit());
        if self.word.as_ref().is_some_and(is_number) {
            self.word = None;
        }
        self.end_word();
        while self.chars.next_if(|&c| matches!(c, '>' | '<' | '&' | '|')).is_some() {}
        self.next = next;
    }

    fn is_empty(&self) -> bool {
        self.word.is_none() && self.current.words.is_empty() && self.current.targets.is_empty()
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match std::mem::replace(&mut self.next, Next::Argument) {
            Next::Argument => self.current.words.push(word),
            Next::Target => self.current.targets.push(word),
            Next::Source => {}
        }
    }

    /// The next program reads what this one writes, or not.
    fn end_command(&mut self, piped: bool) {
        self.end_word();
        self.next = Next::Argument;
        let next = Simple { piped, ..Simple::default() };
        let command = std::mem::replace(&mut self.current, next);
        if !command.words.is_empty() || !command.targets.is_empty() {
            self.commands.push(command);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_the_shell_takes_them_apart() {
        let (commands, _) = read("a 'b c' \"d \\\" $e\" f\\ g 2>&1 >'o p' <in|h;i&&j # k\nl");
        let words: Vec<Vec<&str>> = commands
            .iter()
            .map(|command| command.words.iter().map(String::as_str).collect())
            .collect();
        assert_eq!(
            words,
            [vec!["a", "b c", "d \" $e", "f g"], vec!["h"], vec!["i"], vec!["j"], vec!["l"]]
        );
        assert_eq!(commands[0].targets, ["1", "o p"]);
        let piped: Vec<bool> = commands.iter().map(|command| command.piped).collect();
        assert_eq!(piped, [false, true, false, false, false]);
    }
}
