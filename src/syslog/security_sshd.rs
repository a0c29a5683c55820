//! What OpenSSH's sshd writes (auth.c, sshd.c, packet.c, monitor.c; 5.x to 10).

use crate::message::{SecurityAction, SecurityLine};
use crate::syslog::security_parts::{client, from_the_right, some, with_client};

fn line(action: SecurityAction) -> SecurityLine<'static> {
    SecurityLine::new("sshd", action)
}

pub(super) fn sshd(message: &str) -> Option<SecurityLine<'_>> {
    let (text, preauth) = match message.strip_suffix(" [preauth]") {
        Some(text) => (text, Some("preauth")),
        None => (message, None),
    };
    let text = ["error: ", "fatal: "].iter().find_map(|level| text.strip_prefix(level)).unwrap_or(text);
    let read = login(text)
        .or_else(|| limited(text))
        .or_else(|| denied(text))
        .or_else(|| disconnected(text))
        .or_else(|| scan(text))?;
    Some(SecurityLine { detail: read.detail.or(preauth), ..read })
}

fn valid(user: &str) -> &str {
    ["invalid user ", "illegal user "].iter().find_map(|word| user.strip_prefix(word)).unwrap_or(user)
}

fn login(text: &str) -> Option<SecurityLine<'_>> {
    for (word, action) in [("Accepted ", SecurityAction::Accepted), ("Failed ", SecurityAction::Failed)] {
        if let Some(rest) = text.strip_prefix(word) {
            let (method, rest) = rest.split_once(" for ")?;
            let (user, address, port, _) = from_the_right(rest, " from ")?;
            let found = SecurityLine {
                user: some(valid(user)),
                client_port: Some(port),
                method: some(method),
                ..line(action)
            };
            return (!method.contains(' ')).then(|| with_client(found, address));
        }
    }
    let failed = || line(SecurityAction::Failed);
    if let Some(rest) = ["Invalid user ", "Illegal user "].iter().find_map(|word| text.strip_prefix(word)) {
        if let Some((user, address, port, _)) = from_the_right(rest, " from ") {
            let found = SecurityLine { user: some(user), client_port: Some(port), ..failed() };
            return Some(with_client(found, address));
        }
        // Releases before 6.9 write no port.
        let (user, address) = rest.rsplit_once(" from ")?;
        return Some(with_client(SecurityLine { user: some(user), ..failed() }, address));
    }
    let rest = [
        "PAM: Authentication failure for ",
        "PAM: Authentication error for ",
        "PAM: User not known to the underlying authentication module for ",
    ]
    .iter()
    .find_map(|words| text.strip_prefix(words))?;
    let (user, address) = rest.rsplit_once(" from ")?;
    Some(with_client(SecurityLine { user: some(valid(user)), ..failed() }, address))
}

fn limited(text: &str) -> Option<SecurityLine<'_>> {
    let limited = || line(SecurityAction::Limited);
    if let Some(rest) = text.strip_prefix("maximum authentication attempts exceeded for ") {
        let (user, address, port, _) = from_the_right(rest, " from ")?;
        let found = SecurityLine { user: some(valid(user)), client_port: Some(port), ..limited() };
        return Some(with_client(found, address));
    }
    if let Some(rest) = text.strip_prefix("drop connection #") {
        let (_, rest) = rest.split_once(" from ")?;
        let (from, rest) = rest.split_once(" on ")?;
        let (to, why) = rest.split_once(' ')?;
        let (address, port) = from.rsplit_once(':')?;
        let (target, target_port) = to.rsplit_once(':')?;
        let found = SecurityLine {
            client_port: port.parse().ok(),
            target_address: some(target.trim_matches(['[', ']'])).map(Into::into),
            target_port: target_port.parse().ok(),
            detail: some(why),
            ..limited()
        };
        return Some(with_client(found, address));
    }
    if let Some(rest) = text.strip_prefix("srclimit_penalise: ") {
        let address = rest.split([' ', '/', ':']).find(|word| word.parse::<std::net::IpAddr>().is_ok());
        let found = SecurityLine { detail: some(rest), ..limited() };
        return Some(address.map_or(found.clone(), |address| with_client(found, address)));
    }
    let many = "Too many authentication failures";
    if let Some(rest) = text.strip_prefix("Disconnecting ") {
        let (who, _) = rest.rsplit_once(&[": ", many].concat())?;
        return of_user(who, SecurityAction::Limited);
    }
    let rest = text.strip_prefix("Disconnecting: ")?.strip_prefix(many)?;
    let user = rest.strip_prefix(" for ").map(valid).and_then(some);
    Some(SecurityLine { user, ..limited() })
}

/// `[authenticating|invalid] user U ADDRESS port N` or `ADDRESS port N`.
fn of_user(who: &str, action: SecurityAction) -> Option<SecurityLine<'_>> {
    let name =
        ["authenticating user ", "invalid user ", "user "].iter().find_map(|word| who.strip_prefix(word));
    match name {
        Some(rest) => {
            let (user, address, port, _) = from_the_right(rest, " ")?;
            let found = SecurityLine { user: some(user), client_port: Some(port), ..line(action) };
            Some(with_client(found, address))
        }
        None => {
            let (address, port, _) = client(who)?;
            Some(with_client(SecurityLine { client_port: Some(port), ..line(action) }, address))
        }
    }
}

fn denied(text: &str) -> Option<SecurityLine<'_>> {
    let denied = || line(SecurityAction::Denied);
    if let Some(rest) = text.strip_prefix("User ") {
        let (who, why) = rest.rsplit_once(" not allowed because ")?;
        let found = SecurityLine { detail: some(why), ..denied() };
        return Some(match who.rsplit_once(" from ") {
            Some((user, address)) => with_client(SecurityLine { user: some(user), ..found }, address),
            None => SecurityLine { user: some(who), ..found },
        });
    }
    let rest = text.strip_prefix("ROOT LOGIN REFUSED FROM ")?;
    let found = SecurityLine { user: Some("root"), ..denied() };
    match client(rest) {
        Some((address, port, _)) => {
            Some(with_client(SecurityLine { client_port: Some(port), ..found }, address))
        }
        None => Some(with_client(found, rest)),
    }
}

fn disconnected(text: &str) -> Option<SecurityLine<'_>> {
    let words =
        ["Connection closed by ", "Connection reset by ", "Disconnected from ", "Received disconnect from "];
    if let Some(who) = words.iter().find_map(|words| text.strip_prefix(words)) {
        return of_user(who, SecurityAction::Disconnected);
    }
    let rest = text.strip_prefix("kex_exchange_identification: ")?;
    Some(SecurityLine { detail: some(rest), ..line(SecurityAction::Disconnected) })
}

fn scan(text: &str) -> Option<SecurityLine<'_>> {
    let words = ["banner exchange: Connection from ", "Unable to negotiate with "];
    let rest = words.iter().find_map(|words| text.strip_prefix(words))?;
    let (address, port, why) = client(rest)?;
    let detail = why.strip_prefix(": ").and_then(some);
    let found = SecurityLine { client_port: Some(port), detail, ..line(SecurityAction::Failed) };
    Some(with_client(found, address))
}
