//! Whether a process is one that ours came from.

use crate::base::fs;

/// Whether `pid` is this process's parent, or its parent's, and so on.
pub fn is_ancestor(pid: u32) -> bool {
    let mut at = std::os::unix::process::parent_id();
    while at > 1 && at != pid {
        match parent_of(at) {
            Some(parent) => at = parent,
            None => return false,
        }
    }
    at == pid
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read(format!("/proc/{pid}/stat").as_ref()).ok()?;
    // The name in parentheses may hold anything; the state and the parent follow the last one.
    let end = stat.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_one_and_a_stranger_is_not() {
        assert!(is_ancestor(std::os::unix::process::parent_id()));
        assert!(!is_ancestor(u32::MAX));
    }
}
