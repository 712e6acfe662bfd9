//! From a text to the order of its tasks, without a file: parsing, the graph, the schedule.

use std::fmt::Write as _;
use std::path::Path;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use reprovm::engine::schedule::{End, Schedule, Setup};
use reprovm::graph::{Graph, TaskId};
use reprovm::manifest::{Manifest, parse};

const TASKS: usize = 10_000;
/// Tasks of a layer.
const LAYER: usize = 100;
const JOBS: usize = 16;

/// How tasks hang together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// None needs another.
    Wide,
    /// Layers of a hundred; each task needs three of the layer before.
    Layered,
    /// Each needs the one before.
    Chain,
}

impl Shape {
    /// What a task needs, sorted.
    fn deps(self, at: usize) -> Vec<usize> {
        let (layer, column) = (at / LAYER, at % LAYER);
        let mut deps: Vec<usize> = match self {
            Self::Wide => Vec::new(),
            Self::Layered if layer == 0 => Vec::new(),
            Self::Layered => {
                let below = (layer - 1) * LAYER;
                [0, 1, 7].map(|step| below + (column + step) % LAYER).to_vec()
            }
            Self::Chain => at.checked_sub(1).into_iter().collect(),
        };
        deps.sort_unstable();
        deps
    }

    /// A task reads a source of its own and what the tasks that it needs make.
    fn inputs(self, at: usize) -> Vec<String> {
        let made = self.deps(at).into_iter().map(|dep| format!("out/{dep}.o"));
        std::iter::once(format!("src/{at}.c")).chain(made).collect()
    }

    fn text(self, tasks: usize) -> String {
        let mut text = String::new();
        for at in 0..tasks {
            let inputs = self.inputs(at).join(" ");
            let task = format!(
                "task t{at} {{\n  cmd = cc -c src/{at}.c -o out/{at}.o\n  inputs = {inputs}\n  \
                 outputs = out/{at}.o\n}}\n"
            );
            text += &task;
        }
        text
    }

    fn toml(self, tasks: usize) -> String {
        let mut text = String::new();
        for at in 0..tasks {
            let inputs = self.inputs(at);
            writeln!(
                text,
                "[task.t{at}]\ncmd = \"cc -c src/{at}.c -o out/{at}.o\"\ninputs = {inputs:?}\n\
                 outputs = [\"out/{at}.o\"]\n"
            )
            .expect("a string takes all");
        }
        text
    }

    pub(super) fn manifest(self, tasks: usize) -> Manifest {
        parse(Path::new("m.txt"), self.text(tasks).as_bytes()).expect("a good manifest")
    }

    fn graph(self, tasks: usize) -> Graph {
        let ids = |at| self.deps(at).into_iter().map(|dep| TaskId(dep as u32)).collect();
        Graph::from_deps((0..tasks).map(ids).collect())
    }
}

#[divan::bench(args = [1_000, 10_000])]
fn parse_text_tasks(bencher: Bencher, tasks: usize) {
    parse_of(bencher, "m.txt", &Shape::Layered.text(tasks), tasks);
}

#[divan::bench(args = [1_000, 10_000])]
fn parse_toml_tasks(bencher: Bencher, tasks: usize) {
    parse_of(bencher, "m.toml", &Shape::Layered.toml(tasks), tasks);
}

fn parse_of(bencher: Bencher, name: &str, text: &str, tasks: usize) {
    bencher.counter(ItemsCount::new(tasks)).bench_local(|| {
        let manifest = parse(Path::new(name), black_box(text.as_bytes())).expect("a good manifest");
        assert_eq!(manifest.tasks.len(), tasks);
        manifest
    });
}

#[divan::bench(args = [Shape::Wide, Shape::Layered])]
fn graph_of_10_000_tasks(bencher: Bencher, shape: Shape) {
    let manifest = shape.manifest(TASKS);
    // The edges that are inferred from files are those that the shape is made of.
    let graph = Graph::new(&manifest);
    assert_eq!(graph.deps(TaskId(500)), shape.graph(TASKS).deps(TaskId(500)));
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| Graph::new(black_box(&manifest)));
}

#[divan::bench(args = [Shape::Wide, Shape::Layered])]
fn order_of_10_000_tasks(bencher: Bencher, shape: Shape) {
    let graph = shape.graph(TASKS);
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| {
        let order = graph.order().expect("no cycle");
        assert_eq!(order.len(), TASKS);
        order
    });
}

/// All that may start starts and ends at once, until nothing is left.
#[divan::bench(args = [Shape::Wide, Shape::Layered, Shape::Chain])]
fn schedule_of_10_000_tasks(bencher: Bencher, shape: Shape) {
    let graph = shape.graph(TASKS);
    let setup = Setup {
        graph: &graph,
        open: &[true; TASKS],
        durations: &[10; TASKS],
        pools: &[None; TASKS],
        depths: &[],
        jobs: JOBS,
        fail_fast: false,
    };
    bencher.counter(ItemsCount::new(TASKS)).bench_local(|| {
        let mut schedule = Schedule::new(black_box(&setup));
        let (mut running, mut ended) = (Vec::with_capacity(JOBS), 0);
        while !schedule.is_done() {
            running.extend(std::iter::from_fn(|| schedule.start_next()));
            assert!(!running.is_empty(), "nothing runs and the end is not reached");
            ended += running.len();
            for id in running.drain(..) {
                schedule.finished(id, End::Good);
            }
        }
        assert_eq!(ended, TASKS);
    });
}
