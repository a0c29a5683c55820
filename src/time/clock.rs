//! Clocks, and times as text.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// The time, in microseconds since 1970 UTC.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Microseconds since 1970 UTC as RFC 3339.
pub fn rfc3339(time: i64) -> String {
    Timestamp::from_microsecond(time).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}
