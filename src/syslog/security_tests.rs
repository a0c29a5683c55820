use proptest::prelude::*;

use super::*;
use crate::syslog::wrappers as tcp;

fn read<'a>(program: &'a str, message: &'a str) -> Option<SecurityLine<'a>> {
    parse(Some(program), message, tcp::parse(Some(program), message).as_ref())
}

/// The fields that are given, in their order.
fn shown(line: &SecurityLine<'_>) -> String {
    let number = |number: Option<u16>| number.map(|number| number.to_string());
    let fields = [
        ("user", line.user.map(str::to_owned)),
        ("as", line.target_user.map(str::to_owned)),
        ("name", line.client_host.as_ref().map(ToString::to_string)),
        ("from", line.client_address.as_ref().map(ToString::to_string)),
        ("port", number(line.client_port)),
        ("by", line.method.map(str::to_owned)),
        ("service", line.service.map(str::to_owned)),
        ("count", line.count.map(|count| count.to_string())),
        ("detail", line.detail.map(str::to_owned)),
        ("to", line.target_address.as_ref().map(ToString::to_string)),
        ("to_port", number(line.target_port)),
        ("protocol", line.protocol.map(str::to_owned)),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some(format!(" {name}={}", value?)));
    format!("{} {}{}", line.source, line.action.as_str(), given.collect::<String>())
}

#[test]
fn every_row_of_the_table_of_forms() {
    let cases = [
        (
            "sshd",
            "Accepted password for eve from 192.0.2.7 port 9 ssh2",
            "sshd accepted user=eve from=192.0.2.7 port=9 by=password",
        ),
        (
            "sshd-auth",
            "Failed password for invalid user eve from 192.0.2.7 port 9 ssh2",
            "sshd failed user=eve from=192.0.2.7 port=9 by=password",
        ),
        ("sshd", "Invalid user eve from 192.0.2.7", "sshd failed user=eve from=192.0.2.7"),
        ("sshd", "Invalid user  from ::ffff:192.0.2.7 port 9", "sshd failed from=192.0.2.7 port=9"),
        (
            "sshd",
            "error: PAM: Authentication error for illegal user eve from gone.example",
            "sshd failed user=eve name=gone.example",
        ),
        (
            "sshd",
            "message repeated 3 times: [ Failed password for eve from 192.0.2.7 port 9 ssh2]",
            "sshd failed user=eve from=192.0.2.7 port=9 by=password count=3",
        ),
        (
            "sshd",
            "Disconnecting: Too many authentication failures for eve [preauth]",
            "sshd limited user=eve detail=preauth",
        ),
        (
            "sshd",
            "drop connection #3 from [2001:db8::7]:9 on [2001:db8::1]:22 penalty: failed authentication",
            "sshd limited from=2001:db8::7 port=9 detail=penalty: failed authentication to=2001:db8::1 to_port=22",
        ),
        (
            "sshd",
            "srclimit_penalise: ipv4: new 192.0.2.7/32 deferred penalty of 5 seconds",
            "sshd limited from=192.0.2.7 detail=ipv4: new 192.0.2.7/32 deferred penalty of 5 seconds",
        ),
        ("sshd", "ROOT LOGIN REFUSED FROM 192.0.2.7 port 9", "sshd denied user=root from=192.0.2.7 port=9"),
        (
            "sshd",
            "User eve from 192.0.2.7 not allowed because a group is listed in DenyGroups",
            "sshd denied user=eve from=192.0.2.7 detail=a group is listed in DenyGroups",
        ),
        (
            "sshd",
            "Disconnected from user eve 192.0.2.7 port 9",
            "sshd disconnected user=eve from=192.0.2.7 port=9",
        ),
        (
            "sshd",
            "Unable to negotiate with 192.0.2.7 port 9: no matching host key type found. [preauth]",
            "sshd failed from=192.0.2.7 port=9 detail=no matching host key type found.",
        ),
        (
            "sshd",
            "refused connect from 192.0.2.7 (192.0.2.7)",
            "sshd refused name=192.0.2.7 from=192.0.2.7 service=sshd",
        ),
        ("vsftpd", "[pid 7] [eve] FAIL LOGIN: Client \"192.0.2.7\"", "ftp failed user=eve from=192.0.2.7"),
        (
            "proftpd",
            "srv (h.example[192.0.2.7]): USER eve (Login failed): No such user found",
            "ftp failed user=eve name=h.example from=192.0.2.7",
        ),
        (
            "pure-ftpd",
            "(?@192.0.2.7) [WARNING] Authentication failed for user [eve]",
            "ftp failed user=eve from=192.0.2.7",
        ),
        (
            "dovecot",
            "pop3-login: Aborted login (auth failed, 2 attempts in 9 secs): user=<eve>, method=LOGIN, rip=192.0.2.7, lip=192.0.2.1",
            "mail failed user=eve from=192.0.2.7 by=LOGIN service=pop3 count=2",
        ),
        (
            "postfix/submission/smtpd",
            "warning: h.example[192.0.2.7]: SASL PLAIN authentication failed:",
            "mail failed name=h.example from=192.0.2.7 by=PLAIN",
        ),
        (
            "exim4",
            "login_server authenticator failed for (x) [192.0.2.7]: 535 Incorrect authentication data (set_id=eve)",
            "mail failed user=eve from=192.0.2.7 by=login_server",
        ),
        (
            "dropbear",
            "Login attempt for nonexistent user from 192.0.2.7:9",
            "dropbear failed from=192.0.2.7 port=9",
        ),
        (
            "dropbear",
            "Password auth succeeded for 'eve' from 192.0.2.7:9",
            "dropbear accepted user=eve from=192.0.2.7 port=9 by=Password",
        ),
        (
            "sudo",
            "eve : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
            "sudo elevated user=eve as=root detail=/bin/sh",
        ),
        (
            "sudo",
            "eve : command not allowed ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/su",
            "sudo denied user=eve as=root detail=/bin/su",
        ),
        ("su", "'su root' failed for eve on /dev/pts/1", "su failed user=eve as=root"),
        ("su", "BAD SU eve to root on /dev/ttyp1", "su failed user=eve as=root"),
        (
            "login",
            "FAILED LOGIN (1) on '/dev/tty1' FOR 'eve', Authentication failure",
            "login failed user=eve detail=Authentication failure",
        ),
        ("systemd-logind", "New session 5 of user eve.", "logind opened user=eve"),
        (
            "cups",
            "pam_unix(cups:session): session opened for user eve(uid=7) by (uid=0)",
            "pam opened user=eve service=cups",
        ),
        ("usermod", "add 'eve' to group 'sudo'", "accounts changed user=eve service=sudo"),
        ("fail2ban.actions", "NOTICE [ftp] Unban 192.0.2.7", "fail2ban unbanned from=192.0.2.7 service=ftp"),
        (
            "kernel",
            "[ 7.5] [UFW BLOCK] IN=e OUT= SRC=192.0.2.7 DST=192.0.2.1 PROTO=TCP SPT=9 DPT=22",
            "firewall blocked from=192.0.2.7 port=9 to=192.0.2.1 to_port=22 protocol=TCP",
        ),
        (
            "kernel",
            "audit: type=1400 audit(1.2:3): apparmor=\"DENIED\" operation=\"open\" comm=\"cat\"",
            "audit denied service=cat detail=1400",
        ),
        (
            "audisp-syslog",
            "type=ANOM_PROMISCUOUS msg=audit(1.2:3): dev=eth0 prom=256",
            "audit failed detail=ANOM_PROMISCUOUS",
        ),
        (
            "CRON",
            "(eve) AUTH (crontab command not allowed)",
            "cron denied user=eve detail=crontab command not allowed",
        ),
    ];
    for (program, message, expected) in cases {
        let line = read(program, message).unwrap_or_else(|| panic!("{program}: {message}"));
        assert_eq!(shown(&line), expected, "{message}");
        // PAM's modules write in any program's name.
        if !message.starts_with("pam_") && line.action != SecurityAction::Refused {
            assert_eq!(read("app", message), None, "{message}");
        }
    }
}

/// As rsyslog sends them with its template RSYSLOG_SyslogProtocol23Format.
#[test]
fn a_space_before_the_text_does_not_matter() {
    let head = "<38>1 2026-11-20T12:00:01Z db1 sshd 99 - - ";
    for space in ["", " "] {
        let line = format!("{head}{space}Failed password for root from 203.0.113.9 port 40122 ssh2");
        let read = crate::syslog::parse_line(&line, 0);
        assert_eq!(
            read.security.map(|s| (s.user, s.client_port)),
            Some((Some("root"), Some(40122))),
            "{line}"
        );
        let line = format!("{head}{space}refused connect from evil.example (203.0.113.9)");
        assert!(crate::syslog::parse_line(&line, 0).tcp_wrappers.is_some(), "{line}");
    }
}

#[test]
fn look_alikes_are_no_lines_of_security() {
    for (program, message) in [
        ("sshd", "Server listening on 0.0.0.0 port 22."),
        ("sshd", "Failed password for eve"),
        ("sudo", "pam_unix(sudo:session): no such thing"),
        ("sudo", "eve : problem with defaults entries ; TTY=pts/0 ; PWD=/ ;"),
        ("kernel", "eth0: link up SRC=none"),
        ("kernel", "[UFW ALLOW] IN=e OUT= SRC=192.0.2.7 DST=192.0.2.1 PROTO=TCP"),
        (
            "audisp-syslog",
            "type=USER_LOGIN msg=audit(1.2:3): pid=9 msg='op=login acct=\"eve\" addr=192.0.2.7 res=success'",
        ),
        ("cron", "(eve) CMD (true)"),
        ("systemd-logind", "Removed session 5."),
        ("useradd", "failed adding user 'eve'"),
    ] {
        assert_eq!(read(program, message), None, "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 500, ..ProptestConfig::default() })]

    /// Whatever name somebody gives, his address is found.
    #[test]
    fn no_name_hides_a_client(name in "( from 198\\.51\\.100\\.1 port 22|[a-z \\]\"'\\[(){};=,<>:]){0,12}") {
        let failed = format!("Failed password for invalid user {name} from 192.0.2.7 port 9 ssh2");
        let invalid = format!("Invalid user {name} from 192.0.2.7 port 9");
        let closed = format!("Connection closed by invalid user {name} 192.0.2.7 port 9 [preauth]");
        for message in [&failed, &invalid, &closed] {
            let line = read("sshd", message).unwrap();
            prop_assert_eq!(line.client_address.as_deref(), Some("192.0.2.7"), "{}", message);
            prop_assert_eq!(line.user.unwrap_or_default(), name.as_str());
        }
        let pam = format!("pam_unix(sshd:auth): authentication failure; logname= uid=0 tty=ssh ruser= rhost=192.0.2.7  user={name}");
        if !name.contains(" user=") {
            let line = read("sshd", &pam).unwrap();
            prop_assert_eq!(line.client_address.as_deref(), Some("192.0.2.7"));
        }
    }

    #[test]
    fn any_message_is_safe(text in any::<String>(), words in "(Failed |Invalid user | from |port |\\[|\\]|USER=|: |COMMAND=|rip=|SRC=|\\(|\\)| : |user=<|>, |type=|')*") {
        for (programs, _) in FORMS {
            for message in [&text, &words, &format!("{words}{text}")] {
                let _ = read(programs[0], message);
                let _ = read("postfix/smtpd", message);
            }
        }
    }
}
