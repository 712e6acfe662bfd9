//! What is written, to the byte.

use std::sync::{Arc, Mutex};

use super::*;
use crate::event::{Event, Holder, Stamped};
use crate::observe::Paint;

const BAR: &str = "\r| Waiting for the run of process 7  0s\x1b[K\x1b[J\r";

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    /// What was written since it was last asked.
    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no panic"));
        String::from_utf8(bytes).expect("text")
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn waiting() -> (Display, Screen) {
    let screen = Screen::default();
    let size = Box::new(|| Size { columns: 80, rows: 24 });
    let style = Style { paint: Paint(false), unicode: false };
    let mut display = Display::new(Terminal { out: Box::new(screen.clone()), size }, style);
    let event = Event::WorkspaceBusy { holder: Some(Holder { pid: 7, ..Holder::default() }) };
    display.fold.fold(&Stamped { seq: 1, time_ns: 0, run: String::new(), event });
    (display, screen)
}

#[test]
fn it_is_written_only_when_it_has_changed() {
    let (mut display, screen) = waiting();
    display.draw(0);
    assert_eq!(screen.take(), BAR);
    display.draw(1);
    assert_eq!(screen.take(), "");
    display.draw(1_000_000_000);
    assert_eq!(screen.take(), BAR.replace("| W", "- W").replace("0s", "1s"));
}

#[test]
fn a_line_goes_above_it_in_one_piece() {
    let (mut display, screen) = waiting();
    display.above(b"one\n", 0).expect("room in memory");
    assert_eq!(screen.take(), "one\n", "before anything is drawn");
    display.draw(0);
    screen.take();
    display.above(b"two\n", APART_NS).expect("room in memory");
    assert_eq!(screen.take(), format!("\r\x1b[Jtwo\n{BAR}"));
}

#[test]
fn lines_that_come_fast_go_out_together() {
    let (mut display, screen) = waiting();
    display.draw(0);
    display.above(b"one\n", 0).expect("room in memory");
    screen.take();
    for _ in 0..3 {
        display.above(b"more\n", APART_NS - 1).expect("room in memory");
    }
    assert_eq!(screen.take(), "");
    display.draw(APART_NS);
    let written = screen.take();
    assert!(written.starts_with("\r\x1b[Jmore\nmore\nmore\n"), "{written:?}");
    display.above(b"last\n", APART_NS + 1).expect("room in memory");
    display.end();
    assert_eq!(screen.take(), "\r\x1b[Jlast\n");
}

#[test]
fn it_stays_away_while_a_line_is_open() {
    let (mut display, screen) = waiting();
    display.draw(0);
    screen.take();
    display.above(b"half a", 0).expect("room in memory");
    display.draw(1_000_000_000);
    assert_eq!(screen.take(), "\r\x1b[Jhalf a");
    display.above(b" line\n", 2_000_000_000).expect("room in memory");
    display.draw(0);
    assert_eq!(screen.take(), format!(" line\n{BAR}"));
}

#[test]
fn once_ended_it_never_comes_back() {
    let (mut display, screen) = waiting();
    display.draw(0);
    screen.take();
    display.end();
    display.end();
    display.draw(0);
    assert_eq!(screen.take(), "\r\x1b[J");
    display.above(b"summary\n", 0).expect("room in memory");
    assert_eq!(screen.take(), "summary\n");
}

#[test]
fn the_cursor_returns_to_the_first_of_its_lines() {
    let lines = ["a", "b", "c"].map(String::from);
    assert_eq!(bytes(&lines), b"\ra\x1b[K\r\nb\x1b[K\r\nc\x1b[K\x1b[J\r\x1b[2A");
}
