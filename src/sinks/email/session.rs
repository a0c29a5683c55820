//! A connection to a mail server (RFC 5321), with STARTTLS (RFC 3207) and AUTH (RFC 4954). Extensions beyond these are not used:
//! each command awaits its reply.

use std::fmt::Display;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use zeroize::Zeroizing;

use super::mail::stuffed;
use super::reply::{self, MOST_LINES, MOST_OCTETS, Means, Reply, Stage};
use crate::net::{self, Network, Stream};
use crate::reach::{Failure, within};
use crate::settings::address::Address;
use crate::sinks::hints::{CERTIFICATES, Hints};
use crate::sinks::sink::{Hint, Said, Trouble, Unopened};
use crate::sinks::tls::{self, Tls};

/// How long the server may take to connect, or for a reply (RFC 5321, section 4.5.3.2, has 5 minutes for most).
const PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take for the reply to the end of a mail, which it may check meanwhile (RFC 5321, section 4.5.3.2.6).
const END_PATIENCE: Duration = Duration::from_mins(10);
/// How long a sink waits when the server says that it is busy.
const PAUSE: Duration = Duration::from_secs(30);

const HINTS: Hints = Hints {
    running: "see whether it runs, and whether `server` of this sink is right",
    certificates: CERTIFICATES,
    log: "see the log of the mail server",
};
const KEYS: Hint = "check server, from, starttls, user and password of this sink";

/// A mail server.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: Address,
    /// TLS, whichever way it begins.
    pub(super) tls: Tls,
    /// Whether a connection begins with it.
    pub(super) implicit_tls: bool,
    /// Whether STARTTLS begins it.
    pub(super) starttls: bool,
    /// What it is told of this machine.
    pub(super) hello: String,
    /// User and password.
    pub(super) login: Option<(String, Zeroizing<String>)>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What became of a mail for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    Later(Said),
    Dead(Said),
}

/// What became of a mail.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Submitted {
    /// For each recipient.
    Each(Vec<Verdict>),
    /// Nobody has it: it is too large.
    TooLarge(Said),
    /// The server never takes it for those whom it accepts; this became of it for each recipient.
    Never(Said, Vec<Verdict>),
}

/// A session, ready for mail.
pub(super) struct Session {
    stream: BufReader<Box<dyn Stream>>,
    server: String,
}

impl Session {
    /// Connects, and logs in where there is a login.
    pub(super) async fn open(server: &Server, network: &dyn Network) -> Result<Self, Unopened> {
        Ok(Self::begin(server, network).await?)
    }

    async fn begin(server: &Server, network: &dyn Network) -> Result<Self, Trouble> {
        let name = server.address.to_string();
        let connect = net::connect(network, &server.address.host, server.address.port);
        let stream = within(PATIENCE, connect).await.flatten();
        let stream = stream.map_err(|failure| failed(&failure, &name))?;
        let implicit = if server.implicit_tls { secured(server, stream).await? } else { stream };
        let mut session = Session { stream: BufReader::new(implicit), server: name };
        session.expect(Stage::Greeting, None).await?;
        let mut offers = session.hello(server).await?;
        if server.starttls {
            if !offers.iter().any(|offer| offer.eq_ignore_ascii_case("STARTTLS")) {
                let what = format!("the mail server {} offers no STARTTLS", session.server);
                return Err(Trouble::Refused(what.into(), "set starttls = false to send mail in the clear"));
            }
            session.expect(Stage::Starttls, Some("STARTTLS")).await?;
            // What stands behind the reply did not come over TLS.
            if !session.stream.buffer().is_empty() {
                return Err(session.broken(&"it sent more than its reply to STARTTLS"));
            }
            session.stream = BufReader::new(secured(server, session.stream.into_inner()).await?);
            offers = session.hello(server).await?;
        }
        if let Some((user, password)) = &server.login {
            session.login(&offers, user, password).await?;
        }
        Ok(session)
    }

    async fn hello(&mut self, server: &Server) -> Result<Vec<String>, Trouble> {
        let hello = format!("EHLO {}", server.hello);
        Ok(self.expect(Stage::Hello, Some(&hello)).await?.lines)
    }

    async fn login(&mut self, offers: &[String], user: &str, password: &str) -> Result<(), Trouble> {
        let ways: Vec<String> = offers
            .iter()
            .filter(|offer| offer.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("AUTH ")))
            .flat_map(|offer| offer[5..].split_whitespace().map(str::to_ascii_uppercase))
            .collect();
        let has = |way: &str| ways.iter().any(|known| known == way);
        if has("PLAIN") {
            let both = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
            self.expect(Stage::Auth, Some(&format!("AUTH PLAIN {both}"))).await?;
            return Ok(());
        }
        if !has("LOGIN") {
            let offers = if ways.is_empty() { "none".to_owned() } else { ways.join(", ") };
            let what = format!("the mail server {} offers no login by PLAIN or LOGIN: {offers}", self.server);
            return Err(Trouble::Refused(what.into(), KEYS));
        }
        for command in ["AUTH LOGIN", &BASE64_STANDARD.encode(user)] {
            let reply = self.command(command).await?;
            if reply.code != 334 {
                return Err(self.trouble(&reply, Stage::Auth));
            }
        }
        self.expect(Stage::Auth, Some(&BASE64_STANDARD.encode(password))).await?;
        Ok(())
    }

    /// Sends a mail to some recipients.
    pub(super) async fn submit(
        &mut self,
        from: &str,
        recipients: &[&str],
        mail: &str,
    ) -> Result<Submitted, Trouble> {
        let reply = self.command(&format!("MAIL FROM:<{from}>")).await?;
        match reply.means(Stage::From) {
            Some(Means::Done) => {}
            Some(Means::TooLarge) => return self.too_large(&reply, Stage::From).await,
            _ => return Err(self.trouble(&reply, Stage::From)),
        }
        let mut verdicts = Vec::with_capacity(recipients.len());
        for recipient in recipients {
            let reply = self.command(&format!("RCPT TO:<{recipient}>")).await?;
            verdicts.push(match reply.means(Stage::Recipient) {
                Some(Means::Done) => Verdict::Taken,
                Some(Means::Later) => Verdict::Later(self.said(&reply, Stage::Recipient)),
                Some(Means::Dead) => Verdict::Dead(self.said(&reply, Stage::Recipient)),
                _ => return Err(self.trouble(&reply, Stage::Recipient)),
            });
        }
        if !verdicts.contains(&Verdict::Taken) {
            self.reset().await?;
            return Ok(Submitted::Each(verdicts));
        }
        let reply = self.command("DATA").await?;
        let (reply, stage) = match reply.means(Stage::Data) {
            Some(Means::Done) => {
                self.write(stuffed(mail).as_bytes()).await?;
                (self.reply(END_PATIENCE).await?, Stage::End)
            }
            _ => (reply, Stage::Data),
        };
        let verdict = match reply.means(stage) {
            Some(Means::Done) => Verdict::Taken,
            Some(Means::Later) => Verdict::Later(self.said(&reply, stage)),
            Some(Means::Dead) => Verdict::Dead(self.said(&reply, stage)),
            Some(Means::TooLarge) => return self.too_large(&reply, stage).await,
            _ => return Err(self.trouble(&reply, stage)),
        };
        verdicts
            .iter_mut()
            .filter(|known| **known == Verdict::Taken)
            .for_each(|known| *known = verdict.clone());
        Ok(match verdict {
            Verdict::Dead(said) => Submitted::Never(said, verdicts),
            Verdict::Taken | Verdict::Later(_) => Submitted::Each(verdicts),
        })
    }

    async fn too_large(&mut self, reply: &Reply, stage: Stage) -> Result<Submitted, Trouble> {
        let said = self.said(reply, stage);
        self.reset().await?;
        Ok(Submitted::TooLarge(said))
    }

    /// Another mail can follow.
    async fn reset(&mut self) -> Result<(), Trouble> {
        self.command("RSET").await.map(drop)
    }

    /// Ends the session. What was sent is known by now.
    pub(super) async fn quit(mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.command("QUIT")).await;
    }

    /// Sends a command, if there is one, and awaits the reply that lets it go on.
    async fn expect(&mut self, stage: Stage, command: Option<&str>) -> Result<Reply, Trouble> {
        let reply = match command {
            Some(command) => self.command(command).await?,
            None => self.reply(PATIENCE).await?,
        };
        match reply.means(stage) {
            Some(Means::Done) => Ok(reply),
            _ => Err(self.trouble(&reply, stage)),
        }
    }

    async fn command(&mut self, command: &str) -> Result<Reply, Trouble> {
        self.write(format!("{command}\r\n").as_bytes()).await?;
        self.reply(PATIENCE).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let write = async {
            self.stream.write_all(bytes).await?;
            Ok(self.stream.flush().await?)
        };
        within(PATIENCE, write).await.flatten().map_err(|failure| failed(&failure, &self.server))
    }

    async fn reply(&mut self, patience: Duration) -> Result<Reply, Trouble> {
        match within(patience, self.lines()).await {
            Ok(reply) => reply,
            Err(late) => Err(failed(&late, &self.server)),
        }
    }

    async fn lines(&mut self) -> Result<Reply, Trouble> {
        let mut lines = Vec::new();
        while lines.len() < MOST_LINES {
            let mut line = Vec::new();
            let mut limited = (&mut self.stream).take(MOST_OCTETS);
            let read = limited.read_until(b'\n', &mut line).await;
            read.map_err(|error| self.broken(&error))?;
            if line.last() != Some(&b'\n') {
                return Err(self.broken(&"it closed the connection, or its reply has no end"));
            }
            let Some((code, last, text)) = reply::line(&line) else {
                return Err(self.broken(&"its reply is none of SMTP"));
            };
            lines.push(text);
            if last {
                return Ok(Reply { code, lines });
            }
        }
        Err(self.broken(&"its reply has too many lines"))
    }

    fn said(&self, reply: &Reply, stage: Stage) -> Said {
        reply.said(&self.server, stage)
    }

    /// What a reply means for the mail as a whole.
    fn trouble(&self, reply: &Reply, stage: Stage) -> Trouble {
        let said = self.said(reply, stage);
        match reply.means(stage) {
            Some(Means::Busy | Means::Later) => Trouble::Busy(said, PAUSE),
            Some(Means::Refused | Means::Dead | Means::TooLarge) => Trouble::Refused(said, KEYS),
            Some(Means::Done) | None => Trouble::Unanswered(said, HINTS.log),
        }
    }

    fn broken(&self, what: &dyn Display) -> Trouble {
        failed(&what.to_string().into(), &self.server)
    }
}

fn failed(failure: &Failure, server: &dyn Display) -> Trouble {
    HINTS.trouble(failure, &format_args!("the mail server {server}"))
}

/// Begins TLS.
async fn secured(server: &Server, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Trouble> {
    let secured = within(PATIENCE, tls::begin(&server.tls, stream)).await.flatten();
    secured.map_err(|failure| failed(&failure, &server.address))
}
