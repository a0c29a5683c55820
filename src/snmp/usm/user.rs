//! Users and their keys.

use std::sync::Arc;

use async_snmp::v3::{AuthProtocol, LocalizedKey, MasterKeys, PrivKey, PrivProtocol};

use crate::snmp::usm::auth_key::AuthKey;
use crate::snmp::usm::envelope::{AUTH, PRIV};
use crate::snmp::usm::privacy_key::PrivacyKey;

/// A user, and what its keys are made of. The library wipes keys from memory when they go.
#[derive(Debug, Clone)]
pub struct User {
    /// The user name.
    pub name: String,
    /// The only engine that it sends from; none for any.
    pub engine: Option<Vec<u8>>,
    /// Whether it may speak for other hosts.
    pub relay: bool,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    /// No authentication.
    Open,
    /// Passwords, whose keys can be localised for any engine.
    Password(Arc<MasterKeys>),
    /// Keys that were localised for the engine of the user.
    Localised(LocalizedKey, Option<PrivKey>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Secret::Open => "open",
            Secret::Password(_) => "passwords",
            Secret::Localised(..) => "localised keys",
        })
    }
}

impl User {
    /// A user without authentication.
    pub fn open(name: &str) -> Self {
        User { name: name.to_owned(), engine: None, relay: false, secret: Secret::Open }
    }

    /// A user whose messages must be authenticated, and encrypted where a second protocol is given.
    ///
    /// # Errors
    ///
    /// If a password is too short (8 characters, RFC 3414, section 11.2) or the protocols do not go together.
    pub fn new(
        name: &str,
        (auth, password): (AuthProtocol, &[u8]),
        privacy: Option<(PrivProtocol, &[u8])>,
    ) -> Result<Self, String> {
        let mut keys = MasterKeys::new(auth, password).map_err(|e| e.to_string())?;
        if let Some((protocol, password)) = privacy {
            keys = keys.with_privacy(protocol, password).map_err(|e| e.to_string())?;
        }
        let secret = Secret::Password(Arc::new(keys));
        Ok(User { name: name.to_owned(), engine: None, relay: false, secret })
    }

    /// The same with keys that are already localised for an engine (RFC 3414, section 2.6).
    ///
    /// # Errors
    ///
    /// If a key has not the length that its protocol needs.
    pub fn localised(
        name: &str,
        engine: &[u8],
        (auth, key): (AuthProtocol, &[u8]),
        privacy: Option<(PrivProtocol, &[u8])>,
    ) -> Result<Self, String> {
        if key.len() != auth.digest_len() {
            return Err(format!("an authentication key has {} octets, not {}", auth.digest_len(), key.len()));
        }
        let auth = LocalizedKey::from_bytes(auth, key).map_err(|e| e.to_string())?;
        let privacy = match privacy {
            Some((protocol, key)) if key.len() < protocol.key_len() => {
                return Err(format!("a privacy key has {} octets, not {}", protocol.key_len(), key.len()));
            }
            Some((protocol, key)) => Some(PrivKey::from_bytes(protocol, key).map_err(|e| e.to_string())?),
            None => None,
        };
        let secret = Secret::Localised(auth, privacy);
        Ok(User { name: name.to_owned(), engine: Some(engine.to_owned()), relay: false, secret })
    }

    /// The user, of this engine alone.
    #[must_use]
    pub fn bound_to(mut self, engine: &[u8]) -> Self {
        self.engine = Some(engine.to_owned());
        self
    }

    /// The user, who may speak for other hosts or not.
    #[must_use]
    pub fn with_relay(mut self, relay: bool) -> Self {
        self.relay = relay;
        self
    }

    /// The flags of its security level (RFC 3412, section 6.4).
    pub(crate) fn flags(&self) -> u8 {
        match &self.secret {
            Secret::Open => 0,
            Secret::Password(keys) if keys.priv_protocol().is_none() => AUTH,
            Secret::Localised(_, None) => AUTH,
            _ => AUTH | PRIV,
        }
    }

    /// The key that proves messages of this engine; none for an open user, or where only keys for another engine
    /// are known.
    pub(crate) fn auth_key(&self, engine: &[u8]) -> Option<AuthKey> {
        let key = match &self.secret {
            Secret::Open => None,
            Secret::Password(keys) => keys.auth_master().localize(engine).ok(),
            Secret::Localised(auth, _) => self.at_home(engine).then(|| auth.clone()),
        };
        AuthKey::new(key?)
    }

    /// The key that encrypts messages of this engine. Localising one can cost a thousand times what the key above
    /// does (Reeder's extension stretches it like a password), so it is made of proven messages only.
    pub(crate) fn priv_key(&self, engine: &[u8]) -> Option<PrivacyKey> {
        let key = match &self.secret {
            Secret::Open => None,
            Secret::Password(keys) => {
                let master = keys.priv_master().unwrap_or(keys.auth_master());
                PrivKey::from_master_key(master, keys.priv_protocol()?, engine).ok()
            }
            Secret::Localised(_, privacy) => privacy.clone().filter(|_| self.at_home(engine)),
        };
        key.map(PrivacyKey::new)
    }

    fn at_home(&self, engine: &[u8]) -> bool {
        self.engine.as_deref() == Some(engine)
    }
}
