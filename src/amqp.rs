//! Connections to AMQP 0-9-1 brokers for the sink and the intake, in the clear or over TLS.
//!
//! lapin makes connections itself, or takes a stream. TLS is that of all other clients here: rustls with ring, the same ways to trust,
//! the same client certificates. lapin's own would bring a second TLS library and further crates.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_compat::{Compat, CompatExt as _};
use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_util::io::{AsyncRead, AsyncWrite};
use futures_util::stream::Stream;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::net;
use crate::settings::url::shown;
use crate::settings::{clear, tls_errors};

/// The TLS client and the name that the broker's certificate must have; none without TLS.
pub type Tls = Option<(Arc<ClientConfig>, ServerName<'static>)>;

/// Reads a URL.
///
/// # Errors
///
/// What is wrong, without the password that may stand in it.
pub fn uri(url: &str) -> Result<AMQPUri, String> {
    url.parse().map_err(|error: String| {
        let error = if url.is_empty() { error } else { error.replace(url, &shown(url)) };
        format!("this is no AMQP address: {error}")
    })
}

/// What to do about [`exposed`].
pub const EXPOSED: &str = "write amqps:// in url";

/// What is said of a URL whose password goes to the broker in the clear, over a network; none if it does not. `key` has the URL.
pub fn exposed(url: &str, uri: &AMQPUri, key: &str) -> Option<String> {
    let to = [(uri.authority.host.as_str(), uri.scheme == AMQPScheme::AMQPS)];
    // Without one it is that of everybody, for this machine.
    let is_exposed = url.contains('@') && clear::is_exposed(&to);
    is_exposed.then(|| clear::said(&format!("the password in '{key}'"), "over amqp://"))
}

/// Connects to the broker and virtual host of a URL, with its user and password.
///
/// # Errors
///
/// If the broker cannot be reached, is not who it should be, or does not let this client in.
pub async fn connect(url: &str, tls: &Tls) -> lapin::Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name("trapline".into());
    let Some((config, name)) = tls.clone() else { return Connection::connect(url, properties).await };
    let uri: AMQPUri = url.parse().map_err(io::Error::other)?;
    let connect = move |uri: AMQPUri, _: Runtime<RuntimeParts<Tokio, OverTls>>| {
        let (config, name) = (config.clone(), name.clone());
        async move { Ok(AsyncTcpStream::Plain(secured(uri, config, name).await?)) }
    };
    let runtime = Runtime::new(RuntimeParts::new(Tokio::current(), OverTls(Tokio::current())));
    Connection::connector(uri, runtime, connect, properties).await
}

async fn secured(
    uri: AMQPUri,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<Compat<TlsStream<TcpStream>>> {
    let stream = net::tcp(&uri.authority.host, uri.authority.port).await?;
    let secured = TlsConnector::from(config).connect(name, stream).await;
    let secured = secured.map_err(|error| tls_errors::in_words(&error))?;
    Ok(secured.compat())
}

/// A reactor whose streams are those of TLS, as lapin asks which type a runtime's streams have. It sleeps; streams are made by
/// [`secured`].
#[derive(Debug, Clone)]
struct OverTls(Tokio);

impl Reactor for OverTls {
    type TcpStream = Compat<TlsStream<TcpStream>>;
    type Sleep = tokio::time::Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Self::TcpStream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.0.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(time)
    }

    fn tcp_connect_addr(
        &self,
        _: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
