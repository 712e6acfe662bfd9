//! `config show`, `config get` and `config check`.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::args::{ConfigVerb, Flags, Format};
use super::flags::no_such;
use super::screen::Screen;
use super::{Call, Code, Failure, diagnostics};
use crate::base::Diagnostic;
use crate::base::place::shown;
use crate::config::{Chosen, Find, SECTIONS, check_file, find};
use crate::ops::Error;

pub(super) fn run(verb: &ConfigVerb, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    match verb {
        ConfigVerb::Show { origin, names } => show(names, *origin, flags, call),
        ConfigVerb::Get { key, origin } => get(key, *origin, flags, call),
        ConfigVerb::Check { file } => check(file, flags, &call.screen),
    }
}

#[derive(Serialize)]
struct Row<'a> {
    section: &'a str,
    key: &'a str,
    /// Of a secret that is set, stars.
    value: &'a str,
    default: &'a str,
    allowed: String,
    origin: String,
    in_use: bool,
    secret: bool,
    doc: String,
}

impl<'a> Row<'a> {
    fn new(chosen: &'a Chosen) -> Self {
        let setting = chosen.setting;
        Self {
            section: setting.section,
            key: setting.key,
            value: chosen.shown(),
            default: setting.default,
            allowed: setting.allowed(),
            origin: chosen.origin.to_string(),
            in_use: setting.is_in_use(),
            secret: setting.secret,
            doc: setting.doc(),
        }
    }
}

fn show(names: &[String], origin: bool, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let all = &call.settings.chosen;
    let mut wanted = vec![names.is_empty(); all.len()];
    let mut mistakes = Vec::new();
    for name in names {
        if SECTIONS.iter().any(|section| section.name == name) {
            for (row, chosen) in wanted.iter_mut().zip(all) {
                *row |= chosen.setting.section == name;
            }
            continue;
        }
        match find(name) {
            Find::Known(index) => wanted[index] = true,
            other => mistakes.push(no_such(name, &other)),
        }
    }
    if !mistakes.is_empty() {
        return Err(Error::Config(mistakes).into());
    }
    let rows: Vec<Row<'_>> = all
        .iter()
        .zip(wanted)
        .filter(|(_, wanted)| *wanted)
        .map(|(one, _)| Row::new(one))
        .collect();
    let text = match flags.output {
        Format::Json => json(&rows)?,
        Format::Text => lines(&rows, origin),
    };
    call.screen.output(text.as_bytes())?;
    Ok(Code::Success as u8)
}

/// `section.key = value`, and what there is to say of it in brackets.
fn lines(rows: &[Row<'_>], origin: bool) -> String {
    let mut out = String::new();
    for row in rows {
        let mut notes = Vec::new();
        if origin {
            notes.push(row.origin.as_str());
        }
        if !row.in_use {
            notes.push("not yet in use");
        }
        let Row { section, key, value, .. } = row;
        let value = crate::base::text::shown(value.as_bytes());
        let line = format!("{section}.{key} = {value}");
        let notes =
            if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
        writeln!(out, "{}{notes}", line.trim_end()).expect("writing to a string cannot fail");
    }
    out
}

fn get(key: &str, origin: bool, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    let chosen = match find(key) {
        Find::Known(index) => call.settings.get(index),
        other => return Err(Error::Config(vec![no_such(key, &other)]).into()),
    };
    let Some(chosen) = chosen else { return Ok(Code::Success as u8) };
    let text = match flags.output {
        Format::Json => json(&Row::new(chosen))?,
        Format::Text if origin => format!("{}  ({})\n", chosen.shown(), chosen.origin),
        Format::Text => format!("{}\n", chosen.shown()),
    };
    call.screen.output(text.as_bytes())?;
    Ok(Code::Success as u8)
}

#[derive(Serialize)]
struct Checked {
    file: String,
    ok: bool,
    mistakes: Vec<Problem>,
    warnings: Vec<Problem>,
}

#[derive(Serialize)]
struct Problem {
    message: String,
    line: Option<u32>,
    help: Vec<String>,
}

impl Problem {
    fn of(all: &[Diagnostic]) -> Vec<Self> {
        all.iter()
            .map(|one| Self {
                message: one.message.clone(),
                line: one.place.as_ref().map(|place| place.line),
                help: one.help.clone(),
            })
            .collect()
    }
}

/// Says what is wrong in a file; nothing else is read.
pub(super) fn check(file: &Path, flags: &Flags, screen: &Screen) -> Result<u8, Failure> {
    let (warnings, mistakes) = match check_file(file) {
        Ok(settings) => (settings.warnings, Vec::new()),
        Err(mistakes) => (Vec::new(), mistakes),
    };
    let file = shown(file);
    if flags.output == Format::Json {
        let checked = Checked {
            file,
            ok: mistakes.is_empty(),
            mistakes: Problem::of(&mistakes),
            warnings: Problem::of(&warnings),
        };
        screen.output(json(&checked)?.as_bytes())?;
        let code = if mistakes.is_empty() { Code::Success } else { Code::ConfigError };
        return Ok(code as u8);
    }
    if !mistakes.is_empty() {
        return Err(Error::Config(mistakes).into());
    }
    for warning in &warnings {
        screen.error(&diagnostics::warning(warning, screen.error_paint()));
    }
    let odd = if warnings.is_empty() { "" } else { ", but look at the warnings" };
    screen.output(format!("`{file}` can be used{odd}\n").as_bytes())?;
    Ok(Code::Success as u8)
}

fn json(data: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(data).map_err(|error| Failure::Output(error.into()))?;
    Ok(text + "\n")
}
