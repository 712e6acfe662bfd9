//! The display on a terminal, below all other lines: drawn, moved down by what is written above
//! it, and erased.
//!
//! The cursor rests at its upper left corner. So erasing needs no count of lines, which a
//! terminal that was resized would belie, and what strangers write lies over it, not below.

use std::fmt;
use std::io::{self, Write};

use super::fold::Fold;
use super::frame::{self, Size, Style};

/// To the line's begin, and away with all from there on.
pub(super) const ERASE: &[u8] = b"\r\x1b[J";

/// Lines that follow each other within this time go out together, with one drawing for all.
const APART_NS: i64 = 100_000_000;
/// So many bytes go out at once in any case.
const MOST_HELD: usize = 64 * 1024;

/// What the display is drawn on, and how large that is now.
pub(super) struct Terminal {
    pub(super) out: Box<dyn Write + Send>,
    pub(super) size: Box<dyn Fn() -> Size + Send>,
}

/// The display and what it shows.
pub(super) struct Display {
    terminal: Terminal,
    style: Style,
    pub(super) fold: Fold,
    /// What stands on the screen; empty where nothing does.
    drawn: Vec<u8>,
    /// Text to be written above it, and when text last was.
    held: Vec<u8>,
    passed_ns: i64,
    /// Text was written that ends within a line: nothing is drawn until that line is closed.
    open_line: bool,
    ended: bool,
}

impl Display {
    pub(super) fn new(terminal: Terminal, style: Style) -> Self {
        let fold = Fold::default();
        Self {
            terminal,
            style,
            fold,
            drawn: Vec::new(),
            held: Vec::new(),
            passed_ns: i64::MIN / 2,
            open_line: false,
            ended: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended
    }

    /// Draws what is to be seen now, if that has changed, below the text that was held back.
    pub(super) fn draw(&mut self, now_ns: i64) {
        if !self.held.is_empty() && self.pass_on(now_ns).is_err() {
            // The terminal is gone; whoever has something to say will notice.
            self.ended = true;
        }
        if self.ended || self.open_line {
            return;
        }
        let size = (self.terminal.size)();
        let frame = bytes(&frame::lines(&self.fold, self.style, size, now_ns));
        if frame == self.drawn {
            return;
        }
        match self.write(&frame) {
            Ok(()) => self.drawn = frame,
            Err(_) => self.ended = true,
        }
    }

    /// Writes text above the display: at once, or where much comes in a short time, with the next
    /// drawing.
    pub(super) fn above(&mut self, text: &[u8], now_ns: i64) -> io::Result<()> {
        let Some(last) = text.last() else { return Ok(()) };
        self.held.extend_from_slice(text);
        let soon = now_ns - self.passed_ns < APART_NS;
        if soon && !self.ended && *last == b'\n' && self.held.len() < MOST_HELD {
            return Ok(());
        }
        self.pass_on(now_ns)
    }

    fn pass_on(&mut self, now_ns: i64) -> io::Result<()> {
        self.passed_ns = now_ns;
        let text = std::mem::take(&mut self.held);
        let Some(last) = text.last() else { return Ok(()) };
        self.open_line = *last != b'\n';
        if self.drawn.is_empty() {
            return self.write(&text);
        }
        let mut all = Vec::with_capacity(ERASE.len() + text.len() + self.drawn.len());
        all.extend_from_slice(ERASE);
        all.extend_from_slice(&text);
        if self.open_line {
            self.drawn.clear();
        } else {
            all.extend_from_slice(&self.drawn);
        }
        self.write(&all)
    }

    /// Erases the display for good. Text may still be written.
    pub(super) fn end(&mut self) {
        self.ended = true;
        // Where the terminal is gone there is nothing to clean, and nobody to tell.
        if !std::mem::take(&mut self.drawn).is_empty() {
            let _ = self.write(ERASE);
        }
        let passed_ns = self.passed_ns;
        let _ = self.pass_on(passed_ns);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.terminal.out.write_all(bytes)?;
        self.terminal.out.flush()
    }
}

/// The lines over what stood there, the rest below erased, and the cursor back where it was.
fn bytes(lines: &[String]) -> Vec<u8> {
    let mut out = String::from("\r");
    out.push_str(&lines.join("\x1b[K\r\n"));
    out.push_str("\x1b[K\x1b[J\r");
    if lines.len() > 1 {
        out.push_str(&format!("\x1b[{}A", lines.len() - 1));
    }
    out.into_bytes()
}

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Display").field("fold", &self.fold).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
