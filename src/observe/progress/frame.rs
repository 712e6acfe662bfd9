//! The progress display as text: lines of at most a width, from the fold and the time.
//!
//! Knows nothing of cursors and of when it is drawn.

use super::fold::{Fold, Stage};
use crate::base::text::shown;
use crate::observe::paint::{Mark, Paint};
use crate::observe::words;

/// The bar at its widest, and what is too narrow to be one.
const WIDEST_BAR: usize = 40;
const NARROWEST_BAR: usize = 10;
/// From this width and height on, the tasks that run are shown too.
const WIDE: usize = 100;
const TALL: usize = 10;
/// The columns of a task's name; longer ones push their age to the right.
const NAME: usize = 24;

const NS_PER_SECOND: i64 = 1_000_000_000;
const NS_PER_TURN: i64 = 100_000_000;

/// How the display looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) paint: Paint,
    /// Whether the terminal knows more than ASCII.
    pub(super) unicode: bool,
}

/// The terminal in columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// The lines as they are now.
pub(super) fn lines(fold: &Fold, style: Style, size: Size, now_ns: i64) -> Vec<String> {
    // In the last column a terminal may wrap already.
    let width = size.columns.saturating_sub(1);
    match fold.stage() {
        Stage::Looking => vec![spinner("Looking at files", None, style, width, now_ns)],
        Stage::Waiting { pid, since_ns } => {
            let what = match pid {
                Some(pid) => format!("Waiting for the run of process {pid}"),
                None => "Waiting for another run".to_owned(),
            };
            vec![spinner(&what, Some(since_ns), style, width, now_ns)]
        }
        Stage::Building | Stage::Stopping => {
            let mut lines = vec![bar(fold, style, width, now_ns)];
            if size.columns >= WIDE && size.rows >= TALL {
                lines.extend(running(fold, style, width, size.rows / 2 - 1, now_ns));
            }
            lines
        }
    }
}

fn spinner(what: &str, since: Option<i64>, style: Style, width: usize, now_ns: i64) -> String {
    let turns: &[char] = if style.unicode {
        &['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
    } else {
        &['|', '/', '-', '\\']
    };
    let turn = usize::try_from(now_ns / NS_PER_TURN).unwrap_or(0) % turns.len();
    let age = since.map_or_else(String::new, |since| format!("  {}", age(since, now_ns)));
    cut(&format!("{} {what}{age}", turns[turn]), width)
}

/// `Building [████░░░░] 60.0% (6/10) 2.5 tasks/s ETA: 1m36s`. A limit that
/// holds tasks back follows. What does not fit goes: the bar becomes narrower, then the rate goes,
/// the estimate, the limit, and the bar itself.
fn bar(fold: &Fold, style: Style, width: usize, now_ns: i64) -> String {
    let (done, total) = (fold.done(), fold.total());
    let label = if fold.stage() == Stage::Stopping { "Stopping" } else { "Building" };
    let count = format!("{} ({done}/{total})", percent(done, total));
    let rate = fold.rate_milli(now_ns).map(rate).unwrap_or_default();
    let eta = match fold.stage() {
        Stage::Building => {
            fold.eta_ms(now_ns).map(|ms| format!(" ETA: {}", words::whole_seconds(ms)))
        }
        _ => None,
    };
    let eta = eta.unwrap_or_default();
    let held = match (fold.stage(), fold.held()) {
        (Stage::Building, Some(held)) => format!(" waiting: {}", words::held(held)),
        _ => String::new(),
    };
    let tails = [
        format!("{count}{rate}{eta}{held}"),
        format!("{count}{eta}{held}"),
        format!("{count}{held}"),
        count.clone(),
    ];
    for tail in tails {
        let around = format!("{label} [] {tail}").len();
        let cells = width.saturating_sub(around).min(WIDEST_BAR);
        if cells >= NARROWEST_BAR {
            let label = style.paint.bold(label);
            return format!("{label} [{}] {tail}", self::cells(done, total, cells, style));
        }
    }
    cut(&format!("{label} {count}"), width)
}

fn cells(done: usize, total: usize, cells: usize, style: Style) -> String {
    let filled = (cells * done.min(total)).checked_div(total).unwrap_or(cells);
    let (full, empty) = if style.unicode { ("█", "░") } else { ("#", "-") };
    let (full, empty) = (full.repeat(filled), empty.repeat(cells - filled));
    format!("{}{}", style.paint.bar(&full), style.paint.dim(&empty))
}

/// Rounded down, so that nothing but all is 100.0%.
fn percent(done: usize, total: usize) -> String {
    let tenths = (1000 * done.min(total)).checked_div(total).unwrap_or(1000);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

fn rate(milli: u64) -> String {
    match milli {
        0..100 => format!(" {}.{} tasks/min", milli * 6 / 100, milli * 6 / 10 % 10),
        100..100_000 => format!(" {}.{} tasks/s", milli / 1000, milli / 100 % 10),
        _ => format!(" {} tasks/s", milli / 1000),
    }
}

/// As an estimate, but of what is past, and so rounded down.
fn age(since_ns: i64, now_ns: i64) -> String {
    let past = ((now_ns - since_ns) / NS_PER_SECOND).max(0);
    words::whole_seconds(u64::try_from(past).unwrap_or(0).saturating_mul(1000))
}

/// A line for each task that runs, and one for those that have no room.
fn running(fold: &Fold, style: Style, width: usize, room: usize, now_ns: i64) -> Vec<String> {
    let running = fold.running();
    let fits = if running.len() > room { room - 1 } else { running.len() };
    let mark = style.paint.mark(Mark::Running);
    let mut lines: Vec<String> = running[..fits]
        .iter()
        .map(|&(task, since)| {
            let age = age(since, now_ns);
            let name = shown(task.as_str().as_bytes());
            // The mark, and the gaps around the name, take six columns.
            let name = cut(&name, width.saturating_sub(6 + age.len()));
            format!("{mark} {name:<NAME$}  {}", style.paint.dim(&age))
        })
        .collect();
    if running.len() > fits {
        lines.push(format!("    and {} more", running.len() - fits));
    }
    lines
}

/// At most `width` characters; that something is missing is shown.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let dots = &"..."[..width.min(3)];
    let kept: String = text.chars().take(width - dots.len()).collect();
    kept + dots
}

#[cfg(test)]
mod tests;
