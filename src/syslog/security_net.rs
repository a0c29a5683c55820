//! Services that clients log in to, firewalls and the audit of the kernel.

use crate::message::{SecurityAction, SecurityLine};
use crate::syslog::security_parts::{pair, some, with_client};

fn failed(source: &'static str) -> SecurityLine<'static> {
    SecurityLine::new(source, SecurityAction::Failed)
}

/// `[eve] FAIL LOGIN: Client "203.0.113.9"`, with `[pid 5] ` before it in some settings (vsftpd, logging.c).
pub(super) fn vsftpd(text: &str) -> Option<SecurityLine<'_>> {
    let (head, rest) = text.rsplit_once("] FAIL LOGIN: Client \"")?;
    let (_, user) = head.rsplit_once('[')?;
    let address = rest.strip_suffix('"')?;
    Some(with_client(SecurityLine { user: some(user), ..failed("ftp") }, address))
}

/// `ftp1 (evil.example[203.0.113.9]): USER eve (Login failed): Incorrect password` (proftpd, mod_auth.c)
pub(super) fn proftpd(text: &str) -> Option<SecurityLine<'_>> {
    let (head, rest) = text.split_once("]): USER ").or_else(|| text.split_once("]) - USER "))?;
    let (_, who) = head.split_once(" (")?;
    let (name, address) = who.rsplit_once('[')?;
    let at = rest.rfind(" (Login failed)").or_else(|| rest.rfind(": no such user found"))?;
    let found = SecurityLine { user: some(&rest[..at]), ..failed("ftp") };
    let found = SecurityLine { client_host: some(name).map(Into::into), ..found };
    Some(with_client(found, address))
}

/// `(?@203.0.113.9) [WARNING] Authentication failed for user [eve]` (pure-ftpd)
pub(super) fn pure_ftpd(text: &str) -> Option<SecurityLine<'_>> {
    let (who, rest) = text.strip_prefix('(')?.split_once(") [")?;
    let (_, user) = rest.split_once("Authentication failed for user [")?;
    let (_, address) = who.rsplit_once('@')?;
    Some(with_client(SecurityLine { user: some(user.strip_suffix(']')?), ..failed("ftp") }, address))
}

/// `imap-login: Disconnected (auth failed, 3 attempts in 12 secs): user=<eve>, method=PLAIN, rip=203.0.113.9, lip=192.0.2.1`
pub(super) fn dovecot(text: &str) -> Option<SecurityLine<'_>> {
    let (service, rest) = text.split_once("-login: ")?;
    let (_, rest) = rest.split_once("(auth failed, ")?;
    let (count, rest) = rest.split_once(" attempt")?;
    // The user's name may look like what follows it.
    let (head, pairs) = rest.rsplit_once(">, ").unwrap_or(("", rest));
    let user = head.split_once("user=<").map(|(_, user)| user).and_then(some);
    let method = pair(pairs, "method").and_then(some);
    let found =
        SecurityLine { user, count: count.parse().ok(), method, service: some(service), ..failed("mail") };
    Some(with_client(found, pair(pairs, "rip")?))
}

/// `warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: UGFzc3dvcmQ6` (postfix, smtpd_sasl_glue.c)
pub(super) fn postfix(text: &str) -> Option<SecurityLine<'_>> {
    let (who, rest) = text.strip_prefix("warning: ")?.split_once("]: SASL ")?;
    let (method, _) = rest.split_once(" authentication failed")?;
    let (name, address) = who.rsplit_once('[')?;
    let host = some(name).filter(|name| *name != "unknown").map(Into::into);
    let found = SecurityLine { method: some(method), client_host: host, ..failed("mail") };
    Some(with_client(found, address))
}

/// `plain_login authenticator failed for (evil) [203.0.113.9]: 535 Incorrect authentication data (set_id=eve)` (exim)
pub(super) fn exim(text: &str) -> Option<SecurityLine<'_>> {
    let (method, rest) = text.split_once(" authenticator failed for ")?;
    let (who, rest) = rest.split_once("]: 535 ").or_else(|| rest.split_once("]:"))?;
    let (_, address) = who.rsplit_once('[')?;
    let user = rest.rsplit_once("(set_id=").and_then(|(_, user)| user.strip_suffix(')')).and_then(some);
    let method = method.rsplit(' ').next().and_then(some);
    Some(with_client(SecurityLine { user, method, ..failed("mail") }, address))
}

/// `Bad password attempt for 'root' from 203.0.113.9:40122`, `Login attempt for nonexistent user from 203.0.113.9:40122`,
/// `Password auth succeeded for 'ops' from 192.0.2.5:40122` (dropbear)
pub(super) fn dropbear(text: &str) -> Option<SecurityLine<'_>> {
    let (text, peer) = text.rsplit_once(" from ")?;
    let (address, port) = peer.rsplit_once(':')?;
    let client_port = Some(port.parse().ok()?);
    let name = text.split_once(" for '").and_then(|(_, name)| name.strip_suffix('\'')).and_then(some);
    let (action, method) = if text.starts_with("Bad ") && name.is_some() {
        (SecurityAction::Failed, text.strip_prefix("Bad ")?.split(' ').next())
    } else if text.starts_with("Login attempt for nonexistent user") {
        (SecurityAction::Failed, None)
    } else {
        let (method, _) = text.split_once(" auth succeeded for ")?;
        (SecurityAction::Accepted, some(method))
    };
    let line = SecurityLine::new("dropbear", action);
    Some(with_client(SecurityLine { user: name, client_port, method, ..line }, address))
}

/// `NOTICE [sshd] Ban 203.0.113.9`, in later releases `fail2ban.actions [5]: NOTICE [sshd] Ban 203.0.113.9`
pub(super) fn fail2ban(text: &str) -> Option<SecurityLine<'_>> {
    let (head, rest) = text.rsplit_once("] ")?;
    let (_, service) = head.rsplit_once('[')?;
    let (action, address) = match rest.strip_prefix("Ban ") {
        Some(address) => (SecurityAction::Banned, address),
        None => (SecurityAction::Unbanned, rest.strip_prefix("Unban ")?),
    };
    let line = SecurityLine::new("fail2ban", action);
    Some(with_client(SecurityLine { service: some(service), ..line }, address))
}

/// netfilter's LOG target and what ufw makes of it: `nft-drop: IN=eth0 OUT= SRC=... DST=... PROTO=UDP SPT=53 DPT=53`; the
/// audit of the kernel.
pub(super) fn kernel(text: &str) -> Option<SecurityLine<'_>> {
    // `[ 4711.042] ` is the time since the start.
    let text = match text.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((time, rest)) if time.trim().parse::<f64>().is_ok() => rest,
        _ => text,
    };
    if let Some(audit) = text.strip_prefix("audit: ") {
        return self::audit(audit);
    }
    let is_netfilter = text.contains("IN=") && text.contains("OUT=");
    // What the administrator lets be logged may have been let through.
    if !is_netfilter || text.contains("[UFW ALLOW]") || text.contains("[UFW AUDIT]") {
        return None;
    }
    let (source, target) = (pair(text, "SRC")?, pair(text, "DST")?);
    let is_address = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
    if !is_address(source) || !is_address(target) {
        return None;
    }
    let port = |key| pair(text, key).and_then(|port| port.parse().ok());
    let line = SecurityLine::new("firewall", SecurityAction::Blocked);
    let found = SecurityLine {
        client_port: port("SPT"),
        target_address: Some(target.into()),
        target_port: port("DPT"),
        protocol: pair(text, "PROTO"),
        ..line
    };
    Some(with_client(found, source))
}

/// `type=USER_LOGIN msg=audit(...): ... msg='op=login acct="eve" ... addr=203.0.113.9 res=failed'`, `type=1400 audit(...):
/// avc:  denied  { read } ...`, `apparmor="DENIED"`.
pub(super) fn audit(text: &str) -> Option<SecurityLine<'_>> {
    let kind = text.strip_prefix("type=")?.split(' ').next().and_then(some)?;
    let line = |action| SecurityLine { detail: Some(kind), ..SecurityLine::new("audit", action) };
    if text.contains("avc:  denied  {") || text.contains("apparmor=\"DENIED\"") {
        let service = pair(text, "comm").and_then(some);
        return Some(SecurityLine { service, ..line(SecurityAction::Denied) });
    }
    // The result stands last, behind what the user has a say in.
    let result = text.rsplit_once(" res=").map(|(_, result)| result.trim_end_matches('\''));
    let has_failed = matches!(result, Some("failed" | "0"));
    let is_anomaly = kind.starts_with("ANOM_");
    if !has_failed && !is_anomaly {
        return None;
    }
    let user = pair(text, "acct").and_then(some);
    let found = SecurityLine { user, ..line(SecurityAction::Failed) };
    let address = pair(text, "addr").filter(|address| *address != "?").and_then(some);
    Some(address.map_or(found.clone(), |address| with_client(found, address)))
}
