//! Listeners of different sections that want the same port.

use crate::intake::listener::{Listener, overlap};
use crate::settings::diagnostic::{Diagnostics, Place};
use crate::web;

/// Reports listeners that cannot be bound at once. Those of one section with the same address were reported there.
pub(super) fn check(
    listeners: &[&Listener],
    http: Option<&web::settings::Settings>,
    found: &mut Diagnostics,
) {
    let mut report = |one: (String, Option<&Place>), other: (String, Option<&Place>)| {
        // A built-in listener has no place.
        let Some(place) = other.1.or(one.1) else { return };
        let message = format!("{} and {} cannot have the same port at once", one.0, other.0);
        found.push(place.error(message, "give one of them another port, or remove it"));
    };
    for (at, one) in listeners.iter().enumerate() {
        let (transport, address) = (one.transport, one.transport.address());
        let clash = |other: &&&Listener| {
            let same = one.key() == other.key();
            let kind = other.transport.is_datagram() == transport.is_datagram();
            !same && kind && overlap(address, other.transport.address(), false)
        };
        for other in listeners[at + 1..].iter().filter(clash) {
            report(named(one), named(other));
        }
        if let Some(http) =
            http.filter(|http| !transport.is_datagram() && overlap(address, http.listen, true))
        {
            report(named(one), (format!("HTTP {}/tcp", http.listen), http.place.as_ref()));
        }
    }
}

fn named(listener: &Listener) -> (String, Option<&Place>) {
    (listener.key().to_string(), listener.place.as_ref())
}
