//! Takes what `tracing` hands over, keeps what is of weight, and gives each outlet its line.
//!
//! A field `fatal` makes an error a FATAL record. The span `run` with its field `id` says which
//! run the records belong to, in whatever thread they are made.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::queue::Queue;
use super::record::{Form, Record, Value};
use crate::base::clock;
use crate::event::Level;

/// Where lines go, and how they look there.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) form: Form,
    pub(super) queue: Arc<Queue>,
}

/// Gives the outlets what weighs at least as much as the level.
pub(super) fn subscriber(level: Level, outlets: Vec<Outlet>) -> impl Subscriber + Send + Sync {
    let hint = match level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error | Level::Fatal => LevelFilter::ERROR,
    };
    let heavy = FilterFn::new(move |metadata| metadata.is_span() || level_of(metadata) >= level);
    tracing_subscriber::registry().with(Lines::new(outlets)).with(heavy.with_max_level_hint(hint))
}

/// Turns events of `tracing` into lines.
#[derive(Debug)]
struct Lines {
    outlets: Vec<Outlet>,
    /// The span of the run, and the run's name.
    run: Mutex<Option<(Id, Arc<str>)>>,
}

impl Lines {
    fn new(outlets: Vec<Outlet>) -> Self {
        Self { outlets, run: Mutex::new(None) }
    }

    fn run(&self) -> MutexGuard<'_, Option<(Id, Arc<str>)>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if span.metadata().name() == "run" {
            let mut fields = Fields::default();
            span.record(&mut fields);
            let run = fields.values.into_iter().find_map(|(name, value)| match value {
                Value::Text(run) if name == "id" => Some(run),
                _ => None,
            });
            *self.run() = run.map(|run| (id.clone(), run.into()));
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = level_of(metadata);
        let run = self.run().as_ref().map(|(_, run)| Arc::clone(run));
        let target = metadata.target();
        let record = Record {
            time_ns: clock::now_ns(),
            level,
            target: target.strip_prefix("reprovm::").unwrap_or(target),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            run: run.as_deref(),
            message: fields.message,
            fields: fields.values,
        };
        for outlet in &self.outlets {
            outlet.queue.push(record.render(outlet.form).as_bytes(), level >= Level::Error);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut run = self.run();
        if run.as_ref().is_some_and(|(span, _)| *span == id) {
            *run = None;
        }
    }
}

fn level_of(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::ERROR if metadata.fields().field("fatal").is_some() => Level::Fatal,
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    values: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text)) => self.message = text,
            ("fatal", _) => {}
            (name, value) => self.values.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Bool(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Unsigned(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Signed(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::Float(value));
    }
}

#[cfg(test)]
mod tests {
    use tracing::Dispatch;

    use super::*;
    use crate::observe::Paint;

    /// The lines of what is logged inside, from this level on.
    fn logged(level: Level, inside: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&lines);
        let write = move |bytes: &[u8]| {
            to.lock().expect("no panic").extend_from_slice(bytes);
            Ok(())
        };
        let queue = Arc::new(Queue::start("test", Box::new(write)).expect("a thread"));
        let outlet = Outlet { form: Form::Terminal(Paint(false)), queue: Arc::clone(&queue) };
        tracing::subscriber::with_default(subscriber(level, vec![outlet]), inside);
        queue.finish();
        let text = String::from_utf8(lines.lock().expect("no panic").clone()).expect("text");
        text.lines().map(|line| line[13..].to_owned()).collect()
    }

    fn one_of_each() {
        tracing::debug!(target: "reprovm::a::b", n = -1, "one");
        tracing::info!(target: "reprovm::a", x = %"y z", on = true, "two");
        tracing::warn!(target: "reprovm::a", n = 3_usize, "three");
        tracing::error!(target: "reprovm::a", "four");
        tracing::error!(target: "reprovm::a", fatal = true, "five");
    }

    #[test]
    fn each_level_keeps_itself_and_what_weighs_more() {
        let all = [
            "DEBUG a::b: one n=-1",
            "INFO  a: two x=\"y z\" on=true",
            "WARN  a: three n=3",
            "ERROR a: four",
            "FATAL a: five",
        ];
        for (at, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!(logged(level, one_of_each), all[at..], "{level}");
        }
    }

    #[test]
    fn the_run_is_known_in_each_thread_while_its_span_lives() {
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(Lines::new(Vec::new())));
        let run = || {
            let lines = dispatch.downcast_ref::<Lines>().expect("it is ours");
            lines.run().as_ref().map(|(_, run)| run.clone())
        };
        tracing::dispatcher::with_default(&dispatch, || {
            let span = tracing::error_span!("run", id = %"r7");
            assert_eq!(run().as_deref(), Some("r7"));
            drop(span);
            assert_eq!(run(), None);
        });
    }
}
