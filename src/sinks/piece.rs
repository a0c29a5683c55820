//! What a sink sends for an outcome, in pieces, each with its format. `trapline explain` shows them, and a test over all
//! types of sinks holds each format against hostile outcomes.

use data_encoding::HEXLOWER;

/// A piece of what is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its format.
    pub format: Format,
    /// The octets, as they are sent, without compression and encryption.
    pub bytes: Vec<u8>,
}

/// The format of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Words for people, without anything of the outcome: a method or an address.
    Words,
    /// An external command of Nagios, with its newline.
    Command,
    /// A file of the check result directory of Nagios.
    CheckResultFile,
    /// JSON.
    Json,
    /// JSON for a server that writes its strings into commands or files of Nagios without a look at them.
    JsonForNagios,
    /// JSON whose strings Slack shows as mrkdwn.
    Slack,
    /// JSON whose strings are shown as Markdown.
    Markdown,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Text for people.
    Text,
    /// A mail, with headers and a text.
    Mail,
    /// The path of an URL, and what follows it.
    Path,
    /// A routing key of AMQP.
    RoutingKey,
    /// A topic of MQTT.
    Topic,
    /// A subject of NATS.
    Subject,
    /// The name of a topic of Kafka.
    KafkaTopic,
    /// The key of a record of Kafka: host and service, percent-encoded.
    RecordKey,
    /// A syslog message with structured data (RFC 5424).
    StructuredData,
    /// A syslog message in CEF.
    Cef,
    /// A syslog message in LEEF.
    Leef,
    /// The key of an item of Zabbix, with the service as its parameter.
    ItemKey,
    /// A text that ends in a zero, with room for so many octets.
    Field(usize),
    /// An SNMP message.
    Snmp,
    /// A point in InfluxDB's line protocol.
    Point,
}

impl Piece {
    /// A piece of these octets.
    pub fn new(format: Format, bytes: impl Into<Vec<u8>>) -> Self {
        Piece { format, bytes: bytes.into() }
    }
}

/// Pieces as text for people.
pub fn shown(pieces: &[Piece]) -> String {
    let mut text = String::new();
    let mut before = None;
    for piece in pieces {
        let is_field = |format| matches!(format, Format::Field(_));
        text.push_str(match before {
            None => "",
            Some(before) if is_field(before) && is_field(piece.format) => "; ",
            Some(_) => " ",
        });
        match piece.format {
            Format::Snmp => text.push_str(&HEXLOWER.encode(&piece.bytes)),
            _ => text.push_str(&String::from_utf8_lossy(&piece.bytes)),
        }
        before = Some(piece.format);
    }
    text
}
