//! `trapline dead`: outcomes that a far end will never take.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::commands::args::ConfigArg;
use crate::commands::daemon::{self, PATIENCE};
use crate::config::{Config, loaded};
use crate::daemon::control::Request;
use crate::outcome::name::visible;
use crate::sinks::dead::{DeadLetters, Letter, Taken};
use crate::terminal::{eprintln, println};

/// Arguments of `trapline dead`.
#[derive(Debug, Args)]
pub struct DeadArgs {
    #[command(subcommand)]
    what: What,
}

impl DeadArgs {
    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        !matches!(self.what, What::List(_))
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// List dead letters, with the reasons
    List(ListArgs),
    /// Make the daemon send dead letters again
    Retry(ChosenArgs),
    /// Delete dead letters
    Drop(ChosenArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The sink. Default: all
    sink: Option<String>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ChosenArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The sink
    sink: String,
    /// The ids. Default: all of the sink
    ids: Vec<String>,
}

/// Lists, retries or drops; false if there is nothing of what was asked for.
///
/// # Errors
///
/// If the files cannot be used.
pub fn run(args: &DeadArgs) -> anyhow::Result<bool> {
    match &args.what {
        What::List(args) => list(args),
        What::Retry(args) => take(args, true),
        What::Drop(args) => take(args, false),
    }
}

fn config(config: &ConfigArg) -> anyhow::Result<Config> {
    match loaded::config(config.path().as_deref()) {
        Ok((config, _)) => Ok(config),
        Err(found) => {
            loaded::print(&found);
            bail!("the configuration is wrong; `trapline check` reports the same")
        }
    }
}

fn list(args: &ListArgs) -> anyhow::Result<bool> {
    let config = config(&args.config)?;
    let directory = config.journal.directory.clone();
    let context = || format!("cannot read the dead letters in {}", directory.display());
    let sinks = match &args.sink {
        Some(sink) => {
            must_be_known(sink, &config)?;
            vec![sink.clone()]
        }
        None => DeadLetters::sinks(&directory).with_context(context)?,
    };
    for sink in sinks {
        let dead = DeadLetters::new(&directory, &sink);
        for letter in dead.list().with_context(context)? {
            if args.json {
                println!("{}", letter.as_json());
            } else {
                println!("{}", line(&sink, &letter));
            }
        }
        let retrying = dead.retrying().with_context(context)?.len();
        if retrying > 0 {
            eprintln!(
                "trapline: {retrying} more of {sink} are being sent again; `trapline dead drop {sink}` drops them too"
            );
        }
        let unreadable = dead.unreadable().with_context(context)?;
        if unreadable > 0 {
            let file = directory.join("dead").join(format!("{sink}.jsonl"));
            eprintln!(
                "trapline: {unreadable} lines in {} are not dead letters and stay there; edit or remove the file",
                file.display()
            );
        }
    }
    Ok(true)
}

/// Whether a sink is configured; one that neither is nor has dead letters is an error.
fn must_be_known(sink: &String, config: &Config) -> anyhow::Result<bool> {
    let configured = config.sinks.iter().any(|section| section.settings.name == *sink);
    let directory = &config.journal.directory;
    let with_letters = || {
        DeadLetters::sinks(directory)
            .with_context(|| format!("cannot read the dead letters in {}", directory.display()))
    };
    if !configured && !with_letters()?.contains(sink) {
        bail!("there is no sink '{sink}', nor dead letters of one; see `trapline sinks list`");
    }
    Ok(configured)
}

/// One line for people; what came from the network moves no cursor.
fn line(sink: &str, letter: &Letter) -> String {
    let outcome = &letter.as_json()["outcome"];
    let text = |name: &str| outcome[name].as_str().unwrap_or_default().escape_debug().to_string();
    let service = outcome["service"].as_str().map(|s| format!(" / {}", s.escape_debug())).unwrap_or_default();
    format!(
        "{} {} {} {}{service} {}: {}\n    because: {}",
        visible(sink),
        visible(letter.id()),
        text("time"),
        text("host"),
        text("state"),
        text("output"),
        letter.reason().escape_debug()
    )
}

fn take(args: &ChosenArgs, retry: bool) -> anyhow::Result<bool> {
    let config = config(&args.config)?;
    let (sink, directory) = (&args.sink, &config.journal.directory);
    let context = || format!("cannot change the dead letters in {}", directory.display());
    let configured = must_be_known(sink, &config)?;
    if retry && !configured {
        bail!(
            "sink '{sink}' is not configured, so nothing can be sent; add it, or add was = \"{sink}\" to the sink that replaces it"
        );
    }
    let chosen = |letter: &Letter| args.ids.is_empty() || args.ids.iter().any(|id| id == letter.id());
    let Taken { count, unsendable } =
        DeadLetters::new(directory, sink).take(retry, chosen).with_context(context)?;
    println!("{count} {}", if retry { "will be sent again" } else { "dropped" });
    if unsendable > 0 {
        eprintln!(
            "trapline: {unsendable} of {sink} stay: they say no outcome, as somebody has changed {}; correct them there, or drop them",
            directory.join("dead").join(format!("{sink}.jsonl")).display()
        );
    }
    if count > 0 {
        // A daemon that does not run looks when it starts.
        let request = Request::Letters { sink: sink.clone() };
        let answer = daemon::try_ask(directory, &request, Some(PATIENCE))?;
        if let Some(error) = answer.as_ref().and_then(|answer| answer["error"].as_str()).filter(|_| retry) {
            eprintln!("trapline: the running daemon: {error}; run `trapline reload`");
        }
    }
    Ok(count > 0)
}
