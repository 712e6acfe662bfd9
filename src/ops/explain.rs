//! What is in a task's key, and what differs from its last run.

use super::build::quiet_options;
use super::earlier;
use super::project::Project;
use super::types::{BuildOptions, Error, Explanation, KeyPart};
use crate::cache::recipe::Recipe;
use crate::cache::record::Records;
use crate::cache::state::Phase;
use crate::engine::{self, Bench, Fate, Forecast, Results};
use crate::event::{Emitter, Failure};
use crate::home::Home;
use crate::store::DiskStore;

impl Project {
    /// What is in a task's key, and what differs from its last run. Writes nothing.
    pub fn explain(&self, options: &BuildOptions, task: &str) -> Result<Explanation, Error> {
        let id = self.find(task)?;
        let needed = self.graph.needed(&[id]);
        let home = Home::new(Some(&options.config.cache.cache_dir));
        let state = earlier::load(&home, &self.path, options, true);
        state.files.look_at_all(1);
        let (store, records) = (DiskStore::new(&home), Records::new(&home));
        let emitter = Emitter::new(String::new(), Vec::new());
        let bench = Bench {
            plan: self.plan(&needed),
            options: quiet_options(options),
            home: &home,
            state: &state,
            store: &store,
            records: &records,
            leases: None,
            began_ns: 0,
            environment: &options.environment,
            emitter: &emitter,
            results: Results::new(self.graph.len()),
        };
        // Dependencies first, so that their results are known where they can be.
        let mut last = None;
        for other in bench.plan.in_order() {
            let forecast = engine::forecast(&bench, other);
            if other == id {
                last = Some(forecast);
            }
        }
        let task = &self.manifest.tasks[id.index()];
        let row = state.row(&task.name).unwrap_or_default();
        let mut explanation = Explanation {
            task: task.name.clone(),
            key: None,
            last_key: (row.phase != Phase::New && row.key != Default::default()).then_some(row.key),
            parts: Vec::new(),
            differences: Vec::new(),
            up_to_date: false,
            restored: false,
            waits_for: Vec::new(),
            problem: None,
        };
        match last {
            None => {}
            Some(Forecast::Waits(tasks)) => explanation.waits_for = tasks,
            Some(Forecast::Blocked(failure)) => explanation.problem = Some(problem(&failure)),
            Some(Forecast::Known { recipe, key, fate }) => {
                explanation.key = task.command.is_some().then_some(key);
                explanation.parts = parts(&recipe);
                explanation.up_to_date = fate == Fate::UpToDate;
                explanation.restored = matches!(fate, Fate::Restored(_));
                explanation.differences = match fate {
                    Fate::UpToDate => Vec::new(),
                    Fate::Restored(reasons) | Fate::Runs(reasons) => reasons,
                };
            }
        }
        Ok(explanation)
    }
}

fn parts(recipe: &Recipe) -> Vec<KeyPart> {
    let entries = recipe.entries().unwrap_or_default();
    let part = |entry: &crate::cache::recipe::Entry<'_>| {
        let (name, value) = entry.shown();
        KeyPart { what: entry.tag.word().to_owned(), name, value }
    };
    entries.iter().map(part).collect()
}

pub(super) fn problem(failure: &Failure) -> String {
    match failure {
        Failure::ToolMissing { name } => format!("tool `{name}` is not on the PATH"),
        Failure::Input { path, problem } => format!("input `{path}`: {problem}"),
        Failure::Files { problem } => problem.clone(),
        // Nothing else stops a key from being formed.
        _ => String::new(),
    }
}
