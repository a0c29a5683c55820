//! Time: the clock that loops hold, and what is decided by the time that passed. All but [`clock`] is pure: time is an
//! argument.

pub mod backoff;
pub mod calendar;
pub mod clock;
pub mod log_limit;
pub mod rate;
pub mod receipts;
pub mod recent;
