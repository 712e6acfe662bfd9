//! What may start next: a value without threads, clocks or files.
//!
//! Ready tasks start longest remaining path first, no more at a time than there are jobs, nor
//! than their pool is deep.

use std::collections::BinaryHeap;

use crate::base::TaskName;
use crate::event::SkipReason;
use crate::graph::{Graph, TaskId, ids};

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not asked for, or settled before the run began.
    Outside,
    /// So many dependencies are open.
    Waiting(u32),
    Ready,
    Running,
    /// Ended, well or not, or skipped.
    Over,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Good,
    Bad,
    Cancelled,
    /// It waited for something and did not start, because nothing more is to.
    Withdrawn,
}

/// What the schedule starts from.
#[derive(Debug)]
pub struct Setup<'a> {
    pub graph: &'a Graph,
    /// Which tasks have to have their turn.
    pub open: &'a [bool],
    /// What each took when it last ran, in milliseconds.
    pub durations: &'a [u64],
    /// The pool of each.
    pub pools: &'a [Option<u32>],
    /// How many of each pool may run at a time.
    pub depths: &'a [u32],
    pub jobs: usize,
    pub fail_fast: bool,
}

/// What is to be told of a task that will not have its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    pub task: TaskId,
    /// Whose end decided; none: the run was cancelled.
    pub because: Option<TaskId>,
    pub fail_fast: bool,
}

impl Skip {
    pub fn reason(&self, name: impl Fn(TaskId) -> TaskName) -> SkipReason {
        match self.because {
            None => SkipReason::Cancelled,
            Some(task) if self.fail_fast => SkipReason::FailFast { task: name(task) },
            Some(task) => SkipReason::DependencyFailed { task: name(task) },
        }
    }
}

/// A ready task: compares by priority, then the earlier in the manifest.
type Ready = (u64, std::cmp::Reverse<TaskId>);

/// The schedule of one run.
#[derive(Debug)]
pub struct Schedule<'a> {
    graph: &'a Graph,
    stages: Vec<Stage>,
    priorities: Vec<u64>,
    /// The last is for tasks without a pool.
    lanes: Vec<Lane>,
    lane_of: Vec<usize>,
    running: usize,
    jobs: usize,
    fail_fast: bool,
    /// How many are neither over nor outside.
    left: usize,
    /// Nothing more starts: whose end decided that, if it was one.
    halted: Option<Option<TaskId>>,
}

#[derive(Debug)]
struct Lane {
    ready: BinaryHeap<Ready>,
    room: usize,
}

impl<'a> Schedule<'a> {
    pub fn new(setup: &Setup<'a>) -> Self {
        let graph = setup.graph;
        let lane = |room| Lane { ready: BinaryHeap::new(), room };
        let mut lanes: Vec<Lane> = setup.depths.iter().map(|&depth| lane(depth as usize)).collect();
        lanes.push(lane(usize::MAX));
        let free = lanes.len() - 1;
        let mut schedule = Self {
            graph,
            stages: vec![Stage::Outside; graph.len()],
            priorities: priorities(graph, setup.open, setup.durations),
            lanes,
            lane_of: setup.pools.iter().map(|pool| pool.map_or(free, |at| at as usize)).collect(),
            running: 0,
            jobs: setup.jobs.max(1),
            fail_fast: setup.fail_fast,
            left: 0,
            halted: None,
        };
        for id in ids(graph.len()).filter(|id| setup.open[id.index()]) {
            let open = graph.deps(id).iter().filter(|dep| setup.open[dep.index()]).count();
            schedule.left += 1;
            schedule.stages[id.index()] = Stage::Waiting(open as u32);
            if open == 0 {
                schedule.make_ready(id);
            }
        }
        schedule
    }

    fn make_ready(&mut self, id: TaskId) {
        self.stages[id.index()] = Stage::Ready;
        let priority = self.priorities[id.index()];
        self.lanes[self.lane_of[id.index()]].ready.push((priority, std::cmp::Reverse(id)));
    }

    /// The task to start now; it counts as running from here on.
    pub fn start_next(&mut self) -> Option<TaskId> {
        if self.running >= self.jobs {
            return None;
        }
        let lanes = self.lanes.iter_mut().filter(|lane| lane.room > 0);
        let lane = lanes.max_by(|a, b| a.ready.peek().cmp(&b.ready.peek()))?;
        let (_, std::cmp::Reverse(id)) = lane.ready.pop()?;
        lane.room -= 1;
        self.running += 1;
        self.stages[id.index()] = Stage::Running;
        Some(id)
    }

    /// A running task ended. Returns what became ready, and what will never have its turn.
    pub fn finished(&mut self, id: TaskId, end: End) -> (Vec<TaskId>, Vec<Skip>) {
        self.running -= 1;
        self.lanes[self.lane_of[id.index()]].room += 1;
        if end == End::Withdrawn {
            return (Vec::new(), self.withdrawn(id).into_iter().collect());
        }
        self.over(id);
        match end {
            End::Good => {
                let graph = self.graph;
                let mut ready = Vec::new();
                for &dependent in graph.dependents(id) {
                    if let Stage::Waiting(open) = &mut self.stages[dependent.index()] {
                        *open -= 1;
                        if *open == 0 {
                            self.make_ready(dependent);
                            ready.push(dependent);
                        }
                    }
                }
                (ready, Vec::new())
            }
            End::Bad => {
                let mut skipped = self.skip_dependents(id);
                if self.fail_fast {
                    skipped.extend(self.halt(Some(id)));
                }
                (Vec::new(), skipped)
            }
            End::Cancelled | End::Withdrawn => (Vec::new(), self.cancel()),
        }
    }

    /// Who hears early that nothing more is to start is kept aside until the schedule hears it.
    fn withdrawn(&mut self, task: TaskId) -> Option<Skip> {
        self.stages[task.index()] = Stage::Ready;
        let because = self.halted?;
        self.over(task);
        Some(Skip { task, because, fail_fast: because.is_some() })
    }

    fn over(&mut self, id: TaskId) {
        self.stages[id.index()] = Stage::Over;
        self.left -= 1;
    }

    fn skip_dependents(&mut self, failed: TaskId) -> Vec<Skip> {
        let mut skipped = Vec::new();
        let mut open = vec![failed];
        while let Some(cause) = open.pop() {
            let graph = self.graph;
            for &task in graph.dependents(cause) {
                if matches!(self.stages[task.index()], Stage::Waiting(_)) {
                    self.over(task);
                    skipped.push(Skip { task, because: Some(cause), fail_fast: false });
                    open.push(task);
                }
            }
        }
        skipped
    }

    /// Nothing more starts. Returns what will never have its turn.
    pub fn cancel(&mut self) -> Vec<Skip> {
        self.halt(None)
    }

    /// The first cause counts.
    fn halt(&mut self, because: Option<TaskId>) -> Vec<Skip> {
        let because = *self.halted.get_or_insert(because);
        for lane in &mut self.lanes {
            lane.ready.clear();
        }
        let mut skipped = Vec::new();
        for task in ids(self.stages.len()) {
            if matches!(self.stages[task.index()], Stage::Waiting(_) | Stage::Ready) {
                self.over(task);
                skipped.push(Skip { task, because, fail_fast: because.is_some() });
            }
        }
        skipped
    }

    /// Whether every task is over.
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Whether a task is ready that its pool has room for.
    pub fn has_ready(&self) -> bool {
        self.lanes.iter().any(|lane| lane.room > 0 && !lane.ready.is_empty())
    }

    pub fn running(&self) -> usize {
        self.running
    }

    /// What can start at once, in order of the manifest.
    pub fn ready(&self) -> Vec<TaskId> {
        ids(self.stages.len()).filter(|id| self.stages[id.index()] == Stage::Ready).collect()
    }
}

/// For each task the time from its start to the end of all that waits for it, were there jobs
/// without end.
fn priorities(graph: &Graph, open: &[bool], durations: &[u64]) -> Vec<u64> {
    let mut priorities = vec![0; graph.len()];
    let mut left: Vec<u32> = ids(graph.len())
        .map(|id| graph.dependents(id).iter().filter(|other| open[other.index()]).count() as u32)
        .collect();
    let mut ready: Vec<TaskId> =
        ids(graph.len()).filter(|id| open[id.index()] && left[id.index()] == 0).collect();
    while let Some(id) = ready.pop() {
        let after = graph.dependents(id).iter().map(|other| priorities[other.index()]).max();
        priorities[id.index()] = after.unwrap_or(0) + durations[id.index()].max(1);
        for &dep in graph.deps(id).iter().filter(|dep| open[dep.index()]) {
            left[dep.index()] -= 1;
            if left[dep.index()] == 0 {
                ready.push(dep);
            }
        }
    }
    priorities
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct World {
        graph: Graph,
        durations: Vec<u64>,
        pools: Vec<Option<u32>>,
        open: Vec<bool>,
    }

    fn world(deps: &[&[u32]]) -> World {
        let deps: Vec<Vec<TaskId>> =
            deps.iter().map(|of| of.iter().copied().map(TaskId).collect()).collect();
        let count = deps.len();
        World {
            graph: Graph::from_deps(deps),
            durations: vec![1; count],
            pools: vec![None; count],
            open: vec![true; count],
        }
    }

    impl World {
        fn schedule<'a>(&'a self, jobs: usize, depths: &'a [u32], fail_fast: bool) -> Schedule<'a> {
            Schedule::new(&Setup {
                graph: &self.graph,
                open: &self.open,
                durations: &self.durations,
                pools: &self.pools,
                depths,
                jobs,
                fail_fast,
            })
        }
    }

    fn all(schedule: &mut Schedule<'_>) -> Vec<u32> {
        std::iter::from_fn(|| schedule.start_next()).map(|id| id.0).collect()
    }

    #[test]
    fn the_longest_remaining_path_starts_first() {
        // 0 is short but a long one waits for it; 1 is alone.
        let mut world = world(&[&[], &[], &[0]]);
        world.durations = vec![1, 5, 9];
        let mut schedule = world.schedule(1, &[], false);
        assert_eq!(all(&mut schedule), [0]);
        let (ready, _) = schedule.finished(TaskId(0), End::Good);
        assert_eq!(ready, [TaskId(2)]);
        assert_eq!(all(&mut schedule), [2]);
    }

    #[test]
    fn a_pool_is_no_deeper_than_it_says() {
        let mut world = world(&[&[], &[], &[], &[]]);
        world.pools = vec![Some(0), Some(0), Some(0), None];
        let mut schedule = world.schedule(8, &[2], false);
        assert_eq!(all(&mut schedule), [0, 1, 3]);
        schedule.finished(TaskId(3), End::Good);
        assert!(all(&mut schedule).is_empty());
        schedule.finished(TaskId(0), End::Good);
        assert_eq!(all(&mut schedule), [2]);
    }

    /// P8, P9: whoever waits for a task that failed fails with it, and never starts.
    #[test]
    fn a_failure_skips_all_that_wait_for_it_and_nothing_else() {
        let world = world(&[&[], &[0], &[1], &[0], &[]]);
        let mut schedule = world.schedule(2, &[], false);
        assert_eq!(all(&mut schedule), [0, 4]);
        let (_, skipped) = schedule.finished(TaskId(0), End::Bad);
        let mut tasks: Vec<u32> = skipped.iter().map(|skip| skip.task.0).collect();
        tasks.sort_unstable();
        assert_eq!(tasks, [1, 2, 3]);
        assert!(!schedule.is_done());
        schedule.finished(TaskId(4), End::Good);
        assert!(schedule.is_done());
    }

    /// Whichever comes first, the failure or the news of it.
    #[test]
    fn who_waited_when_another_failed_is_skipped_for_its_sake() {
        for heard_first in [false, true] {
            let world = world(&[&[], &[], &[1]]);
            let mut schedule = world.schedule(2, &[], true);
            assert_eq!(all(&mut schedule).len(), 2);
            let mut ends = [(TaskId(0), End::Bad), (TaskId(1), End::Withdrawn)];
            if heard_first {
                ends.reverse();
            }
            let mut skipped: Vec<Skip> = Vec::new();
            for (id, end) in ends {
                assert!(!schedule.is_done());
                skipped.extend(schedule.finished(id, end).1);
                assert!(all(&mut schedule).is_empty(), "nothing starts, least of all again");
            }
            skipped.sort_by_key(|skip| skip.task);
            let skip = |task| Skip { task, because: Some(TaskId(0)), fail_fast: true };
            assert_eq!(skipped, [skip(TaskId(1)), skip(TaskId(2))]);
            assert!(schedule.is_done());
        }
    }

    #[test]
    fn who_withdraws_from_a_cancelled_run_is_cancelled() {
        let world = world(&[&[], &[0]]);
        let mut schedule = world.schedule(2, &[], true);
        assert_eq!(all(&mut schedule), [0]);
        assert_eq!(schedule.cancel().len(), 1);
        let (_, skipped) = schedule.finished(TaskId(0), End::Withdrawn);
        assert_eq!(skipped, [Skip { task: TaskId(0), because: None, fail_fast: false }]);
        assert!(schedule.is_done());
    }

    #[test]
    fn fail_fast_starts_nothing_more() {
        let world = world(&[&[], &[], &[]]);
        let mut schedule = world.schedule(2, &[], true);
        assert_eq!(all(&mut schedule), [0, 1]);
        let (_, skipped) = schedule.finished(TaskId(0), End::Bad);
        assert_eq!(skipped, [Skip { task: TaskId(2), because: Some(TaskId(0)), fail_fast: true }]);
        schedule.finished(TaskId(1), End::Good);
        assert!(schedule.is_done());
    }

    proptest! {
        /// I27: each task starts once, after its dependencies, and none is lost; failures skip
        /// just what depends on them.
        #[test]
        fn any_graph_runs_to_its_end(
            edges in proptest::collection::vec((0_u32..30, 0_u32..30), 0..80),
            bad in proptest::collection::vec(any::<bool>(), 30),
            durations in proptest::collection::vec(0_u64..100, 30),
            pools in proptest::collection::vec(proptest::option::of(0_u32..2), 30),
            picks in proptest::collection::vec(any::<usize>(), 30),
            jobs in 1_usize..6,
        ) {
            let mut deps = vec![Vec::new(); 30];
            for (a, b) in edges {
                if a != b {
                    deps[a.max(b) as usize].push(TaskId(a.min(b)));
                }
            }
            for of in &mut deps {
                of.sort_unstable();
                of.dedup();
            }
            let world = World { graph: Graph::from_deps(deps.clone()), durations, pools, open: vec![true; 30] };
            let mut schedule = world.schedule(jobs, &[1, 2], false);
            let (mut ended, mut skipped, mut running) = (vec![None; 30], vec![false; 30], Vec::new());
            let mut picks = picks.into_iter().cycle();
            while !schedule.is_done() {
                while let Some(id) = schedule.start_next() {
                    prop_assert!(ended[id.index()].is_none() && !running.contains(&id));
                    prop_assert!(deps[id.index()].iter().all(|dep| ended[dep.index()] == Some(true)));
                    running.push(id);
                    prop_assert!(running.len() <= jobs);
                }
                for pool in 0..2_u32 {
                    let busy = running.iter().filter(|id| world.pools[id.index()] == Some(pool));
                    prop_assert!(busy.count() <= pool as usize + 1);
                }
                prop_assert!(!running.is_empty(), "nothing runs and the end is not reached");
                let id = running.swap_remove(picks.next().unwrap_or(0) % running.len());
                let good = !bad[id.index()];
                ended[id.index()] = Some(good);
                let (_, skips) = schedule.finished(id, if good { End::Good } else { End::Bad });
                for skip in skips {
                    prop_assert!(!std::mem::replace(&mut skipped[skip.task.index()], true));
                }
            }
            for id in 0..30 {
                let doomed = deps[id].iter().any(|d| skipped[d.index()] || ended[d.index()] == Some(false));
                prop_assert_eq!(skipped[id], doomed);
                prop_assert_eq!(ended[id].is_none(), doomed);
            }
        }
    }
}
