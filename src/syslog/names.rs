//! The names of facilities and severities.

/// The names of the facilities, by number (RFC 5424, section 6.2.1, with the BSD names).
pub const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// The names of the severities, by number.
pub const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// The number of a facility or severity given by name (with the common long forms) or by number.
pub fn number_of(names: &[&str], word: &str) -> Option<u8> {
    let short = match word {
        "emergency" | "panic" => "emerg",
        "critical" => "crit",
        "error" => "err",
        "warn" => "warning",
        "informational" => "info",
        other => other,
    };
    names
        .iter()
        .position(|n| *n == short)
        .or_else(|| word.parse().ok().filter(|n| *n < names.len()))
        .map(|n| n as u8)
}
