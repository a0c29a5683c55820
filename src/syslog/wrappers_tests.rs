use proptest::prelude::*;

use super::*;
use crate::syslog::parse_line;

/// Action, host, address, user, daemon, detail.
type Fields = (
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
);

const NAME: Option<&str> = Some("evil.example");
const ADDRESS: Option<&str> = Some("192.0.2.1");

/// Program, message and fields: at least one row for each form.
const ROWS: &[(&str, &str, Fields)] = &[
    (
        "d",
        "refused connect from evil.example (203.0.113.9)",
        ("refused", NAME, Some("203.0.113.9"), None, Some("d"), None),
    ),
    (
        "d",
        "refused connect from root@evil.example (2001:DB8:0::9)",
        ("refused", NAME, Some("2001:db8::9"), Some("root"), Some("d"), None),
    ),
    (
        "sshd",
        "refused connect from evil.example (::ffff:192.0.2.1)",
        ("refused", NAME, ADDRESS, None, Some("sshd"), None),
    ),
    (
        "sshd",
        "refused connect from ::ffff:c000:201 (::ffff:c000:201)",
        ("refused", ADDRESS, ADDRESS, None, Some("sshd"), None),
    ),
    (
        "d",
        "refused connect from a,b@192.0.2.1 (192.0.2.1)",
        ("refused", ADDRESS, ADDRESS, Some("a,b"), Some("d"), None),
    ),
    ("d", "refused connect from 192.0.2.1", ("refused", ADDRESS, ADDRESS, None, Some("d"), None)),
    (
        "d",
        "refused connect from 192.0.2.1 with IP source routing options",
        ("refused", ADDRESS, ADDRESS, None, Some("d"), Some("IP source routing options")),
    ),
    (
        "d",
        "[ID 947420 auth.warning] refused connect from evil.example (192.0.2.1)",
        ("refused", NAME, ADDRESS, None, Some("d"), None),
    ),
    ("d", "connect from evil.example (192.0.2.1)", ("connected", NAME, ADDRESS, None, Some("d"), None)),
    (
        "d",
        "connect from evil.example with IP options (ignored): 82 04 00 00",
        ("connected", NAME, None, None, Some("d"), Some("82 04 00 00")),
    ),
    (
        "d",
        "twist 192.0.2.1 to /bin/echo 192.0.2.1 to in.telnetd",
        ("twisted", ADDRESS, ADDRESS, None, Some("d"), Some("/bin/echo 192.0.2.1 to in.telnetd")),
    ),
    (
        "d",
        "warning: can't verify hostname: getaddrinfo(evil.example, AF_INET) failed",
        ("mismatch", NAME, None, None, Some("d"), Some("AF_INET")),
    ),
    (
        "d",
        "warning: can't verify hostname: gethostbyname(evil.example) failed",
        ("mismatch", NAME, None, None, Some("d"), None),
    ),
    (
        "sshd",
        "warning: /etc/hosts.allow, line 11: can't verify hostname: gethostbyname(evil.example) failed",
        ("mismatch", NAME, None, None, Some("sshd"), None),
    ),
    (
        "d",
        "warning: host name/name mismatch: evil.example != b.example",
        ("mismatch", NAME, None, None, Some("d"), Some("b.example")),
    ),
    (
        "d",
        "warning: /etc/hosts.deny, line 2: host name/address mismatch: ::ffff:192.0.2.1 != evil.example",
        ("mismatch", NAME, ADDRESS, None, Some("d"), None),
    ),
    (
        "d",
        "warning: host name/name mismatch: reverse lookup results in non-FQDN a",
        ("mismatch", Some("a"), None, None, Some("d"), Some("non-FQDN")),
    ),
    (
        "d",
        "error: cannot execute /usr/sbin/nosuchd: No such file or directory",
        (
            "error",
            None,
            None,
            None,
            Some("d"),
            Some("cannot execute /usr/sbin/nosuchd: No such file or directory"),
        ),
    ),
    (
        "d",
        "error: /etc/hosts.deny, line 1: bad option name: \"bogusopt\"",
        (
            "error",
            None,
            None,
            None,
            Some("d"),
            Some("/etc/hosts.deny, line 1: bad option name: \"bogusopt\""),
        ),
    ),
    (
        "xinetd",
        "FAIL: telnet libwrap from=::ffff:192.0.2.1",
        ("refused", ADDRESS, ADDRESS, None, Some("telnet"), None),
    ),
    (
        "xinetd",
        "libwrap refused connection to telnet (libwrap=in.telnetd) from ::ffff:192.0.2.1",
        ("refused", ADDRESS, ADDRESS, None, Some("in.telnetd"), None),
    ),
    (
        "xinetd",
        "libwrap refused connection to sgi_fam from <no address>",
        ("refused", None, None, None, Some("sgi_fam"), None),
    ),
    (
        "rpcbind",
        "connect from 192.0.2.1 to getport/addr(nfs): request from unauthorized host",
        ("refused", ADDRESS, ADDRESS, None, Some("rpcbind"), Some("nfs")),
    ),
    (
        "rpcbind",
        "connect from 192.0.2.1 to set(status): request from non-local host",
        ("refused", ADDRESS, ADDRESS, None, Some("rpcbind"), Some("status")),
    ),
    (
        "portmap",
        "connect from 192.0.2.1 to unset(100024): request from unprivileged port",
        ("refused", ADDRESS, ADDRESS, None, Some("portmap"), Some("100024")),
    ),
    (
        "rpcbind",
        "connect from 192.0.2.1 to callit(mountd): request not forwarded",
        ("refused", ADDRESS, ADDRESS, None, Some("rpcbind"), Some("mountd")),
    ),
    (
        "rpcbind",
        "connect from 192.0.2.1 to dump()",
        ("connected", ADDRESS, ADDRESS, None, Some("rpcbind"), Some("dump")),
    ),
    (
        "rpc.mountd",
        "connect from 192.0.2.1 denied: request from unauthorized host",
        ("refused", ADDRESS, ADDRESS, None, Some("rpc.mountd"), Some("request from unauthorized host")),
    ),
    (
        "inetd",
        "refused connection from evil.example, service sshd (tcp)",
        ("refused", NAME, None, None, Some("sshd"), None),
    ),
    (
        "inetd",
        "refused connection from root@evil.example(192.0.2.1), service ftp (tcp6)",
        ("refused", NAME, ADDRESS, Some("root"), Some("ftp"), None),
    ),
    (
        "inetd",
        "connection from 192.0.2.1, service sshd (tcp)",
        ("connected", ADDRESS, ADDRESS, None, Some("sshd"), None),
    ),
    (
        "supfilesrv",
        "refused connection from evil.example",
        ("refused", NAME, None, None, Some("supfilesrv"), None),
    ),
    (
        "slapd",
        "fd=12 DENIED from evil.example (192.0.2.1)",
        ("refused", NAME, ADDRESS, None, Some("slapd"), None),
    ),
    (
        "slapd",
        "fd=12 DENIED from unknown (192.0.2.1)",
        ("refused", ADDRESS, ADDRESS, None, Some("slapd"), None),
    ),
    (
        "stunnel",
        "LOG4[0]: Service [imaps] REFUSED by libwrap from 192.0.2.1:49152",
        ("refused", ADDRESS, ADDRESS, None, Some("imaps"), None),
    ),
    (
        "stunnel4",
        "imaps REFUSED by libwrap from 2001:db8::9:49152",
        ("refused", Some("2001:db8::9"), Some("2001:db8::9"), None, Some("imaps"), None),
    ),
    (
        "sm-mta",
        "tAO0abc: tcpwrappers (evil.example, 192.0.2.1) rejection",
        ("refused", NAME, ADDRESS, None, Some("sm-mta"), None),
    ),
    (
        "sendmail",
        "tcpwrappers (unknown, 192.0.2.1) rejection",
        ("refused", ADDRESS, ADDRESS, None, Some("sendmail"), None),
    ),
    (
        "exim",
        "refused connection from evil.example (helo) [192.0.2.1] U=a [203.0.113.1] b (tcp wrappers)",
        ("refused", NAME, ADDRESS, Some("a [203.0.113.1] b"), Some("exim"), None),
    ),
    (
        "exim4",
        "temporarily refused connection from [192.0.2.1] (tcp wrappers)",
        ("refused", ADDRESS, ADDRESS, None, Some("exim4"), None),
    ),
    (
        "vsftpd",
        "[pid 7] CONNECT: Client \"::ffff:192.0.2.1\", \"Connection refused: tcp_wrappers denial.\"",
        ("refused", ADDRESS, ADDRESS, None, Some("vsftpd"), None),
    ),
    (
        "snmpd",
        "Connection from UDP: [192.0.2.1]:49152->[192.0.2.2]:161 REFUSED",
        ("refused", ADDRESS, ADDRESS, None, Some("snmpd"), None),
    ),
];

#[test]
fn every_form() {
    for (program, message, (action, host, address, user, daemon, detail)) in ROWS {
        let line = parse(Some(program), message).unwrap_or_else(|| panic!("{message}"));
        let got = (
            line.action.as_str(),
            line.client_host.as_deref(),
            line.client_address.as_deref(),
            line.client_user,
            line.daemon,
            line.detail,
        );
        assert_eq!(got, (*action, *host, *address, *user, *daemon, *detail), "{message}");
        assert!(!is_unknown_refusal("") && line.repeated.is_none(), "{message}");
    }
}

#[test]
fn every_form_has_a_source_and_a_row() {
    for form in FORMS {
        assert!(!form.source.is_empty());
        let sample = ROWS.iter().find(|(program, message, _)| {
            let (text, _) = without_prefix(message);
            (form.programs.is_empty() || form.is_of(program)) && (form.read)(text).is_some()
        });
        assert!(sample.is_some(), "no row for {}", form.source);
    }
}

#[test]
fn folded_lines_tell_how_often_they_came() {
    for (program, message, (action, ..)) in ROWS {
        let folded = format!("message repeated 3 times: [ {message}]");
        let line = parse(Some(program), &folded).unwrap_or_else(|| panic!("{folded}"));
        assert_eq!((line.action.as_str(), line.repeated), (*action, Some(3)), "{folded}");
    }
}

#[test]
fn forms_of_one_program_are_no_forms_of_others() {
    for (program, message, _) in ROWS {
        let own = FORMS.iter().any(|form| form.is_of(program));
        assert!(!own || parse(Some("logger"), message).is_none(), "{message}");
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
        "refused connect from ",
        "refused connect from a b",
        "connect from a ()",
        "twist and shout",
        "message repeated 3 times: [ twist and shout]",
        "message repeated many times: [ refused connect from 192.0.2.1 (192.0.2.1)]",
        "",
    ] {
        assert_eq!(parse(Some("d"), message), None, "{message}");
    }
}

#[test]
fn refusals_that_no_form_reads_are_known_as_such() {
    for message in [
        "Connection from 192.0.2.1 denied by libwrap",
        "libwrap: refused 192.0.2.1",
        "TCP Wrappers: access from 192.0.2.1 Denied",
        "client rejected (tcp_wrappers)",
    ] {
        assert!(is_unknown_refusal(message), "{message}");
    }
    for message in [
        "Connection refused",
        "text wrapped, request denied",
        "libwrap reloaded",
        "debug1: Connection refused by tcp wrapper",
        "",
    ] {
        assert!(!is_unknown_refusal(message), "{message}");
    }
}

proptest! {
    #[test]
    fn any_message_is_safe(text in any::<String>(), at in 0..ROWS.len()) {
        let (program, message, _) = ROWS[at];
        let _ = parse(None, &text);
        let _ = parse(Some(program), &text);
        let cut = text.len() % (message.len() + 1);
        let _ = parse(Some(program), &format!("{}{text}{}", &message[..cut], &message[cut..]));
        let _ = is_unknown_refusal(&text);
    }

    /// The ident name is the client's to choose. Whatever it is, the refusal is seen, with the right address and that user.
    #[test]
    fn no_ident_name_hides_a_client(
        user in "[^\\s\0]{1,64}|[@,(){}\\[\\]!=:;|a]{1,64}",
        host in prop::sample::select(vec!["evil.example", "203.0.113.9"]),
    ) {
        let forms = [
            ("tcpd", format!("refused connect from {user}@{host} (203.0.113.9)"), "refused", true),
            ("tcpd", format!("refused connect from {user}@{host}"), "refused", false),
            (
                "tcpd",
                format!("refused connect from {user}@{host} with IP source routing options"),
                "refused",
                false,
            ),
            ("tcpd", format!("connect from {user}@{host} (203.0.113.9)"), "connected", true),
            ("tcpd", format!("connect from {user}@{host} with IP options (ignored): 82"), "connected", false),
            ("tcpd", format!("twist {user}@{host} to /bin/echo {user} to {host}"), "twisted", false),
            ("inetd", format!("refused connection from {user}@{host}, service s (tcp)"), "refused", false),
            ("inetd", format!("refused connection from {user}@{host}(203.0.113.9), service s (tcp)"), "refused", true),
            ("inetd", format!("connection from {user}@{host}, service s (tcp)"), "connected", false),
        ];
        for (program, message, action, has_address) in forms {
            let address = (has_address || host == "203.0.113.9").then_some("203.0.113.9");
            for line in [
                format!("<28>Nov 25 15:17:25 {program}[4552]: {message}"),
                format!("<28>Nov 25 15:17:25 h1 {program}[4552]: {message}"),
                format!("<28>1 2026-11-25T15:17:25Z h1 {program} 4552 - - {message}"),
                format!("<28>Nov 25 15:17:25 h1 {program}[4552]: message repeated 2 times: [ {message}]"),
            ] {
                let parsed = parse_line(&line, 1_795_262_400_000_000);
                let wrapper = parsed.tcp_wrappers.as_ref();
                prop_assert!(wrapper.is_some(), "{}", line);
                let wrapper = wrapper.unwrap();
                prop_assert_eq!(wrapper.action.as_str(), action, "{}", line);
                prop_assert_eq!(wrapper.client_user, Some(user.as_str()), "{}", line);
                prop_assert_eq!(wrapper.client_host.as_deref(), Some(host), "{}", line);
                prop_assert_eq!(wrapper.client_address.as_deref(), address, "{}", line);
            }
        }
    }
}
