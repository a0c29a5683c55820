//! What a client waits for: the stages of the way to a server and to its answer, how long they may take, and why one of them fails, in
//! words. Who has one patience for all of them says by [`within`] which one has not ended.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// What is under way with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its name is looked up.
    Resolve,
    /// A connection is made.
    Connect,
    /// TLS begins on it.
    Tls,
    /// An answer is awaited.
    Answer,
}

impl Stage {
    const ALL: [Stage; 4] = [Stage::Resolve, Stage::Connect, Stage::Tls, Stage::Answer];
}

/// Why a stage has come to nothing.
#[derive(Debug)]
enum Why {
    /// It has not ended for so long.
    Late(Duration),
    Error(io::Error),
}

/// A stage that has come to nothing.
#[derive(Debug)]
pub struct Failure {
    stage: Stage,
    why: Why,
}

impl Failure {
    /// A stage that has ended in an error; a failure that an error has in it stays what it is.
    pub fn of(stage: Stage, error: io::Error) -> Self {
        error.downcast().unwrap_or_else(|error| Failure { stage, why: Why::Error(error) })
    }

    /// A stage that has not ended for `patience`.
    pub fn late(stage: Stage, patience: Duration) -> Self {
        Failure { stage, why: Why::Late(patience) }
    }

    /// What has failed.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether it has only taken too long.
    pub fn is_late(&self) -> bool {
        matches!(self.why, Why::Late(_))
    }

    /// Says it of a server, such as `the NATS server 192.0.2.1:4222`.
    pub fn said(&self, server: &dyn Display) -> String {
        let why = self.why();
        match (self.stage, &self.why) {
            (Stage::Resolve | Stage::Connect, _) => format!("cannot connect to {server}: {why}"),
            (Stage::Tls, _) => format!("no TLS with {server}: {why}"),
            (Stage::Answer, Why::Late(patience)) => {
                format!("no answer from {server} within {} s", patience.as_secs())
            }
            (Stage::Answer, Why::Error(_)) => format!("{server} broke off: {why}"),
        }
    }

    /// What to do about it, where no more is known of the server than its address.
    pub fn remedy(&self) -> &'static str {
        match self.stage {
            Stage::Resolve => "see whether its name is right, and the name servers of this machine",
            Stage::Connect => {
                "see whether it runs, whether its address is right, and whether a firewall is in between"
            }
            Stage::Tls => "see whether it speaks TLS on this port, and its certificate",
            Stage::Answer => "see its log",
        }
    }

    fn why(&self) -> String {
        match (self.stage, &self.why) {
            (stage, Why::Late(patience)) => {
                let what = match stage {
                    Stage::Resolve => "its name is not resolved",
                    Stage::Connect => "no connection",
                    Stage::Tls => "the handshake has not ended",
                    Stage::Answer => "no answer",
                };
                format!("{what} within {} s", patience.as_secs())
            }
            (Stage::Resolve, Why::Error(error)) => {
                let error = error.to_string();
                let error = error.strip_prefix("failed to lookup address information: ").unwrap_or(&error);
                format!("its name is not resolved: {error}")
            }
            (Stage::Connect, Why::Error(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                format!("nothing listens there: {error}")
            }
            (_, Why::Error(error)) => error.to_string(),
        }
    }
}

/// Says it of a server that is known.
impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.stage == Stage::Tls { "no TLS: " } else { "" };
        write!(f, "{of}{}", self.why())
    }
}

impl std::error::Error for Failure {}

/// What a server says that is no answer, or why the connection ends.
impl From<String> for Failure {
    fn from(what: String) -> Self {
        Failure::of(Stage::Answer, io::Error::other(what))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::of(Stage::Answer, error)
    }
}

tokio::task_local! {
    /// What is under way in the work that [`within`] waits for.
    static UNDER_WAY: Arc<UnderWay>;
}

/// A stage, told to those who wait: the one who waits for this work, and those who wait for work that has it in it.
struct UnderWay {
    stage: AtomicU8,
    around: Option<Arc<UnderWay>>,
}

impl UnderWay {
    fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        if let Some(around) = &self.around {
            around.enter(stage);
        }
    }

    fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.stage.load(Ordering::Relaxed))]
    }
}

/// Says to who waits that a stage begins.
pub fn enter(stage: Stage) {
    let _ = UNDER_WAY.try_with(|under_way| under_way.enter(stage));
}

/// Does the work of a stage; behind it, an answer is what is waited for.
///
/// # Errors
///
/// If the work fails.
pub async fn during<T>(stage: Stage, work: impl Future<Output = io::Result<T>>) -> Result<T, Failure> {
    enter(stage);
    let done = work.await;
    enter(Stage::Answer);
    done.map_err(|error| Failure::of(stage, error))
}

/// Waits for work for at most `patience`. An answer is what it waits for, unless the work says otherwise by [`during`].
///
/// # Errors
///
/// The stage that has not ended.
pub async fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Result<T, Failure> {
    let around = UNDER_WAY.try_with(Arc::clone).ok();
    let own = Arc::new(UnderWay { stage: AtomicU8::new(Stage::Answer as u8), around });
    let done = tokio::time::timeout(patience, UNDER_WAY.scope(own.clone(), work)).await;
    done.map_err(|_| {
        let stage = own.stage();
        own.enter(Stage::Answer);
        Failure::late(stage, patience)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_says_how_it_failed() {
        use Stage::*;
        let late = |stage| Failure::late(stage, Duration::from_secs(30));
        let error = |stage, kind: io::ErrorKind| Failure::of(stage, kind.into());
        let other = |stage, text: &str| Failure::of(stage, io::Error::other(text));
        let system = |stage, number| Failure::of(stage, io::Error::from_raw_os_error(number));
        let lookup = "failed to lookup address information: Name or service not known";
        let nested = Failure::of(Connect, io::Error::other(other(Resolve, lookup)));
        for (failure, stage, is_late, said, alone) in [
            (late(Resolve), Resolve, true, "cannot connect to S: its name is not resolved within 30 s", ""),
            (late(Connect), Connect, true, "cannot connect to S: no connection within 30 s", ""),
            (late(Tls), Tls, true, "no TLS with S: the handshake has not ended within 30 s", "no TLS: "),
            (late(Answer), Answer, true, "no answer from S within 30 s", ""),
            (
                other(Resolve, lookup),
                Resolve,
                false,
                "cannot connect to S: its name is not resolved: Name or service not known",
                "",
            ),
            // What is in the error of a connection counts more than the connection.
            (
                nested,
                Resolve,
                false,
                "cannot connect to S: its name is not resolved: Name or service not known",
                "",
            ),
            (
                system(Connect, libc::ECONNREFUSED),
                Connect,
                false,
                "cannot connect to S: nothing listens there: Connection refused (os error 111)",
                "",
            ),
            (
                system(Connect, libc::ENETUNREACH),
                Connect,
                false,
                "cannot connect to S: Network is unreachable (os error 101)",
                "",
            ),
            (error(Connect, io::ErrorKind::TimedOut), Connect, false, "cannot connect to S: timed out", ""),
            (
                other(Tls, "its certificate has expired"),
                Tls,
                false,
                "no TLS with S: its certificate has expired",
                "no TLS: ",
            ),
            (other(Answer, "it speaks Greek"), Answer, false, "S broke off: it speaks Greek", ""),
            ("it speaks Greek".to_owned().into(), Answer, false, "S broke off: it speaks Greek", ""),
        ] {
            assert_eq!((failure.stage(), failure.is_late()), (stage, is_late), "{failure:?}");
            assert_eq!(failure.said(&"S"), said);
            // Without the server, the same reason.
            let short = failure.to_string();
            let reason = short.strip_prefix(alone).unwrap();
            assert!(said.ends_with(reason) || reason == "no answer within 30 s", "{short}");
            assert!(!failure.remedy().is_empty());
        }
    }

    /// Work that does the first stages and never ends the last of them; behind them an answer is awaited.
    async fn stuck(stages: &[Stage]) -> Result<(), Failure> {
        for (at, stage) in stages.iter().enumerate() {
            let is_last = at + 1 == stages.len();
            during(*stage, async {
                if is_last {
                    std::future::pending::<()>().await;
                }
                Ok(())
            })
            .await?;
        }
        std::future::pending().await
    }

    #[test]
    fn who_waits_is_told_what_has_not_ended() {
        use Stage::*;
        let patience = Duration::from_secs(3);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let told = async |stages: &[Stage]| within(patience, stuck(stages)).await.unwrap_err().stage();
        runtime.block_on(async {
            for (stages, last) in [
                (&[][..], Answer),
                (&[Resolve], Resolve),
                (&[Resolve, Connect], Connect),
                (&[Connect, Tls], Tls),
                (&[Connect, Tls, Answer], Answer),
            ] {
                assert_eq!(told(stages).await, last, "{stages:?}");
                // Who waits for the one that waits is told the same, whoever has less patience.
                for outer in [patience / 2, patience * 2] {
                    let nested = async {
                        let inner = within(patience, stuck(stages)).await;
                        std::future::pending::<()>().await;
                        inner
                    };
                    let waits_for = if outer < patience { last } else { Answer };
                    assert_eq!(within(outer, nested).await.unwrap_err().stage(), waits_for, "{stages:?}");
                }
            }
            // Others in the same task have stages of their own.
            let both = tokio::join!(told(&[Connect]), told(&[Connect, Tls]));
            assert_eq!(both, (Connect, Tls));
            // A stage that has failed is over.
            let failed = async {
                let failure = during(Connect, async { Err::<(), _>(io::ErrorKind::NotFound.into()) }).await;
                assert_eq!(failure.unwrap_err().stage(), Connect);
                std::future::pending::<()>().await;
            };
            assert_eq!(within(patience, failed).await.unwrap_err().stage(), Answer);
            assert_eq!(within(patience, async { 7 }).await.unwrap(), 7);
        });
    }
}
