//! `reprovm runs`: the history; and the listeners that record a run.

mod compare;
mod show;

use std::fmt::Write as _;
use std::io;

use super::args::{Flags, Format, RunsVerb};
use super::{Call, Code, Failure};
use crate::base::text::{count, shown};
use crate::config::Origin;
use crate::event::Observer;
use crate::observe::{
    Console, Detail, Header, Journal, JournalOptions, Json, Odd, Profile, Stats, summary_text,
};
use crate::ops::{self, RunHead, RunList, RunState};

/// So much of a name is printed, if it says which run is meant.
const SHORT: usize = 8;

pub(super) fn run(verb: &RunsVerb, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    match verb {
        RunsVerb::List => list(flags, call),
        RunsVerb::Show { run } => show::run(run.as_deref(), flags, call),
        RunsVerb::Compare { before, after } => compare::run(before, after, flags, call),
        RunsVerb::Replay { run } => replay(run.as_deref(), flags, call),
    }
}

fn list(flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let runs = ops::list_runs()?;
    for problem in &runs.problems {
        call.screen.warning(&shown(problem.as_bytes()));
    }
    let text = match flags.output {
        Format::Json => super::upkeep::cache::json(&runs)?,
        Format::Text => lines(&runs),
    };
    call.screen.output(text.as_bytes())?;
    Ok(Code::Success as u8)
}

/// A line for each run.
fn lines(list: &RunList) -> String {
    let mut names: Vec<&str> = list.runs.iter().map(|run| &run.id[..SHORT]).collect();
    names.sort_unstable();
    let is_clear = !names.windows(2).any(|pair| pair[0] == pair[1]);
    let mut out = String::new();
    for run in &list.runs {
        let name = if is_clear { &run.id[..SHORT] } else { &run.id };
        let RunHead { started, summary, command, .. } = run;
        let (state, figures) = (state(run.state), summary_text(summary));
        let command = shown(command.as_bytes());
        add(&mut out, format_args!("{name}  {started}  {state:11}  {figures}  `{command}`"));
    }
    out
}

pub(super) fn state(state: RunState) -> &'static str {
    match state {
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
        RunState::Interrupted => "interrupted",
        RunState::Running => "running",
        RunState::DidNotEnd => "did not end",
    }
}

fn replay(which: Option<&str>, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let config = &call.settings.config;
    let mut observers: Vec<Box<dyn Observer>> = vec![match flags.output {
        Format::Json => Box::new(Json::new(io::stdout())),
        Format::Text => {
            let detail = Detail::of(config.output.quiet, config.output.verbose);
            Box::new(Console::new(io::stderr(), detail, call.screen.error_paint()))
        }
    }];
    if flags.stats && flags.output == Format::Text {
        observers.push(Box::new(Stats::new(io::stderr(), call.screen.error_paint())));
    }
    let told = ops::replay_run(which, config, observers)?;
    say_odd(&told.odd, call);
    match told.head.state {
        RunState::DidNotEnd => call.screen.warning("the run did not come to its end"),
        RunState::Running => call.screen.warning("the run goes on"),
        RunState::Succeeded | RunState::Failed | RunState::Interrupted => {}
    }
    for problem in &told.problems {
        call.screen.warning(problem);
    }
    Ok(Code::Success as u8)
}

/// Warnings of what is wrong with a journal.
fn say_odd(odd: &Odd, call: &Call) {
    if odd.foreign > 0 {
        let lines = count(odd.foreign, "line");
        call.screen.warning(&format!(
            "{lines} of the journal are not understood and were left out: another version of \
             the program may have written them"
        ));
    }
    if odd.torn {
        call.screen.warning("the last line of the journal is torn and was left out");
    }
}

/// The listeners that keep what a run does, as the settings have it.
pub(super) fn recorders(flags: &Flags, call: &Call, observers: &mut Vec<Box<dyn Observer>>) {
    let config = &call.settings.config;
    let (history, performance) = (&config.history, &config.performance);
    if performance.enable_profiling && flags.dry_run {
        call.screen.warning("a dry run runs nothing, so there is no profile of it");
    } else if performance.enable_profiling {
        let out = (!config.output.quiet).then(io::stderr);
        let path = performance.profile_file.clone();
        let fetched = call.fetched.get().cloned().unwrap_or_default();
        let profile = Profile::new(path, out, call.screen.error_paint()).after(fetched);
        observers.push(Box::new(profile));
    }
    if history.keep_runs == 0 || flags.dry_run {
        return;
    }
    let chosen = call.settings.chosen.iter().filter(|one| one.origin != Origin::Default);
    let settings = chosen.map(|one| (one.setting.name(), one.shown().to_owned())).collect();
    observers.push(Box::new(Journal::new(JournalOptions {
        folder: ops::runs_dir(),
        keep: usize::try_from(history.keep_runs).unwrap_or(usize::MAX),
        max_bytes: history.max_size_mb << 20,
        header: Header::new(std::process::id(), call.command.clone(), settings),
    })));
}

fn add(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a string cannot fail");
}
