//! `trapline explain`

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::commands::args::{ConfigArg, address, listed, timestamp};
use crate::commands::asking::{Asking, Whom};
use crate::commands::decoded::print_message;
use crate::commands::messages::{self, Found};
use crate::commands::unmatched;
use crate::config::loaded as setup;
use crate::engine_id;
use crate::import::printed;
use crate::inbox::{Group, Raw};
use crate::intake::line::Line;
use crate::lookup::choice::Candidate;
use crate::lookup::reverse::confirmed;
use crate::maker::Ground;
use crate::maker::explained::explain;
use crate::maker::ground;
use crate::message::{Message, Notification, Source};
use crate::net::NoName;
use crate::outcome::name::{breaks_line, turns};
use crate::posted::checkin;
use crate::posted::events::{self, Format};
use crate::posted::kept::Kept;
use crate::rules::{MatchResult, MessageContext, Rule, RuleSet, Scratch};
use crate::settings::values::unhex;
use crate::snmp;
use crate::snmp::Decoded;
use crate::snmp::decode::MAX_VARBINDS;
use crate::snmp::usm::Memory;
use crate::terminal::{eprintln, println, say};
use crate::time::clock::now;
use crate::world::SystemResolver;

/// Arguments of `trapline explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    input: Input,
    /// The sender's address
    #[arg(long, value_name = "ADDR", default_value = "192.0.2.1", value_parser = address)]
    from: IpAddr,
    /// When the message was received, such as 2026-11-20T12:00:00Z. Default: now. Times in lines without a year get the
    /// nearest one
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    received: Option<Timestamp>,
    /// Print one JSON document per message
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Input {
    /// An SNMP packet in hex; spaces, colons and newlines are ignored
    #[arg(long, value_name = "HEX")]
    packet_hex: Option<String>,
    /// A capture (pcap or pcapng): its UDP packets to the ports 162, 1162, 514 and 1514
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// A syslog line
    #[arg(long, value_name = "LINE")]
    line: Option<String>,
    /// A check-in, as it is posted: '{"service": "backup", "status": "OK", "info": "done"}'
    #[arg(long, value_name = "BODY")]
    checkin: Option<String>,
    /// An event for [[intake.json]]: 'NAME={"a": 1}', or a whole body with several events
    #[arg(long, value_name = "NAME=BODY")]
    event: Option<String>,
    /// The last message of a group of `trapline unmatched`
    #[arg(long, value_name = "GROUP", value_parser = listed("a group", "trapline unmatched"))]
    unmatched: Option<u64>,
    /// A capture, a packet, hex dumps of packets (tcpdump -x, snmptrapd -d, xxd, Wireshark) or syslog lines; - reads standard
    /// input to its end
    file: Option<PathBuf>,
}

/// Explains; false if a message is malformed or no rule takes it.
///
/// # Errors
///
/// If the input cannot be read.
pub fn run(args: &ExplainArgs) -> anyhow::Result<bool> {
    let Some(setup) = setup::ready(args.config.path().as_deref()) else { return Ok(false) };
    let Some(rules) = &setup.compiled.rules else { return Ok(false) };
    let mut explainer = Explainer {
        rules,
        setup: &setup,
        as_json: args.json,
        let_in: args.input.unmatched.is_some(),
        reverse: RefCell::default(),
        asking: Asking::new(setup.config.journal.directory.clone()),
    };
    let received = || args.received.map_or_else(now, Timestamp::as_microsecond);
    let source = |address: IpAddr, received| Source { peer: (address, 0).into(), received };
    if let Some(hex) = &args.input.packet_hex {
        return explainer.packet(&packet(hex)?, &source(args.from, received()));
    }
    if let Some(line) = &args.input.line {
        return explainer.line(line.as_bytes(), &source(args.from, received()));
    }
    if let Some(body) = &args.input.checkin {
        return explainer.checkin(body, &source(args.from, received()));
    }
    if let Some(text) = &args.input.event {
        return explainer.events(text, &source(args.from, received()));
    }
    if let Some(id) = args.input.unmatched {
        return explainer.unmatched(&unmatched::group(&setup.config.journal.directory, id)?);
    }
    let Some(path) = args.input.pcap.as_ref().or(args.input.file.as_ref()) else { return Ok(false) };
    let content = messages::read(path, args.input.pcap.is_some())?;
    let named =
        || if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    // What snmptrapd has printed has no community, and was let in there.
    explainer.let_in |= str::from_utf8(&content).is_ok_and(printed::is_printed);
    let mut all = true;
    let each = |found: Found<'_>, source: &Source| {
        let source =
            &Source { received: args.received.map_or(source.received, Timestamp::as_microsecond), ..*source };
        all &= match found {
            Found::Packet(packet) => explainer.packet(packet, source)?,
            Found::Line(line) => explainer.line(line, source)?,
        };
        Ok(())
    };
    messages::each(&content, args.from, rules.mib(), each).with_context(named)?;
    Ok(all)
}

struct Explainer<'s> {
    rules: &'s RuleSet,
    setup: &'s setup::Setup,
    as_json: bool,
    /// Whether the messages have passed access control before: what is kept of them has no community.
    let_in: bool,
    /// Names by reverse DNS that were asked for.
    reverse: RefCell<HashMap<IpAddr, Option<String>>>,
    /// Answers what rules ask about what is open.
    asking: Asking,
}

impl Explainer<'_> {
    fn packet(&self, packet: &[u8], source: &Source) -> anyhow::Result<bool> {
        match snmp::decode(packet) {
            Ok(decoded) => self.decoded(decoded, source),
            Err(snmp::DecodeError::V3) if !self.setup.config.snmp.users.is_empty() => {
                self.packet_v3(packet, source)
            }
            Err(error) => Ok(self.malformed(&error)),
        }
    }

    /// A message of v3, with the keys of the configuration. Of informs only who receives them has the keys: the daemon, whose
    /// id is in its journal directory.
    fn packet_v3(&self, packet: &[u8], source: &Source) -> anyhow::Result<bool> {
        let own = engine_id::read(&self.setup.config.journal.directory.join("engine")).ok().flatten();
        let id = own.map_or_else(|| b"no engine".to_vec(), |(id, _)| id);
        // Whatever time it says is right: nobody knows when it was sent.
        let (memory, now) = Memory::as_told(id, packet).map_err(|error| anyhow!("{error}"))?;
        let Some(usm) = self.setup.usm(&Arc::new(memory)) else {
            return Ok(self.malformed(&snmp::DecodeError::V3));
        };
        let opened = match usm.open(packet, source.address(), now) {
            Ok(opened) => opened,
            Err(refused) => return Ok(self.malformed(&refused.why.into())),
        };
        match snmp::decode_scoped(&opened.scoped, usm.user_of(&opened), opened.level()) {
            Ok(mut decoded) => {
                usm.vouch(&opened, &mut decoded.notification);
                self.decoded(decoded, source)
            }
            Err(error) => Ok(self.malformed(&error)),
        }
    }

    fn unmatched(&self, group: &Group) -> anyhow::Result<bool> {
        let Some(sample) = group.samples.back() else {
            bail!("group {} has no message; it was only counted", group.id);
        };
        let source = ground::source(sample);
        match &sample.raw {
            Raw::Line(line) => self.read(&Line::kept(line, sample.cut), &source),
            Raw::Posted(text) => {
                let kept = Kept::read(text).context("the message that is kept cannot be read")?;
                self.posted(&kept, &source)
            }
            Raw::Packet(hex) | Raw::Octets(hex) => self.packet(&unhex(hex).unwrap_or_default(), &source),
        }
    }

    fn decoded(&self, decoded: Decoded<'_>, source: &Source) -> anyhow::Result<bool> {
        if decoded.odd > 0 {
            Self::odd(decoded.odd);
        }
        self.notification(decoded.notification, source)
    }

    /// Says it on standard error: it is about the packet, not about the message.
    fn odd(count: usize) {
        eprintln!(
            "trapline: {count} odd parts: varbinds that do not fit their type, are broken or beyond the first {MAX_VARBINDS}, a packet that is cut off, or a missing trap OID"
        );
    }

    fn notification(&self, notification: Notification<'_>, source: &Source) -> anyhow::Result<bool> {
        if let Err(denied) = self.setup.config.snmp.access.admit(&notification, source)
            && !self.let_in
        {
            return Ok(self.denied(denied.reason(), &denied.to_string()));
        }
        let message = Message::Notification(notification);
        self.message(&message, source)?;
        Ok(self.verdict(&message, source))
    }

    fn denied(&self, reason: &str, error: &str) -> bool {
        if self.as_json {
            println!("{}", json!({ "denied": reason, "error": error }));
        } else {
            say!("not let in ({reason}): {error}");
        }
        false
    }

    fn malformed(&self, error: &snmp::DecodeError) -> bool {
        let reason = snmp::DecodeError::REASONS[error.index()];
        if self.as_json {
            println!("{}", json!({ "malformed": reason, "error": error.to_string() }));
        } else {
            say!("malformed ({reason}): {error}");
        }
        false
    }

    fn line(&self, line: &[u8], source: &Source) -> anyhow::Result<bool> {
        match self.setup.config.lines().datagram(line, source) {
            Ok(line) => self.read(&line, source),
            Err(denied) => Ok(self.denied(denied.reason(), &denied.to_string())),
        }
    }

    fn read(&self, line: &Line<'_>, source: &Source) -> anyhow::Result<bool> {
        let message = Message::Syslog(self.setup.config.lines().parse(line, source));
        self.message(&message, source)?;
        Ok(self.verdict(&message, source))
    }

    /// A check-in. Its token is not looked at.
    fn checkin(&self, body: &str, source: &Source) -> anyhow::Result<bool> {
        let checkin = checkin::read(body.as_bytes()).map_err(|mistake| anyhow!("--checkin: {mistake}"))?;
        let mut sites = self.setup.config.intake.iter().map(|one| &one.site);
        let service = sites.find_map(|site| site.checkins.get(&checkin.service));
        if service.is_none() {
            eprintln!("trapline: no [[intake.checkin]] has this service: the daemon does not take it");
        }
        let kept = checkin.into_kept(service.and_then(|service| service.host.as_deref()));
        self.posted(&kept, source)
    }

    /// The events of a body, found as the configuration says.
    fn events(&self, text: &str, source: &Source) -> anyhow::Result<bool> {
        let (name, body) = text.split_once('=').context("--event: write NAME=BODY")?;
        let hooks = self.setup.config.intake.iter().flat_map(|one| &one.site.hooks);
        let queues = self.setup.config.queues.iter().map(|queue| &queue.source);
        let known = hooks.map(|hook| &hook.source).chain(queues).find(|of| of.name == name).cloned();
        if known.is_none() {
            eprintln!("trapline: no [[intake]] has this name of events: the daemon does not take it");
        }
        let any = || events::Source { name: name.to_owned(), format: Format::Any, each: None, host: None };
        let found = known.unwrap_or_else(any).read(body.as_bytes(), source.received);
        let mut all = true;
        for event in found.map_err(|mistake| anyhow!("--event: {mistake}"))? {
            match event.kept {
                Ok(kept) => all &= self.posted(&kept, source)?,
                Err(why) => bail!("--event: {why}"),
            }
        }
        Ok(all)
    }

    fn posted(&self, kept: &Kept, source: &Source) -> anyhow::Result<bool> {
        let message = kept.message();
        self.message(&message, source)?;
        Ok(self.verdict(&message, source))
    }

    fn with_subject<T>(
        &self,
        message: &Message<'_>,
        source: &Source,
        then: impl FnOnce(&MessageContext<'_>, &[Candidate<'_>]) -> T,
    ) -> T {
        let config = &self.setup.config;
        let reverse = |address| self.reverse(address);
        let ground = Ground {
            hosts: &config.hosts,
            access: &config.snmp.access,
            relays: &config.syslog.relays,
            lines: config.lines(),
            tables: None,
            state: Some(&self.asking),
            reverse: &reverse,
        };
        self.asking.begin();
        ground.with(message, source, self.let_in, then)
    }

    /// The name of an address by reverse DNS. The daemon has it as soon as the resolver has answered it.
    fn reverse(&self, address: IpAddr) -> Option<String> {
        if !self.setup.config.hosts.reverse_dns {
            return None;
        }
        let mut asked = self.reverse.borrow_mut();
        asked.entry(address).or_insert_with(|| reverse_of(address)).clone()
    }

    fn verdict(&self, message: &Message<'_>, source: &Source) -> bool {
        self.with_subject(message, source, |subject, _| {
            self.rules.apply(subject, &mut Scratch::default(), |_, _| {}) != MatchResult::Unmatched
        })
    }

    fn message(&self, message: &Message<'_>, source: &Source) -> anyhow::Result<()> {
        self.with_subject(message, source, |subject, candidates| {
            let sinks = self.setup.config.sinks.iter().map(|sink| &sink.settings);
            let made = explain(self.rules, sinks, subject, candidates);
            if self.as_json {
                let mut all = made.to_json();
                all["asked"] = self.asking.whom().map(Whom::as_str).into();
                println!("{}", serde_json::to_string_pretty(&all)?);
                return Ok(());
            }
            print_message(&made.message);
            print_host(subject, candidates);
            print_rules(&made.matched, &made.rejected);
            for (rule, does) in &made.state {
                say!("state           {rule}: without an earlier message it is {does}");
            }
            if let Some(whom) = self.asking.whom() {
                println!("state           is_open and open_count: {}", whom.in_words());
            }
            print_deliveries(&made.outcomes, &made.sends);
            for (rule, field, error) in &made.failures {
                println!();
                say!("cannot render   {field} of {rule}: {}", visible(error));
            }
            Ok(())
        })
    }
}

/// The name of an address by reverse DNS; what is wrong with it is said on standard error.
fn reverse_of(address: IpAddr) -> Option<String> {
    let why = match confirmed(&SystemResolver, address) {
        Ok(name) => return Some(name),
        Err(NoName::None) => return None,
        Err(NoName::Unconfirmed(name)) => {
            format!("its name {} does not have this address, so that it does not count", visible(&name))
        }
        Err(NoName::Failed(why)) => why,
    };
    eprintln!("trapline: reverse DNS of {address}: {why}");
    None
}

/// The most rules that are printed with the reason why they do not match.
const MOST_NEAR_MISSES: usize = 10;

fn print_host(subject: &MessageContext<'_>, candidates: &[Candidate<'_>]) {
    println!("{:<16}{}", "host of outcome", visible(subject.host));
    for candidate in candidates {
        println!("{:<16}{}", "", visible(&candidate.in_words(subject.address)));
    }
}

fn print_rules(matched: &[&Rule], rejected: &[(&Rule, String)]) {
    println!();
    if matched.is_empty() {
        println!("no rule takes it: it is counted as unmatched and kept in the inbox");
    }
    for rule in matched {
        say!("taken by        {} ({})", rule.id, rule.file);
    }
    // Rules for other traps of the module are the least likely to be meant.
    let (siblings, near): (Vec<_>, Vec<_>) =
        rejected.iter().partition(|(_, because)| because.starts_with("rule wants "));
    for (rule, because) in near.iter().chain(&siblings).take(MOST_NEAR_MISSES) {
        say!("not by          {}: {because}", rule.id);
    }
    if rejected.len() > MOST_NEAR_MISSES {
        let more = rejected.len() - MOST_NEAR_MISSES;
        println!("                and {more} more rules for similar messages; --json lists them");
    }
}

fn print_deliveries(outcomes: &[Value], deliveries: &[(String, String)]) {
    for outcome in outcomes {
        println!("\nmakes           {}", visible(&outcome.to_string()));
    }
    for (sink, what) in deliveries {
        say!("sink {sink:<11}{}{}", if sink.len() < 11 { "" } else { " " }, visible(what.trim_end()));
    }
}

/// Characters escaped that end lines, control terminals or turn others: JSON leaves those beyond ASCII as they are.
fn visible(text: &str) -> String {
    let hides = |c| breaks_line(c) || turns(c);
    text.chars().flat_map(|c| if hides(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

fn packet(hex: &str) -> anyhow::Result<Vec<u8>> {
    if !hex.contains(|c: char| c.is_alphanumeric()) && unhex(hex).is_some_and(|octets| octets.is_empty()) {
        bail!("--packet-hex: it is empty; write the octets of a packet, two digits each");
    }
    unhex(hex).with_context(|| {
        let between = |c: char| c.is_ascii_whitespace() || c == ':';
        match hex.chars().find(|c| !c.is_ascii_hexdigit() && !between(*c)) {
            Some(bad) => format!("--packet-hex: '{}' is not a hex digit", bad.escape_debug()),
            None => "--packet-hex: an odd number of digits; each octet has two".to_owned(),
        }
    })
}
