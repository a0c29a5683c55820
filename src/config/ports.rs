//! Listeners of different sections that want the same port.

use crate::intake::listener::{Listener, Transport};
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
        let message = format!("{} and {} cannot have the same port or path at once", one.0, other.0);
        found.push(place.error(message, "give one of them another one, or remove it"));
    };
    for (at, one) in listeners.iter().enumerate() {
        let clash =
            |other: &&&Listener| one.key() != other.key() && one.transport.clashes(&other.transport, false);
        for other in listeners[at + 1..].iter().filter(clash) {
            report(named(one), named(other));
        }
        let takes_port = |listen| one.transport.clashes(&Transport::Tcp(listen), true);
        if let Some(http) = http.filter(|http| takes_port(http.listen)) {
            report(named(one), (format!("HTTP {}/tcp", http.listen), http.place.as_ref()));
        }
    }
}

fn named(listener: &Listener) -> (String, Option<&Place>) {
    (listener.key().to_string(), listener.place.as_ref())
}
