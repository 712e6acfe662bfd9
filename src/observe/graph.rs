//! The tasks and their dependencies as a tree of text, each with its mark.
//!
//! Knows nothing of how the graph was made; it must have no cycle.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use super::paint::{Mark, Paint};
use super::sink::{Sink, cannot};
use crate::base::TaskName;
use crate::event::{Event, Observer, Outcome, Stamped};

/// How far a branch is indented before it goes on as a tree of its own.
const MAX_DEPTH: usize = 24;

/// A task of the graph.
#[derive(Debug, Clone)]
pub struct Node {
    pub name: TaskName,
    pub dependencies: Vec<TaskName>,
}

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Pending,
    Running,
    Cached,
    Success,
    Failed,
}

impl Status {
    fn mark(self) -> Mark {
        match self {
            Self::Pending => Mark::Pending,
            Self::Running => Mark::Running,
            Self::Cached => Mark::Cached,
            Self::Success => Mark::Success,
            Self::Failed => Mark::Failed,
        }
    }
}

/// How all tasks stand, by their events.
#[derive(Debug, Clone, Default)]
pub struct Statuses {
    own: BTreeMap<TaskName, Status>,
    /// Tasks were settled in bulk: those without an event of their own did not need to run.
    settled: bool,
}

impl Statuses {
    pub fn fold(&mut self, event: &Event) {
        let (task, status) = match event {
            Event::TasksUpToDate { .. } => {
                self.settled = true;
                return;
            }
            Event::TaskQueued { task, .. } | Event::TaskPlanned { task, .. } => {
                (task, Status::Pending)
            }
            Event::TaskStarted { task, .. } => (task, Status::Running),
            Event::TaskFinished { task, outcome, .. } => (task, of(outcome)),
            Event::TaskSkipped { task, .. } => (task, Status::Pending),
            _ => return,
        };
        self.own.insert(task.clone(), status);
    }

    pub fn of(&self, task: &TaskName) -> Status {
        let other = if self.settled { Status::Cached } else { Status::Pending };
        self.own.get(task).copied().unwrap_or(other)
    }
}

fn of(outcome: &Outcome) -> Status {
    match outcome {
        Outcome::Executed => Status::Success,
        Outcome::Cached | Outcome::UpToDate => Status::Cached,
        Outcome::Failed { .. } => Status::Failed,
        Outcome::Cancelled => Status::Pending,
    }
}

/// Draws the graph when the run is over.
#[derive(Debug)]
pub struct Graph<W> {
    out: Sink<W>,
    nodes: Vec<Node>,
    statuses: Statuses,
    paint: Paint,
}

impl<W: Write> Graph<W> {
    pub fn new(out: W, nodes: Vec<Node>, paint: Paint) -> Self {
        Self { out: Sink::new(out), nodes, statuses: Statuses::default(), paint }
    }
}

impl<W: Write + Send> Observer for Graph<W> {
    fn observe(&mut self, event: &Stamped) -> Result<(), String> {
        self.statuses.fold(&event.event);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        render_graph(&mut self.out, &self.nodes, &self.statuses, self.paint)
            .map_err(|error| cannot(&error))
    }

    fn name(&self) -> &'static str {
        "graph"
    }
}

/// Draws trees from the tasks that no other needs. A task's dependencies are drawn once, and
/// where it comes again it says `(above)`; a branch that grows deep goes on `(below)`.
pub fn render_graph(
    out: &mut impl Write,
    nodes: &[Node],
    statuses: &Statuses,
    paint: Paint,
) -> io::Result<()> {
    let mut drawing = Drawing::new(BufWriter::new(out), nodes, statuses, paint);
    let mut waiting: Vec<usize> = drawing.roots();
    waiting.reverse();
    while let Some(root) = waiting.pop() {
        let mut deeper = drawing.tree(root)?;
        deeper.reverse();
        waiting.append(&mut deeper);
    }
    drawing.out.flush()
}

/// What has been done with a task's dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawn {
    Not,
    /// Its tree comes later.
    Below,
    Above,
}

struct Drawing<'a, W: Write> {
    out: BufWriter<W>,
    nodes: &'a [Node],
    statuses: &'a Statuses,
    paint: Paint,
    edges: Vec<Vec<usize>>,
    drawn: Vec<Drawn>,
}

/// A task whose dependencies are being drawn.
struct Branch {
    node: usize,
    /// The dependency that comes next.
    next: usize,
    /// The length of the indentation of its dependencies.
    indent: usize,
}

impl<'a, W: Write> Drawing<'a, W> {
    fn new(out: BufWriter<W>, nodes: &'a [Node], statuses: &'a Statuses, paint: Paint) -> Self {
        let ids: BTreeMap<&TaskName, usize> =
            nodes.iter().enumerate().map(|(id, node)| (&node.name, id)).collect();
        let edges = nodes
            .iter()
            .map(|node| {
                node.dependencies.iter().filter_map(|name| ids.get(name).copied()).collect()
            })
            .collect();
        Self { out, nodes, statuses, paint, edges, drawn: vec![Drawn::Not; nodes.len()] }
    }

    fn roots(&self) -> Vec<usize> {
        let mut needed = vec![false; self.nodes.len()];
        for &id in self.edges.iter().flatten() {
            needed[id] = true;
        }
        (0..self.nodes.len()).filter(|&id| !needed[id]).collect()
    }

    /// Draws one tree and returns the tasks whose dependencies did not fit in.
    fn tree(&mut self, root: usize) -> io::Result<Vec<usize>> {
        let mut deeper = Vec::new();
        let mut indent = String::new();
        self.node(root, "")?;
        self.drawn[root] = Drawn::Above;
        let mut branches = vec![Branch { node: root, next: 0, indent: 0 }];
        while let Some(branch) = branches.last_mut() {
            let Some(&id) = self.edges[branch.node].get(branch.next) else {
                branches.pop();
                continue;
            };
            branch.next += 1;
            let last = branch.next == self.edges[branch.node].len();
            indent.truncate(branch.indent);
            let arm = if last { "└── " } else { "├── " };
            self.out.write_all(indent.as_bytes())?;
            self.out.write_all(arm.as_bytes())?;
            if self.edges[id].is_empty() {
                self.node(id, "")?;
                continue;
            }
            match self.drawn[id] {
                Drawn::Above => self.node(id, " (above)")?,
                Drawn::Below => self.node(id, " (below)")?,
                Drawn::Not if branches.len() == MAX_DEPTH => {
                    self.node(id, " (below)")?;
                    self.drawn[id] = Drawn::Below;
                    deeper.push(id);
                }
                Drawn::Not => {
                    self.node(id, "")?;
                    self.drawn[id] = Drawn::Above;
                    indent.push_str(if last { "    " } else { "│   " });
                    branches.push(Branch { node: id, next: 0, indent: indent.len() });
                }
            }
        }
        Ok(deeper)
    }

    fn node(&mut self, id: usize, note: &str) -> io::Result<()> {
        let name = &self.nodes[id].name;
        let mark = self.paint.mark(self.statuses.of(name).mark());
        writeln!(self.out, "{mark} {name}{}", self.paint.dim(note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TaskName {
        TaskName::parse(text).expect("a good name")
    }

    fn nodes(graph: &[(&str, &[&str])]) -> Vec<Node> {
        graph
            .iter()
            .map(|(task, deps)| Node {
                name: name(task),
                dependencies: deps.iter().map(|dep| name(dep)).collect(),
            })
            .collect()
    }

    fn drawn(nodes: &[Node], statuses: &Statuses) -> String {
        let mut out = Vec::new();
        render_graph(&mut out, nodes, statuses, Paint(false)).expect("room in memory");
        String::from_utf8(out).expect("text")
    }

    fn finished(task: &str, outcome: Outcome) -> Event {
        let usage = crate::event::Usage::default();
        Event::TaskFinished { task: name(task), outcome, usage, reasons: Vec::new() }
    }

    #[test]
    fn shared_tasks_are_drawn_once_and_every_status_has_its_mark() {
        let nodes = nodes(&[
            ("x.o", &[]),
            ("lib", &["x.o"]),
            ("app", &["lib", "x.o"]),
            ("test", &["app", "lib"]),
            ("docs", &[]),
        ]);
        let mut statuses = Statuses::default();
        statuses.fold(&Event::TasksUpToDate { count: 1, saved_ms: 0 });
        statuses.fold(&finished("lib", Outcome::Executed));
        statuses.fold(&Event::TaskStarted { task: name("app"), attempt: 1, command: "x".into() });
        let failure = crate::event::Failure::TimedOut { after_ms: 1 };
        statuses.fold(&finished("docs", Outcome::Failed { failure }));
        let because = crate::event::SkipReason::DependencyFailed { task: name("app") };
        statuses.fold(&Event::TaskSkipped { task: name("test"), because });
        assert_eq!(
            drawn(&nodes, &statuses),
            "\
[ ] test
├── [~] app
│   ├── [✔] lib
│   │   └── [*] x.o
│   └── [*] x.o
└── [✔] lib (above)
[X] docs
"
        );
    }

    #[test]
    fn without_events_all_is_pending() {
        assert_eq!(
            drawn(&nodes(&[("a", &[]), ("b", &["a"])]), &Statuses::default()),
            "[ ] b\n└── [ ] a\n"
        );
    }

    #[test]
    fn a_chain_of_ten_thousand_is_drawn_in_bounded_lines() {
        let names: Vec<String> = (0..10_000).map(|i| format!("t{i}")).collect();
        let nodes: Vec<Node> = names
            .iter()
            .enumerate()
            .map(|(i, task)| Node {
                name: name(task),
                dependencies: i.checked_sub(1).map(|i| name(&names[i])).into_iter().collect(),
            })
            .collect();
        let text = drawn(&nodes, &Statuses::default());
        assert!(text.lines().all(|line| line.len() < 200));
        let drawn: std::collections::BTreeSet<&str> =
            text.lines().map(|line| line.trim_start_matches([' ', '└', '─'])).collect();
        for task in &names {
            assert!(drawn.contains(format!("[ ] {task}").as_str()), "{task}");
        }
    }
}
