//! The keys of the email sink.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::lane::Email;
use super::mail::{Composer, is_address};
use super::session::Server;
use crate::settings::address::Address;
use crate::settings::section::Located;
use crate::settings::url::shown;
use crate::sinks::http::server::login;
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::tls;

/// The ports of mail submission (RFC 8314, RFC 5321).
const PORT: u16 = 25;
const TLS_PORT: u16 = 465;
const MOST_DIGEST: Duration = Duration::from_hours(24);

/// `type = "email"`
pub const KIND: Kind = Kind {
    name: "email",
    says: "mail, through any server that accepts it for the recipients",
    keys: &[KEYS, LOGIN, tls::KEYS],
    answers: &[],
    read,
};

const KEYS: &[Key] = &[
    Key {
        name: "server",
        default: "required",
        says: "`smtp://HOST[:PORT]`, with STARTTLS, or `smtps://HOST[:PORT]`. Default ports: 25 and 465.",
    },
    Key { name: "from", default: "required", says: "The sender's address, without a name." },
    Key { name: "to", default: "required", says: "The recipients' addresses." },
    Key {
        name: "subject",
        default: "state, host and service",
        says: "A template of the subject of a mail with one outcome.",
    },
    Key {
        name: "body",
        default: "output and fields",
        says: "A template of the text of a mail with one outcome.",
    },
    Key {
        name: "digest",
        default: "\"0\"",
        says: "How long outcomes are collected for one mail; `\"0\"` for one mail per outcome. Range: `0` to `24h`.",
    },
    Key {
        name: "starttls",
        default: "true",
        says: "Whether `smtp://` uses STARTTLS, which the server must offer. Default for a server on this machine: false.",
    },
    Key { name: "hello", default: "the domain of `from`", says: "The name of this machine in EHLO." },
];

const LOGIN: &[Key] = &[
    Key {
        name: "user",
        default: "",
        says: "User for AUTH PLAIN or LOGIN; only over TLS or on this machine.",
    },
    Key { name: "password", default: "", says: "The password." },
    Key { name: "password_file", default: "", says: "The same from the first line of a file." },
    Key { name: "password_env", default: "", says: "The same from an environment variable." },
];

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = options.required("server", "smtps://mail.example.org");
    let server = server.and_then(|text| parsed(options, &text));
    let from = options.required("from", "trapline@example.org").and_then(|from| address(options, &from));
    if options.get("to").is_none() {
        options.report("this sink needs 'to'", "add to = [\"noc@example.org\"]");
    }
    let to = options.strings("to").and_then(|to| {
        if to.is_empty() {
            options.report("'to' is empty", "add to = [\"noc@example.org\"]");
        }
        // All are read, so that all mistakes show.
        let all: Vec<Option<String>> = to.iter().map(|to| address(options, to)).collect();
        all.into_iter().collect::<Option<Vec<String>>>().filter(|all| !all.is_empty())
    });
    let subject = options.template("subject", str::to_owned);
    let body = options.template("body", str::to_owned);
    let digest = options.duration("digest", Duration::ZERO..=MOST_DIGEST).unwrap_or_default();
    let local = server.as_ref().is_some_and(|(address, _)| is_local(&address.host));
    let starttls = options.boolean("starttls", !local);
    let hello = options.string("hello").map(|text| text.value);
    let login = login(options);
    let implicit = server.as_ref().is_some_and(|(_, implicit)| *implicit);
    let secure = server.as_ref().map(|(address, implicit)| (address.host.as_str(), *implicit || starttls));
    let without =
        ("there is no TLS with starttls = false", "add starttls = true, or write smtps:// in server");
    let tls = tls::read(options, secure, without);
    if login.is_some() && !implicit && !starttls && !local {
        options.report("the password would be sent in the clear", "remove starttls = false");
        return None;
    }
    let (from, to) = (from?, to?);
    let hello = hello.unwrap_or_else(|| from.rsplit('@').next().unwrap_or("localhost").to_owned());
    let valid = |c: char| c.is_ascii_alphanumeric() || "-.[]:_".contains(c);
    if hello.is_empty() || !hello.chars().all(valid) {
        options.report(format!("'{hello}' is no name of a machine"), "write hello = \"host.example.org\"");
        return None;
    }
    let server = Server {
        address: server?.0,
        tls: tls?,
        implicit_tls: implicit,
        starttls: starttls && !implicit,
        hello,
        login,
    };
    Some(Arc::new(Email { server, composer: Composer { from, to, subject, body }, digest }))
}

/// Where the server is, and whether TLS begins at once.
fn parsed(options: &mut Options<'_, '_, '_>, text: &Located<String>) -> Option<(Address, bool)> {
    let parsed = match text.split_once("://") {
        Some(("smtp", rest)) => Address::parse(rest, PORT).map(|address| (address, false)),
        Some(("smtps", rest)) => Address::parse(rest, TLS_PORT).map(|address| (address, true)),
        _ => None,
    };
    if parsed.is_none() {
        let hint = Some("write smtp://HOST:PORT or smtps://HOST:PORT");
        options.report_at(&text.span, format!("'{}' is no mail server", shown(&text.value)), hint);
    }
    parsed
}

fn address(options: &mut Options<'_, '_, '_>, text: &Located<String>) -> Option<String> {
    if !is_address(text) {
        let hint = Some("write it as in noc@example.org, without a name and angle brackets");
        options.report_at(&text.span, format!("'{}' is no address of mail", text.value), hint);
        return None;
    }
    Some(text.value.clone())
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
