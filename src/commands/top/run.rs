//! Asks the daemon and draws, until somebody ends it.

use std::io::{IsTerminal as _, stdin, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::figures::{Figures, Look};
use super::view::{self, Size};
use crate::commands::args::{ConfigArg, whole};
use crate::commands::daemon::{self, PATIENCE};
use crate::daemon::control::Request;
use crate::terminal::{Screen, println};

/// What ends it: q, Escape, Ctrl-C, Ctrl-D.
const ENDS: [u8; 4] = [b'q', 0x1b, 3, 4];

/// Arguments of `trapline top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the statistics of one interval as plain text, and exit
    #[arg(long)]
    once: bool,
    /// Seconds between updates
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = whole::<u64>(1..=3600, 5))]
    interval: u64,
}

/// Shows the figures; false if the configuration is wrong.
///
/// # Errors
///
/// If no daemon answers, or there is no terminal to draw on.
pub fn run(args: &TopArgs) -> anyhow::Result<bool> {
    let Some(directory) = daemon::journal_directory(&args.config) else { return Ok(false) };
    let (began, interval) = (Instant::now(), Duration::from_secs(args.interval));
    let before = look(&directory, began)?;
    if args.once {
        std::thread::sleep(interval);
        for line in view::plain(&Figures::between(&before, &look(&directory, began)?)) {
            println!("{line}");
        }
        return Ok(true);
    }
    if !stdin().is_terminal() || !stdout().is_terminal() {
        bail!("this needs a terminal; `trapline top --once` prints the figures once");
    }
    draw(&directory, began, interval, before)?;
    Ok(true)
}

fn draw(directory: &Path, began: Instant, interval: Duration, first: Look) -> anyhow::Result<()> {
    let mut screen = Screen::open()?;
    let mut before = first;
    let mut figures = Figures::between(&before, &before);
    loop {
        let (width, height) = screen.size();
        screen.draw(&view::screen(&figures, Size { width, height }));
        let until = Instant::now() + interval;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let (keys, resized) = screen.keys(left)?;
            if keys.iter().any(|key| ENDS.contains(key)) {
                return Ok(());
            }
            if resized {
                let (width, height) = screen.size();
                screen.draw(&view::screen(&figures, Size { width, height }));
            }
        }
        let now = look(directory, began)?;
        figures = Figures::between(&before, &now);
        before = now;
    }
}

/// Asks the daemon.
fn look(directory: &Path, began: Instant) -> anyhow::Result<Look> {
    let ask = |request: Request| {
        let answer = daemon::ask(directory, &request, Some(PATIENCE))?;
        match answer["error"].as_str() {
            Some(error) if answer["ok"] == false => bail!("{error}"),
            _ => Ok(answer),
        }
    };
    let status: Value = ask(Request::Status)?;
    let at = began.elapsed().as_secs_f64();
    let (senders, unmatched) = (ask(Request::Senders { silent: None })?, ask(Request::Kinds)?);
    Ok(Look { status, senders, unmatched, at })
}
