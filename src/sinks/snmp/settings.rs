//! The keys of the snmp sink.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::lane::{Security, SnmpSink};
use super::message::Form;
use crate::settings::address::Address;
use crate::settings::secret;
use crate::settings::url::shown;
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::snmp::usm::User;
use crate::snmp::usm::users::{auth_protocol, priv_protocol};

/// The port of receivers.
const PORT: u16 = 162;
const TIMEOUT: Duration = Duration::from_secs(1);

const COMMUNITY: secret::Keys =
    secret::Keys { inline: "community", file: "community_file", env: "community_env" };
const AUTH: secret::Keys =
    secret::Keys { inline: "auth_password", file: "auth_password_file", env: "auth_password_env" };
const PRIV: secret::Keys =
    secret::Keys { inline: "priv_password", file: "priv_password_file", env: "priv_password_env" };

/// `type = "snmp"`
pub const KIND: Kind = Kind {
    name: "snmp",
    says: "another receiver of notifications, as SNMP informs",
    keys: &[OWN, OF_V2C, OF_V3],
    answers: &[],
    read,
};

const OWN: &[Key] = &[
    Key { name: "to", default: "required", says: "`HOST` or `HOST:PORT`, over UDP. Default port: 162." },
    Key {
        name: "send",
        default: "\"original\"",
        says: "`\"original\"`: outcomes of a notification as the original notification, others as `traplineOutcome` of TRAPLINE-MIB. `\"outcome\"`: all as `traplineOutcome`.",
    },
    Key {
        name: "timeout",
        default: "\"1s\"",
        says: "How long the first try waits for an answer; each further try waits twice as long. Range: `100ms` to `30s`.",
    },
    Key { name: "retries", default: "3", says: "Number of further tries. Range: 0 to 10." },
];

const OF_V2C: &[Key] = &[
    Key {
        name: "community",
        default: "required",
        says: "For v2c. Without a `user`, this key or one of the next two is required.",
    },
    Key { name: "community_file", default: "", says: "The same from the first line of a file." },
    Key { name: "community_env", default: "", says: "The same from an environment variable." },
];

const OF_V3: &[Key] = &[
    Key { name: "user", default: "", says: "For v3: the user, instead of a community." },
    Key {
        name: "auth",
        default: "",
        says: "`MD5`, `SHA-1`, `SHA-224`, `SHA-256`, `SHA-384` or `SHA-512`. Default: no authentication.",
    },
    Key { name: "auth_password", default: "", says: "Its password, at least 8 characters." },
    Key { name: "auth_password_file", default: "", says: "The same from the first line of a file." },
    Key { name: "auth_password_env", default: "", says: "The same from an environment variable." },
    Key {
        name: "priv",
        default: "",
        says: "`DES`, `3DES`, `AES-128`, `AES-192`, `AES-256`, `AES-192-C` or `AES-256-C` (C: Cisco's key extension). Default: no encryption.",
    },
    Key { name: "priv_password", default: "", says: "Its password, at least 8 characters." },
    Key { name: "priv_password_file", default: "", says: "The same from the first line of a file." },
    Key { name: "priv_password_env", default: "", says: "The same from an environment variable." },
    Key { name: "context", default: "\"\"", says: "contextName of the messages." },
];

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let address = options.required("to", "nms.example.org").and_then(|text| {
        let address = Address::parse(&text, PORT);
        if address.is_none() {
            let hint = Some("write HOST, HOST:PORT or [IPV6]:PORT, as in nms.example.org:162");
            options.report_at(
                &text.span,
                format!("'{}' is no address of a receiver", shown(&text.value)),
                hint,
            );
        }
        address
    });
    let forms = [("original", Form::Original), ("outcome", Form::Outcome)];
    let form = options.word("send", &forms, "notification").unwrap_or(Form::Original);
    let range = Duration::from_millis(100)..=Duration::from_secs(30);
    let timeout = options.duration("timeout", range).unwrap_or(TIMEOUT);
    let retries = options.number("retries", 0..=10, "").unwrap_or(3);
    let security = security(options);
    Some(Arc::new(SnmpSink { address: address?, security: security?, form, timeout, retries }))
}

fn security(options: &mut Options<'_, '_, '_>) -> Option<Security> {
    let user = user(options);
    let has_community = options.has_secret(&COMMUNITY);
    let community = options.secret(&COMMUNITY);
    if options.get("user").is_some() {
        options.unused(OF_V2C, "it is for v2c, without 'user'");
        return user;
    }
    options.unused(OF_V3, "it is for v3, with 'user'");
    if !has_community {
        options.report(
            "this sink needs 'community' or 'user'",
            "add community = \"...\", or user, auth and priv for v3",
        );
    }
    community.map(Security::Community)
}

/// The user of v3; all of its keys are asked for.
fn user(options: &mut Options<'_, '_, '_>) -> Option<Security> {
    let name = options.string("user");
    let context = options.text("context", "");
    let auth = protocol(options, "auth", auth_protocol);
    let privacy = protocol(options, "priv", priv_protocol);
    let given = [("auth", &AUTH), ("priv", &PRIV)];
    let [auth_password, priv_password] = given.map(|(key, keys)| password(options, key, keys));
    let name = name?;
    if name.is_empty() || name.len() > 32 {
        options.report_at(&name.span, "a user name has 1 to 32 octets", None);
        return None;
    }
    if options.get("priv").is_some() && options.get("auth").is_none() {
        options.report("privacy without authentication is no security level of SNMPv3", "add auth");
        return None;
    }
    let auth = match (options.get("auth").is_some(), auth.zip(auth_password)) {
        (false, _) => {
            options.warn(
                "informs of a user without 'auth' prove nothing and are not encrypted",
                "add auth and priv if the receiver can",
            );
            return Some(Security::User(User::open(&name), context));
        }
        (true, auth) => auth?,
    };
    let privacy = match (options.get("priv").is_some(), privacy.zip(priv_password)) {
        (false, _) => None,
        (true, privacy) => Some(privacy?),
    };
    let privacy = privacy.as_ref().map(|(protocol, password)| (*protocol, password.as_bytes()));
    match User::new(&name, (auth.0, auth.1.as_bytes()), privacy) {
        Ok(user) => Some(Security::User(user, context)),
        Err(error) => {
            let hint = "passwords have 8 characters or more";
            options.report(format!("no keys can be made for this user: {error}"), hint);
            None
        }
    }
}

fn protocol<P>(
    options: &mut Options<'_, '_, '_>,
    key: &'static str,
    named: fn(&str) -> Result<P, String>,
) -> Option<P> {
    let text = options.string(key)?;
    let named = named(&text);
    if let Err(hint) = &named {
        options.report_at(&text.span, format!("'{}' is no protocol for {key}", text.value), Some(hint));
    }
    named.ok()
}

/// The password of a protocol. One without the other is reported.
fn password(
    options: &mut Options<'_, '_, '_>,
    protocol: &'static str,
    keys: &secret::Keys,
) -> Option<Zeroizing<String>> {
    let (has_password, has_protocol) = (options.has_secret(keys), options.get(protocol).is_some());
    if has_password != has_protocol {
        let missing = if has_protocol { keys.inline } else { protocol };
        options.report(format!("'{missing}' is missing"), "give both protocol and password, or neither");
    }
    options.secret(keys)
}
