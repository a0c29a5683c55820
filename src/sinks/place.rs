//! Keys of sinks that publish messages to a place by name, such as a topic: where the server is, who we are, which place it is.

use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Common, Labels, Outcome, State};
use crate::settings::address::Address;
use crate::settings::section::Located;
use crate::settings::url::shown;
use crate::sinks::fields::{Escape, Template};
use crate::sinks::settings::{Key, Options};
use crate::sinks::sink::Said;

/// `user` and `password`, as [`login`](super::http::server::login) reads them.
pub(super) const LOGIN: &[Key] = &[
    Key { name: "user", default: "", says: "The user." },
    Key { name: "password", default: "", says: "The password." },
    Key { name: "password_file", default: "", says: "The same from the first line of a file." },
    Key { name: "password_env", default: "", says: "The same from an environment variable." },
];

/// The schemes of a server's URL, each with its default port: without TLS and with it.
pub(super) type Schemes = [(&'static str, u16); 2];

/// Reads `url`: where the server is, and whether TLS is spoken.
pub(super) fn url(
    options: &mut Options<'_, '_, '_>,
    schemes: Schemes,
    example: &str,
) -> Option<(Address, bool)> {
    let text = options.required("url", example)?;
    let [(plain, plain_port), (secure, secure_port)] = schemes;
    let parsed = text.split_once("://").and_then(|(scheme, rest)| {
        let port = match scheme {
            scheme if scheme == plain => plain_port,
            scheme if scheme == secure => secure_port,
            _ => return None,
        };
        Some((Address::parse(rest.trim_end_matches('/'), port)?, scheme == secure))
    });
    if parsed.is_none() {
        let hint =
            format!("write {plain}://HOST:PORT or {secure}://HOST:PORT; who you are has keys of its own");
        options.report_at(
            &text.span,
            format!("'{}' is no address of a server", shown(&text.value)),
            Some(&hint),
        );
    }
    parsed
}

/// Reads `addresses`: the servers of a cluster, `what` says of which kind. `example` is the host of one; none where something is wrong.
pub(super) fn addresses(
    options: &mut Options<'_, '_, '_>,
    port: u16,
    what: &str,
    example: &str,
) -> Option<Vec<Address>> {
    if options.get("addresses").is_none() {
        let hint = format!("add addresses = [\"{example}:{port}\"]");
        options.report("this sink needs 'addresses'", &hint);
        return None;
    }
    let all = options.strings("addresses")?;
    if all.is_empty() {
        options.report("'addresses' is empty", &format!("add the address of {what}"));
        return None;
    }
    let mut addresses = Vec::with_capacity(all.len());
    for Located { value, span } in all {
        let Some(address) = Address::parse(&value, port) else {
            let hint = format!("write HOST, HOST:PORT or [IPV6]:PORT, as in {example}:{port}");
            options.report_at(&span, format!("'{}' is no address of {what}", shown(&value)), Some(&hint));
            return None;
        };
        addresses.push(address);
    }
    Some(addresses)
}

/// Warns of a secret that is sent over a network without TLS to the server of `url`.
pub(super) fn in_the_clear(
    options: &mut Options<'_, '_, '_>,
    place: Option<&(Address, bool)>,
    secret: &str,
    schemes: Schemes,
) {
    let [(plain, _), (secure, _)] = schemes;
    let to: Vec<(&str, bool)> =
        place.map(|(address, secure)| (&*address.host, *secure)).into_iter().collect();
    let (how, hint) = (format!("over {plain}://"), format!("write {secure}:// in url"));
    options.in_the_clear(&to, &[format!("'{secret}'")], &how, &hint);
}

/// The same for servers that are told by one key whether TLS is spoken.
pub(super) fn open_to_all(options: &mut Options<'_, '_, '_>, servers: &[Address], secret: &str, hint: &str) {
    let to: Vec<(&str, bool)> = servers.iter().map(|server| (&*server.host, false)).collect();
    options.in_the_clear(&to, &[format!("'{secret}'")], "without TLS", hint);
}

/// The template of a place. What no value can mend in it is found by an example.
pub(super) fn template(
    options: &mut Options<'_, '_, '_>,
    key: &'static str,
    default: &str,
    escape: Escape,
    check: fn(&str) -> Result<(), Said>,
) -> Option<Template> {
    let text = options.string(key).unwrap_or(Located { value: default.to_owned(), span: 0..0 });
    let template = options.parsed(&text, Template::new(&text, escape))?;
    if let Ok(place) = template.render(&example())
        && let Err(why) = check(&place)
    {
        let hint = format!("the default is {default}");
        options.report_at(&text.span, format!("'{key}' makes no place: {why}"), Some(&hint));
        return None;
    }
    Some(template)
}

fn example() -> Record<'static> {
    let common = Common {
        time: 0,
        rule: "rule".into(),
        state: State::Critical,
        output: "output".into(),
        long_output: "".into(),
        source: "192.0.2.1".into(),
        labels: Labels::default(),
    };
    let (host, service) = ("host".into(), Some("service".into()));
    let check = CheckResult { common, host, service, perfdata: "".into() };
    Record { epoch: 1, sequence: 1, outcome: Outcome::CheckResult(check) }
}
