//! `trapline checkin query`: how a service is by its last report, as a plugin for active checks.

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use crate::commands::call::{ServerArgs, call};
use crate::message::Status;
use crate::posted::form;
use crate::terminal::println;
use crate::vitals::{Judgement, Level};

/// Arguments of `trapline checkin`.
#[derive(Debug, Args)]
pub struct CheckInArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Query the last report of a service, as a plugin for Nagios and Icinga: exit status 0 to 3
    Query(QueryArgs),
}

#[derive(Debug, Args)]
struct QueryArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The service, as [[intake.checkin]] names it
    #[arg(long, value_name = "NAME")]
    service: String,
}

/// Prints the line of a plugin and gives its exit status.
pub fn run(args: &CheckInArgs) -> u8 {
    let What::Query(args) = &args.what;
    let judgement = asked(args).unwrap_or_else(|error| {
        // Nobody knows how it is.
        Judgement::without_numbers(Level::Unknown, &format!("{error:#}"))
    });
    println!("{}", judgement.line());
    judgement.level.exit_status()
}

fn asked(args: &QueryArgs) -> anyhow::Result<Judgement> {
    let path = format!("/state/{}", form::encoded(&args.service));
    let answer = call(&args.server, &Method::GET, &path, String::new())?;
    if answer.status != hyper::StatusCode::OK {
        bail!("{} answers {}: {}", args.server.url, answer.status, answer.excerpt());
    }
    let known: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| anyhow!("{} does not answer as Trapline does", args.server.url))?;
    judged(&known).ok_or_else(|| anyhow!("the answer has no state; use the release of the daemon"))
}

fn judged(known: &Value) -> Option<Judgement> {
    let level = match Status::from_word(known["state"].as_str()?)? {
        Status::Ok => Level::Ok,
        Status::Warning => Level::Warning,
        Status::Critical => Level::Critical,
        Status::Unknown => Level::Unknown,
    };
    let judgement = Judgement::without_numbers(level, known["output"].as_str()?);
    let perfdata = known["age"].as_u64().map(|age| format!("age={age}s;;;0")).unwrap_or_default();
    Some(Judgement { perfdata, ..judgement })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_report_decides() {
        for (state, status) in [("ok", 0), ("warning", 1), ("critical", 2), ("unknown", 3)] {
            let known = json!({ "state": state, "output": "disk | full\n`x`", "age": 12 });
            let judgement = judged(&known).unwrap();
            assert_eq!(judgement.level.exit_status(), status);
            let line = judgement.line();
            assert!(line.ends_with(" | age=12s;;;0") && line.matches('|').count() == 1, "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
        let none = judged(&json!({ "state": "unknown", "output": "no report yet", "age": null })).unwrap();
        assert_eq!(none.line(), "TRAPLINE UNKNOWN - no report yet");
        for other in [json!(null), json!({ "state": "fine", "output": "" }), json!({ "state": "ok" })] {
            assert!(judged(&other).is_none(), "{other}");
        }
    }
}
