//! What makes every encrypted message another: salts that never repeat (RFC 3414, section 8.1.1.1; RFC 3826, section 3.1.4.1).

use async_snmp::v3::{DesSaltState, PersistedDesSaltState, SaltCounter};

/// The highest snmpEngineBoots (RFC 3414, section 2.2.2).
const MAX_BOOTS: u32 = u32::MAX >> 1;

/// Counters of salts. DES has only the boots and 32 bits of a counter, so whoever keeps an engine keeps these as long as the boot
/// lasts.
pub(crate) struct Salts {
    pub(crate) aes: SaltCounter,
    pub(crate) des: DesSaltState,
}

impl Salts {
    /// For an engine that counts its boots and stores them before it encrypts.
    pub(crate) fn of_boot(boots: u32) -> Result<Self, String> {
        Self::of_epoch(boots.clamp(1, MAX_BOOTS))
    }

    /// For a process that stores nothing: a random epoch takes the place of the boots.
    pub(crate) fn random() -> Result<Self, String> {
        let epoch = getrandom::u32().map_err(|e| e.to_string())?;
        Self::of_epoch((epoch & MAX_BOOTS).max(1))
    }

    /// `epoch` is 1 to 2^31-1.
    fn of_epoch(epoch: u32) -> Result<Self, String> {
        // It is stored already, or random.
        let stored = |_: &PersistedDesSaltState| Ok::<(), std::io::Error>(());
        let des = match PersistedDesSaltState::new(epoch - 1) {
            Ok(before) => DesSaltState::restart(before, stored),
            // Epoch 1 has none before it.
            Err(_) => DesSaltState::install(stored),
        };
        let aes = SaltCounter::new().map_err(|e| e.to_string())?;
        Ok(Salts { aes, des: des.map_err(|e| e.to_string())? })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn des(salts: &Salts) -> (u32, u32) {
        let salt = salts.des.reserve().unwrap();
        (salt.engine_boots(), salt.salt())
    }

    #[test]
    fn each_boot_and_each_process_has_salts_of_its_own() {
        for boots in [1, 2, 7, MAX_BOOTS] {
            assert_eq!(des(&Salts::of_boot(boots).unwrap()).0, boots);
        }
        let processes: HashSet<_> = (0..50).map(|_| des(&Salts::random().unwrap())).collect();
        assert!(processes.len() >= 49, "two of fifty random epochs may be the same, once in 2 million runs");
    }
}
