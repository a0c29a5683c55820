//! Outcomes as notifications: as they came, v1 traps translated as RFC 3584, section 3.1, says, or those of TRAPLINE-MIB.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use jiff::Timestamp;

use crate::message::{Notification, NotificationKind, Oid, Value, Varbind, Version};
use crate::outcome::name::{Name, breaks_line, turns};
use crate::outcome::record::Record;
use crate::outcome::result::{Outcome, State};
use crate::sinks::sink::Said;
use crate::snmp::passed;
use crate::snmp::well_known as oids;
use crate::snmp::{self, Decoded};

/// The longest name in octets, and the longest other text.
const MAX_NAME: usize = 256;
const MAX_TEXT: usize = 4096;
/// snmpTrapCommunity.0: the community is a secret of who sent the trap, to this daemon or to the proxy that handed it on.
const NO_COMMUNITY: Value<'static> = Value::OctetString(b"");

/// Which notification is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The one that came, where the outcome was made of one; else the other.
    Original,
    /// traplineOutcome of TRAPLINE-MIB.
    Outcome,
}

/// What a notification is made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'h> {
    /// Which one.
    pub(super) form: Form,
    /// The version that it is sent with.
    pub(super) version: Version,
    /// The community, in v2c.
    pub(super) community: &'h [u8],
    /// The engine id of this daemon.
    pub(super) own: &'h [u8],
    /// sysUpTime.0 of a notification of this daemon, in hundredths of a second.
    pub(super) uptime: u32,
    /// request-id
    pub(super) request_id: i32,
}

impl Head<'_> {
    /// Makes the notification of a record, and gives it to `use_it`, with whether a text was cut. `original` is the message that it was
    /// made of.
    pub(super) fn notify<T>(
        &self,
        record: &Record<'_>,
        original: Option<&[u8]>,
        use_it: impl FnOnce(&Notification<'_>, bool) -> T,
    ) -> Result<T, Said> {
        let came = original.and_then(|original| snmp::decode(original).ok());
        let path = came.as_ref().map_or(&b""[..], |came| passed::path_of(&came.notification));
        let path = passed::with(path, self.own).ok_or_else(|| {
            Said::from(
                "it has passed too many daemons, or its traplinePath is none; see that they form no circle",
            )
        })?;
        let source = record.outcome.common().source.parse::<Ipv4Addr>().ok();
        match came {
            Some(came) if self.form == Form::Original => {
                Ok(use_it(&self.original(&came, source, &path), false))
            }
            _ => self.made(record, source, &path, use_it),
        }
    }

    fn empty<'n>(
        &'n self,
        oid: Oid<'n>,
        uptime: Option<u32>,
        varbinds: Vec<Varbind<'n>>,
    ) -> Notification<'n> {
        Notification {
            version: self.version,
            kind: NotificationKind::Inform,
            community: self.community,
            proxied_community: None,
            security: None,
            request_id: self.request_id,
            oid,
            enterprise: None,
            agent: None,
            generic: None,
            specific: None,
            uptime,
            varbinds,
        }
    }

    fn original<'n>(
        &'n self,
        came: &'n Decoded<'_>,
        source: Option<Ipv4Addr>,
        path: &'n str,
    ) -> Notification<'n> {
        let came = &came.notification;
        let own = |varbind: &&Varbind<'_>| varbind.oid == oids::TRAPLINE_PATH;
        let mut varbinds: Vec<Varbind<'_>> =
            came.varbinds.iter().filter(|varbind| !own(varbind)).cloned().collect();
        // What is left of the community of a proxied trap is no community.
        for varbind in &mut varbinds {
            if varbind.oid.starts_with(&oids::SNMP_TRAP_COMMUNITY_OBJECT) {
                varbind.value = NO_COMMUNITY;
            }
        }
        let mut add = |oid: Oid<'static>, value| {
            if !varbinds.iter().any(|varbind| varbind.oid == oid) {
                varbinds.push(Varbind { oid, value });
            }
        };
        // Who it is from: behind this daemon nobody sees its address.
        if let Some(agent) = came.agent.or(source) {
            add(oids::SNMP_TRAP_ADDRESS, Value::IpAddress(agent));
        }
        if came.version == Version::V1 {
            add(oids::SNMP_TRAP_COMMUNITY, NO_COMMUNITY);
            if let Some(enterprise) = &came.enterprise {
                add(oids::SNMP_TRAP_ENTERPRISE, Value::ObjectId(enterprise.borrowed()));
            }
        }
        varbinds.push(Varbind { oid: oids::TRAPLINE_PATH, value: Value::OctetString(path.as_bytes()) });
        self.empty(came.oid.borrowed(), came.uptime, varbinds)
    }

    fn made<T>(
        &self,
        record: &Record<'_>,
        source: Option<Ipv4Addr>,
        path: &str,
        use_it: impl FnOnce(&Notification<'_>, bool) -> T,
    ) -> Result<T, Said> {
        let (outcome, common) = (&record.outcome, record.outcome.common());
        let (host, service) =
            (name(outcome.host(), "host")?, name(outcome.service().unwrap_or(""), "service")?);
        let texts = [&*common.output, &*common.long_output].map(str::trim_end);
        let output = if texts[1].is_empty() { texts[0].to_owned() } else { texts.join("\n") };
        let (output, cut) = cleaned(&output);
        let id = record.id();
        let time = date_and_time(common.time);
        let (perfdata, (fields, fields_cut)) = match outcome {
            Outcome::CheckResult(check) => (cleaned(&check.perfdata).0, (String::new(), false)),
            Outcome::Event(event) => (String::new(), as_json(&event.fields)),
        };
        let (labels, labels_cut) = as_json(&common.labels);
        let cut = cut || fields_cut || labels_cut;
        let text = |oid: &Oid<'static>, text: &'_ str| (oid.clone(), text.to_owned());
        let texts = [
            text(&oids::TRAPLINE_OUTPUT, &output),
            text(&oids::TRAPLINE_RULE, &Name::from(&*common.rule)),
            text(&oids::TRAPLINE_ID, &id),
            text(&oids::TRAPLINE_SOURCE, &Name::from(&*common.source)),
            text(&oids::TRAPLINE_PERFDATA, &perfdata),
            text(&oids::TRAPLINE_FIELDS, &fields),
            text(&oids::TRAPLINE_LABELS, &labels),
            text(&oids::TRAPLINE_PATH, path),
        ];
        let octets = |oid, text| Varbind { oid, value: Value::OctetString(text) };
        let mut varbinds = vec![
            octets(oids::TRAPLINE_HOST, host.as_bytes()),
            octets(oids::TRAPLINE_SERVICE, service.as_bytes()),
            Varbind { oid: oids::TRAPLINE_STATE, value: Value::Integer(number_of(common.state)) },
            octets(oids::TRAPLINE_TIME, &time),
        ];
        varbinds.extend(texts.iter().map(|(oid, text)| octets(oid.borrowed(), text.as_bytes())));
        if let Some(source) = source {
            varbinds.push(Varbind { oid: oids::SNMP_TRAP_ADDRESS, value: Value::IpAddress(source) });
        }
        Ok(use_it(&self.empty(oids::TRAPLINE_OUTCOME, Some(self.uptime), varbinds), cut))
    }
}

/// A name that fits.
fn name<'n>(text: &'n str, what: &str) -> Result<&'n str, Said> {
    if text.len() > MAX_NAME {
        return Err(format!("the {what} has {} octets, more than {MAX_NAME}", text.len()).into());
    }
    Ok(text)
}

/// A text for people, without what controls a terminal, as long as it may be; and whether it was cut.
fn cleaned(text: &str) -> (String, bool) {
    let bad = |c: char| c != '\n' && (breaks_line(c) || turns(c));
    let plain = |c: char| if bad(c) { ' ' } else { c };
    let mut clean: String = text.chars().map(plain).collect();
    let cut = clean.len() > MAX_TEXT;
    if cut {
        clean.truncate(clean.floor_char_boundary(MAX_TEXT));
    }
    (clean, cut)
}

/// Names and values as JSON, on one line; empty if there are none. One that is too long is left out, which counts as cut.
fn as_json(pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> (String, bool) {
    if pairs.is_empty() {
        return (String::new(), false);
    }
    let pairs: BTreeMap<&str, &str> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    let plain = serde_json::to_string(&pairs).unwrap_or_default();
    let text = plain.chars().fold(String::with_capacity(plain.len()), |mut text, c| {
        if breaks_line(c) || turns(c) {
            // All of them have one unit in UTF-16.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
        text
    });
    if text.len() > MAX_TEXT { (String::new(), true) } else { (text, false) }
}

/// The value of traplineState.
fn number_of(state: State) -> i32 {
    State::ALL.iter().position(|one| *one == state).map_or(3, |at| at as i32)
}

/// DateAndTime (RFC 2579) in UTC, of microseconds since 1970.
fn date_and_time(micros: i64) -> [u8; 11] {
    let time = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    let time = jiff::tz::Offset::UTC.to_datetime(time);
    let year = u16::try_from(time.year()).unwrap_or(0).to_be_bytes();
    let tenths = time.millisecond() / 100;
    let rest = [time.month(), time.day(), time.hour(), time.minute(), time.second()].map(|n| n as u8);
    let [month, day, hour, minute, second] = rest;
    [year[0], year[1], month, day, hour, minute, second, tenths as u8, b'+', 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::testing::record;
    use crate::snmp::encode::encode;

    fn head(form: Form) -> Head<'static> {
        let own = b"\x80\x01";
        Head { form, version: Version::V2c, community: b"c", own, uptime: 7, request_id: 9 }
    }

    fn sent(form: Form, original: Option<&[u8]>) -> Vec<(String, String)> {
        let record = record("sw1", Some("Interface Gi0/3"), "Link down");
        let packet = head(form).notify(&record, original, |inform, cut| (encode(inform), cut)).unwrap();
        assert!(!packet.1);
        let decoded = snmp::decode(&packet.0).unwrap();
        let inform = decoded.notification;
        assert_eq!(
            (inform.kind, inform.request_id, inform.community),
            (NotificationKind::Inform, 9, &b"c"[..])
        );
        let head = [
            ("uptime".to_owned(), format!("{:?}", inform.uptime)),
            ("oid".to_owned(), inform.oid.to_string()),
        ];
        let varbinds = inform.varbinds.iter().map(|varbind| {
            let value = match &varbind.value {
                Value::OctetString(octets) => String::from_utf8_lossy(octets).into_owned(),
                other => format!("{other:?}"),
            };
            (varbind.oid.to_string(), value)
        });
        head.into_iter().chain(varbinds).collect()
    }

    fn v1(agent: [u8; 4]) -> Vec<u8> {
        let maker = head(Form::Outcome);
        let trap = Notification {
            version: Version::V1,
            kind: NotificationKind::Trap,
            enterprise: Some("1.3.6.1.4.1.9.1.1".parse().unwrap()),
            agent: Some(agent.into()),
            generic: Some(2),
            specific: Some(0),
            ..maker.empty(
                "1.3.6.1.6.3.1.1.5.3".parse().unwrap(),
                Some(100),
                vec![Varbind {
                    oid: "1.3.6.1.2.1.2.2.1.2.3".parse().unwrap(),
                    value: Value::OctetString(b"Gi0/3"),
                }],
            )
        };
        encode(&trap)
    }

    #[test]
    fn a_v1_trap_becomes_an_inform_of_v2c() {
        let address = "1.3.6.1.6.3.18.1.3.0";
        let expected = |agent: &str| {
            [
                ("uptime", "Some(100)"),
                ("oid", "1.3.6.1.6.3.1.1.5.3"),
                ("1.3.6.1.2.1.2.2.1.2.3", "Gi0/3"),
                (address, &format!("IpAddress({agent})")),
                ("1.3.6.1.6.3.18.1.4.0", ""),
                ("1.3.6.1.6.3.1.1.4.3.0", "ObjectId(Oid([43, 6, 1, 4, 1, 9, 1, 1]))"),
                ("1.3.6.1.4.1.32473.162.1.12.0", "8001"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
        };
        assert_eq!(sent(Form::Original, Some(&v1([198, 51, 100, 7]))), expected("198.51.100.7"));
        // Without an agent it is who sent it.
        assert_eq!(sent(Form::Original, Some(&v1([0, 0, 0, 0]))), expected("192.0.2.1"));
    }

    #[test]
    fn what_was_sent_on_once_has_its_sender_and_a_longer_path() {
        let record = record("sw1", None, "x");
        let first = head(Form::Original)
            .notify(&record, Some(&v1([198, 51, 100, 7])), |inform, _| encode(inform))
            .unwrap();
        let all = sent(Form::Original, Some(&first));
        assert_eq!(all.iter().filter(|(oid, _)| oid == "1.3.6.1.6.3.18.1.3.0").count(), 1);
        assert!(all.contains(&("1.3.6.1.6.3.18.1.3.0".into(), "IpAddress(198.51.100.7)".into())), "{all:?}");
        assert_eq!(all.last().unwrap().1, "8001 8001");
        let made = sent(Form::Outcome, Some(&first));
        assert!(made.contains(&("1.3.6.1.4.1.32473.162.1.12.0".into(), "8001 8001".into())), "{made:?}");
    }

    #[test]
    fn a_proxied_trap_has_no_community_in_the_place_of_what_hides_it() {
        let address = Varbind {
            oid: "1.3.6.1.6.3.18.1.3.0".parse().unwrap(),
            value: Value::IpAddress([198, 51, 100, 7].into()),
        };
        let community =
            Varbind { oid: oids::SNMP_TRAP_COMMUNITY, value: Value::OctetString(b"proxied community") };
        let last =
            Varbind { oid: "1.3.6.1.2.1.2.2.1.2.3".parse().unwrap(), value: Value::OctetString(b"Gi0/3") };
        let maker = head(Form::Outcome);
        let came = Notification {
            kind: NotificationKind::Trap,
            ..maker.empty("1.3.6.1.6.3.1.1.5.3".parse().unwrap(), Some(100), vec![address, community, last])
        };
        // As the journal has it.
        let kept = snmp::anonymous::without_community(&encode(&came)).unwrap();
        let all = sent(Form::Original, Some(&kept));
        let places: Vec<(&str, &str)> =
            all[2..].iter().map(|(oid, value)| (oid.as_str(), value.as_str())).collect();
        assert_eq!(
            places,
            [
                ("1.3.6.1.6.3.18.1.3.0", "IpAddress(198.51.100.7)"),
                ("1.3.6.1.6.3.18.1.4.0", ""),
                ("1.3.6.1.2.1.2.2.1.2.3", "Gi0/3"),
                ("1.3.6.1.4.1.32473.162.1.12.0", "8001"),
            ]
        );
    }

    #[test]
    fn an_outcome_has_its_fields() {
        for form in [Form::Outcome, Form::Original] {
            let all = sent(form, None);
            assert_eq!(
                all[..2],
                [("uptime".into(), "Some(7)".into()), ("oid".into(), "1.3.6.1.4.1.32473.162.0.1".into())]
            );
            let texts: Vec<&str> = all[2..].iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(texts[..3], ["sw1", "Interface Gi0/3", "Integer(2)"]);
            assert_eq!(
                texts[4..],
                [
                    "Link down",
                    "r",
                    "0000000000000001-2",
                    "192.0.2.1",
                    "",
                    "",
                    "",
                    "8001",
                    "IpAddress(192.0.2.1)"
                ]
            );
        }
        assert_eq!(date_and_time(1_700_000_000_123_456), [7, 0xe7, 11, 14, 22, 13, 20, 1, b'+', 0, 0]);
        let long = "x".repeat(257);
        assert!(head(Form::Outcome).notify(&record(&long, None, "o"), None, |_, _| ()).is_err());
        let cut = head(Form::Outcome)
            .notify(&record("h", None, &"é".repeat(4000)), None, |inform, cut| (encode(inform).len(), cut));
        assert!(matches!(cut, Ok((4000..5000, true))), "{cut:?}");
    }
}
