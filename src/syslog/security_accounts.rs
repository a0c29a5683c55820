//! Rights and accounts: PAM, sudo, su, login, logind, shadow's tools and cron.

use crate::message::{SecurityAction, SecurityLine};
use crate::syslog::security_parts::{pair, some, with_client};

/// Linux-PAM's pam_unix and pam_faillock, and libpam's own count (pam_unix_auth.c, support.c, pam_faillock.c).
pub(super) fn pam(text: &str) -> Option<SecurityLine<'_>> {
    let line = |action| SecurityLine::new("pam", action);
    if let Some(rest) = text.strip_prefix("PAM ") {
        let (count, pairs) = rest.split_once(" more authentication failure")?;
        let found = SecurityLine { count: Some(count.parse().ok()?), ..line(SecurityAction::Limited) };
        let (_, pairs) = pairs.split_once("; ")?;
        return Some(of_failure(found, pairs));
    }
    let (module, rest) = text.split_once('(')?;
    let (service, rest) = rest.split_once("): ")?;
    let (service, stage) = service.split_once(':')?;
    let service = some(service);
    if let Some(pairs) = rest.strip_prefix("authentication failure; ").filter(|_| stage == "auth") {
        return Some(of_failure(SecurityLine { service, ..line(SecurityAction::Failed) }, pairs));
    }
    if module == "pam_faillock" {
        let rest = rest.strip_prefix("Consecutive login failures for user ")?;
        let user = rest.strip_suffix(" account temporarily locked")?;
        return Some(SecurityLine { service, user: some(user), ..line(SecurityAction::Limited) });
    }
    let opened = rest.strip_prefix("session opened for user ");
    let (user, action) = match opened {
        Some(rest) => (rest, SecurityAction::Opened),
        None => (rest.strip_prefix("session closed for user ")?, SecurityAction::Closed),
    };
    // `root(uid=0) by ops(uid=1000)`, in older releases `root by ops(uid=1000)`.
    let user = user.split(" by ").next().unwrap_or(user);
    let user = user.split("(uid=").next().unwrap_or(user);
    Some(SecurityLine { service, user: some(user), ..line(action) })
}

/// `logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root`: the user stands last.
fn of_failure<'a>(found: SecurityLine<'a>, pairs: &'a str) -> SecurityLine<'a> {
    let (pairs, user) = match pairs.rsplit_once(" user=") {
        Some((pairs, user)) => (pairs, some(user)),
        None => (pairs, None),
    };
    let found = SecurityLine { user, ..found };
    match pair(pairs, "rhost").and_then(some) {
        Some(host) => with_client(found, host),
        None => found,
    }
}

/// sudo, plugins/sudoers/logging.c: `     joe : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh`
pub(super) fn sudo(text: &str) -> Option<SecurityLine<'_>> {
    let (user, rest) = text.trim_start().split_once(" : ")?;
    if user.is_empty() || user.contains(' ') {
        return None;
    }
    let target_user = between(rest, "USER=").and_then(some);
    let command = rest.split_once("COMMAND=").map(|(_, command)| command).and_then(some);
    let why = rest.split(" ; ").next().unwrap_or(rest);
    let found = |action, count| {
        let line = SecurityLine::new("sudo", action);
        SecurityLine { user: Some(user), target_user, count, detail: command, ..line }
    };
    let is_denied = [
        "user NOT in sudoers",
        "user NOT authorized on host",
        "command not allowed",
        "a password is required",
    ];
    if is_denied.contains(&why) {
        return Some(found(SecurityAction::Denied, None));
    }
    if let Some(count) = why.split_once(" incorrect password attempt").and_then(|(n, _)| n.parse().ok()) {
        return Some(found(SecurityAction::Failed, Some(count)));
    }
    // The command is whatever the user has typed, so it is looked for behind what sudo writes itself.
    let is_run = why.starts_with("TTY=") || why.starts_with("PWD=") || why.starts_with("USER=");
    (is_run && command.is_some()).then(|| found(SecurityAction::Elevated, None))
}

/// The value of `KEY=` up to ` ; `, before the command.
fn between<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let head = text.split_once("COMMAND=").map_or(text, |(head, _)| head);
    head.split(" ; ").find_map(|part| part.strip_prefix(key))
}

/// su of shadow and util-linux: `(to root) ops on pts/0`, `FAILED SU (to root) ops on pts/0`; of Solaris and BSD: `'su root'
/// failed for ops on /dev/pts/1`, `BAD SU ops to root on /dev/pts/1`.
pub(super) fn su(text: &str) -> Option<SecurityLine<'_>> {
    let found = |action, user, target| SecurityLine {
        user: some(user),
        target_user: some(target),
        ..SecurityLine::new("su", action)
    };
    let (action, rest) = match text.strip_prefix("FAILED SU ").or_else(|| text.strip_prefix("FAILED su ")) {
        Some(rest) => (SecurityAction::Failed, rest),
        None => (SecurityAction::Elevated, text),
    };
    if let Some(rest) = rest.strip_prefix("(to ") {
        let (target, rest) = rest.split_once(") ")?;
        let (user, _) = rest.rsplit_once(" on ")?;
        return Some(found(action, user, target));
    }
    if let Some(rest) = text.strip_prefix("BAD SU ") {
        let (user, rest) = rest.split_once(" to ")?;
        let (target, _) = rest.rsplit_once(" on ")?;
        return Some(found(SecurityAction::Failed, user, target));
    }
    let (target, rest) = text.strip_prefix("'su ")?.split_once("' ")?;
    let (action, rest) = match rest.strip_prefix("failed for ") {
        Some(rest) => (SecurityAction::Failed, rest),
        None => (SecurityAction::Elevated, rest.strip_prefix("succeeded for ")?),
    };
    let (user, _) = rest.rsplit_once(" on ")?;
    Some(found(action, user, target))
}

/// login: `FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure` (shadow), `FAILED LOGIN 1 FROM tty1 FOR root,
/// Authentication failure` (util-linux).
pub(super) fn login(text: &str) -> Option<SecurityLine<'_>> {
    let rest = text.strip_prefix("FAILED LOGIN ")?;
    let (place, rest) = rest.split_once(" FOR ")?;
    let (user, why) = rest.rsplit_once(", ")?;
    let line = SecurityLine::new("login", SecurityAction::Failed);
    let found = SecurityLine { user: some(user.trim_matches('\'')), detail: some(why), ..line };
    let host = place.split_once("FROM ").map(|(_, from)| from).filter(|from| !from.starts_with("tty"));
    Some(host.map_or(found.clone(), |host| with_client(found, host)))
}

/// systemd-logind: `New session 5 of user ops.`
pub(super) fn logind(text: &str) -> Option<SecurityLine<'_>> {
    let (_, user) = text.strip_prefix("New session ")?.split_once(" of user ")?;
    // Later releases write what kind of session it is.
    let user = user.split(" with class ").next().unwrap_or(user).trim_end_matches(['.', '\'']);
    let user = some(user.trim_start_matches('\''));
    Some(SecurityLine { user, ..SecurityLine::new("logind", SecurityAction::Opened) })
}

/// shadow's useradd, usermod, userdel, passwd: `new user: name=eve, UID=1002`, `delete user 'eve'`, `add 'eve' to group
/// 'sudo'`, `change user 'eve' shell ...`, `password for 'eve' changed by 'root'`; pam_unix: `password changed for eve`.
pub(super) fn accounts(text: &str) -> Option<SecurityLine<'_>> {
    let found = |action, user, service| SecurityLine {
        user: some(user),
        service,
        ..SecurityLine::new("accounts", action)
    };
    if let Some(rest) = text.strip_prefix("new user: name=") {
        let user = rest.split(", ").next().unwrap_or(rest);
        return Some(found(SecurityAction::Created, user, None));
    }
    if let Some(user) = text.strip_prefix("delete user '").and_then(|rest| rest.split('\'').next()) {
        return Some(found(SecurityAction::Deleted, user, None));
    }
    if let Some(rest) = text.strip_prefix("add '") {
        let (user, rest) = rest.split_once("' to ")?;
        let group =
            rest.strip_prefix("shadow ").unwrap_or(rest).strip_prefix("group '")?.strip_suffix('\'')?;
        return Some(found(SecurityAction::Changed, user, some(group)));
    }
    if let Some(user) = text.strip_prefix("change user '").and_then(|rest| rest.split('\'').next()) {
        return Some(found(SecurityAction::Changed, user, None));
    }
    if let Some(rest) = text.strip_prefix("password for '") {
        let (user, _) = rest.split_once("' changed by ")?;
        return Some(found(SecurityAction::Changed, user, None));
    }
    let (module, rest) = text.split_once("): ")?;
    let is_change = module.starts_with("pam_unix(") && module.ends_with(":chauthtok");
    let user = rest.strip_prefix("password changed for ").filter(|_| is_change)?;
    Some(found(SecurityAction::Changed, user, None))
}

/// `(eve) AUTH (crontab command not allowed)`
pub(super) fn cron(text: &str) -> Option<SecurityLine<'_>> {
    let (user, why) = text.strip_prefix('(')?.split_once(") AUTH (")?;
    let why = why.strip_suffix(')')?;
    let line = SecurityLine::new("cron", SecurityAction::Denied);
    why.contains("not allowed").then_some(SecurityLine { user: some(user), detail: some(why), ..line })
}
