//! How much a journal holds of what a task wrote. The store has all of it, as long as it likes.

use crate::base::Digest;
use crate::event::{Event, Output, Stamped};

/// Up to this size it is kept whole; of more, a half of this from each end.
const WHOLE: usize = 64 * 1024;

/// The event with less of its output; none: it stays as it is.
pub(super) fn clipped(event: &Stamped) -> Option<Stamped> {
    let Event::TaskOutput { task, replayed, output } = &event.event else { return None };
    let output = match output {
        // Bytes that are no text are replaced in JSON: only the store has them as they are.
        Output::Bytes(bytes) if bytes.len() > WHOLE || std::str::from_utf8(bytes).is_err() => {
            let half = bytes.len().min(WHOLE) / 2;
            let (begin, end) = if bytes.len() > WHOLE {
                (text(&bytes[..half]), text(&bytes[bytes.len() - half..]))
            } else {
                (text(bytes), String::new())
            };
            Output::Clipped { begin, end, len: bytes.len() as u64, object: Digest::of(bytes) }
        }
        Output::File { path, len, object, .. } => {
            let (begin, end) = ends(path, *len).unwrap_or_default();
            Output::Clipped { begin, end, len: *len, object: *object }
        }
        Output::Bytes(_) | Output::Clipped { .. } => return None,
    };
    let (task, replayed) = (task.clone(), *replayed);
    let event = Stamped { event: Event::TaskOutput { task, replayed, output }, ..event.clone() };
    Some(event)
}

/// How a large output begins and ends. A file that cannot be read has neither.
fn ends(path: &str, len: u64) -> std::io::Result<(String, String)> {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::File::open(path)?;
    let mut bytes = vec![0; WHOLE / 2];
    file.read_exact_at(&mut bytes, 0)?;
    let begin = text(&bytes);
    let rest = len.saturating_sub(bytes.len() as u64);
    file.read_exact_at(&mut bytes, rest)?;
    Ok((begin, text(&bytes)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
