//! One request to the daemon's `[[intake]]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use tokio_rustls::rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use crate::http::client::{Answer, Client, HttpError};
use crate::net::Internet;
use crate::reach::within;
use crate::settings::input;
use crate::settings::tls::{self, Trust};
use crate::settings::url::Target;

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the daemon is, and what proves who asks.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The URL of an [[intake]] of the daemon, such as https://trapline.example.org:5000
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5000")]
    pub(crate) url: String,
    /// A file whose first line is the token of the service
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificate authorities to trust, in PEM (default: the system's)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// Sends a request and waits for its answer.
///
/// # Errors
///
/// Why there is none.
pub(crate) fn call(args: &ServerArgs, method: &Method, path: &str, body: String) -> anyhow::Result<Answer> {
    let target = Target::parse(&args.url).map_err(|error| anyhow!("--url: {error}"))?;
    let mut headers = HeaderMap::new();
    if let Some(path) = &args.token_file {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", *token(path)?))
            .map_err(|_| anyhow!("--token-file {}: a token has no control characters", path.display()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let secured = target.secure.then(|| {
        let trust = args.ca_file.clone().map_or(Trust::System, Trust::Authorities);
        let config = tls::client(&trust, None).map_err(|error| anyhow!("{error}"))?;
        let name = ServerName::try_from(target.host.clone())
            .map_err(|_| anyhow!("--url: '{}' is no name that a certificate can have", target.host))?;
        anyhow::Ok((config, name))
    });
    let mut client = Client::new(Arc::new(Internet), target, secured.transpose()?, headers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let none = HeaderMap::new();
    let _context = runtime.enter();
    let sent = within(PATIENCE, client.send(method, path, &none, Bytes::from(body)));
    match runtime.block_on(sent) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(HttpError::Failed(server, failure))) => {
            bail!("{}; {}", failure.said(&server), failure.remedy())
        }
        Ok(Err(error)) => Err(error.into()),
        Err(late) => bail!("{}; {}", late.said(&args.url), late.remedy()),
    }
}

fn token(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = input::text(path, input::TEXT).with_context(|| format!("--token-file {}", path.display()))?;
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() {
        bail!("--token-file {}: its first line is empty", path.display());
    }
    Ok(Zeroizing::new(first.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_cannot_be_asked_is_told_with_what_to_look_at() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("http://{gone}");
        let args = ServerArgs { url, token_file: None, ca_file: None };
        let said = call(&args, &Method::GET, "/", String::new()).unwrap_err().to_string();
        assert!(said.starts_with(&format!("cannot connect to {gone}: nothing listens there: ")), "{said}");
        assert!(said.contains("; see whether it runs, "), "{said}");
    }
}
