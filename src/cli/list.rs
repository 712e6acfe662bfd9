//! `--list-tasks` and the graph without a run.

use std::fmt::Write as _;

use serde::Serialize;

use super::args::{Cli, Format};
use super::screen::Screen;
use super::{Code, Failure};
use crate::base::text::shown;
use crate::observe::{Node, Statuses, render_graph, words};
use crate::ops::{Location, Project, TaskInfo};

/// Names are padded to the longest, but no further.
const MAX_PAD: usize = 40;

#[derive(Serialize)]
struct List<'a> {
    tasks: &'a [TaskInfo],
}

pub(super) fn run(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    let project = Project::load(&Location { manifest: cli.manifest.clone() })?;
    let tasks = project.tasks(&cli.targets)?;
    let text = match cli.flags.output {
        Format::Json => {
            let mut text = serde_json::to_vec(&List { tasks: &tasks })
                .map_err(|error| Failure::Output(error.into()))?;
            text.push(b'\n');
            text
        }
        Format::Text if cli.flags.graph => {
            let mut text = Vec::new();
            render_graph(&mut text, &nodes(&tasks), &Statuses::default(), screen.output_paint())
                .map_err(Failure::Output)?;
            text
        }
        Format::Text => columns(&tasks).into_bytes(),
    };
    screen.output(&text)?;
    Ok(Code::Success as u8)
}

pub(super) fn nodes(tasks: &[TaskInfo]) -> Vec<Node> {
    tasks
        .iter()
        .map(|task| Node { name: task.name.clone(), dependencies: task.dependencies.clone() })
        .collect()
}

/// `name  description  <- dependencies`, aligned.
fn columns(tasks: &[TaskInfo]) -> String {
    let descriptions: Vec<_> =
        tasks.iter().map(|task| shown(task.description.as_bytes())).collect();
    let names = widest(tasks.iter().map(|task| task.name.as_str()));
    let texts = widest(descriptions.iter().map(AsRef::as_ref));
    let mut out = String::new();
    for (task, description) in tasks.iter().zip(&descriptions) {
        let mut line = format!("{:names$}", task.name);
        if texts > 0 {
            write!(line, "  {description:texts$}").expect("writing to a string cannot fail");
        }
        if !task.dependencies.is_empty() {
            let needs = words::tasks(&task.dependencies, usize::MAX).replace('`', "");
            write!(line, "  <- {needs}").expect("writing to a string cannot fail");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).filter(|&width| width <= MAX_PAD).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TaskName;

    fn name(text: &str) -> TaskName {
        TaskName::parse(text).expect("a good name")
    }

    fn task(task: &str, description: &str, dependencies: &[&str]) -> TaskInfo {
        TaskInfo {
            name: name(task),
            description: description.into(),
            command: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            dependencies: dependencies.iter().map(|dep| name(dep)).collect(),
        }
    }

    #[test]
    fn tasks_are_listed_in_columns() {
        let tasks = [task("x.o", "", &[]), task("app", "link it\n", &["x.o", "lib"])];
        assert_eq!(columns(&tasks), "x.o\napp  link it\\n  <- x.o, lib\n");
        let bare = [task("a", "", &[]), task("long", "", &["a"]), task("b", "", &["a"])];
        assert_eq!(columns(&bare), "a\nlong  <- a\nb     <- a\n");
    }
}
