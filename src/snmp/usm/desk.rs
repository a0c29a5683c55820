//! Where one who opens many messages works: with room of its own, so that nothing is asked of what all share.

use std::net::IpAddr;
use std::sync::Arc;

use crate::snmp::usm::error::Refused;
use crate::snmp::usm::open::{Opened, Usm};
use crate::snmp::usm::room::Room;
use crate::snmp::usm::senders::MAX_ENGINES;

/// A desk of one listener or stream. It goes with the users that it was made for.
pub struct Desk {
    usm: Arc<Usm>,
    room: Room,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("usm", &self.usm).finish_non_exhaustive()
    }
}

impl Desk {
    /// How many senders a listener of datagrams knows by heart.
    pub const OF_DATAGRAMS: usize = MAX_ENGINES;
    /// How many of a stream: there may be a thousand streams, and few have more than one sender.
    pub const OF_STREAM: usize = 16;

    /// A desk for these users, which knows at most so many senders by heart.
    pub fn new(usm: Arc<Usm>, most: usize) -> Self {
        Desk { usm, room: Room::for_senders(most) }
    }

    /// Whether the making of keys is limited for engines that were seen before, too, as somebody may forge messages of them. Whoever
    /// has proven himself since the users were read needs no new keys.
    pub fn spare_keys(&mut self, spares: bool) {
        self.room.spares = spares;
    }

    /// Checks a message and takes it apart, as [`Usm::open`] does.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why, and what the sender is told.
    pub fn open<'d>(&'d mut self, packet: &'d [u8], from: IpAddr, now: u64) -> Result<Opened<'d>, Refused> {
        self.usm.open_in(&mut self.room, packet, from, now)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::OnceLock;

    use proptest::prelude::*;

    use super::*;
    use crate::snmp::ber::tag;
    use crate::snmp::usm::crafted::Crafted;
    use crate::snmp::usm::{AuthProtocol, Engine, Memory, PrivProtocol, Senders, User};

    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const OWN: [u8; 5] = [0x80, 0, 0, 1, 0];

    /// Users of which some share a name; making their keys takes long on purpose.
    fn users() -> &'static [User; 4] {
        static USERS: OnceLock<[User; 4]> = OnceLock::new();
        USERS.get_or_init(|| {
            let private = Some((PrivProtocol::Aes128, &b"priv-password"[..]));
            let des = Some((PrivProtocol::Des, &b"priv-password"[..]));
            [
                User::new("ops", (AuthProtocol::Sha256, b"auth-password"), private).unwrap(),
                User::new("ops", (AuthProtocol::Sha256, b"other-password"), des)
                    .unwrap()
                    .bound_to(&[0x80, 0, 0, 1, 2]),
                User::new("audit", (AuthProtocol::Md5, b"auth-password"), None).unwrap(),
                User::open("guest"),
            ]
        })
    }

    fn receiver() -> Usm {
        let engine = Engine { id: OWN.to_vec(), boots: 1, started: 0 };
        Usm::new(users().to_vec(), Arc::new(Memory::new(engine, Senders::default()).unwrap()))
    }

    type Fate = Result<(String, &'static str, Vec<u8>), (String, bool, bool)>;

    fn fate(opened: Result<Opened<'_>, Refused>) -> Fate {
        match opened {
            Ok(opened) => {
                let user = opened.usm.user_of(&opened).to_owned();
                Ok((user, opened.level().as_str(), opened.scoped.to_vec()))
            }
            Err(refused) => Err((format!("{:?}", refused.why), refused.report.is_some(), refused.proven)),
        }
    }

    proptest! {
        /// What is known by heart changes nothing of what becomes of a message.
        #[test]
        fn a_desk_opens_what_is_opened_without(
            sent in prop::collection::vec(
                (0usize..4, 0u8..5, 0u32..400, prop::option::weighted(0.2, (any::<prop::sample::Index>(), 0u8..8)), any::<bool>()),
                1..25,
            ),
            most in 0..4usize,
        ) {
            let (without, mut desk) = (receiver(), Desk::new(Arc::new(receiver()), most));
            for (n, (user, engine, time, damage, again)) in sent.into_iter().enumerate() {
                let user = &users()[user];
                let mut packet = Crafted {
                    flags: user.flags(),
                    engine: &[0x80, 0, 0, 1, engine],
                    time,
                    pdu: if engine == 0 { tag::INFORM } else { tag::TRAP_V2 },
                    request_id: n as i32,
                    ..Crafted::default()
                }
                .of(user);
                if let Some((at, bit)) = damage {
                    *at.get_mut(&mut packet) ^= 1 << bit;
                }
                for _ in 0..=usize::from(again) {
                    let expected = fate(without.open(&packet, FROM, 100));
                    prop_assert_eq!(fate(desk.open(&packet, FROM, 100)), expected);
                    prop_assert!(desk.room.known.len() <= most.max(1));
                }
            }
        }
    }

    #[test]
    fn who_has_proven_himself_is_known_and_nobody_else() {
        let mut desk = Desk::new(Arc::new(receiver()), Desk::OF_STREAM);
        let [ops, .., guest] = users();
        for (user, known) in [(guest, 0), (ops, 1)] {
            let packet = Crafted { flags: user.flags(), ..Crafted::default() }.of(user);
            let mut damaged = packet.clone();
            *damaged.last_mut().unwrap() ^= 1;
            assert_eq!(desk.open(&damaged, FROM, 1).is_ok(), user.flags() == 0);
            assert_eq!(desk.room.known.len(), 0);
            assert!(desk.open(&packet, FROM, 1).is_ok());
            assert!(desk.open(&damaged, FROM, 1).is_err() || user.flags() == 0);
            assert_eq!(desk.room.known.len(), known);
        }
    }
}
