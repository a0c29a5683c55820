//! What was found.

use serde_json::{Value, json};

use crate::terminal::println;

/// How bad it is, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// It works, but not as well as it should, or not for long.
    Warning,
    /// It does not work.
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is about, in a word.
    pub area: &'static str,
    /// What was found, and where.
    pub what: String,
    /// What to do; empty if nothing is to be done.
    pub remedy: String,
}

impl Finding {
    /// All is well.
    pub fn good(area: &'static str, what: impl Into<String>) -> Self {
        Finding { level: Level::Good, area, what: what.into(), remedy: String::new() }
    }

    /// Something to know.
    pub fn note(area: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { level: Level::Note, area, what: what.into(), remedy: remedy.into() }
    }

    /// Something that should be put right.
    pub fn warning(area: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { level: Level::Warning, area, what: what.into(), remedy: remedy.into() }
    }

    /// Something that does not work.
    pub fn error(area: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { level: Level::Error, area, what: what.into(), remedy: remedy.into() }
    }
}

/// Whether nothing is broken.
pub fn holds(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level < Level::Error)
}

/// All of them as one document.
pub fn to_json(findings: &[Finding]) -> Value {
    let all = findings.iter().map(|finding| {
        json!({ "level": finding.level.as_str(), "area": finding.area, "what": finding.what, "remedy": finding.remedy })
    });
    json!({ "ok": holds(findings), "findings": all.collect::<Vec<Value>>() })
}

/// Prints them, a line each, and below it what to do.
pub fn print(findings: &[Finding]) {
    for Finding { level, area, what, remedy } in findings {
        println!("{:<9}{area:<15}{}", level.as_str(), indented(what));
        if !remedy.is_empty() {
            println!("{:<24}do: {}", "", indented(remedy));
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    println!("\n{} errors, {} warnings", count(Level::Error), count(Level::Warning));
}

/// Control characters escaped, but for line breaks, behind which the text is indented.
fn indented(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(|line| line.escape_debug().to_string()).collect();
    lines.join(&format!("\n{:<24}", "")).replace("\\'", "'").replace("\\\"", "\"")
}
