//! Why a v3 message is not taken.

/// Why a v3 message is not taken, and the Report that the sender gets.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub why: UsmError,
    /// The packet to answer with.
    pub report: Option<Vec<u8>>,
    /// Whether the sender has proven who it is.
    pub proven: bool,
}

/// Why a v3 message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsmError {
    /// The envelope cannot be read.
    #[error("broken SNMPv3 envelope")]
    Envelope,
    /// Not the User-based Security Model.
    #[error("security model {0} is not known; let the device use USM")]
    Model(u32),
    /// An inform or a request to another engine, or to none: its sender asks who this engine is.
    #[error("a sender asks for the engine id")]
    Discovery,
    /// A PDU that is neither trap nor inform.
    #[error("an SNMPv3 PDU of type 0x{0:02x}, which is neither trap nor inform")]
    Unhandled(u8),
    /// A user that is not configured.
    #[error("unknown SNMPv3 user '{0}'; add it to [[snmp.users]]")]
    User(String),
    /// A user that is configured for other engines only.
    #[error(
        "SNMPv3 user '{user}' is not configured for engine id 0x{engine}; add a [[snmp.users]] with this engine, or one without"
    )]
    Bound {
        /// The user.
        user: String,
        /// The engine that it came from, in hex.
        engine: String,
    },
    /// Less or more security than the user has.
    #[error(
        "SNMPv3 user '{user}' sends with {came}, but is configured with {needed}; make the device and [[snmp.users]] agree"
    )]
    Level {
        /// The user.
        user: String,
        /// The level of the message.
        came: &'static str,
        /// The level of the user.
        needed: &'static str,
    },
    /// The digest is wrong.
    #[error("wrong digest for SNMPv3 user '{0}'; compare auth protocol and password with the device")]
    Digest(String),
    /// Too old, or from an earlier boot.
    #[error(
        "a message of SNMPv3 user '{0}' is outside of the time window; a replay, or a device whose clock or boots went back"
    )]
    Time(String),
    /// A copy of a message that was taken before.
    #[error("a message of SNMPv3 user '{0}' came a second time; a replay, or a network that doubles packets")]
    Replay(String),
    /// It cannot be decrypted.
    #[error(
        "cannot decrypt a message of SNMPv3 user '{0}'; compare priv protocol and password with the device"
    )]
    Decryption(String),
    /// More unknown engines than keys are made for.
    #[error(
        "more than {0} SNMPv3 messages a second from engines not seen before; somebody makes engine ids up, block the sender"
    )]
    Engines(u32),
}

impl UsmError {
    /// The word for what is counted (`malformed` in the statistics).
    pub fn reason(&self) -> &'static str {
        match self {
            UsmError::Envelope => "v3_envelope",
            UsmError::Model(_) => "v3_model",
            UsmError::Discovery => "v3_discovery",
            UsmError::Unhandled(_) => "not_notification",
            UsmError::User(_) | UsmError::Bound { .. } => "v3_user",
            UsmError::Level { .. } => "v3_level",
            UsmError::Digest(_) => "v3_digest",
            UsmError::Time(_) => "v3_time",
            UsmError::Replay(_) => "v3_replay",
            UsmError::Decryption(_) => "v3_decryption",
            UsmError::Engines(_) => "v3_engines",
        }
    }
}
