//! The forms of the lines, by program, each with the place in the program's source.
//!
//! The ident name (RFC 1413, section 6) is the client's own choice. libwrap cuts it at white space, so a form either finds
//! the client between two spaces, or reads from the right what stands behind it; no other character ends it.

use std::net::IpAddr;

use crate::message::{WrapperAction, WrapperLine};
use crate::text::has_either;

/// A form of line.
pub(super) struct Form {
    /// How the names of the programs begin that write it; empty for every program that is linked with libwrap.
    pub(super) programs: &'static [&'static str],
    /// Where the program writes it.
    #[cfg_attr(not(test), expect(dead_code, reason = "says where a row comes from"))]
    pub(super) source: &'static str,
    /// Reads it.
    pub(super) read: fn(&str) -> Option<WrapperLine<'_>>,
}

impl Form {
    /// Whether a program writes it.
    pub(super) fn is_of(&self, program: &str) -> bool {
        self.programs.iter().any(|name| program.starts_with(name))
    }
}

/// All forms. The first that reads a message counts.
pub(super) const FORMS: &[Form] = &[
    Form { programs: &[], source: "tcp_wrappers 7.6.q, refuse.c and fix_options.c", read: refused },
    Form { programs: &[], source: "tcp_wrappers 7.6.q, tcpd.c and fix_options.c", read: connected },
    Form { programs: &[], source: "tcp_wrappers 7.6.q, options.c, twist_option()", read: twist },
    Form { programs: &[], source: "tcp_wrappers 7.6.q, diag.c with socket.c, tcpd.c", read: complaint },
    Form { programs: &["xinetd"], source: "xinetd 2.3.15, access.c and log.c", read: xinetd },
    Form {
        programs: &["rpcbind", "portmap", "rpc.portmap"],
        source: "rpcbind 1.2, src/security.c, logit(); portmap 5, pmap_check.c",
        read: rpcbind,
    },
    Form {
        programs: &["rpc.mountd", "mountd", "rpc.statd", "statd"],
        source: "nfs-utils, support/misc/tcpwrapper.c, logit()",
        read: nfs,
    },
    Form {
        programs: &["inetd", "supfilesrv", "bsnmpd"],
        source: "FreeBSD and NetBSD, usr.sbin/inetd/inetd.c; bsnmpd, trans_udp.c",
        read: bsd_inetd,
    },
    Form { programs: &["slapd"], source: "OpenLDAP, servers/slapd/daemon.c, slap_listener()", read: slapd },
    Form { programs: &["stunnel"], source: "stunnel 4 and 5, src/libwrap.c, libwrap_auth()", read: stunnel },
    Form {
        programs: &["sm-mta", "sm-msp", "sendmail"],
        source: "sendmail 8, sendmail/daemon.c and conf.c, validate_connection()",
        read: sendmail,
    },
    Form { programs: &["exim"], source: "exim 4, src/smtp_in.c, smtp_start_session()", read: exim },
    Form { programs: &["vsftpd"], source: "vsftpd 3, prelogin.c, check_limits()", read: vsftpd },
    Form {
        programs: &["snmpd", "snmptrapd"],
        source: "net-snmp 5, agent/snmp_agent.c, netsnmp_agent_check_packet()",
        read: net_snmp,
    },
];

fn plain(action: WrapperAction) -> WrapperLine<'static> {
    WrapperLine {
        action,
        client_host: None,
        client_address: None,
        client_user: None,
        daemon: None,
        detail: None,
        repeated: None,
    }
}

fn is_address(text: &str) -> bool {
    // Most names are seen to be none without trying.
    let may_be = text.ends_with(|c: char| c.is_ascii_digit()) || has_either(text.as_bytes(), b':', b':');
    may_be && text.parse::<IpAddr>().is_ok()
}

/// A client by the name that a program knows and its address; libwrap says `unknown` or `paranoid` where there is no name.
fn client<'a>(action: WrapperAction, name: Option<&'a str>, address: Option<&'a str>) -> WrapperLine<'a> {
    let name = name.filter(|name| !matches!(*name, "unknown" | "paranoid"));
    let address = address.or(name.filter(|name| is_address(name)));
    let host = name.or(address);
    WrapperLine {
        client_host: host.map(Into::into),
        client_address: address.map(Into::into),
        ..plain(action)
    }
}

/// What stands before the last `@` and behind it; few clients have one.
fn around_at(text: &str) -> Option<(&str, &str)> {
    if has_either(text.as_bytes(), b'@', b'@') { text.rsplit_once('@') } else { None }
}

/// A client as libwrap's eval_client() writes it: `name`, `user@name`; an address where it has no name.
fn eval_client<'a>(action: WrapperAction, text: &'a str, address: Option<&'a str>) -> WrapperLine<'a> {
    let (user, host) = match around_at(text) {
        Some((user, host)) if !user.is_empty() && !host.is_empty() => (Some(user), host),
        _ => (None, text),
    };
    WrapperLine { client_user: user, ..client(action, Some(host), address) }
}

/// A client and what stands behind it: the client ends at the first space, as no part of it has one.
fn to_space(text: &str) -> Option<(&str, &str)> {
    let (client, rest) = text.split_at(text.bytes().position(|b| b == b' ').unwrap_or(text.len()));
    (!client.is_empty()).then_some((client, rest))
}

/// The address of ` (address)`.
fn in_parentheses(text: &str) -> Option<&str> {
    let address = text.strip_prefix(" (")?.strip_suffix(')')?;
    (!address.is_empty() && !has_either(address.as_bytes(), b' ', b')')).then_some(address)
}

/// `refused connect from %s (%s)`, `refused connect from %s with IP source routing options`; releases before 7.6.q leave the
/// address away.
fn refused(text: &str) -> Option<WrapperLine<'_>> {
    const ROUTED: &str = "IP source routing options";
    let (who, rest) = to_space(text.strip_prefix("refused connect from ")?)?;
    let (rest, detail) = match rest.strip_suffix(ROUTED).and_then(|rest| rest.strip_suffix(" with ")) {
        Some(rest) => (rest, Some(ROUTED)),
        None => (rest, None),
    };
    let address = if rest.is_empty() { None } else { Some(in_parentheses(rest)?) };
    Some(WrapperLine { detail, ..eval_client(WrapperAction::Refused, who, address) })
}

/// `connect from %s (%s)`, `connect from %s with IP options (ignored):%s`. A bare `connect from %s` is not taken: mail
/// servers write it of every client.
fn connected(text: &str) -> Option<WrapperLine<'_>> {
    let (who, rest) = to_space(text.strip_prefix("connect from ")?)?;
    let (address, detail) = match rest.strip_prefix(" with IP options (ignored):") {
        Some(options) => (None, Some(options.trim())),
        None => (Some(in_parentheses(rest)?), None),
    };
    Some(WrapperLine { detail, ..eval_client(WrapperAction::Connected, who, address) })
}

/// `twist %s to %s`. The command is the administrator's, with what the client has put into it, so it is read last.
fn twist(text: &str) -> Option<WrapperLine<'_>> {
    let (who, rest) = to_space(text.strip_prefix("twist ")?)?;
    let command = rest.strip_prefix(" to ")?;
    Some(WrapperLine { detail: Some(command), ..eval_client(WrapperAction::Twisted, who, None) })
}

/// `warning: %s` and `error: %s`, with `FILE, line N: ` before the text while libwrap reads a table.
fn complaint(text: &str) -> Option<WrapperLine<'_>> {
    let whole = text.strip_prefix("warning: ").or_else(|| text.strip_prefix("error: "))?;
    let in_table = behind_place(whole);
    let text = in_table.unwrap_or(whole);
    if let Some(line) = unverified(text).or_else(|| mismatch(text)) {
        return Some(line);
    }
    let is_error = in_table.is_some() || text.starts_with("cannot execute /");
    is_error.then(|| WrapperLine { detail: Some(whole), ..plain(WrapperAction::Error) })
}

/// What stands behind `/FILE, line N: `.
fn behind_place(text: &str) -> Option<&str> {
    let (_, rest) = text.strip_prefix('/')?.split_once(", line ")?;
    let (number, rest) = rest.split_once(": ")?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(rest)
}

/// `can't verify hostname: getaddrinfo(%s, %s) failed`, without IPv6 `can't verify hostname: gethostbyname(%s) failed`
fn unverified(text: &str) -> Option<WrapperLine<'_>> {
    let call = text.strip_prefix("can't verify hostname: ")?.strip_suffix(") failed")?;
    let (host, detail) = match call.strip_prefix("getaddrinfo(") {
        Some(arguments) => arguments.split_once(", ").map(|(host, family)| (host, Some(family)))?,
        None => (call.strip_prefix("gethostbyname(")?, None),
    };
    Some(WrapperLine { detail, ..client(WrapperAction::Mismatch, Some(host), None) })
}

/// `host name/name mismatch: %s != %s`, `host name/address mismatch: %s != %s` (the address first), `host name/name
/// mismatch: reverse lookup results in non-FQDN %s`
fn mismatch(text: &str) -> Option<WrapperLine<'_>> {
    let text = text.strip_prefix("host name/")?;
    if let Some(host) = text.strip_prefix("name mismatch: reverse lookup results in non-FQDN ") {
        let line = client(WrapperAction::Mismatch, Some(host), None);
        return Some(WrapperLine { detail: Some("non-FQDN"), ..line });
    }
    if let Some(pair) = text.strip_prefix("name mismatch: ") {
        let (host, other) = pair.split_once(" != ")?;
        return Some(WrapperLine {
            detail: Some(other),
            ..client(WrapperAction::Mismatch, Some(host), None)
        });
    }
    let (address, host) = text.strip_prefix("address mismatch: ")?.split_once(" != ")?;
    Some(client(WrapperAction::Mismatch, Some(host), Some(address)))
}

/// `FAIL: %s libwrap from=%s` (log.c), `libwrap refused connection to %s (libwrap=%s) from %s` (access.c), in older releases
/// without `(libwrap=%s)`. The address of a client that is gone is `<no address>`.
fn xinetd(text: &str) -> Option<WrapperLine<'_>> {
    let (service, address) = match text.strip_prefix("FAIL: ") {
        Some(rest) => rest.split_once(" libwrap from=")?,
        None => {
            let (service, address) =
                text.strip_prefix("libwrap refused connection to ")?.rsplit_once(" from ")?;
            let inner = service.strip_suffix(')').and_then(|service| service.split_once(" (libwrap="));
            (inner.map_or(service, |(_, daemon)| daemon), address)
        }
    };
    let line = client(WrapperAction::Refused, None, Some(address).filter(|text| is_address(text)));
    (!service.contains(' ')).then_some(WrapperLine { daemon: Some(service), ..line })
}

/// `connect from %s to %s(%s)%s`: address, procedure, program, and why it was turned away.
fn rpcbind(text: &str) -> Option<WrapperLine<'_>> {
    let (who, rest) = to_space(text.strip_prefix("connect from ")?)?;
    let (procedure, rest) = rest.strip_prefix(" to ")?.split_once('(')?;
    let (program, why) = rest.split_once(')')?;
    let action = match why {
        "" => WrapperAction::Connected,
        ": request from unauthorized host"
        | ": request from non-local host"
        | ": request from unprivileged port"
        | ": request not forwarded" => WrapperAction::Refused,
        _ => return None,
    };
    let detail = if program.is_empty() { procedure } else { program };
    Some(WrapperLine { detail: Some(detail), ..client(action, Some(who), None) })
}

/// `connect from %s denied: %s`
fn nfs(text: &str) -> Option<WrapperLine<'_>> {
    let (who, rest) = to_space(text.strip_prefix("connect from ")?)?;
    let why = rest.strip_prefix(" denied: ")?;
    Some(WrapperLine { detail: Some(why), ..client(WrapperAction::Refused, Some(who), None) })
}

/// `refused connection from %.500s, service %s (%s%s)`; NetBSD's inetd writes the address behind the client, `%.500s(%s)`;
/// programs of their own write no service. Without `refused ` the connection was let in (inetd -l).
fn bsd_inetd(text: &str) -> Option<WrapperLine<'_>> {
    let (action, text) = match text.strip_prefix("refused ") {
        Some(rest) => (WrapperAction::Refused, rest),
        None => (WrapperAction::Connected, text),
    };
    let (who, rest) = to_space(text.strip_prefix("connection from ")?)?;
    let (who, daemon) = match rest {
        "" => (who, None),
        rest => {
            let (service, protocol) = rest.strip_prefix(" service ")?.split_once(" (")?;
            protocol.strip_suffix(')')?;
            (who.strip_suffix(',')?, Some(service))
        }
    };
    let (who, address) = match who.strip_suffix(')').and_then(|who| who.rsplit_once('(')) {
        Some((who, address)) if is_address(address) => (who, Some(address)),
        _ => (who, None),
    };
    Some(WrapperLine { daemon, ..eval_client(action, who, address) })
}

/// `fd=%ld DENIED from %s (%s)`
fn slapd(text: &str) -> Option<WrapperLine<'_>> {
    let (number, rest) = text.strip_prefix("fd=")?.split_once(' ')?;
    number.parse::<u64>().ok()?;
    let (host, rest) = to_space(rest.strip_prefix("DENIED from ")?)?;
    Some(client(WrapperAction::Refused, Some(host), Some(in_parentheses(rest)?)))
}

/// `Service [%s] REFUSED by libwrap from %s:%s`, in releases before 4.30 `%s REFUSED by libwrap from %s:%s`; `LOG4[0]: `
/// before it, where the log shows the thread.
fn stunnel(text: &str) -> Option<WrapperLine<'_>> {
    let text = match text.strip_prefix("LOG").and_then(|text| text.split_once("]: ")) {
        Some((_, text)) => text,
        None => text,
    };
    let (service, peer) = text.rsplit_once(" REFUSED by libwrap from ")?;
    let service = service.strip_prefix("Service [").and_then(|s| s.strip_suffix(']')).unwrap_or(service);
    let (address, port) = peer.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let line = client(WrapperAction::Refused, None, Some(address).filter(|text| is_address(text)));
    Some(WrapperLine { daemon: Some(service), ..line })
}

/// `tcpwrappers (%s, %s) rejection`, behind the identifier of the queue.
fn sendmail(text: &str) -> Option<WrapperLine<'_>> {
    let (_, pair) = text.strip_suffix(") rejection")?.rsplit_once("tcpwrappers (")?;
    let (host, address) = pair.rsplit_once(", ")?;
    Some(client(WrapperAction::Refused, Some(host), Some(address)))
}

/// `refused connection from %s (tcp wrappers)`: host_and_ident() gives `name [address]`, a name of HELO in parentheses, then
/// the port, the interface and ` U=ident`, which may hold spaces and stands last.
fn exim(text: &str) -> Option<WrapperLine<'_>> {
    let text = text.strip_prefix("temporarily ").unwrap_or(text);
    let who = text.strip_prefix("refused connection from ")?.strip_suffix(" (tcp wrappers)")?;
    let (who, user) = match who.split_once(" U=") {
        Some((who, user)) => (who, Some(user)),
        None => (who, None),
    };
    let (names, rest) = who.split_once('[')?;
    let (address, _) = rest.split_once(']')?;
    let name = names.split(' ').next().filter(|name| !name.is_empty() && !name.starts_with('('));
    Some(WrapperLine { client_user: user, ..client(WrapperAction::Refused, name, Some(address)) })
}

/// `CONNECT: Client "%s", "Connection refused: tcp_wrappers denial."`
fn vsftpd(text: &str) -> Option<WrapperLine<'_>> {
    let (_, rest) = text.split_once("CONNECT: Client \"")?;
    let address = rest.strip_suffix("\", \"Connection refused: tcp_wrappers denial.\"")?;
    Some(client(WrapperAction::Refused, None, Some(address).filter(|text| is_address(text))))
}

/// `Connection from %s REFUSED`, the transport as `UDP: [192.0.2.1]:161->[192.0.2.2]:162`.
fn net_snmp(text: &str) -> Option<WrapperLine<'_>> {
    let peer = text.strip_prefix("Connection from ")?.strip_suffix(" REFUSED")?;
    let (_, rest) = peer.split_once('[')?;
    let (address, _) = rest.split_once(']')?;
    Some(client(WrapperAction::Refused, None, Some(address).filter(|text| is_address(text))))
}
