//! What somebody may do.

use serde::{Deserialize, Serialize};

/// What somebody may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What needs no token.
    Open,
    /// Look.
    Read,
    /// Also change what the daemon does.
    Operate,
    /// Also see and change who may what.
    Admin,
}

impl Role {
    /// The roles that a token can have.
    pub const OF_TOKENS: [Role; 3] = [Role::Read, Role::Operate, Role::Admin];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Open => "open",
            Role::Read => "read",
            Role::Operate => "operate",
            Role::Admin => "admin",
        }
    }

    /// The role of a token, by its word.
    pub fn of_token(word: &str) -> Option<Role> {
        Role::OF_TOKENS.into_iter().find(|role| role.as_str() == word)
    }
}
