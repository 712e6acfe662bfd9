//! The critical path as text.

use crate::base::text::count;
use crate::event::{CriticalPath, Step};
use crate::observe::{Paint, words};

/// How many tasks of the path are named.
const MOST: usize = 12;

/// `critical path: 2 tasks, 1.20s of 1.50s (80 %)`, and a line for each task; of a long path
/// those that were busy longest.
pub fn path_text(path: &CriticalPath, elapsed_ms: u64, paint: Paint) -> String {
    if path.steps.is_empty() {
        return "critical path: no task had its turn\n".to_owned();
    }
    let ms = |us: u64| us / 1000;
    let share = path.busy_us.checked_div(elapsed_ms.saturating_mul(10)).unwrap_or(100).min(100);
    let mut text = format!(
        "{} {}, {} of {} ({share} %)\n",
        paint.bold("critical path:"),
        count(path.steps.len(), "task"),
        words::duration(ms(path.busy_us)),
        words::duration(elapsed_ms),
    );
    let mut busiest: Vec<&Step> = path.steps.iter().collect();
    busiest.sort_by_key(|step| std::cmp::Reverse(step.busy_us));
    let least = busiest.get(MOST - 1).map_or(0, |step| step.busy_us);
    let mut named = 0;
    for step in path.steps.iter().filter(|step| step.busy_us >= least).take(MOST) {
        named += 1;
        let waited = match ms(step.waited_us) {
            0..10 => String::new(),
            waited => format!("  waited {}", words::duration(waited)),
        };
        let busy = words::duration(ms(step.busy_us));
        text.push_str(&format!("  {}  {busy}{}\n", step.task, paint.dim(&waited)));
    }
    if path.steps.len() > named {
        let more = count(path.steps.len() - named, "shorter one");
        text.push_str(&format!("  {}\n", paint.dim(&format!("and {more}"))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TaskName;

    fn path(steps: &[(u64, u64)]) -> CriticalPath {
        let steps: Vec<Step> = (1..)
            .zip(steps)
            .map(|(n, &(busy, waited))| Step {
                task: TaskName::parse(&format!("t{n}")).expect("a good name"),
                busy_us: busy * 1000,
                waited_us: waited * 1000,
            })
            .collect();
        let busy_us = steps.iter().map(|step| step.busy_us).sum();
        CriticalPath { busy_us, waited_us: 0, steps }
    }

    #[test]
    fn each_task_has_its_line() {
        let text = path_text(&path(&[(400, 0), (800, 30)]), 1500, Paint(false));
        assert_eq!(
            text,
            "critical path: 2 tasks, 1.20s of 1.50s (80 %)\n  t1  0.40s\n  t2  0.80s  waited 0.03s\n"
        );
        assert_eq!(path_text(&path(&[(1, 0)]), 0, Paint(false)).lines().count(), 2);
        let none = path_text(&CriticalPath::default(), 5, Paint(false));
        assert_eq!(none, "critical path: no task had its turn\n");
    }

    #[test]
    fn of_a_long_path_the_longest_are_named_in_order() {
        let mut steps = vec![(10, 0); 40];
        steps[3] = (500, 0);
        steps[30] = (700, 0);
        let text = path_text(&path(&steps), 2000, Paint(false));
        assert_eq!(text.lines().count(), MOST + 2, "{text}");
        assert!(text.ends_with("  and 28 shorter ones\n"), "{text}");
        assert!(text.contains("t4  0.50s"), "{text}");
    }
}
