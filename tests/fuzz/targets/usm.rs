//! Any v3 packet is safe to open, and one that nobody has sealed is refused.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use trapline::snmp::Usm;
use trapline::snmp::usm::{AuthProtocol, Engine, Memory, PrivProtocol, Senders, User};

static USM: OnceLock<Usm> = OnceLock::new();

/// One input.
pub fn run(packet: &[u8]) {
    let usm = USM.get_or_init(|| {
        let keys = (AuthProtocol::Sha256, &b"auth-password"[..]);
        let user = User::new("ops", keys, Some((PrivProtocol::Aes128, b"priv-password"))).unwrap();
        let engine = Engine { id: vec![0x80, 0, 0, 1, 2], boots: 1, started: 0 };
        Usm::new(vec![user], Arc::new(Memory::new(engine, Senders::default()).unwrap()))
    });
    assert!(usm.open(packet, IpAddr::V4(Ipv4Addr::LOCALHOST), 100).is_err());
}
