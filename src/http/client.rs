//! A connection to a web server, kept alive: one request at a time, with a deadline and a bounded answer.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, DATE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::net::{self, Network};
use crate::reach::{self, Failure, Stage};
use crate::settings::tls_errors;
use crate::settings::url::Target;

/// How long the far end may take for one request, connecting included.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of an answer is read, in bytes, unless something else is asked for.
const MAX_ANSWER: usize = 1 << 20;

/// A client of one server.
pub struct Client {
    network: Arc<dyn Network>,
    target: Target,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Headers of every request.
    headers: HeaderMap,
    connection: Option<SendRequest<Full<Bytes>>>,
    /// Whether the server has ever answered.
    answered: bool,
    /// How much of an answer is read, in bytes.
    longest: usize,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// What Retry-After asks for (RFC 9110, section 10.2.3), in seconds or as a date by the server's own clock.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body's first words, for people, on one line.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().filter(|c| !c.is_control()).take(200).collect()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The server cannot be reached, is not who it should be, or takes too long.
    #[error("{}", .1.said(.0))]
    Failed(String, Failure),
    /// No URL can have this path, of so many bytes.
    #[error("a path of {0} bytes is too long or has characters that no URL can have")]
    Path(usize),
    /// The connection broke; with what may be the reason.
    #[error("the connection to {0} broke: {1}{2}")]
    Broken(String, hyper::Error, &'static str),
    /// The answer has this status, and its body is not whole, or too long.
    #[error("{0} sent an answer that cannot be read: {2}")]
    Answer(String, StatusCode, Box<dyn std::error::Error + Send + Sync>),
}

impl Client {
    /// A client, not connected yet. `tls` must be there where the target is `https`.
    pub fn new(
        network: Arc<dyn Network>,
        target: Target,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
        mut headers: HeaderMap,
    ) -> Self {
        let agent = concat!("trapline/", env!("CARGO_PKG_VERSION"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(agent));
        if let Ok(host) = HeaderValue::from_str(&target.authority) {
            headers.entry(HOST).or_insert(host);
        }
        Client { network, target, tls, headers, connection: None, answered: false, longest: MAX_ANSWER }
    }

    /// The same client, which reads answers of up to so many bytes; otherwise 1 MiB.
    #[must_use]
    pub fn with_longest(self, longest: usize) -> Self {
        Client { longest, ..self }
    }

    /// The server, for messages.
    pub fn server(&self) -> &str {
        &self.target.authority
    }

    /// Sends a request and waits for its answer. A connection that the server has closed meanwhile is made anew.
    ///
    /// # Errors
    ///
    /// [`HttpError`] says why there is no answer; whether the server has taken the request is not known then.
    pub async fn send(
        &mut self,
        method: &Method,
        path: &str,
        more: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        match reach::within(PATIENCE, self.try_send(method, path, more, body)).await {
            Ok(answer) => answer,
            Err(late) => {
                self.connection = None;
                Err(HttpError::Failed(self.target.authority.clone(), late))
            }
        }
    }

    async fn try_send(
        &mut self,
        method: &Method,
        path: &str,
        more: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        let server = || self.target.authority.clone();
        let mut open = self.connection.take();
        if let Some(connection) = &mut open
            && connection.ready().await.is_err()
        {
            open = None;
        }
        let mut connection = match open {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = self.target.uri(path).ok_or_else(|| HttpError::Path(path.len()))?;
        let headers = request.headers_mut();
        headers.extend(self.headers.iter().chain(more).map(|(name, value)| (name.clone(), value.clone())));
        let answer = connection.send_request(request).await.map_err(|error| self.broken(error))?;
        self.answered = true;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, self.longest)
            .collect()
            .await
            .map_err(|error| HttpError::Answer(server(), head.status, error))?
            .to_bytes();
        if head.headers.get(CONNECTION).is_none_or(|value| value != "close") {
            self.connection = Some(connection);
        }
        Ok(Answer { status: head.status, retry_after: retry_after(&head.headers), body })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        let failed = |failure| HttpError::Failed(self.target.authority.clone(), failure);
        let stream = net::connect(&*self.network, &self.target.host, self.target.port).await;
        let stream = stream.map_err(failed)?;
        match &self.tls {
            None => self.speak(stream).await,
            Some((config, name)) => {
                let secured = async {
                    let secured = TlsConnector::from(config.clone()).connect(name.clone(), stream).await;
                    secured.map_err(|error| tls_errors::in_words(&error))
                };
                self.speak(reach::during(Stage::Tls, secured).await.map_err(failed)?).await
            }
        }
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        let (connection, driver) =
            handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(error))?;
        // It ends with the connection; what goes wrong shows in the request.
        tokio::spawn(async move {
            let _ = driver.await;
        });
        Ok(connection)
    }
}

impl Client {
    fn broken(&self, error: hyper::Error) -> HttpError {
        let is_strange = self.tls.is_none() && !self.answered;
        let perhaps = if is_strange { ", perhaps because it wants TLS (https://)" } else { "" };
        HttpError::Broken(self.target.authority.clone(), error, perhaps)
    }
}

/// How long a server asks to wait. A date is compared with the server's `Date`, as its clock may be another one than ours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.trim());
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let seconds = |text: &str| Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second());
    let wait = seconds(asked)?.checked_sub(seconds(text(DATE)?)?)?;
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

/// A header from configuration.
///
/// # Errors
///
/// What is wrong with it.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = name.parse().map_err(|_| format!("'{name}' is no name of a header"))?;
    let value =
        HeaderValue::from_str(value).map_err(|_| format!("the value of '{name}' has control characters"))?;
    Ok((parsed, value))
}

/// Headers from configuration: name, place and text of each; a value that is no text has none. Their values are secret. What is
/// wrong with one is told to `report`.
pub fn headers<'e, P>(
    entries: impl IntoIterator<Item = (&'e str, P, Option<&'e str>)>,
    mut report: impl FnMut(P, String),
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, place, value) in entries {
        let parsed = value.ok_or_else(|| format!("the value of '{name}' must be a string"));
        match parsed.and_then(|value| header(name, value)) {
            Ok((name, mut value)) => {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            Err(error) => report(place, error),
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::net::Internet;

    /// What a client says of a server that ends the connection after these words, each time that it is asked.
    fn said(answers: &[&'static str; 3]) -> Vec<String> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let sent = *answers;
        let server = std::thread::spawn(move || {
            for answer in sent {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let mut client = Client::new(Arc::new(Internet), target, None, HeaderMap::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let none = HeaderMap::new();
        let ask = |_| {
            let answer = client.send(&Method::GET, "/", &none, Bytes::new());
            runtime
                .block_on(answer)
                .map_or_else(|error| error.to_string(), |answer| answer.status.to_string())
        };
        let said = answers.iter().map(ask).collect();
        server.join().unwrap();
        said
    }

    #[test]
    fn a_server_that_has_never_answered_without_tls_may_want_it() {
        let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        for wants_tls in ["", "\x15\x03\x01\x00\x02\x02\x46"] {
            let said = said(&[wants_tls, answer, ""]);
            assert!(said[0].ends_with("perhaps because it wants TLS (https://)"), "{said:?}");
            assert_eq!(said[1], "200 OK");
            assert!(said[2].contains("broke: ") && !said[2].contains("TLS"), "{said:?}");
        }
    }

    #[test]
    fn pauses_in_seconds_and_as_dates() {
        let asked = |after: &'static str, date: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
            headers.extend(date.map(|date| (DATE, HeaderValue::from_static(date))));
            retry_after(&headers).map(|wait| wait.as_secs())
        };
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (after, date, seconds) in [
            ("7", None, Some(7)),
            (" 7 ", now, Some(7)),
            ("18446744073709551615", None, Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:51:07 GMT", now, Some(90)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", now, Some(0)),
            ("Sun, 06 Nov 1994 08:51:07 GMT", None, None),
            ("Sun, 06 Nov 1994 08:51:07 GMT", Some("now"), None),
            ("soon", now, None),
            ("-1", now, None),
            ("", now, None),
        ] {
            assert_eq!(asked(after, date), seconds, "{after} {date:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
