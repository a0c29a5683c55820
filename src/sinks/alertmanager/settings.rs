//! The keys of the alertmanager sink.

use std::sync::Arc;
use std::time::Duration;

use super::alert::{Encoder, is_name};
use super::api::{ANSWERS, Alerts};
use super::lane::Alertmanager;
use crate::sinks::http::server::Server;
use crate::sinks::settings::{Configured, Key, Kind, Options};

const RESEND: Duration = Duration::from_mins(1);
const MOST_RESEND: Duration = Duration::from_hours(1);
const EXPIRE: Duration = Duration::from_hours(24);
const MOST_EXPIRE: Duration = Duration::from_hours(365 * 24);

/// `type = "alertmanager"`
pub const KIND: Kind = Kind {
    name: "alertmanager",
    says: "Prometheus' Alertmanager",
    keys: &[KEYS, Server::KEYS],
    answers: ANSWERS,
    read,
};

const KEYS: &[Key] = &[
    Key {
        name: "urls",
        default: "required",
        says: "A list of `http://` or `https://` URLs: all members of a cluster, without a load balancer. Each gets all alerts.",
    },
    Key {
        name: "resend",
        default: "\"1min\"",
        says: "How often open alerts are sent again. An alert that is not sent for four times this long expires. Range: `1s` to `1h`.",
    },
    Key {
        name: "expire",
        default: "\"24h\"",
        says: "How long after its last outcome an open alert is resolved. Range: `1min` to `365d`.",
    },
    Key {
        name: "labels",
        default: "",
        says: "Templates of labels that are added to the usual ones or replace them: `{ team = \"net\" }`. Empty labels are omitted.",
    },
    Key {
        name: "annotations",
        default: "",
        says: "Templates of annotations: `{ runbook_url = \"https://wiki.example.org/{{ outcome.rule }}\" }`.",
    },
];

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let servers = Server::read_all(options, "http://alertmanager.example:9093");
    let resend = options.duration("resend", Duration::from_secs(1)..=MOST_RESEND).unwrap_or(RESEND);
    let expire = options.duration("expire", Duration::from_mins(1)..=MOST_EXPIRE).unwrap_or(EXPIRE);
    let rule = "use letters, digits and '_', and no digit at the start";
    let labels = options.templates("labels", str::to_owned, is_name, rule);
    let annotations = options.templates("annotations", str::to_owned, is_name, rule);
    let api = Alerts { encoder: Encoder { labels, annotations } };
    Some(Arc::new(Alertmanager { servers: servers?, api, resend, expire }))
}
