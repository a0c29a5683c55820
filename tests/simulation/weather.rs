//! What may go wrong in a seed.

use crate::random::Random;

/// What may go wrong.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub crashes: bool,
    pub power: bool,
    pub disk: bool,
    pub full: bool,
    pub vanish: bool,
    pub clock: bool,
    pub reloads: bool,
    pub stops: bool,
    pub servers: bool,
}

impl Weather {
    /// Draws it: one of ten seeds has nearly everything.
    pub fn draw(random: &Random) -> Self {
        let weather = Weather {
            crashes: random.once_in(2),
            power: random.once_in(3),
            disk: random.once_in(3),
            full: random.once_in(6),
            vanish: random.once_in(8),
            clock: random.once_in(3),
            reloads: random.once_in(2),
            stops: random.once_in(2),
            servers: random.once_in(4) || random.once_in(2),
        };
        if random.once_in(10) {
            return Weather { crashes: true, power: true, disk: true, reloads: true, stops: true, ..weather };
        }
        weather
    }
}
