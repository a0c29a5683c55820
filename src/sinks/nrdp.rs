//! The nrdp sink: check results for Nagios' NRDP as a form, many in one request.

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Outcome};
use crate::settings::secret::TOKEN;
use crate::sinks::http::answers::{Means, Row};
use crate::sinks::http::api::{Api, Batch, Call, Part};
use crate::sinks::http::escape::percent;
use crate::sinks::http::lane::Web;
use crate::sinks::http::server::Server;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::plugin_output::{self, Unfit};
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::{Order, Said};

/// `type = "nrdp"`
pub const KIND: Kind = Kind {
    name: "nrdp",
    says: "Nagios' NRDP",
    keys: &[Server::URL, Server::KEYS, Server::CONNECTIONS, KEYS],
    answers: ANSWERS,
    read,
};

const KEYS: &[Key] = &[
    Key { name: "token", default: "required", says: "One of `$cfg['authorized_tokens']`." },
    Key { name: "token_file", default: "", says: "The same from the first line of a file." },
    Key { name: "token_env", default: "", says: "The same from an environment variable." },
];

/// What is read of an answer: `status` and `message` of its result, in JSON or XML.
const ANSWERS: &[Row] = &[
    Row {
        status: 200..=299,
        body: "0: *",
        means: Means::Taken,
        source: "NRDP, server/plugins/nagioscorepassivecheck/nagioscorepassivecheck.inc.php",
    },
    Row {
        status: 200..=299,
        body: "*: no token",
        means: Means::Later,
        source: "NRDP, server/includes/constants.inc.php; PHP has dropped a form that is longer than its post_max_size",
    },
    Row {
        status: 200..=299,
        body: "*: *token*",
        means: Means::AuthFailed,
        source: "NRDP, server/includes/constants.inc.php: bad token, denied token, no tokens",
    },
    Row {
        status: 200..=299,
        body: "*: not auth*",
        means: Means::AuthFailed,
        source: "NRDP, server/includes/constants.inc.php: not authenticated",
    },
    Row {
        status: 200..=299,
        body: "*: bad_user",
        means: Means::AuthFailed,
        source: "NRDP, server/includes/constants.inc.php: bad user",
    },
    Row {
        status: 200..=299,
        body: "*: https required",
        means: Means::UnexpectedServer,
        source: "NRDP, server/includes/constants.inc.php: use an https:// URL",
    },
    Row {
        status: 200..=299,
        body: "*: *check results dir",
        means: Means::Misconfigured,
        source: "NRDP, server/includes/constants.inc.php: check_results_dir of its configuration",
    },
    Row {
        status: 200..=299,
        body: "*: *data",
        means: Means::Dead,
        source: "NRDP, server/includes/constants.inc.php: no data, bad data",
    },
    Row {
        status: 200..=299,
        body: "*: *json*",
        means: Means::Dead,
        source: "NRDP, server/includes/constants.inc.php: bad JSON",
    },
];

/// How many results go in one request.
const MOST: usize = 100;
/// How many bytes of results: percent-encoded at most three times as many, below the 1 MiB of nginx's default.
const MOST_BYTES: usize = 300 * 1024;
/// The longest output, in bytes.
const MAX_OUTPUT: usize = 32 * 1024;
/// The longest name of a host or service, in bytes.
const MAX_NAME: usize = 256;

/// Check results for NRDP.
#[derive(Clone)]
pub struct Nrdp {
    token: Zeroizing<String>,
}

impl std::fmt::Debug for Nrdp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nrdp").finish_non_exhaustive()
    }
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let server = Server::read(options, "https://nagios.example/nrdp/", &[&TOKEN]);
    let token = options.required_secret(&TOKEN);
    Some(Web::end(server?, Nrdp { token: token? }))
}

impl Api for Nrdp {
    fn batch(&self) -> Batch {
        Batch { items: MOST, bytes: MOST_BYTES, order: Order::OneByOne }
    }

    fn takes_events(&self) -> bool {
        false
    }

    fn part(&self, record: &Record<'_>) -> Result<Part, Said> {
        let Outcome::CheckResult(check) = &record.outcome else {
            return Err("the outcome is no check result".into());
        };
        let (result, cut) = result(check)?;
        Ok(Part { id: record.id(), body: result.to_string().into_bytes(), cut, ..Part::default() })
    }

    fn call(&self, parts: &[Part]) -> Call {
        let results: Vec<&[u8]> = parts.iter().map(|part| part.body.as_slice()).collect();
        let json = [b"{\"checkresults\":[", results.join(&b","[..]).as_slice(), b"]}"].concat();
        let json = percent(&String::from_utf8_lossy(&json));
        let body = format!("token={}&cmd=submitcheck&json={json}", percent(&self.token));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        Call {
            method: Method::POST,
            path: String::new(),
            headers: HeaderMap::from_iter([(CONTENT_TYPE, form)]),
            body: body.into(),
        }
    }

    /// Without the form around it, which has the token.
    fn pieces(&self, part: &Part) -> Vec<Piece> {
        vec![Piece::new(Format::JsonForNagios, part.body.as_slice())]
    }

    fn answers(&self) -> &'static [Row] {
        ANSWERS
    }

    fn says(&self, answer: &Answer) -> String {
        let text = String::from_utf8_lossy(&answer.body);
        let (status, message) = match serde_json::from_str::<Value>(&text) {
            Ok(json) => {
                let result = &json["result"];
                let status = result["status"].as_i64();
                let status = status.or_else(|| result["status"].as_str()?.trim().parse().ok());
                (status, result["message"].as_str().unwrap_or_default().to_owned())
            }
            // Older ones answer in XML.
            Err(_) => {
                let status = element(&text, "status").and_then(|status| status.trim().parse().ok());
                (status, element(&text, "message").unwrap_or_default().to_owned())
            }
        };
        status.map_or(String::new(), |status| format!("{status}: {}", message.trim()))
    }
}

/// A result. NRDP writes its values unchecked into a check result file of Nagios, so they are escaped for that. It has no `time`: NRDP stamps
/// each result with its own, and with `allow_old_results` it would write one that has a time into the database of Nagios XI, past Nagios, which
/// would then notify nobody.
fn result(check: &CheckResult<'_>) -> Result<(Value, bool), Unfit> {
    let (output, cut) = plugin_output::output(check, MAX_OUTPUT);
    let kind = if check.service.is_some() { "service" } else { "host" };
    let mut result = json!({
        "checkresult": { "type": kind, "checktype": "1" },
        "hostname": plugin_output::host(check, MAX_NAME)?,
        "state": check.common.state.code().to_string(),
        "output": output,
    });
    if let Some(service) = &check.service {
        result["servicename"] = plugin_output::service(service, MAX_NAME)?.into();
    }
    Ok((result, cut))
}

/// The text of the first element of that name.
fn element<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::name::Name;
    use crate::sinks::http::tests::every_row;
    use crate::sinks::testing::check;

    #[test]
    fn what_answers_mean() {
        let json = |status: i64, message: &str| {
            json!({ "result": { "status": status, "message": message } }).to_string()
        };
        let all = [
            (200, json(0, "OK"), "taken"),
            (200, "<result><status>0</status><message>OK</message></result>".to_owned(), "taken"),
            (200, r#"{"result":{"status":"0 ","message":"OK"}}"#.to_owned(), "taken"),
            (200, json(-1, "NO TOKEN"), "later"),
            (200, json(-1, "BAD TOKEN"), "refused"),
            (200, json(-1, "NOT AUTHENTICATED"), "refused"),
            (200, json(-1, "BAD_USER"), "refused"),
            (200, json(-1, "HTTPS REQUIRED"), "refused"),
            (200, json(-1, "NO CHECK RESULTS DIR"), "refused"),
            (200, json(-1, "BAD JSON"), "dead"),
            (200, json(-1, "NO DATA"), "dead"),
            (200, json(7, "something new"), "later"),
            (200, "NO REQUEST HANDLER".to_owned(), "later"),
            (200, "<html>log in".to_owned(), "later"),
            (413, String::new(), "halve"),
            (503, String::new(), "busy"),
        ];
        let all: Vec<_> = all.iter().map(|(status, body, fate)| (*status, body.as_str(), *fate)).collect();
        every_row(&Nrdp { token: "t".to_owned().into() }, &all);
    }

    #[test]
    fn no_result_is_older_than_its_delivery() {
        for service in [None, Some("s")] {
            let (result, _) = result(&check("h", service, "o")).unwrap();
            assert!(!result.to_string().contains("time"), "{result}");
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_another_line_or_field(host in "(\\PC|[\n\r;|&=]){0,40}", service in "(\\PC|[\n;|]){0,40}", output in "(\\PC|[\n\\\\|;]){0,80}") {
            let Ok((result, _)) = result(&check(&host, Some(&service), &output)) else {
                let fits = |name: &str| !Name::from(name).is_empty() && !name.contains([';', '|']);
                prop_assert!(!fits(&host) || !fits(&service));
                return Ok(());
            };
            // As NRDP writes it into the file.
            for key in ["hostname", "servicename", "output", "state"] {
                prop_assert!(!result[key].as_str().unwrap().contains(|c: char| c.is_control()), "{}", result);
            }
            let nrdp = Nrdp { token: "t".to_owned().into() };
            let part = Part { body: result.to_string().into_bytes(), ..Part::default() };
            let call = nrdp.call(&[part.clone(), part]);
            let form = String::from_utf8(call.body.to_vec()).unwrap();
            prop_assert_eq!(form.split('&').count(), 3);
            prop_assert!(form.bytes().all(|b| b.is_ascii_alphanumeric() || b"&=%-._~".contains(&b)));
        }
    }
}
