//! `trapline state query`: what is open, as a plugin for active checks.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::Value;

use crate::commands::args::{ConfigArg, glob};
use crate::commands::daemon::{self, PATIENCE};
use crate::config::file;
use crate::daemon::control::Request;
use crate::intake::state_view::StateFilter;
use crate::terminal::println;
use crate::vitals::{Judgement, Level};

/// How long the daemon may take to answer over HTTP.
const ANSWER: Duration = Duration::from_secs(10);
/// The longest answer, in octets.
const LONGEST: u64 = 64 << 20;
/// How long the output of the worst problem may be, in characters.
const OUTPUT: usize = 200;

/// Arguments of `trapline state query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Query the daemon over HTTP, at the address of its `[http]`, such as http://127.0.0.1:8162. Default: its control socket
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Only this host or component, case-insensitive; * and ? are wildcards
    #[arg(long, value_name = "GLOB")]
    host: String,
    /// Only this service or resource, case-insensitive
    #[arg(long, value_name = "GLOB")]
    service: Option<String>,
    /// Only this rule
    #[arg(long, value_name = "GLOB")]
    rule: Option<String>,
}

/// Prints the line of a plugin and gives its exit status.
pub fn run(args: &QueryArgs) -> u8 {
    let judgement = match entries(args) {
        Ok(answer) => judged(args, &answer),
        // Nobody knows what is open.
        Err(error) => Judgement::without_numbers(Level::Unknown, &format!("{error:#}")),
    };
    println!("{}", judgement.line());
    judgement.level.exit_status()
}

fn entries(args: &QueryArgs) -> anyhow::Result<Value> {
    // Said by the plugin: a macro of the core may be empty, and a wrong argument would end with the status of CRITICAL.
    for (option, value) in
        [("--host", Some(&args.host)), ("--service", args.service.as_ref()), ("--rule", args.rule.as_ref())]
    {
        value.map_or(Ok(String::new()), |text| glob(text)).map_err(|error| anyhow!("{option}: {error}"))?;
    }
    let answer = match &args.url {
        Some(url) => fetch(url, args)?,
        None => {
            let directory = file::journal_directory(args.config.path().as_deref())
                .map_err(|_| anyhow!(args.config.unreadable()))?;
            let filter = StateFilter {
                host: Some(args.host.clone()),
                service: args.service.clone(),
                rule: args.rule.clone(),
                ..StateFilter::default()
            };
            // The daemon says which is the worst of all.
            daemon::ask(&directory, &Request::State { filter, most: 0 }, Some(PATIENCE))?
        }
    };
    match answer["error"].as_str() {
        Some(error) => Err(anyhow!("{error}")),
        None => Ok(answer),
    }
}

fn level(state: &str) -> Level {
    match state {
        "ok" | "up" => Level::Ok,
        "warning" => Level::Warning,
        "critical" | "down" => Level::Critical,
        _ => Level::Unknown,
    }
}

fn judged(args: &QueryArgs, answer: &Value) -> Judgement {
    // What is held is not sent yet, and does not count.
    let Some(count) = answer["open"].as_u64() else {
        return Judgement::without_numbers(
            Level::Unknown,
            "the answer does not say what is open; use the release of the daemon",
        );
    };
    let worst = &answer["worst"];
    let (worst, text) = if count == 0 {
        (Level::Ok, format!("nothing is open of {}", args.host))
    } else {
        let text = |name: &str| worst[name].as_str().unwrap_or("-");
        let output: String = text("output").chars().take(OUTPUT).collect();
        let problems =
            if count == 1 { "1 open problem".to_owned() } else { format!("{count} open problems") };
        let text =
            format!("{problems}; {} since {}: {}: {output}", text("state"), text("since"), text("service"));
        (level(worst["state"].as_str().unwrap_or("")), text)
    };
    Judgement { perfdata: format!("problems={count};;;0"), ..Judgement::without_numbers(worst, &text) }
}

/// Asks a daemon by HTTP (RFC 9112; HTTP/1.0, as one answer is all).
fn fetch(url: &str, args: &QueryArgs) -> anyhow::Result<Value> {
    let Some(authority) = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')) else {
        bail!("--url {url}: write http://ADDRESS:PORT, as in [http] listen");
    };
    if authority.contains(['/', '@', '?', '#', ' ', '\r', '\n']) {
        bail!("--url {url}: write http://ADDRESS:PORT without a path");
    }
    let mut query = format!("host={}", encoded(&args.host));
    for (name, value) in [("service", &args.service), ("rule", &args.rule)] {
        if let Some(value) = value {
            query += &format!("&{name}={}", encoded(value));
        }
    }
    let addresses = authority.to_socket_addrs().with_context(|| format!("--url {url}"))?;
    let mut last = anyhow!("--url {url}: the name has no address");
    for address in addresses {
        let mut stream = match TcpStream::connect_timeout(&address, ANSWER) {
            Ok(stream) => stream,
            Err(error) => {
                last = anyhow!("no daemon answers at {address}: {error}; is [http] listen set?");
                continue;
            }
        };
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        write!(stream, "GET /api/v1/states?{query} HTTP/1.0\r\nHost: {authority}\r\n\r\n")?;
        let mut answer = Vec::new();
        stream
            .take(LONGEST)
            .read_to_end(&mut answer)
            .with_context(|| format!("{address} does not answer"))?;
        let answer = String::from_utf8_lossy(&answer);
        let Some((head, body)) = answer.split_once("\r\n\r\n") else {
            bail!("{address} does not speak HTTP");
        };
        return serde_json::from_str(body).map_err(|_| {
            let status = head.lines().next().unwrap_or_default();
            anyhow!("{address} answers {status}: {}", body.lines().next().unwrap_or_default())
        });
    }
    Err(last)
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(answer: &Value) -> (u8, String) {
        let args = QueryArgs {
            config: ConfigArg::none(),
            url: None,
            host: "core-1".into(),
            service: None,
            rule: None,
        };
        let judgement = judged(&args, answer);
        (judgement.level.exit_status(), judgement.line())
    }

    #[test]
    fn the_worst_open_problem_decides() {
        let answer = |open: u64, state: &str| {
            let worst = json!({ "what": "open", "state": state, "service": "c", "since": "2026-11-26T12:00:00Z", "output": "x | y\nz" });
            json!({ "open": open, "worst": worst, "entries": [] })
        };
        let (status, text) = line(&json!({ "open": 0, "worst": null, "entries": [] }));
        assert_eq!((status, text.as_str()), (0, "TRAPLINE OK - nothing is open of core-1 | problems=0;;;0"));
        let (status, text) = line(&answer(40_000, "critical"));
        assert_eq!(status, 2, "{text}");
        assert!(
            text.starts_with(
                "TRAPLINE CRITICAL - 40000 open problems; critical since 2026-11-26T12:00:00Z: c: x"
            ),
            "{text}"
        );
        assert!(text.ends_with(" | problems=40000;;;0") && text.matches('|').count() == 1, "{text}");
        for (state, status) in [("down", 2), ("unreachable", 3), ("warning", 1)] {
            assert_eq!(line(&answer(1, state)).0, status);
        }
        assert_eq!(line(&json!({ "entries": [] })).0, 3, "of another release");
        assert_eq!(line(&Value::Null).0, 3);
    }
}
