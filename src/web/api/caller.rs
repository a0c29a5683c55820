//! Who asks, and what is asked for.

use std::net::IpAddr;

use super::origin::Kind;
use super::role::Role;
use super::tokens::Hash;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the token; none without one.
    pub token: Option<String>,
    /// The SHA-256 of the token.
    pub hash: Option<Hash>,
    /// What it may.
    pub role: Role,
    /// From where it asks.
    pub address: IpAddr,
    /// The SHA-256 of the cookie of a session; none if it asks by its token.
    pub session: Option<Hash>,
}

/// What must hold for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// What somebody must be to ask.
    pub role: Role,
    /// Whether this machine may ask without a token.
    pub local: bool,
    /// What it does, with a cookie.
    pub kind: Kind,
    /// Whether it has a body.
    pub has_body: bool,
}
