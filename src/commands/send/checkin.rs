//! `trapline send checkin`

use anyhow::bail;
use clap::{Args, ValueEnum};
use hyper::Method;
use serde_json::json;

use crate::commands::call::{ServerArgs, call};
use crate::terminal::say;

#[derive(Debug, Args)]
pub(crate) struct CheckInArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// A unique ID of the report; a repeated report is not accepted again
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The service, as [[intake.checkin]] names it
    service: String,
    /// The state
    #[arg(value_enum, ignore_case = true)]
    status: StatusArg,
    /// The text
    #[arg(default_value = "")]
    info: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StatusArg {
    Ok,
    Warning,
    Critical,
    Unknown,
}

/// Reports for a service.
///
/// # Errors
///
/// If the daemon does not take the report.
pub(crate) fn run(args: &CheckInArgs) -> anyhow::Result<()> {
    let status = match args.status {
        StatusArg::Ok => "OK",
        StatusArg::Warning => "WARNING",
        StatusArg::Critical => "CRITICAL",
        StatusArg::Unknown => "UNKNOWN",
    };
    let mut report = json!({ "service": args.service, "status": status, "info": args.info });
    if let Some(id) = &args.id {
        report["id"] = id.as_str().into();
    }
    let answer = call(&args.server, &Method::POST, "/", report.to_string())?;
    match answer.status.as_u16() {
        204 => say!("{} has reported {status}", args.service),
        409 => say!("{} has reported this before", args.service),
        _ => bail!("the report was not taken: {} {}", answer.status, answer.excerpt()),
    }
    Ok(())
}
