//! The keys of the syslog sink.

use std::sync::Arc;

use super::form::Form;
use super::lane::{Protocol, SyslogSink, Target};
use crate::settings::address::Address;
use crate::settings::section::as_integer;
use crate::settings::url::shown;
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::tls;
use crate::syslog::names::FACILITIES;

/// `type = "syslog"`
pub const KIND: Kind = Kind {
    name: "syslog",
    says: "a syslog server or SIEM, over RELP, TCP or UDP, with TLS or without",
    keys: &[KEYS, tls::KEYS],
    answers: &[],
    read,
};

const KEYS: &[Key] = &[
    Key {
        name: "to",
        default: "required",
        says: "`relp://HOST:PORT`, `relp+tls://`, `tls://`, `tcp://` or `udp://`. Default ports: 2514, 2514, 6514, 514 and 514.",
    },
    Key {
        name: "format",
        default: "\"rfc5424\"",
        says: "`\"rfc5424\"` with structured data, `\"cef\"` for ArcSight and most SIEMs, or `\"leef\"` for QRadar.",
    },
    Key { name: "facility", default: "\"local0\"", says: "The facility, by name or number (0 to 23)." },
    Key {
        name: "max_size",
        default: "8192",
        says: "The maximum size of a message in bytes, 480 to 65536. Longer texts are cut and counted (`cut`). Must not exceed the limit of the server: rsyslog's `maxMessageSize` is 8192 by default.",
    },
];

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let target = options.required("to", "relp://siem.example:2514").and_then(|text| {
        let target = Target::parse(&text);
        if target.is_none() {
            let hint = Some("write relp://, relp+tls://, tls://, tcp:// or udp:// and HOST:PORT, as in relp://siem.example:2514");
            options.report_at(&text.span, format!("'{}' is no address of a syslog server", shown(&text.value)), hint);
        }
        target
    });
    let forms = [("rfc5424", Form::Rfc5424), ("cef", Form::Cef), ("leef", Form::Leef)];
    let form = options.word("format", &forms, "format");
    let facility = options.get("facility").map_or(Some(16), |value| {
        let number = as_integer(value.get_ref()).and_then(|number| u8::try_from(number).ok());
        let named = || FACILITIES.iter().position(|name| Some(*name) == value.get_ref().as_str());
        let facility = number.filter(|number| usize::from(*number) < FACILITIES.len());
        let facility = facility.or_else(|| named().and_then(|at| u8::try_from(at).ok()));
        if facility.is_none() {
            let hint = format!("one of {}, or a number from 0 to 23", FACILITIES.join(", "));
            options.report_at(&value.span(), "there is no such facility", Some(&hint));
        }
        facility
    });
    let most = options.number("max_size", 480..=65_536, "bytes").unwrap_or(8192);
    let form = form.unwrap_or(Form::Rfc5424);
    let server = target.as_ref().map(|to| (to.address.host.as_str(), to.protocol.is_secure()));
    let tls =
        tls::read(options, server, ("there is no TLS to this address", "write tls:// or relp+tls:// in to"));
    let (facility, tls) = (facility?, tls?);
    Some(Arc::new(SyslogSink { target: target?, form, facility, most: most as usize, tls }))
}

impl Target {
    /// Reads a scheme and `HOST[:PORT]`.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (_, protocol, port) = Protocol::ALL.into_iter().find(|(known, ..)| *known == scheme)?;
        Some(Target { protocol, address: Address::parse(rest, port)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_in_every_form() {
        for (text, host, port) in [
            ("tcp://siem.example", "siem.example", 514),
            ("relp://siem.example", "siem.example", 2514),
            ("relp+tls://siem.example", "siem.example", 2514),
            ("tls://siem.example", "siem.example", 6514),
            ("udp://siem.example", "siem.example", 514),
            ("relp://192.0.2.1:20514", "192.0.2.1", 20514),
            ("tcp://[2001:db8::1]", "2001:db8::1", 514),
            ("tcp://[fe80::1%eth0]:7", "fe80::1%eth0", 7),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.address.host.as_str(), target.address.port), (host, port), "{text}");
        }
        let wrong = [
            "",
            "siem",
            "http://h",
            "tcp://",
            "tcp://h:0",
            "tcp://h:x",
            "tcp://h/x",
            "tcp://u@h",
            "tcp://[::1",
        ];
        for text in wrong {
            assert_eq!(Target::parse(text), None, "{text}");
        }
    }
}
