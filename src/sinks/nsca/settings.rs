//! The keys of the nsca sink.

use super::cipher::Method;
use super::lane::Nsca;
use super::packet::Size;
use std::sync::Arc;

use crate::settings::address::Address;
use crate::settings::secret::PASSWORD;
use crate::settings::section::as_integer;
use crate::settings::url::shown;
use crate::sinks::plugin_output::Newlines;
use crate::sinks::settings::{Configured, Key, Kind, Options};

/// The port of NSCA daemons.
const PORT: u16 = 5667;

/// `type = "nsca"`
pub const KIND: Kind = Kind {
    name: "nsca",
    says: "an NSCA daemon",
    keys: &[&[
        Key { name: "address", default: "required", says: "`HOST` or `HOST:PORT`. Default port: 5667." },
        Key { name: "password", default: "\"\"", says: "`password` of nsca.cfg." },
        Key { name: "password_file", default: "", says: "The same from the first line of a file." },
        Key { name: "password_env", default: "", says: "The same from an environment variable." },
        Key {
            name: "encryption_method",
            default: "1",
            says: "`decryption_method` of nsca.cfg, by number or name.",
        },
        Key {
            name: "output_size",
            default: "4096",
            says: "How much output a packet holds, in bytes: 512 for daemons up to 2.7, 4096 since 2.9. Longer output is cut and counted (`cut`).",
        },
        Key {
            name: "newlines",
            default: "`\"join\"` with an `output_size` of 4096, `\"escaped\"` with 512",
            says: "Who escapes further lines and `\\`: `\"daemon\"`: nsca 2.10.1 and later; `\"escaped\"`: the sink, for older daemons; `\"join\"`: nobody; lines are joined by ` / `.",
        },
    ]],
    answers: &[],
    read,
};

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let address = options.required("address", "nagios.example:5667").and_then(|text| {
        let address = Address::parse(&text, PORT);
        if address.is_none() {
            let hint = Some("write HOST, HOST:PORT or [IPV6]:PORT, as in nagios.example:5667");
            options.report_at(
                &text.span,
                format!("'{}' is no address of a daemon", shown(&text.value)),
                hint,
            );
        }
        address
    });
    let password = options.secret(&PASSWORD).unwrap_or_default();
    let method = options.get("encryption_method").map_or(Some(Method::Xor), |value| {
        let number = as_integer(value.get_ref()).and_then(Method::numbered);
        let method = number.or_else(|| Method::named(value.get_ref().as_str()?));
        if method.is_none() {
            let known: Vec<String> =
                Method::ALL.iter().map(|(_, number, name, _)| format!("{number} ({name})")).collect();
            let hint = format!("one of {}", known.join(", "));
            options.report_at(&value.span(), "there is no such encryption method here", Some(&hint));
        }
        method
    });
    let size = options.integer("output_size").map_or(Some(Size::Long), |size| match size.value {
        512 => Some(Size::Short),
        4096 => Some(Size::Long),
        _ => {
            let hint = Some("512 up to nsca 2.7, 4096 since 2.9");
            options.report_at(&size.span, "output_size is 512 or 4096", hint);
            None
        }
    });
    let known = [("daemon", Newlines::Raw), ("escaped", Newlines::Escaped), ("join", Newlines::Joined)];
    let newlines = options.word("newlines", &known, "way to write further lines");
    // nsca 2.9 to 2.10.0 escapes nothing: a newline in a text would begin a second command.
    let default = if size == Some(Size::Short) { Newlines::Escaped } else { Newlines::Joined };
    let newlines = newlines.unwrap_or(default);
    Some(Arc::new(Nsca { address: address?, password, method: method?, size: size?, newlines }))
}
