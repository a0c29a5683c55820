//! `[[sinks]]`

mod server;
mod web;

use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::settings::diagnostic::{Diagnostics, did_you_mean};
use crate::settings::secret as secrets;
use crate::settings::section::{Located, Section};
use crate::sinks::canopsis::CanopsisForm;
use crate::sinks::filter::Filter;
use crate::sinks::http::alignak::Alignak;
use crate::sinks::http::canopsis::CanopsisHttp;
use crate::sinks::http::icinga2::Icinga2;
use crate::sinks::http::nrdp::Nrdp;
use crate::sinks::http::splunk::Splunk;
use crate::sinks::http::webhook::Webhook;
use crate::sinks::nsca::{Method, Size};
use crate::sinks::template::OutcomeTemplate;
pub use server::ServerConfig;

/// One sink.
#[derive(Debug, Clone)]
pub struct SinkConfig {
    /// Its name, unique; its cursor goes by it.
    pub name: String,
    /// The outcomes that it takes; none for all.
    pub only: Option<Filter>,
    /// How many outcomes a second it takes at most; none for any number.
    pub rate: Option<u32>,
    /// What it is.
    pub kind: SinkKind,
}

/// What a sink is. To add one: a variant here, a file in `sinks/`, a page in `docs/sinks/`, a test.
#[derive(Debug, Clone)]
pub enum SinkKind {
    /// `type = "nagios"`
    Nagios(NagiosConfig),
    /// `type = "canopsis"`
    Canopsis(CanopsisConfig),
    /// `type = "amqp"`
    Amqp(AmqpConfig),
    /// `type = "file"`
    File(FileConfig),
    /// `type = "icinga2"`
    Icinga2(ServerConfig, Icinga2),
    /// `type = "alignak"`
    Alignak(ServerConfig, Alignak),
    /// `type = "nsca"`
    Nsca(NscaConfig),
    /// `type = "nrdp"`
    Nrdp(ServerConfig, Nrdp),
    /// `type = "canopsis"` with an address of the web
    CanopsisHttp(ServerConfig, CanopsisHttp),
    /// `type = "webhook"`
    Webhook(ServerConfig, Webhook),
    /// `type = "splunk"`
    Splunk(ServerConfig, Splunk),
}

/// An NSCA daemon.
#[derive(Clone)]
pub struct NscaConfig {
    /// Host and port.
    pub address: String,
    /// The password of its configuration.
    pub password: Zeroizing<String>,
    /// The encryption method of its configuration.
    pub method: Method,
    /// How much output fits into a packet.
    pub size: Size,
}

impl std::fmt::Debug for NscaConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NscaConfig").field("address", &self.address).finish_non_exhaustive()
    }
}

/// External commands for Nagios and its kin.
#[derive(Debug, Clone)]
pub struct NagiosConfig {
    /// How results get there.
    pub method: NagiosMethod,
}

/// How results get to Nagios.
#[derive(Debug, Clone)]
pub enum NagiosMethod {
    /// `method = "pipe"`: the command file.
    Pipe(PathBuf),
    /// `method = "spool"`: the check result directory.
    Spool(PathBuf),
}

/// Events for Canopsis over AMQP.
#[derive(Debug, Clone)]
pub struct CanopsisConfig {
    /// The broker and virtual host.
    pub url: String,
    /// The exchange.
    pub exchange: String,
    /// `connector` of every event.
    pub connector: String,
    /// `connector_name` of every event.
    pub connector_name: String,
    /// Whether to declare the exchange (durable, topic).
    pub declare: bool,
}

/// Outcomes as JSON for any exchange.
#[derive(Debug, Clone)]
pub struct AmqpConfig {
    /// The broker and virtual host.
    pub url: String,
    /// The exchange; empty for the default one.
    pub exchange: String,
    /// The routing key, a template over `outcome`.
    pub routing_key: OutcomeTemplate,
    /// Whether to declare the exchange (durable, topic).
    pub declare: bool,
}

/// Outcomes as lines of JSON.
#[derive(Debug, Clone)]
pub struct FileConfig {
    /// The file.
    pub path: PathBuf,
}

const TYPES: [&str; 10] =
    ["nagios", "icinga2", "alignak", "nsca", "nrdp", "canopsis", "amqp", "webhook", "splunk", "file"];

/// Reads one `[[sinks]]`. The caller finishes the section.
pub(crate) fn read(
    section: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<SinkConfig> {
    let kind = section.string("type", found);
    let name = section.string("name", found);
    let only = section.string("only", found).map(|text| match Filter::new(&text.value) {
        Ok(filter) => Some(filter),
        Err(error) => {
            found.push(section.source().error(
                &text.span_of(section.source(), error.within),
                error.message,
                error.hint,
            ));
            None
        }
    });
    let rate = section.integer("rate", found).and_then(|rate| {
        let valid = u32::try_from(rate.value).ok().filter(|n| (1..=1_000_000).contains(n));
        if valid.is_none() {
            let hint = Some("leave it out for any number".to_owned());
            found.push(section.source().error(
                &rate.span,
                "rate must be 1 to 1000000 outcomes a second",
                hint,
            ));
        }
        valid
    });
    let Some(kind) = kind else {
        if section.get("type").is_none() {
            found.push(
                section.error("a sink without a type", &format!("add type = one of {}", TYPES.join(", "))),
            );
        }
        return None;
    };
    let name = match name {
        Some(name) if valid_name(&name) => name.value,
        Some(name) => {
            let hint = Some("use letters, digits, '-' and '_', at most 64".to_owned());
            found.push(section.source().error(
                &name.span,
                "a sink's name is also the name of its cursor file",
                hint,
            ));
            return None;
        }
        None => kind.value.clone(),
    };
    let kind = read_kind(section, &kind, resolve, found);
    Some(SinkConfig { name, rate, only: only.map_or(Some(None), |o| o.map(Some))?, kind: kind? })
}

fn valid_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

fn required(
    section: &Section<'_, '_>,
    key: &'static str,
    example: &str,
    found: &mut Diagnostics,
) -> Option<Located<String>> {
    if section.get(key).is_none() {
        found.push(section.error(format!("this sink needs '{key}'"), &format!("add {key} = \"{example}\"")));
    }
    section.string(key, found)
}

fn read_kind(
    section: &Section<'_, '_>,
    kind: &Located<String>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<SinkKind> {
    let text = |key, default: &str, found: &mut Diagnostics| {
        section.string(key, found).map_or_else(|| default.to_owned(), |t| t.value)
    };
    let declare = |found: &mut Diagnostics| section.boolean("declare", found).is_none_or(|d| d.value);
    match kind.value.as_str() {
        "nagios" => {
            let method = section.string("method", found);
            let method = match method.as_ref().map(|m| m.value.as_str()) {
                None | Some("pipe") => {
                    let path = required(section, "command_file", "/var/lib/nagios4/rw/nagios.cmd", found)?;
                    NagiosMethod::Pipe(resolve(&path))
                }
                Some("spool") => {
                    let path =
                        required(section, "check_result_path", "/var/lib/nagios4/spool/checkresults", found)?;
                    NagiosMethod::Spool(resolve(&path))
                }
                Some(other) => {
                    let message = format!("'{other}' is no method of the nagios sink");
                    let span = method.as_ref().map_or(section.span(), |m| m.span.clone());
                    found.push(section.source().error(
                        &span,
                        message,
                        Some("use \"pipe\" or \"spool\"".to_owned()),
                    ));
                    return None;
                }
            };
            Some(SinkKind::Nagios(NagiosConfig { method }))
        }
        "canopsis"
            if section
                .get("url")
                .and_then(|url| url.get_ref().as_str())
                .is_some_and(|u| u.starts_with("http")) =>
        {
            let form = CanopsisForm {
                connector: text("connector", "trapline", found),
                connector_name: text("connector_name", "trapline", found),
            };
            web::canopsis(section, form, resolve, found)
        }
        "canopsis" => {
            let url = amqp_url(section, found);
            let config = CanopsisConfig {
                exchange: text("exchange", "canopsis.events", found),
                connector: text("connector", "trapline", found),
                connector_name: text("connector_name", "trapline", found),
                declare: declare(found),
                url: url?,
            };
            Some(SinkKind::Canopsis(config))
        }
        "amqp" => {
            let url = amqp_url(section, found);
            let exchange = text("exchange", "trapline", found);
            let declare = declare(found);
            let key = section.string("routing_key", found).unwrap_or(Located {
                value: "{{ outcome.kind }}.{{ outcome.state }}.{{ outcome.host }}".to_owned(),
                span: section.span(),
            });
            let routing_key = template(section, &key, found)?;
            Some(SinkKind::Amqp(AmqpConfig { url: url?, exchange, routing_key, declare }))
        }
        "file" => {
            let path = required(section, "path", "outcomes.jsonl", found)?;
            Some(SinkKind::File(FileConfig { path: resolve(&path) }))
        }
        "icinga2" => web::icinga2(section, resolve, found),
        "alignak" => web::alignak(section, resolve, found),
        "nrdp" => web::nrdp(section, resolve, found),
        "webhook" => web::webhook(section, resolve, found),
        "splunk" => web::splunk(section, resolve, found),
        "nsca" => nsca(section, resolve, found),
        other => {
            let hint = did_you_mean(other, TYPES).unwrap_or_else(|| format!("one of {}", TYPES.join(", ")));
            found.push(section.source().error(
                &kind.span,
                format!("there is no sink of type '{other}'"),
                Some(hint),
            ));
            None
        }
    }
}

fn template(
    section: &Section<'_, '_>,
    text: &Located<String>,
    found: &mut Diagnostics,
) -> Option<OutcomeTemplate> {
    OutcomeTemplate::new(&text.value)
        .map_err(|error| {
            let span = text.span_of(section.source(), error.within);
            found.push(section.source().error(&span, error.message, error.hint));
        })
        .ok()
}

fn nsca(
    section: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<SinkKind> {
    let address = required(section, "address", "nagios.example:5667", found);
    let address = address.map(|a| if a.value.contains(':') { a.value } else { format!("{}:5667", a.value) });
    let password = secrets::PASSWORD.read(section, resolve, found).unwrap_or_default();
    let method = section.get("encryption_method").map_or(Some(Method::Xor), |value| {
        let number = crate::settings::section::as_integer(value.get_ref()).and_then(Method::numbered);
        let method = number.or_else(|| Method::named(value.get_ref().as_str()?));
        if method.is_none() {
            let known: Vec<String> =
                Method::ALL.iter().map(|(_, number, name, _)| format!("{number} ({name})")).collect();
            let hint = Some(format!("one of {}", known.join(", ")));
            found.push(section.source().error(
                &value.span(),
                "there is no such encryption method here",
                hint,
            ));
        }
        method
    });
    let size = section.integer("output_size", found).map_or(Some(Size::Long), |size| match size.value {
        512 => Some(Size::Short),
        4096 => Some(Size::Long),
        _ => {
            let hint = Some("512 up to nsca 2.7, 4096 since 2.9".to_owned());
            found.push(section.source().error(&size.span, "output_size is 512 or 4096", hint));
            None
        }
    });
    Some(SinkKind::Nsca(NscaConfig { address: address?, password, method: method?, size: size? }))
}

fn amqp_url(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<String> {
    let url = required(section, "url", "amqp://guest:guest@127.0.0.1:5672/canopsis", found)?;
    if let Err(error) = url.parse::<lapin::uri::AMQPUri>() {
        let hint = Some("write amqp://USER:PASSWORD@HOST:5672/VHOST".to_owned());
        found.push(section.source().error(&url.span, format!("this is no AMQP address: {error}"), hint));
        return None;
    }
    if url.starts_with("amqps:") {
        let hint = Some("use amqp:// over loopback or a tunnel".to_owned());
        found.push(section.source().error(&url.span, "amqps:// is not supported by this release", hint));
        return None;
    }
    Some(url.value)
}
