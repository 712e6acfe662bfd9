//! `audit verify`, `audit query` and `audit report`, and the log of a call itself (`trail`).

pub(super) mod trail;

use std::fmt::Write as _;
use std::path::Path;

use super::args::{AuditRange, AuditVerb, Flags, Format};
use super::upkeep::cache::json;
use super::{Call, Code, Failure};
use crate::base::clock;
use crate::base::text::{count, shown};
use crate::observe::{AuditType, EpochKey, Paint};
use crate::ops::audit::{
    Against, Anchored, AuditCount, AuditFilter, AuditLine, AuditReport, AuditVerified, query_audit,
    report_audit, verify_audit,
};

pub(super) fn run(verb: &AuditVerb, flags: &Flags, call: &Call) -> Result<u8, Failure> {
    match verb {
        AuditVerb::Verify { file, anchor, key } => {
            let against = against(anchor, key.as_deref())?;
            verify(file.as_deref(), against, flags, call)
        }
        AuditVerb::Query { file, kind, resource, range } => {
            let filter =
                AuditFilter { kinds: kinds(kind)?, resource: resource.clone(), ..of_range(range)? };
            query(file.as_deref(), &filter, flags, call)
        }
        AuditVerb::Report { file, range } => {
            report(file.as_deref(), &of_range(range)?, flags, call)
        }
    }
}

fn against(anchors: &[String], key: Option<&Path>) -> Result<Against, Failure> {
    let mut all = Vec::new();
    for text in anchors {
        match Anchored::parse(text) {
            Some(one) => all.push(one),
            None => {
                let found = Anchored::read(Path::new(text))?;
                if found.is_empty() {
                    return Err(refused(
                        format!("there is no anchor in `{}`", shown(text.as_bytes())),
                        "an anchor is SEQ:HASH, or a file that `audit.anchor_file` named",
                    ));
                }
                all.extend(found);
            }
        }
    }
    let key = key.map(EpochKey::read).transpose()?;
    if let Some(key) = key.as_ref().filter(|key| key.epoch > 0) {
        return Err(refused(
            format!("the key is that of epoch {}, and not the initial one", key.epoch),
            "name the copy of the key that was made before the log was begun",
        ));
    }
    Ok(Against { anchors: all, key, live: None })
}

fn verify(
    file: Option<&Path>,
    against: Against,
    flags: &Flags,
    call: &Call,
) -> Result<u8, Failure> {
    let found = verify_audit(&call.settings.config, file, against)?;
    let text = match flags.output {
        Format::Json => json(&found)?,
        Format::Text => verified(&found, call.screen.output_paint()),
    };
    call.screen.output(text.as_bytes())?;
    let code = if found.findings.is_empty() { Code::Success } else { Code::InvalidHash };
    Ok(code as u8)
}

/// A line for each finding, and a last one that counts.
fn verified(found: &AuditVerified, paint: Paint) -> String {
    let mut out = String::new();
    for one in &found.findings {
        let damage = paint.error(&one.damage.to_string());
        add(&mut out, format_args!("line {}: {damage}: {}", one.line, one.what));
    }
    let mut seen = format!("`{}`: {}", found.file, count(found.lines, "line"));
    if let Some(seals) = found.seals {
        write!(seen, ", {}", count(seals, "seal")).expect("writing to a string cannot fail");
    }
    if found.anchors > 0 {
        let anchors = count(found.anchors, "anchor");
        write!(seen, ", {anchors}").expect("writing to a string cannot fail");
    }
    let verdict = match found.findings.len() {
        0 => format!("as it was written, up to seq {} hash {}", found.seq, found.hash),
        findings => count(findings, "finding"),
    };
    add(&mut out, format_args!("{seen}: {verdict}"));
    out
}

fn query(
    file: Option<&Path>,
    filter: &AuditFilter,
    flags: &Flags,
    call: &Call,
) -> Result<u8, Failure> {
    let mut out = String::new();
    let unreadable = query_audit(&call.settings.config, file, filter, |line| {
        match flags.output {
            Format::Json => out.push_str(&json(&AuditLine::from(line))?),
            Format::Text => {
                out.push_str(&line.plain());
                out.push('\n');
            }
        }
        if out.len() > 1 << 16 {
            call.screen.output(out.as_bytes())?;
            out.clear();
        }
        Ok::<(), Failure>(())
    })?;
    call.screen.output(out.as_bytes())?;
    warn_of(unreadable, call);
    Ok(Code::Success as u8)
}

fn report(
    file: Option<&Path>,
    filter: &AuditFilter,
    flags: &Flags,
    call: &Call,
) -> Result<u8, Failure> {
    let report = report_audit(&call.settings.config, file, filter)?;
    let text = match flags.output {
        Format::Json => json(&report)?,
        Format::Text => table(&report)?,
    };
    call.screen.output(text.as_bytes())?;
    warn_of(report.unreadable, call);
    Ok(Code::Success as u8)
}

fn table(report: &AuditReport) -> Result<String, Failure> {
    let mut out = String::new();
    let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "none".to_owned());
    let rows = [
        ("file", report.file.clone()),
        ("first", time(&report.first)),
        ("last", time(&report.last)),
        ("lines", counted(report.all)),
    ];
    for (name, value) in rows {
        add(&mut out, format_args!("{name:18}  {value}"));
    }
    add(&mut out, format_args!("\nby type"));
    for (name, number) in &report.types {
        add(&mut out, format_args!("{name:18}  {}", counted(*number)));
    }
    add(&mut out, format_args!("\nby user"));
    for (name, number) in &report.users {
        add(&mut out, format_args!("{:18}  {}", shown(name.as_bytes()), counted(*number)));
    }
    if !report.failures.is_empty() {
        add(&mut out, format_args!("\nlast failures"));
    }
    for one in &report.failures {
        let words = serde_json::to_value(one).map_err(|error| Failure::Output(error.into()))?;
        let word =
            |name: &str| shown(words[name].as_str().unwrap_or_default().as_bytes()).into_owned();
        let (time, kind, resource) = (word("time"), word("type"), word("resource"));
        add(&mut out, format_args!("{time}  {kind}  {resource}  {}", word("details")));
    }
    Ok(out)
}

/// `12`, or `12 (3 failed)`
fn counted(number: AuditCount) -> String {
    match number.failed {
        0 => number.lines.to_string(),
        failed => format!("{} ({failed} failed)", number.lines),
    }
}

fn warn_of(unreadable: u64, call: &Call) {
    if unreadable > 0 {
        let lines = count(unreadable, "line");
        call.screen.warning(&format!(
            "{lines} of the audit log cannot be read; `reprovm audit verify` says more"
        ));
    }
}

fn kinds(names: &[String]) -> Result<Vec<AuditType>, Failure> {
    let parse = |name: &String| {
        AuditType::parse(name).ok_or_else(|| {
            refused(
                format!("there is no type `{}` in an audit log", shown(name.as_bytes())),
                &format!("the types are {}", AuditType::ALL.map(AuditType::name).join(", ")),
            )
        })
    };
    names.iter().flat_map(|all| all.split(',').map(str::to_owned)).map(|one| parse(&one)).collect()
}

fn of_range(range: &AuditRange) -> Result<AuditFilter, Failure> {
    let read = |text: &String| {
        clock::parse_time(text).ok_or_else(|| {
            refused(
                format!("`{}` is no time", shown(text.as_bytes())),
                "write 2024-11-16, `2024-11-16 14:30:00` (in UTC), or RFC 3339 with a zone",
            )
        })
    };
    let since = range.since.as_ref().map(read).transpose()?;
    let until = range.until.as_ref().map(read).transpose()?;
    Ok(AuditFilter {
        since: since.map(|(from, _)| from),
        until: until.map(|(from, length)| from.saturating_add(length)),
        ..AuditFilter::default()
    })
}

fn refused(message: String, help: &str) -> Failure {
    Failure::Refused { message, help: help.to_owned(), code: Code::InvalidArg }
}

fn add(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a string cannot fail");
}
