//! Reads the messages and both rule sets, and lets each see each message.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::difference::{Differences, compare};
use crate::capture::{Body, Entry, Reader, in_force};
use crate::commands::messages::{self, Found};
use crate::config::Config;
use crate::config::loaded as setup;
use crate::correlate::Replay;
use crate::intake::describe;
use crate::intake::line::{Line, NotLetIn};
use crate::lookup::choice::Received;
use crate::message::{Message, Source};
use crate::mib::Mib;
use crate::mib::load::Held;
use crate::outcome::codec;
use crate::outcome::name::visible;
use crate::outcome::result::Outcome;
use crate::posted::kept::Kept;
use crate::rules::compile::{RuleFile, compile_with};
use crate::rules::{MessageContext, RuleSet, files};
use crate::settings::diagnostic::Diagnostics;
use crate::settings::values::{parse_duration, shown};
use crate::snmp;
use crate::terminal::{eprintln, print, println, say};
use crate::time::clock::{now, rfc3339};

/// Which messages: those that were captured in some time, or those of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// So long ago at most.
    Captured(Duration),
    /// What `trapline explain` reads.
    File(PathBuf),
}

impl FromStr for Against {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match parse_duration(text) {
            Some(time) if !time.is_zero() => Ok(Against::Captured(time)),
            _ if text.is_empty() || text == "0" => {
                Err("write how far to go back, such as 24h or 7d, or a file of messages".to_owned())
            }
            _ => Ok(Against::File(text.into())),
        }
    }
}

/// Compares the rules in force with edited ones; false if any outcome differs, or something is wrong.
///
/// # Errors
///
/// If the messages or the rules in force cannot be read.
pub fn run(against: &Against, config: Config, edited: &[PathBuf], as_json: bool) -> anyhow::Result<bool> {
    let directory = config.journal.directory.clone();
    let (Held { mib, .. }, _) = setup::mibs(&config, &[]);
    let since = match against {
        Against::Captured(time) => now().saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)),
        Against::File(_) => i64::MAX,
    };
    let opened = Reader::open(&directory, since);
    let mut captured = match against {
        // A file needs nothing of the daemon's.
        Against::File(_) => opened.ok().flatten(),
        Against::Captured(_) => opened.with_context(|| {
            format!(
                "cannot read what is captured in {}; run this as the daemon's user or root",
                directory.display()
            )
        })?,
    };
    if captured.is_none() && matches!(against, Against::Captured(_)) {
        bail!(
            "nothing is captured in {}; add [capture] to the configuration and reload, or name a file of messages: --against FILE",
            directory.display()
        );
    }
    let kept = captured.as_ref().map(|reader| in_force::read(reader.folder()));
    let kept =
        kept.transpose().context("cannot read the rules in force beside the captured messages")?.flatten();
    let Some((before, after)) = rule_files(&config, edited, kept)? else { return Ok(false) };
    let (Some(before), Some(after)) = (compiled(&before, &config, &mib), compiled(&after, &config, &mib))
    else {
        return Ok(false);
    };
    let mut comparison = Comparison::new(&config, &before, &after);
    match (against, &mut captured) {
        (Against::File(path), _) => {
            let content = messages::read(path, false)?;
            let each = |found: Found<'_>, source: &Source| {
                comparison.found(found, source);
                Ok(())
            };
            messages::each(&content, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), &mib, each)
                .with_context(|| path.display().to_string())?;
        }
        (Against::Captured(_), Some(reader)) => {
            let each = |entry: &Entry<'_>| {
                comparison.entry(entry);
                Ok(())
            };
            reader.each(each).context("cannot read what is captured")?;
            if reader.damaged > 0 {
                eprintln!("trapline: {} bytes of what is captured are damaged and left out", reader.damaged);
            }
        }
        (Against::Captured(_), None) => {}
    }
    comparison.print(against, as_json);
    Ok(comparison.differences.count() == 0)
}

fn decoded(all: &[Vec<u8>]) -> Vec<Outcome<'_>> {
    all.iter().filter_map(|bytes| codec::decode(bytes)).collect()
}

type Files = Vec<RuleFile>;

/// The rules in force and the edited ones; none if they cannot be read, which is said.
fn rule_files(
    config: &Config,
    edited: &[PathBuf],
    kept: Option<Files>,
) -> anyhow::Result<Option<(Files, Files)>> {
    let mut found = Diagnostics::default();
    let mut read =
        |paths: &[PathBuf]| files::rule_files(paths, Some(&config.console), &config.rule_packs, &mut found);
    let (before, after) = match (kept, edited) {
        (Some(kept), []) => (kept, read(&config.rule_paths)),
        (Some(kept), edited) => (kept, read(edited)),
        (None, []) => bail!(
            "which rules are in force is known only where the daemon captures messages; name the edited rules: `trapline test --against FILE RULES` compares the configured rules with them"
        ),
        (None, edited) => (read(&config.rule_paths), read(edited)),
    };
    setup::print(&found);
    Ok((!found.has_errors()).then_some((before, after)))
}

fn compiled(files: &[RuleFile], config: &Config, mib: &Arc<Mib>) -> Option<RuleSet> {
    let compiled = compile_with(files, mib.clone(), &setup::tables(config));
    let Some(mut rules) = compiled.rules else {
        setup::print(&compiled.found);
        return None;
    };
    rules.max_message = config.max_message;
    Some(rules)
}

/// Both rule sets, side by side.
pub(super) struct Comparison<'c> {
    config: &'c Config,
    before: &'c RuleSet,
    after: &'c RuleSet,
    replays: Option<(Replay<'c>, Replay<'c>)>,
    pub(super) differences: Differences,
    messages: u64,
    /// When the first and the last message were received.
    span: Option<(i64, i64)>,
    unreadable: u64,
}

impl<'c> Comparison<'c> {
    pub(super) fn new(config: &'c Config, before: &'c RuleSet, after: &'c RuleSet) -> Self {
        Comparison {
            config,
            before,
            after,
            replays: None,
            differences: Differences::default(),
            messages: 0,
            span: None,
            unreadable: 0,
        }
    }

    /// A captured message. It was let in when it was received.
    pub(super) fn entry(&mut self, entry: &Entry<'_>) {
        let source = entry.source();
        let tags: Option<Vec<String>> =
            entry.tags.as_ref().map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect());
        match (entry.notification(), entry.body) {
            (Some(Ok(message)), _) => self.message(&message, &source, tags.as_deref()),
            (None, Body::Line { text, cut }) => self.line(&Line::kept(text, cut), &source),
            (None, Body::Posted(text)) => match Kept::read(text) {
                Some(kept) => self.message(&kept.message(), &source, None),
                None => self.unreadable += 1,
            },
            _ => self.unreadable += 1,
        }
    }

    /// A message of a file.
    pub(super) fn found(&mut self, found: Found<'_>, source: &Source) {
        match found {
            Found::Line(line) => match self.config.lines().datagram(line, source) {
                Ok(line) => self.line(&line, source),
                Err(NotLetIn) => self.unreadable += 1,
            },
            Found::Packet(packet) => match snmp::decode(packet) {
                Ok(decoded) => {
                    let access = &self.config.snmp.access;
                    let Ok(reach) = access.admit(&decoded.notification, source) else {
                        self.unreadable += 1;
                        return;
                    };
                    let tags = access.tags(reach);
                    self.message(&Message::Notification(decoded.notification), source, tags);
                }
                Err(_) => self.unreadable += 1,
            },
        }
    }

    fn line(&mut self, line: &Line<'_>, source: &Source) {
        self.message(&Message::Syslog(self.config.lines().parse(line, source)), source, None);
    }

    fn message(&mut self, message: &Message<'_>, source: &Source, tags: Option<&[String]>) {
        let (hosts, access) = (&self.config.hosts, &self.config.snmp.access);
        let relay = match message {
            Message::Notification(notification) => access.is_relay(notification, source),
            Message::Syslog(_) | Message::Posted(_) => true,
        };
        let address = source.address().to_string();
        let reverse = |_| None;
        let received = Received { message, source, address: &address, relay, reverse: &reverse };
        let choice = hosts.choose(&received, None);
        let context = MessageContext::new(&received, &choice, hosts, tags);
        let (before, after) = self.replays.get_or_insert_with(|| {
            (Replay::new(self.before, source.received), Replay::new(self.after, source.received))
        });
        let (mut old, mut new): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        before.message(&context, |outcome| old.push(outcome.to_owned()));
        after.message(&context, |outcome| new.push(outcome.to_owned()));
        self.messages += 1;
        let (first, last) = self.span.unwrap_or((source.received, source.received));
        self.span = Some((first.min(source.received), last.max(source.received)));
        if old == new {
            return;
        }
        for difference in compare(&decoded(&old), &decoded(&new)) {
            self.differences.add(difference, || {
                let what = describe::short(message, self.after.mib());
                format!("{} from {address}: {what}", rfc3339(source.received))
            });
        }
    }

    fn print(&self, against: &Against, as_json: bool) {
        let Comparison { messages, unreadable, differences, .. } = self;
        let span = self.span.map(|(from, to)| (rfc3339(from), rfc3339(to)));
        if as_json {
            let (from, to) = span.unzip();
            println!(
                "{}",
                json!({
                    "messages": messages, "from": from, "to": to, "left_out": unreadable,
                    "differences": differences.count(), "rules": differences.to_json(),
                })
            );
            return;
        }
        let of = match against {
            Against::Captured(time) => format!("of the last {}", shown(*time)),
            Against::File(path) => format!("in {}", path.display()),
        };
        let span = span.map_or_else(String::new, |(from, to)| format!(", {from} to {to}"));
        say!(
            "{messages} messages {of}{span}: {} outcomes of {} rules would differ",
            differences.count(),
            differences.rules()
        );
        if *unreadable > 0 {
            println!("{unreadable} messages left out: they cannot be decoded, or are not let in");
        }
        for line in differences.to_text().lines() {
            print!("{}\n", visible(line));
        }
    }
}
