//! Lines that TCP Wrappers write: libwrap 7.6.q and those who speak like it (sshd, xinetd, rpcbind).

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_till1, take_until, take_until1},
    character::complete::{char, digit1},
    combinator::{all_consuming, opt, rest, value, verify},
    sequence::{delimited, preceded},
};

use crate::message::{WrapperAction, WrapperLine};

/// What the message of a syslog line says, if TCP Wrappers wrote it.
pub fn parse<'a>(program: Option<&'a str>, message: &'a str) -> Option<WrapperLine<'a>> {
    // One look at the first letter spares the grammar for nearly all other lines.
    if !matches!(message.as_bytes().first(), Some(b'r' | b'c' | b't' | b'w' | b'e' | b'F')) {
        return None;
    }
    let forms = (refused, connected, unverified, mismatch, cannot_execute, in_file, rpcbind, xinetd, twist);
    let (_, mut line) = all_consuming(alt(forms)).parse(message).ok()?;
    line.daemon = line.daemon.or(program);
    Some(line)
}

fn plain(action: WrapperAction) -> WrapperLine<'static> {
    WrapperLine {
        action,
        client_host: None,
        client_address: None,
        client_user: None,
        daemon: None,
        detail: None,
    }
}

/// A client as libwrap's eval_client() writes it: `name`, `user@name`; an address where it has no name.
fn client(input: &str) -> IResult<&str, (Option<&str>, &str)> {
    let (after, text) = take_till1(|c: char| c == ' ' || c == ',').parse(input)?;
    Ok((
        after,
        match text.rsplit_once('@') {
            Some((user, host)) if !user.is_empty() && !host.is_empty() => (Some(user), host),
            _ => (None, text),
        },
    ))
}

/// ` (address)`
fn address(input: &str) -> IResult<&str, &str> {
    delimited(tag(" ("), take_till1(|c: char| c == ')' || c == ' '), char(')')).parse(input)
}

fn from_client<'a>(
    action: WrapperAction,
    (user, host): (Option<&'a str>, &'a str),
    address: Option<&'a str>,
    detail: Option<&'a str>,
) -> WrapperLine<'a> {
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    WrapperLine {
        client_host: Some(host),
        client_address: address.or(Some(host).filter(|_| is_address)),
        client_user: user,
        detail,
        ..plain(action)
    }
}

/// `refused connect from %s (%s)`, `refused connect from %s with IP source routing options`; releases before
/// 7.6.q leave the address away.
fn refused(input: &str) -> IResult<&str, WrapperLine<'_>> {
    let routed =
        preceded(tag(" with "), value("IP source routing options", tag("IP source routing options")));
    (preceded(tag("refused connect from "), client), opt(address), opt(routed))
        .map(|(client, address, detail)| from_client(WrapperAction::Refused, client, address, detail))
        .parse(input)
}

/// `connect from %s (%s)`, `connect from %s with IP options (ignored):%s`. A bare `connect from %s` is not
/// taken: mail servers write it of every client.
fn connected(input: &str) -> IResult<&str, WrapperLine<'_>> {
    let options = preceded(tag(" with IP options (ignored):"), rest);
    let tail = alt((address.map(|a| (Some(a), None)), options.map(|o: &str| (None, Some(o.trim())))));
    (preceded(tag("connect from "), client), tail)
        .map(|(client, (address, detail))| from_client(WrapperAction::Connected, client, address, detail))
        .parse(input)
}

/// `twist %s to %s`
fn twist(input: &str) -> IResult<&str, WrapperLine<'_>> {
    (preceded(tag("twist "), client), preceded(tag(" to "), rest))
        .map(|(client, command)| from_client(WrapperAction::Twisted, client, None, Some(command)))
        .parse(input)
}

fn complaint(input: &str) -> IResult<&str, &str> {
    alt((tag("warning: "), tag("error: "))).parse(input)
}

/// `can't verify hostname: getaddrinfo(%s, %s) failed`
fn unverified(input: &str) -> IResult<&str, WrapperLine<'_>> {
    let (input, _) = (complaint, tag("can't verify hostname: getaddrinfo(")).parse(input)?;
    (take_until1(","), tag(", "), take_until(")"), tag(") failed"))
        .map(|(host, _, family, _)| from_client(WrapperAction::Mismatch, (None, host), None, Some(family)))
        .parse(input)
}

/// `host name/name mismatch: %s != %s`, `host name/address mismatch: %s != %s` (the address first), `host
/// name/name mismatch: reverse lookup results in non-FQDN %s`
fn mismatch(input: &str) -> IResult<&str, WrapperLine<'_>> {
    let (input, _) = (complaint, tag("host name/")).parse(input)?;
    let pair = || (take_till1(|c: char| c == ' '), preceded(tag(" != "), rest));
    let non_fqdn = preceded(tag("name mismatch: reverse lookup results in non-FQDN "), rest)
        .map(|host| from_client(WrapperAction::Mismatch, (None, host), None, Some("non-FQDN")));
    let name = preceded(tag("name mismatch: "), pair())
        .map(|(host, other)| from_client(WrapperAction::Mismatch, (None, host), None, Some(other)));
    let address = preceded(tag("address mismatch: "), pair())
        .map(|(address, host)| from_client(WrapperAction::Mismatch, (None, host), Some(address), None));
    alt((non_fqdn, name, address)).parse(input)
}

/// `cannot execute %s: %m`
fn cannot_execute(input: &str) -> IResult<&str, WrapperLine<'_>> {
    (complaint, verify(rest, |text: &str| text.starts_with("cannot execute /")))
        .map(|(_, text)| WrapperLine { detail: Some(text), ..plain(WrapperAction::Error) })
        .parse(input)
}

/// `<file>, line <n>: <text>`
fn in_file(input: &str) -> IResult<&str, WrapperLine<'_>> {
    let shape = |text: &str| {
        let parsed: IResult<&str, _> =
            (char('/'), take_until(", line "), tag(", line "), digit1, tag(": ")).parse(text);
        parsed.is_ok()
    };
    (complaint, verify(rest, shape))
        .map(|(_, text)| WrapperLine { detail: Some(text), ..plain(WrapperAction::Error) })
        .parse(input)
}

/// rpcbind: `connect from %s to %s(%s)` and, when turned away, `: request from unauthorized host`
fn rpcbind(input: &str) -> IResult<&str, WrapperLine<'_>> {
    let call = (take_until("("), delimited(char('('), take_until(")"), char(')')));
    (preceded(tag("connect from "), client), preceded(tag(" to "), call), rest)
        .map(|(client, (procedure, program), why): (_, (&str, &str), &str)| {
            let action = if why.contains("unauthorized host") || why.contains("not allowed") {
                WrapperAction::Refused
            } else {
                WrapperAction::Connected
            };
            let detail = if program.is_empty() { procedure } else { program };
            from_client(action, client, None, Some(detail))
        })
        .parse(input)
}

/// xinetd: `FAIL: <service> libwrap from=<address>`
fn xinetd(input: &str) -> IResult<&str, WrapperLine<'_>> {
    (preceded(tag("FAIL: "), take_till1(|c: char| c == ' ')), preceded(tag(" libwrap from="), rest))
        .map(|(service, address): (&str, &str)| {
            // xinetd writes IPv4 clients of a dual-stack socket as ::ffff:a.b.c.d.
            let address = address.strip_prefix("::ffff:").unwrap_or(address);
            WrapperLine {
                daemon: Some(service),
                ..from_client(WrapperAction::Refused, (None, address), Some(address), None)
            }
        })
        .parse(input)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Fields<'a> =
        (&'static str, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<&'a str>);

    fn fields(message: &str) -> Option<Fields<'_>> {
        parse(Some("d"), message)
            .map(|l| (l.action.as_str(), l.client_host, l.client_address, l.client_user, l.daemon, l.detail))
    }

    #[test]
    fn every_form_of_libwrap() {
        let d = Some("d");
        let cases: [(&str, Fields); 15] = [
            (
                "refused connect from evil.example (203.0.113.9)",
                ("refused", Some("evil.example"), Some("203.0.113.9"), None, d, None),
            ),
            (
                "refused connect from root@evil.example (2001:db8::9)",
                ("refused", Some("evil.example"), Some("2001:db8::9"), Some("root"), d, None),
            ),
            (
                "refused connect from 192.0.2.1",
                ("refused", Some("192.0.2.1"), Some("192.0.2.1"), None, d, None),
            ),
            (
                "refused connect from 192.0.2.1 with IP source routing options",
                ("refused", Some("192.0.2.1"), Some("192.0.2.1"), None, d, Some("IP source routing options")),
            ),
            (
                "connect from a.example (192.0.2.1)",
                ("connected", Some("a.example"), Some("192.0.2.1"), None, d, None),
            ),
            (
                "connect from a.example with IP options (ignored): 82 04 00 00",
                ("connected", Some("a.example"), None, None, d, Some("82 04 00 00")),
            ),
            (
                "twist 192.0.2.1 to /bin/echo 192.0.2.1 in.telnetd",
                (
                    "twisted",
                    Some("192.0.2.1"),
                    Some("192.0.2.1"),
                    None,
                    d,
                    Some("/bin/echo 192.0.2.1 in.telnetd"),
                ),
            ),
            (
                "warning: can't verify hostname: getaddrinfo(a.example, AF_INET) failed",
                ("mismatch", Some("a.example"), None, None, d, Some("AF_INET")),
            ),
            (
                "warning: host name/name mismatch: a.example != b.example",
                ("mismatch", Some("a.example"), None, None, d, Some("b.example")),
            ),
            (
                "warning: host name/address mismatch: 192.0.2.1 != a.example",
                ("mismatch", Some("a.example"), Some("192.0.2.1"), None, d, None),
            ),
            (
                "warning: host name/name mismatch: reverse lookup results in non-FQDN a",
                ("mismatch", Some("a"), None, None, d, Some("non-FQDN")),
            ),
            (
                "error: cannot execute /usr/sbin/nosuchd: No such file or directory",
                (
                    "error",
                    None,
                    None,
                    None,
                    d,
                    Some("cannot execute /usr/sbin/nosuchd: No such file or directory"),
                ),
            ),
            (
                "error: /etc/hosts.deny, line 1: bad option name: \"bogusopt\"",
                (
                    "error",
                    None,
                    None,
                    None,
                    d,
                    Some("/etc/hosts.deny, line 1: bad option name: \"bogusopt\""),
                ),
            ),
            (
                "FAIL: telnet libwrap from=::ffff:192.0.2.1",
                ("refused", Some("192.0.2.1"), Some("192.0.2.1"), None, Some("telnet"), None),
            ),
            (
                "connect from 192.0.2.1 to getport/addr(nfs): request from unauthorized host",
                ("refused", Some("192.0.2.1"), Some("192.0.2.1"), None, d, Some("nfs")),
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(fields(message), Some(expected), "{message}");
        }
    }

    #[test]
    fn lines_of_others_are_left_alone() {
        for message in [
            "connect from unknown[192.0.2.1]",
            "refused connection",
            "error: Could not load host key: /etc/ssh/key",
            "warning: something else",
            "refused connect from a (b) and more",
            "twist and shout",
            "",
        ] {
            assert_eq!(fields(message), None, "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_message_is_safe(text in any::<String>(), start in prop::sample::select(vec![
            "refused connect from ", "connect from ", "twist ", "warning: ", "error: ", "FAIL: "
        ])) {
            let _ = parse(None, &text);
            let _ = parse(None, &format!("{start}{text}"));
        }
    }
}
