//! The time zones of times that name none, by sender.

use jiff::tz::TimeZone;

use super::networks::ByNetwork;
use crate::message::Source;
use crate::settings::diagnostic::{Diagnostics, did_you_mean};
use crate::settings::section::Section;
use crate::settings::values::network;

/// The zone of each sender.
#[derive(Debug, Clone, Default)]
pub struct Zones {
    /// That of senders that are in no network.
    default: Zone,
    zones: Vec<TimeZone>,
    /// Places in `zones`.
    by_sender: ByNetwork<usize>,
}

/// The time zone of this machine unless another one is given.
#[derive(Debug, Clone)]
struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Zone(TimeZone::system())
    }
}

impl Zones {
    /// The zone of a sender.
    pub fn of(&self, source: &Source) -> &TimeZone {
        if self.by_sender.is_empty() {
            return &self.default.0;
        }
        let place = self.by_sender.of(source.address());
        place.and_then(|place| self.zones.get(place)).unwrap_or(&self.default.0)
    }
}

/// Reads `zone` and `zones`.
pub fn zones(section: &Section<'_, '_>, found: &mut Diagnostics) -> Zones {
    let mut all = Zones::default();
    if let Some(name) = section.string("zone", found) {
        match zone(&name) {
            Ok(zone) => all.default = Zone(zone),
            Err((message, hint)) => found.push(section.source().error(&name.span, message, hint)),
        }
    }
    let mut places = Vec::new();
    if let Some(table) = section.section("zones", found) {
        for (key, span, value) in table.entries() {
            let network = network(key).map_err(|message| (message, None));
            let name = value.get_ref().as_str().ok_or_else(|| {
                ("a time zone must be a string".to_owned(), Some("write \"Europe/Vienna\"".to_owned()))
            });
            match network.and_then(|network| Ok((network, zone(name?)?))) {
                Ok((network, zone)) => {
                    places.push((network, all.zones.len()));
                    all.zones.push(zone);
                }
                Err((message, hint)) => found.push(table.source().error(&span, message, hint)),
            }
        }
    }
    all.by_sender = ByNetwork::new(places);
    all
}

/// The zone of a name.
fn zone(name: &str) -> Result<TimeZone, (String, Option<String>)> {
    if name == "local" {
        return Ok(TimeZone::system());
    }
    TimeZone::get(name).map_err(|_| {
        let message = format!("unknown time zone '{}'", name.escape_debug());
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let near = did_you_mean(name, known.iter().map(String::as_str));
        let hint = near.unwrap_or_else(|| {
            "write \"local\", \"UTC\" or a name of the tz database such as \"Europe/Vienna\" (Debian: package tzdata)".to_owned()
        });
        (message, Some(hint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::diagnostic::SourceText;
    use crate::settings::section;

    fn read(text: &str) -> (Zones, String) {
        let (source, mut found) = (SourceText { file: "x.toml", text }, Diagnostics::default());
        let root = section::read(&source, &mut found).unwrap();
        let root = Section::new(&source, root.get_ref(), root.span(), "[syslog]");
        let zones = zones(&root, &mut found);
        root.finish(&mut found);
        (zones, found.to_text())
    }

    fn has_tzdata() -> bool {
        let has = TimeZone::get("Europe/Vienna").is_ok();
        if !has {
            eprintln!("SKIPPED: this machine has no tz database (Debian: package tzdata)");
        }
        has
    }

    fn name(zones: &Zones, address: &str) -> String {
        let peer = std::net::SocketAddr::new(address.parse().unwrap(), 514);
        let zone = zones.of(&Source { peer: peer.into(), received: 0 });
        zone.iana_name().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_network_of_the_sender_decides() {
        if !has_tzdata() {
            return;
        }
        let (zones, found) = read(
            "zone = \"UTC\"\nzones = { \"192.0.2.0/24\" = \"Europe/Vienna\", \"192.0.2.7\" = \"America/New_York\" }",
        );
        assert_eq!(found, "");
        for (address, expected) in
            [("192.0.2.1", "Europe/Vienna"), ("192.0.2.7", "America/New_York"), ("198.51.100.1", "UTC")]
        {
            assert_eq!(name(&zones, address), expected, "{address}");
        }
    }

    #[test]
    fn mistakes_have_a_place_and_a_hint() {
        if !has_tzdata() {
            return;
        }
        for (text, message, hint) in [
            (
                "zone = \"Europe/Viena\"",
                "x.toml:1:8: error: unknown time zone 'Europe/Viena'",
                "did you mean 'Europe/Vienna'",
            ),
            ("zones = { \"192.0.2.0/24\" = 1 }", "a time zone must be a string", "Europe/Vienna"),
            ("zones = { \"sw1\" = \"UTC\" }", "sw1", ""),
            ("zone = \"UTC\"\nzoness = 1", "zoness", "zones"),
        ] {
            let (_, found) = read(text);
            assert!(found.contains(message) && found.contains(hint), "{text}: {found}");
        }
    }
}
