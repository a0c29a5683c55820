//! The way from a message that no rule takes to a rule in force: the inbox, proposals, trials, and the rules of the console.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use hyper::header::{ETAG, IF_MATCH};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::import::mib::Comments;
use crate::inbox::{Group, Key};
use crate::intake::line::Reading;
use crate::lookup::choice::Candidate;
use crate::maker::explained::explain;
use crate::maker::suggest::{Maker, NoRule};
use crate::maker::trial::{Bench, NotTried, Trial};
use crate::maker::versions::{KEPT, tag};
use crate::maker::{Choices, Ground, groups};
use crate::message::{Message, Source};
use crate::pcap::Capture;
use crate::rules::{MessageContext, console};
use crate::settings::values::unhex;
use crate::snmp;
use crate::syslog::framing::of_datagram;
use crate::time::clock::{Mono, Now, rfc3339};
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::problem::{Mistake, Problem};
use crate::web::api::role::Role;
use crate::web::api::route::{Answering, Cost, Does, Gives, Method, Param, Route};
use crate::web::api::schema;

/// How long the messages of the inbox are looked at by a trial.
const LONGEST: Duration = Duration::from_secs(1);
/// How long it may compile and test, from the first rule that is tried on.
const COMPILING: Duration = Duration::from_secs(4);
/// The type of rules.
const TOML: &str = "application/toml; charset=utf-8";
/// How many messages of a capture are explained.
const MOST_EXPLAINED: usize = 50;
/// Who sends what is explained, unless told.
const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn group() -> Value {
    schema::with(&[
        ("id", schema::number()),
        ("kind", schema::object()),
        ("what", schema::text()),
        ("count", schema::number()),
        ("first", schema::text()),
        ("last", schema::text()),
        ("senders", schema::object()),
        ("other_senders", schema::number()),
        ("kept", schema::number()),
        ("course", schema::list(schema::number())),
    ])
}

fn uses() -> Value {
    schema::list(json!({ "enum": ["output", "service", "condition"] }))
}

fn choices() -> Value {
    let varbind = schema::only(&["at", "use"], &[("at", schema::number()), ("use", uses())]);
    let span = schema::only(
        &["start", "end", "name"],
        &[("start", schema::number()), ("end", schema::number()), ("name", schema::text()), ("use", uses())],
    );
    schema::only(
        &["group"],
        &[
            ("group", schema::number()),
            ("sample", json!({ "type": ["integer", "null"] })),
            ("with_pair", schema::flag()),
            ("example_addresses", schema::flag()),
            ("id", schema::maybe_text()),
            ("state", schema::maybe_text()),
            ("drop", schema::flag()),
            ("varbinds", schema::list(varbind)),
            ("spans", schema::list(span)),
        ],
    )
}

fn saved() -> Value {
    schema::with(&[
        ("etag", schema::text()),
        ("tests", schema::object()),
        ("diagnostics", schema::list(schema::object())),
    ])
}

pub(in crate::web::api) const ROUTES: &[Route] = &[
    Route {
        gives: Gives::Json(|| schema::with(&[("groups", schema::list(group()))])),
        ..Route::get(
            "/api/v1/inbox",
            "The messages that no rule takes, by kind, the newest first, as `trapline unmatched --json`",
            Does::Blocking(inbox),
        )
    },
    Route {
        gives: Gives::Json(|| {
            let mut schema = group();
            schema["properties"]["messages"] = schema::list(schema::object());
            schema
        }),
        ..Route::get(
            "/api/v1/inbox/{id}",
            "A group of the inbox with its messages, the oldest first",
            Does::Blocking(one_group),
        )
    },
    Route {
        gives: Gives::Nothing,
        ..Route::change(
            Method::Delete,
            "/api/v1/inbox/{id}",
            "Forget a group of the inbox",
            Does::Blocking(forget),
        )
    },
    Route {
        role: Role::Read,
        cost: Cost::Trial,
        body: Some(choices),
        gives: Gives::Json(|| {
            schema::with(&[
                ("toml", schema::text()),
                ("message", schema::object()),
                ("parts", schema::object()),
            ])
        }),
        ..Route::change(
            Method::Post,
            "/api/v1/rules/suggest",
            "Propose a rule, with its test, for the messages of a group of the inbox",
            Does::Blocking(suggest),
        )
    },
    Route {
        role: Role::Read,
        cost: Cost::Trial,
        body: Some(|| {
            let number = || json!({ "type": ["integer", "null"] });
            schema::only(
                &["toml"],
                &[
                    ("toml", schema::text()),
                    ("whole", schema::flag()),
                    ("group", number()),
                    ("sample", number()),
                ],
            )
        }),
        gives: Gives::Json(|| {
            schema::with(&[
                ("ok", schema::flag()),
                ("diagnostics", schema::list(schema::object())),
                ("tests", schema::object()),
            ])
        }),
        ..Route::change(
            Method::Post,
            "/api/v1/rules/try",
            "Try rules as they would stand, without putting them in force",
            Does::Blocking(attempt),
        )
    },
    Route {
        role: Role::Read,
        cost: Cost::Trial,
        body: Some(|| {
            schema::only(
                &[],
                &[
                    ("packet", schema::maybe_text()),
                    ("line", schema::maybe_text()),
                    ("pcap", schema::maybe_text()),
                    ("from", schema::maybe_text()),
                ],
            )
        }),
        ..Route::change(
            Method::Post,
            "/api/v1/explain",
            "What the rules in force make of a packet, a line or the messages of a capture, as `trapline explain --json`",
            Does::Blocking(explained),
        )
    },
    Route {
        role: Role::Operate,
        gives: Gives::Other(TOML),
        ..Route::get(
            "/api/v1/rules/console",
            "The file of the rules that were made in the console, as TOML, with its ETag",
            Does::Blocking(console_rules),
        )
    },
    Route {
        takes: "application/toml",
        query: &[Param { name: "dry_run", says: "only check and test: nothing changes" }],
        body: Some(schema::text),
        gives: Gives::Json(saved),
        ..Route::change(
            Method::Put,
            "/api/v1/rules/console",
            "Replace the rules of the console, if everything compiles and all tests pass, and put them in force",
            Does::Later(put),
        )
    },
    Route {
        query: &[Param { name: "skip", says: "pass over so many earlier versions, which are refused" }],
        gives: Gives::Json(saved),
        ..Route::change(
            Method::Post,
            "/api/v1/rules/console/undo",
            "Make the rules of the console what they were before the last change",
            Does::Later(undo),
        )
    },
];

#[expect(clippy::unnecessary_wraps, reason = "the table has functions of this type")]
fn inbox(ask: &Ask) -> Result<Answer, Problem> {
    let status = &ask.desk.status;
    let active = status.shared.active();
    let (groups, now) = (status.inbox().groups(), status.clock.now());
    let shown: Vec<Value> =
        groups.iter().map(|group| with_id(groups::summary(group, active.rules.mib()), group, now)).collect();
    Ok(Answer::json(&json!({ "groups": shown })))
}

fn with_id(mut shown: Value, group: &Group, now: Now) -> Value {
    shown["id"] = group.id.into();
    shown["course"] = group.course.minutes(now).into();
    shown
}

fn one_group(ask: &Ask) -> Result<Answer, Problem> {
    let group = group_of(ask, number(ask)?)?;
    let in_force = ask.desk.status.shared.in_force();
    let lines = Reading::of(&in_force.active, &in_force.hosts);
    let shown = groups::with_messages(&group, &lines, in_force.active.rules.mib());
    Ok(Answer::json(&with_id(shown, &group, ask.desk.status.clock.now())))
}

/// The number in the path.
fn number(ask: &Ask) -> Result<u64, Problem> {
    let text = ask.path.first().map(String::as_str).unwrap_or_default();
    text.parse().map_err(|_| Problem::absent(format!("'{}' is no number of a group", text.escape_debug())))
}

fn group_of(ask: &Ask, id: u64) -> Result<Group, Problem> {
    let groups = ask.desk.status.inbox().groups();
    let group = groups.into_iter().find(|group| group.id == id);
    group
        .ok_or_else(|| Problem::absent(format!("there is no group {id}; GET /api/v1/inbox lists the groups")))
}

fn forget(ask: &Ask) -> Result<Answer, Problem> {
    let id = number(ask)?;
    match ask.desk.status.inbox().forget(&[id]) {
        0 => Err(Problem::absent(format!("there is no group {id}; GET /api/v1/inbox lists the groups"))),
        _ => Ok(Answer::done()),
    }
}

fn suggest(ask: &Ask) -> Result<Answer, Problem> {
    let choices: Choices = ask.json()?;
    let group = group_of(ask, choices.group)?;
    let status = &ask.desk.status;
    let (in_force, workshop) = (status.shared.in_force(), status.workshop());
    let mib = workshop.names(in_force.active.rules.mib_handle());
    let module = match &group.key {
        Key::Trap(oid) => {
            oid.parse().ok().and_then(|oid| mib.lookup(&oid)).map(|object| object.module.clone())
        }
        _ => None,
    };
    let comments = module.map_or_else(Comments::default, |module| workshop.comments(&module));
    let maker = Maker { mib: &mib, comments: &comments, ground: Ground::of(&in_force, None, &|_| None) };
    match maker.suggest(&group, &choices) {
        Ok(made) => {
            Ok(Answer::json(&json!({ "toml": made.toml, "message": made.message, "parts": made.parts })))
        }
        Err(error @ (NoRule::Choice(_) | NoRule::NoSuchMessage(..))) => {
            Err(Problem::wrong(error.to_string()))
        }
        Err(error) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())),
    }
}

fn attempt(ask: &Ask) -> Result<Answer, Problem> {
    let trial: Trial = ask.json()?;
    let status = &ask.desk.status;
    let (in_force, workshop) = (status.shared.in_force(), status.workshop());
    let answers = status.shared.commit.correlation.at(status.clock.now());
    // The time counts from the first message on, and from the first rule on: a machine that is busy compiles slowly.
    let over = |began: &Cell<Option<Mono>>, longest| {
        let now = status.clock.now().mono;
        let start = began.get().unwrap_or(now);
        began.set(Some(start));
        now.since(start) > longest
    };
    let (first_message, first_rule) = (Cell::new(None), Cell::new(None));
    let late = || over(&first_message, LONGEST);
    let spent = || over(&first_rule, COMPILING);
    let bench = Bench {
        workshop: &workshop,
        mib: in_force.active.rules.mib_handle(),
        tables: &in_force.tables,
        ground: Ground::of(&in_force, Some(&answers), &|_| None),
        max_message: in_force.active.rules.max_message,
        late: &late,
        spent: &spent,
    };
    let tried = bench.run(&trial, &status.inbox().groups());
    tried.map(|answer| Answer::json(&answer)).map_err(|error| {
        let status = match error {
            NotTried::NoGroup(_) => StatusCode::NOT_FOUND,
            NotTried::TooMuch(_) => StatusCode::PAYLOAD_TOO_LARGE,
            NotTried::TooLong => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Problem::new(status, error.to_string())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToExplain {
    #[serde(default)]
    packet: Option<String>,
    #[serde(default)]
    line: Option<String>,
    #[serde(default)]
    pcap: Option<String>,
    #[serde(default)]
    from: Option<IpAddr>,
}

/// What somebody wants explained.
enum Given<'g> {
    Packet(&'g [u8]),
    Line(&'g [u8]),
}

fn explained(ask: &Ask) -> Result<Answer, Problem> {
    let wanted: ToExplain = ask.json()?;
    let from = wanted.from.unwrap_or(SENDER);
    let shown = match (&wanted.packet, &wanted.line, &wanted.pcap) {
        (Some(hex), None, None) => {
            let packet = unhex(hex)
                .ok_or_else(|| Problem::wrong("packet: write its octets as pairs of hexadecimal digits"))?;
            explain_one(ask, &Given::Packet(&packet), from)
        }
        (None, Some(line), None) => explain_one(ask, &Given::Line(line.as_bytes()), from),
        (None, None, Some(file)) => explain_capture(ask, file)?,
        _ => {
            return Err(Problem::wrong(
                "write one of \"packet\", in hexadecimal, \"line\", and \"pcap\", in base64",
            ));
        }
    };
    Ok(Answer::json(&shown))
}

/// The first messages of a capture: what begins as SNMP does is a packet, other text a line.
fn explain_capture(ask: &Ask, file: &str) -> Result<Value, Problem> {
    let file =
        BASE64_STANDARD.decode(file.trim()).map_err(|_| Problem::wrong("pcap: write the file in base64"))?;
    let mut capture = Capture::open(&file).map_err(|error| Problem::wrong(format!("pcap: {error}")))?;
    let (mut messages, mut others, mut more) = (Vec::new(), 0u64, 0u64);
    for packet in &mut capture {
        let given = match of_datagram(&packet.payload).first() {
            Some(0x30) => Some(Given::Packet(&packet.payload)),
            Some(b'<') => Some(Given::Line(&packet.payload)),
            _ => None,
        };
        match given {
            None => others += 1,
            Some(_) if messages.len() >= MOST_EXPLAINED => more += 1,
            Some(given) => {
                let mut shown = explain_one(ask, &given, packet.from);
                shown["from"] = packet.from.to_string().into();
                shown["port"] = packet.port.into();
                shown["time"] = packet.time.map(rfc3339).into();
                messages.push(shown);
            }
        }
    }
    let skipped = capture.skipped().to_string();
    Ok(json!({ "messages": messages, "more": more, "others": others, "skipped": skipped }))
}

fn explain_one(ask: &Ask, given: &Given<'_>, from: IpAddr) -> Value {
    let status = &ask.desk.status;
    let (in_force, workshop, now) = (status.shared.in_force(), status.workshop(), status.clock.now());
    let answers = status.shared.commit.correlation.at(now);
    let names = &status.shared.reverse;
    let reverse = |address| if in_force.hosts.reverse_dns { names.name(address, now.mono) } else { None };
    let ground = Ground::of(&in_force, Some(&answers), &reverse);
    let source = Source { peer: (from, 0).into(), received: now.wall.micros() };
    let explain = |context: &MessageContext<'_>, candidates: &[Candidate<'_>]| {
        explain(&in_force.active.rules, workshop.sinks.iter(), context, candidates).to_json()
    };
    let mut shown = match given {
        Given::Packet(packet) => match snmp::decode(packet) {
            Ok(decoded) => match in_force.active.access.admit(&decoded.notification, &source) {
                Ok(_) => ground.with(&Message::Notification(decoded.notification), &source, false, explain),
                Err(denied) => json!({ "denied": denied.reason(), "error": denied.to_string() }),
            },
            Err(error) => {
                json!({ "malformed": snmp::DecodeError::REASONS[error.index()], "error": error.to_string() })
            }
        },
        Given::Line(line) => match ground.lines.datagram(line, &source) {
            Ok(line) => {
                let message = Message::Syslog(ground.lines.parse(&line, &source));
                ground.with(&message, &source, false, explain)
            }
            Err(denied) => json!({ "denied": denied.reason(), "error": denied.to_string() }),
        },
    };
    if let Some(message) = shown["message"].as_object_mut().filter(|_| ask.caller.role < Role::Admin) {
        message.shift_remove("community");
    }
    shown
}

fn console_rules(ask: &Ask) -> Result<Answer, Problem> {
    // Not what is in force: somebody may have edited the file, and a change begins with what it has.
    let read = console::read(ask.desk.status.shared.journal.directory());
    let text = read
        .map_err(|error| Problem::unavailable(format!("the rules of the console cannot be read: {error}")))?
        .unwrap_or_default();
    let etag = quoted(&tag(&text));
    Ok(Answer::of(StatusCode::OK, TOML, text).with(ETAG, &etag))
}

fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

/// The version that somebody has changed; none for whatever there is.
fn base(ask: &Ask) -> Result<Option<String>, Problem> {
    let Some(text) = ask.field(IF_MATCH) else {
        let detail = "name the version that was changed: If-Match with the ETag of GET /api/v1/rules/console";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, detail));
    };
    if text.trim() == "*" {
        return Ok(None);
    }
    let tag = text.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match tag.filter(|tag| !tag.contains('"')) {
        Some(tag) => Ok(Some(tag.to_owned())),
        None => Err(Problem::wrong("If-Match has one ETag, in quotes, or *")),
    }
}

fn put(ask: Ask) -> Answering {
    Box::pin(async move {
        let base = base(&ask)?;
        let edit = json!({ "put": { "text": ask.text()? } });
        change(&ask, &edit, base, ask.flag("dry_run")?).await
    })
}

fn undo(ask: Ask) -> Answering {
    Box::pin(async move {
        let base = base(&ask)?;
        let skip = match ask.query.get("skip") {
            Some("0") => 0,
            _ => ask.number("skip", 0, KEPT as u64)?,
        };
        let done = change(&ask, &json!({ "undo": { "skip": skip } }), base, false).await;
        done.map_err(|problem| match problem.status {
            StatusCode::UNPROCESSABLE_ENTITY => Problem {
                detail: format!(
                    "the earlier version cannot be used any more, as other files have changed since; nothing has changed; \
                     ?skip={} goes one version further back",
                    skip + 1
                ),
                ..problem
            },
            _ => problem,
        })
    })
}

async fn change(ask: &Ask, edit: &Value, base: Option<String>, dry_run: bool) -> Result<Answer, Problem> {
    let request = json!({ "command": "console_rules", "edit": edit, "base": base, "dry_run": dry_run });
    let mut answer = ask.desk.control(request).await?;
    let etag = answer["tag"].as_str().map(quoted).unwrap_or_default();
    match answer["result"].as_str() {
        Some("saved" | "possible") => {
            answer["etag"] = etag.as_str().into();
            if let Some(all) = answer.as_object_mut() {
                all.shift_remove("tag");
            }
            Ok(Answer::json(&answer).with(ETAG, &etag))
        }
        Some("stale") => Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "somebody else has changed the rules of the console meanwhile; nothing has changed; load them again",
        )),
        Some("failed") => Err(Problem::unavailable(answer["error"].as_str().unwrap_or_default())),
        Some("nothing") => Err(Problem::new(StatusCode::CONFLICT, "there is no earlier version")),
        _ => {
            let found = answer["diagnostics"].as_array().map(Vec::as_slice).unwrap_or_default();
            let errors: Vec<Mistake> = found.iter().map(mistake).collect();
            let failed = answer["tests"]["failed"].as_u64().unwrap_or(0);
            let detail = if failed > 0 {
                format!("the rules are refused: {failed} tests fail; nothing has changed")
            } else {
                "the rules are refused; nothing has changed".to_owned()
            };
            Err(Problem { errors, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail) })
        }
    }
}

/// A diagnostic as the daemon has written it.
fn mistake(json: &Value) -> Mistake {
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let number = |name: &str| json[name].as_u64().and_then(|number| usize::try_from(number).ok());
    Mistake {
        file: text("file").unwrap_or_default(),
        place: number("line").zip(number("column")),
        message: text("message").unwrap_or_default(),
        hint: text("hint"),
        is_warning: json["severity"] == "warning",
    }
}
