//! `trapline token`: who may use the API and the console.

use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::commands::args::{ConfigArg, ListArgs};
use crate::commands::daemon;
use crate::files::Folder;
use crate::settings::values::parse_duration;
use crate::terminal::{eprintln, println, say};
use crate::time::clock::{Clock as _, SystemClock, rfc3339};
use crate::web::api::role::Role;
use crate::web::api::tokens;

/// The longest life of a token that has an end.
const LONGEST: Duration = Duration::from_hours(24 * 3660);

/// Arguments of `trapline token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    what: What,
}

impl TokenArgs {
    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        !matches!(self.what, What::List(_))
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add a token and print it; it is shown only once
    Add(AddArgs),
    /// List tokens, without their secrets
    List(ListArgs),
    /// Remove a token; it is rejected within a second
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// A name, for the list and the audit
    name: String,
    /// The role: read, operate or admin
    #[arg(long, value_name = "ROLE", default_value = "read")]
    role: String,
    /// Lifetime, such as 90d. Default: unlimited
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Its name
    name: String,
}

/// Adds, lists or removes; false if the configuration is wrong.
///
/// # Errors
///
/// If an argument is wrong, or the file cannot be used.
pub fn run(args: &TokenArgs) -> anyhow::Result<bool> {
    match &args.what {
        What::Add(args) => add(args),
        What::List(args) => list(args),
        What::Remove(args) => remove(args),
    }
}

fn folder(config: &ConfigArg) -> anyhow::Result<Option<Folder>> {
    let Some(directory) = daemon::journal_directory(config) else { return Ok(None) };
    Ok(Some(Folder::open(&directory)?))
}

fn add(args: &AddArgs) -> anyhow::Result<bool> {
    let Some(role) = Role::of_token(&args.role) else {
        bail!("--role {}: there are read, operate and admin", args.role);
    };
    let lasts = match &args.expires {
        None => None,
        Some(text) => match parse_duration(text).filter(|time| !time.is_zero() && *time <= LONGEST) {
            Some(time) => Some(time),
            None => bail!("--expires {text}: no duration up to 3660d; write 90d"),
        },
    };
    let Some(folder) = folder(&args.config)? else { return Ok(false) };
    let secret = tokens::add(&folder, &args.name, role, SystemClock.now().wall, lasts)?;
    println!("{secret}");
    eprintln!("keep it: it is shown this once. Send it as `Authorization: Bearer ...`");
    Ok(true)
}

fn list(args: &ListArgs) -> anyhow::Result<bool> {
    let Some(folder) = folder(&args.config)? else { return Ok(false) };
    let (tokens, now) = (tokens::read(&folder)?, SystemClock.now().wall);
    if args.json {
        let all: Vec<_> = tokens.iter().map(tokens::Token::to_json).collect();
        println!("{}", json!({ "tokens": all }));
        return Ok(true);
    }
    if tokens.is_empty() {
        println!("no tokens; `trapline token add NAME --role read` makes one");
    }
    for token in &tokens {
        let end = match token.expires {
            None => "without end".to_owned(),
            Some(end) if token.is_valid(now) => format!("until {}", rfc3339(end)),
            Some(end) => format!("ended {}", rfc3339(end)),
        };
        say!("{:<20} {:<8} since {}, {end}", token.name, token.role.as_str(), rfc3339(token.created));
    }
    Ok(true)
}

fn remove(args: &RemoveArgs) -> anyhow::Result<bool> {
    let Some(folder) = folder(&args.config)? else { return Ok(false) };
    tokens::remove(&folder, &args.name)?;
    say!("removed: {}", args.name);
    Ok(true)
}
