//! Lines about logins, rights and blocked traffic, with typed fields.
//!
//! A form belongs to the programs that write it: the same text of another program is none. User names are chosen by whoever
//! wants in, so what stands behind a name is looked for from the right.

use std::borrow::Cow;

use crate::message::{SecurityAction, SecurityLine, WrapperAction, WrapperLine};
use crate::syslog::security_accounts as accounts;
use crate::syslog::security_net as net;
use crate::syslog::security_sshd as sshd;
use crate::syslog::wrappers;

/// What reads the messages of some programs.
type Form = for<'a> fn(&'a str) -> Option<SecurityLine<'a>>;

/// Programs, and what reads their messages. The first that reads a message counts.
const FORMS: &[(&[&str], Form)] = &[
    (&["sshd", "sshd-session", "sshd-auth"], sshd::sshd),
    (&["sudo"], accounts::sudo),
    (&["su"], accounts::su),
    (&["login"], accounts::login),
    (&["systemd-logind"], accounts::logind),
    (&["useradd", "usermod", "userdel", "passwd", "chpasswd"], accounts::accounts),
    (&["cron", "CRON", "crond", "crontab"], accounts::cron),
    (&["vsftpd"], net::vsftpd),
    (&["proftpd"], net::proftpd),
    (&["pure-ftpd"], net::pure_ftpd),
    (&["dovecot"], net::dovecot),
    (&["exim", "exim4"], net::exim),
    (&["dropbear"], net::dropbear),
    (&["fail2ban", "fail2ban.actions", "fail2ban-server"], net::fail2ban),
    (&["kernel"], net::kernel),
    (&["auditd", "audit", "audisp-syslog", "audispd"], net::audit),
];

/// What a message says about security, if its program writes such lines.
pub(super) fn parse<'a>(
    program: Option<&'a str>,
    message: &'a str,
    wrapper: Option<&WrapperLine<'a>>,
) -> Option<SecurityLine<'a>> {
    let program = program?;
    if let Some(wrapper) = wrapper {
        return refused(program, wrapper);
    }
    let (text, count) = wrappers::folded(message);
    let mut forms = FORMS.iter().filter(|(programs, _)| programs.contains(&program));
    let mut read = forms.find_map(|(_, read)| read(text));
    if read.is_none() && program.starts_with("postfix/") {
        read = net::postfix(text);
    }
    // Modules of PAM write in the name of the program that asks them.
    if read.is_none() && (text.starts_with("pam_") || text.starts_with("PAM ")) {
        read = accounts::pam(text);
    }
    let line = read?;
    let canonical = |text: Option<Cow<'a, str>>| text.map(wrappers::canonical);
    Some(SecurityLine {
        client_address: canonical(line.client_address),
        target_address: canonical(line.target_address),
        count: line.count.or(count),
        ..line
    })
}

/// A client that TCP Wrappers turned away.
fn refused<'a>(program: &'a str, wrapper: &WrapperLine<'a>) -> Option<SecurityLine<'a>> {
    if wrapper.action != WrapperAction::Refused {
        return None;
    }
    Some(SecurityLine {
        client_host: wrapper.client_host.clone(),
        client_address: wrapper.client_address.clone(),
        user: wrapper.client_user,
        service: wrapper.daemon,
        detail: wrapper.detail,
        ..SecurityLine::new(program, SecurityAction::Refused)
    })
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
