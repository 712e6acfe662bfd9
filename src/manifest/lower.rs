//! Statements into tasks: `let` and pools first, then defaults file by file, then each task.
//!
//! One for both languages. Relations between tasks are checked elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fields::{Block, Common, Values};
use super::mistake::{Mistake, Mistakes};
use super::raw::{Fields, RawValue, Statement, too_large};
use super::source::Sources;
use super::text::{Budget, Lets};
use super::{Manifest, Pool, Span, Spanned, Task};
use crate::base::TaskName;

/// All that the statements of a manifest share.
#[derive(Debug)]
pub(super) struct Lowering<'a> {
    sources: &'a Sources,
    /// For each source the one that includes it; it has a smaller number.
    parents: &'a [Option<u32>],
    budget: Budget,
    pub(super) mistakes: Mistakes,
    lets: Lets,
    pools: Vec<Pool>,
    pool_spans: Vec<Span>,
    pool_numbers: BTreeMap<String, u32>,
    /// What holds for the tasks of each source.
    defaults: Vec<Arc<Common>>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(
        sources: &'a Sources,
        parents: &'a [Option<u32>],
        budget: Budget,
        mistakes: Mistakes,
    ) -> Self {
        Self {
            sources,
            parents,
            budget,
            mistakes,
            lets: Lets::new(),
            pools: Vec::new(),
            pool_spans: Vec::new(),
            pool_numbers: BTreeMap::new(),
            defaults: Vec::new(),
        }
    }

    /// The statements, each with its source, in the order of reading.
    pub(super) fn manifest(&mut self, statements: Vec<(u32, Statement)>) -> Manifest {
        for (source, statement) in &statements {
            match statement {
                Statement::Let { name, value } => self.declare(*source, name, value),
                Statement::Pool { name, fields } => self.pool(*source, name, fields),
                _ => {}
            }
        }
        self.all_defaults(&statements);
        let tasks = statements.iter().filter(|(_, it)| matches!(it, Statement::Task { .. }));
        let mut tasks = Vec::with_capacity(tasks.count());
        for (source, statement) in statements {
            if let Statement::Task { name, fields } = statement {
                tasks.push(self.task(source, name, &fields));
                if self.budget.is_empty() {
                    self.mistakes.names_missing = true;
                    break;
                }
            }
        }
        Manifest {
            tasks,
            pools: std::mem::take(&mut self.pools),
            sources: self.sources.paths(),
            texts: self.sources.clone(),
        }
    }

    fn values(&mut self, source: u32) -> Values<'_> {
        Values {
            text: self.sources.get(source).map_or("", |source| &source.text),
            source,
            lets: &self.lets,
            pools: &self.pool_numbers,
            budget: &mut self.budget,
            mistakes: &mut self.mistakes,
        }
    }

    fn declare(&mut self, source: u32, name: &Spanned<String>, value: &RawValue) {
        // A value that could not be read still declares its name, so that its uses are not
        // mistakes of their own.
        let value = self.values(source).definition(value).unwrap_or_default();
        if let Some(earlier) = self.lets.get(&name.value) {
            self.mistakes.add(
                Mistake::new(name.span, format!("`{}` is declared twice", name.value))
                    .label("declared again")
                    .also(earlier.span, "first declared here"),
            );
            return;
        }
        self.lets.insert(name.value.clone(), Spanned { value, span: name.span });
    }

    fn pool(&mut self, source: u32, name: &Spanned<String>, fields: &Fields) {
        let given = fields.iter().count() > 0;
        let depth = self.values(source).block(fields).depth;
        if let Some(&earlier) = self.pool_numbers.get(&name.value) {
            let first = self.pool_spans[earlier as usize];
            self.mistakes.add(
                Mistake::new(name.span, format!("pool `{}` is declared twice", name.value))
                    .label("declared again")
                    .also(first, "first declared here"),
            );
            return;
        }
        if depth.is_none() && !given {
            self.mistakes.add(
                Mistake::new(name.span, format!("pool `{}` has no depth", name.value))
                    .label("expected a `depth`")
                    .help("write `depth = N`: how many of its tasks may run at a time"),
            );
        }
        let number = u32::try_from(self.pools.len()).unwrap_or(u32::MAX);
        self.pool_numbers.insert(name.value.clone(), number);
        self.pools.push(Pool { name: name.value.clone(), depth: depth.unwrap_or(1) });
        self.pool_spans.push(name.span);
    }

    /// The defaults of each source: its own over those of the one that includes it.
    fn all_defaults(&mut self, statements: &[(u32, Statement)]) {
        let mut own: BTreeMap<u32, (Span, &Fields)> = BTreeMap::new();
        for (source, statement) in statements {
            let Statement::Defaults { span, fields } = statement else { continue };
            if let Some((first, _)) = own.get(source) {
                self.mistakes.add(
                    Mistake::new(*span, "a file can have one `defaults`")
                        .label("given again")
                        .also(*first, "first given here"),
                );
                continue;
            }
            own.insert(*source, (*span, fields));
        }
        for (source, parent) in (0_u32..).zip(self.parents) {
            let above = parent.map(|parent| Arc::clone(&self.defaults[parent as usize]));
            let above = above.unwrap_or_default();
            let common = match own.get(&source) {
                None => above,
                Some((_, fields)) => {
                    let common = self.values(source).block(fields).common;
                    Arc::new(common.over(&above))
                }
            };
            self.defaults.push(common);
        }
    }

    fn task(&mut self, source: u32, name: Spanned<TaskName>, fields: &Fields) -> Task {
        let defaults = Arc::clone(&self.defaults[source as usize]);
        let block = self.values(source).block(fields);
        if block.command.is_none() && !block.outputs.is_empty() {
            let output = block.outputs[0].span;
            self.mistakes.add(
                Mistake::new(output, format!("task `{}` has outputs but no `cmd`", name.value))
                    .label("nothing makes this")
                    .also(name.span, "a task without `cmd` only groups its dependencies"),
            );
        }
        if !self.budget.is_empty() && !self.budget.spend(defaults.weight()) {
            self.mistakes.add(too_large(name.span));
        }
        let Block { command, command_at, description, inputs, outputs, deps, common, .. } = block;
        let common = common.over(&defaults);
        Task {
            name: name.value,
            span: name.span,
            description,
            command,
            command_at,
            shell: common.shell.flatten(),
            cwd: common.cwd.flatten().unwrap_or_default(),
            inputs,
            outputs,
            deps,
            env: common.env,
            pass_env: common.pass_env,
            inherit_env: common.inherit_env.flatten().unwrap_or(false),
            tools: common.tools,
            timeout: common.timeout.flatten(),
            retries: common.retries.flatten(),
            pool: common.pool.flatten(),
            cache: common.cache.flatten().unwrap_or(true),
        }
    }
}

impl Common {
    /// These fields, and where one is not given that of `defaults`. Variables and tools are
    /// added up; a variable that is set here is not passed on.
    fn over(self, defaults: &Self) -> Self {
        let mut env = defaults.env.clone();
        // A variable that these fields pass on is no longer set by the defaults.
        env.retain(|name, _| !self.pass_env.contains(name));
        env.extend(self.env);
        let mut pass_env = self.pass_env;
        pass_env.extend(defaults.pass_env.iter().cloned());
        pass_env.retain(|name| !env.contains_key(name));
        let mut tools = self.tools;
        for tool in &defaults.tools {
            if !tools.iter().any(|own| own.value == tool.value) {
                tools.push(tool.clone());
            }
        }
        Self {
            cwd: self.cwd.or_else(|| defaults.cwd.clone()),
            shell: self.shell.or_else(|| defaults.shell.clone()),
            env,
            pass_env,
            inherit_env: self.inherit_env.or(defaults.inherit_env),
            tools,
            timeout: self.timeout.or(defaults.timeout),
            retries: self.retries.or(defaults.retries),
            pool: self.pool.or(defaults.pool),
            cache: self.cache.or(defaults.cache),
        }
    }

    /// What a copy takes in memory, roughly.
    fn weight(&self) -> usize {
        let env: usize = self.env.iter().map(|(name, value)| 120 + name.len() + value.len()).sum();
        let pass_env: usize = self.pass_env.iter().map(|name| 60 + name.len()).sum();
        let tools: usize = self.tools.iter().map(|tool| 60 + tool.value.len()).sum();
        let shell =
            self.shell.iter().flatten().flatten().map(|word| 40 + word.len()).sum::<usize>();
        env + pass_env + tools + shell
    }
}
