//! Who sends over SNMPv3.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use zeroize::Zeroizing;

use crate::settings::input;
use crate::settings::values::unhex;
use crate::snmp::usm::originate::Originator;
use crate::snmp::usm::users::{auth_protocol, priv_protocol};
use crate::snmp::usm::{Engine, User};

/// 2020-01-01 in seconds since 1970: when the only boot of the sending engine began. So its time goes on from run to
/// run with nothing to keep.
const BEGAN: u64 = 1_577_836_800;
/// snmpEngineID of the sender (RFC 3411, section 5): the enterprise number for examples (RFC 5612), format 4, a text.
const ENGINE: &[u8] = b"\x80\x00\x7e\xd9\x04trapline send";

#[derive(Debug, Args)]
pub(crate) struct SecurityArgs {
    /// The user; selects SNMPv3
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// MD5, SHA-1, SHA-224, SHA-256, SHA-384 or SHA-512
    #[arg(long, value_name = "PROTOCOL", requires = "user")]
    auth: Option<String>,
    /// Visible to all users of this machine; prefer `TRAPLINE_AUTH_PASSWORD` or a file
    #[arg(long, value_name = "PASSWORD", requires = "auth")]
    auth_password: Option<String>,
    /// A file with the password in its first line
    #[arg(long, value_name = "FILE", requires = "auth", conflicts_with = "auth_password")]
    auth_password_file: Option<PathBuf>,
    /// DES, 3DES, AES-128, AES-192, AES-256, AES-192-C or AES-256-C (C: Cisco's key extension)
    #[arg(long = "priv", value_name = "PROTOCOL", requires = "auth")]
    privacy: Option<String>,
    /// Visible to all users of this machine; prefer `TRAPLINE_PRIV_PASSWORD` or a file
    #[arg(long, value_name = "PASSWORD", requires = "privacy")]
    priv_password: Option<String>,
    /// A file with the password in its first line
    #[arg(long, value_name = "FILE", requires = "privacy", conflicts_with = "priv_password")]
    priv_password_file: Option<PathBuf>,
    /// The context
    #[arg(long, value_name = "NAME", default_value = "", requires = "user")]
    context: String,
    /// The engine ID of the sender of traps, in hex
    #[arg(long, value_name = "HEX", requires = "user")]
    engine_id: Option<String>,
}

/// The time in seconds since 1970 as it was at the start, going on without the steps of the wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seconds {
    started: u64,
    since: Instant,
}

impl Default for Seconds {
    fn default() -> Self {
        let started = u64::try_from(crate::time::clock::now() / 1_000_000).unwrap_or(0);
        Seconds { started, since: Instant::now() }
    }
}

impl Seconds {
    pub(crate) fn now(&self) -> u64 {
        self.started + self.since.elapsed().as_secs()
    }
}

impl SecurityArgs {
    /// The user that sends; none for v1 and v2c.
    pub(crate) fn originator(&self) -> anyhow::Result<Option<Originator>> {
        let Some(name) = &self.user else { return Ok(None) };
        let user = match &self.auth {
            None => User::open(name),
            Some(auth) => {
                let auth = auth_protocol(auth).map_err(|hint| anyhow!("--auth: no such protocol; {hint}"))?;
                let password = secret(self.auth_password.as_ref(), self.auth_password_file.as_ref(), "AUTH")?;
                let privacy = match &self.privacy {
                    Some(privacy) => {
                        let protocol = priv_protocol(privacy)
                            .map_err(|hint| anyhow!("--priv: no such protocol; {hint}"))?;
                        Some((
                            protocol,
                            secret(self.priv_password.as_ref(), self.priv_password_file.as_ref(), "PRIV")?,
                        ))
                    }
                    None => None,
                };
                let privacy = privacy.as_ref().map(|(protocol, password)| (*protocol, password.as_bytes()));
                User::new(name, (auth, password.as_bytes()), privacy)
                    .map_err(|error| anyhow!("{error}; passwords have 8 characters or more"))?
            }
        };
        let id = match &self.engine_id {
            Some(hex) => unhex(hex)
                .filter(|id| (5..=32).contains(&id.len()))
                .context("--engine-id must be 5 to 32 octets in hex")?,
            None => ENGINE.to_vec(),
        };
        let engine = Engine { id, boots: 1, started: BEGAN };
        Originator::new(user, engine, self.context.as_bytes()).map(Some).map_err(|error| anyhow!(error))
    }
}

fn secret(given: Option<&String>, file: Option<&PathBuf>, what: &str) -> anyhow::Result<Zeroizing<String>> {
    if let Some(password) = given {
        return Ok(Zeroizing::new(password.clone()));
    }
    if let Some(path) = file {
        let text = input::text(path, input::TEXT);
        let text = text.with_context(|| format!("cannot read the password in {}", path.display()))?;
        return Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()));
    }
    let variable = format!("TRAPLINE_{what}_PASSWORD");
    match std::env::var(&variable) {
        Ok(password) => Ok(Zeroizing::new(password)),
        Err(_) => {
            let option = what.to_lowercase();
            bail!("no password for --{option}: set {variable}, or give --{option}-password-file")
        }
    }
}
