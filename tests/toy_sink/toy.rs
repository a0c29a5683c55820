//! The toy sink: `HOST STATE OUTPUT`, one a line, over TCP; the server confirms by reading.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use trapline::outcome::{Outcome, Record};
use trapline::sinks::piece::{Format, Piece};
use trapline::sinks::settings::{Configured, Key, Kind, Options};
use trapline::sinks::sink::{Fate, Item, Lane, Limits, Order, Pieces, Seat, Sending, Sink, Trouble};

/// `type = "toy"`
pub const KIND: Kind = Kind {
    name: "toy",
    says: "a socket",
    keys: &[&[Key { name: "address", default: "required", says: "`HOST:PORT`." }]],
    answers: &[],
    read,
};

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let address = options.required("address", "127.0.0.1:7")?;
    Some(Arc::new(Toy { address: address.value }))
}

#[derive(Debug)]
struct Toy {
    address: String,
}

/// The line of a record; none if it has more than one.
fn line(record: &Record<'_>) -> Option<String> {
    let Outcome::CheckResult(check) = &record.outcome else { return None };
    let line = format!("{} {} {}", check.host, check.common.state.as_str(), check.common.output);
    (!line.contains('\n')).then_some(line)
}

impl Sink for Toy {
    fn limits(&self) -> Limits {
        Limits { items: 100, order: Order::Kept, ..Limits::default() }
    }

    fn takes_events(&self) -> bool {
        false
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        line(record).map(|line| Ok(vec![Piece::new(Format::Text, line)]))
    }

    fn lane(&self, _seat: &Seat) -> Box<dyn Lane> {
        Box::new(ToyLane { address: self.address.clone(), stream: None })
    }
}

struct ToyLane {
    address: String,
    stream: Option<TcpStream>,
}

impl Lane for ToyLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(std::future::ready(self.write(items)))
    }
}

impl ToyLane {
    fn write(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let away = |error: std::io::Error| Trouble::Away(error.to_string().into(), "start the server");
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(&self.address).map_err(away)?,
        };
        let mut fates = Vec::new();
        for item in items {
            fates.push(match item.record().as_ref().and_then(line) {
                Some(line) => {
                    writeln!(stream, "{line}").map_err(away)?;
                    Fate::Taken
                }
                None => Fate::Dead("it has more than one line".into()),
            });
        }
        self.stream = Some(stream);
        Ok(fates)
    }
}
