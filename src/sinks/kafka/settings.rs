//! The keys of the kafka sink.

use std::sync::Arc;

use super::connection::{Login, Manner, Mechanism};
use super::lane::KafkaSink;
use super::scram::Hash;
use super::topic::{self, word};
use super::view::Cluster;
use crate::sinks::http::server::login;
use crate::sinks::place::{self, LOGIN};
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::tls;

const PORT: u16 = 9092;
const TOPIC: &str = "trapline";

/// `type = "kafka"`
pub const KIND: Kind = Kind {
    name: "kafka",
    says: "topics of Apache Kafka, and of others that speak its protocol",
    keys: &[KEYS, LOGIN, MECHANISM, tls::KEYS],
    answers: &[],
    read,
};

const KEYS: &[Key] = &[
    Key {
        name: "addresses",
        default: "required",
        says: "A list of `HOST` or `HOST:PORT`. Default port: 9092. Any of them tells where the brokers of the cluster are.",
    },
    Key {
        name: "topic",
        default: "\"trapline\"",
        says: "A template. The topics that it makes must be there.",
    },
    Key { name: "tls", default: "false", says: "Whether TLS is spoken." },
];

const MECHANISM: &[Key] = &[Key {
    name: "mechanism",
    default: "\"scram-sha-512\"",
    says: "How to log in with user and password: `scram-sha-512`, `scram-sha-256` or `plain`.",
}];

const MECHANISMS: &[(&str, Mechanism)] = &[
    ("scram-sha-512", Mechanism::Scram(Hash::Sha512)),
    ("scram-sha-256", Mechanism::Scram(Hash::Sha256)),
    ("plain", Mechanism::Plain),
];

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let addresses = place::addresses(options, PORT, "a broker", "kafka.example.org");
    let topic = place::template(options, "topic", TOPIC, word, topic::check);
    let secure = options.boolean("tls", false);
    let login = login(options);
    let mechanism = options.word("mechanism", MECHANISMS, "mechanism");
    let first = addresses.as_ref().and_then(|all| all.first()).map(|address| (address.host.as_str(), secure));
    let tls = tls::read(options, first, ("there is no TLS without tls = true", "add tls = true"));
    let own_name = options.get("server_name").is_some();
    if login.is_none() && mechanism.is_some() {
        options.report("'mechanism' is for a login", "give user and password, too");
    }
    let mechanism = mechanism.unwrap_or(Mechanism::Scram(Hash::Sha512));
    let login = login.map(|(user, password)| Login { user, password, mechanism });
    let (addresses, tls) = (addresses?, tls?);
    if login.as_ref().is_some_and(|login| login.mechanism == Mechanism::Plain) && !secure {
        place::open_to_all(options, &addresses, "password", "add tls = true, or use a mechanism of SCRAM");
    }
    let tls = tls.map(|(config, name)| (config, own_name.then_some(name)));
    let cluster = Arc::new(Cluster { addresses, manner: Manner { tls, login } });
    Some(Arc::new(KafkaSink { cluster, topic: topic? }))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::rules::looks::Looks;
    use crate::settings::diagnostic::{Diagnostics, SourceText};
    use crate::settings::section::{self, Section};
    use crate::sinks::settings::Resolve;

    fn read(more: &str) -> (String, String) {
        let text = format!("type = \"kafka\"\naddresses = [\"kafka.example.org\"]\n{more}");
        let source = SourceText { file: "t.toml", text: &text };
        let mut found = Diagnostics::default();
        let root = section::read(&source, &mut found).unwrap();
        let section = Section::new(&source, root.get_ref(), root.span(), "[[sinks]]");
        let resolve: Resolve<'_> = &|path: &str| PathBuf::from(path);
        let looks = Looks::default();
        let mut options = Options::new(&section, (resolve, &looks), &mut found);
        let sink = (KIND.read)(&mut options);
        (format!("{sink:?}"), found.to_text())
    }

    #[test]
    fn who_has_a_password_logs_in() {
        let login = "user = \"u\"\npassword = \"p\"\n";
        for (more, means) in [
            ("", "login: None"),
            (login, "login: Some(Scram(Sha512))"),
            (&*format!("{login}mechanism = \"scram-sha-256\""), "login: Some(Scram(Sha256))"),
            (&*format!("{login}tls = true\nmechanism = \"plain\""), "login: Some(Plain)"),
        ] {
            let (sink, found) = read(more);
            assert!(sink.contains(means), "{more}: {sink}");
            assert!(!found.contains("error"), "{found}");
        }
        for (more, says) in [
            (&*format!("{login}mechanism = \"plain\""), "is sent without TLS"),
            ("mechanism = \"plain\"", "is for a login"),
            ("user = \"u\"", "belong together"),
            ("topic = \"a b\"", "makes no place"),
            ("ca_file = \"ca.pem\"", "add tls = true"),
        ] {
            let (_, found) = read(more);
            assert!(found.contains(says), "{more}: {found}");
        }
    }
}
