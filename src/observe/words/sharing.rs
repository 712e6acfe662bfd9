//! The words for runs that share a cache, and for what is collected of it.

use crate::base::size::ByteSize;
use crate::base::text::{count, shown};
use crate::event::{Collected, LeaseHolder};

/// Why a verification or a backup of the cache does not begin.
pub const GC_BUSY: &str = "waiting for a collection of this cache\n";

/// Who executes a task: `task `a` of `/home/x/project` (process 12 on `host`, since ...)`.
pub fn lease_holder(holder: Option<&LeaseHolder>) -> String {
    let Some(holder) = holder else { return "another run".to_owned() };
    let LeaseHolder { pid, since, host, project, task } = holder;
    let [since, host] = [since, host].map(|text| shown(text.as_bytes()));
    let [project, task] = [project, task].map(|text| shown(text.as_bytes()));
    format!("task `{task}` of `{project}` (process {pid} on `{host}`, since {since})")
}

/// Why a task does not start.
pub fn waits(holder: Option<&LeaseHolder>) -> String {
    format!("waiting for the result of {}", lease_holder(holder))
}

/// `12 records and 30 objects removed, 1.5 GiB; 2.0 GiB left`
pub fn collected(done: &Collected) -> String {
    let mut text =
        format!("{} and {} removed", count(done.records, "record"), count(done.objects, "object"));
    if done.remains > 0 {
        text.push_str(&format!(", and {}", count(done.remains, "leftover")));
    }
    text.push_str(&format!(", {}", ByteSize(done.bytes)));
    if let Some(kept) = done.kept_bytes {
        text.push_str(&format!("; {} left", ByteSize(kept)));
    }
    text
}

/// What is wrong with the size of the cache after all that could go went, and what to do.
pub fn not_collected(done: &Collected) -> Option<String> {
    if done.unfinished {
        return Some(
            "the cache is collected only in part, since its time was up; \
             `reprovm gc` takes the time that it needs"
                .to_owned(),
        );
    }
    let limit = done.limit.filter(|_| done.is_over())?;
    let pinned_bytes = done.pinned_bytes.unwrap_or(0);
    let (kept, pinned) = (ByteSize(done.kept_bytes?), ByteSize(pinned_bytes));
    Some(if pinned_bytes > limit {
        format!(
            "the cache has {kept}, more than `cache.max_cache_size_mb` allows ({}): {pinned} of it \
             are pinned; see `reprovm cache pins`, or allow more",
            ByteSize(limit)
        )
    } else {
        format!(
            "the cache has {kept}, more than `cache.max_cache_size_mb` allows ({}): runs that are \
             at work need it; the rest goes after them",
            ByteSize(limit)
        )
    })
}
