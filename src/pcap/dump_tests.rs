use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// A trap as snmptrapd -d prints it, with the lines around it.
const SNMPTRAPD: &str = "\
NET-SNMP version 5.9.3

Received 59 byte packet from UDP: [192.0.2.7]:54606->[127.0.0.1]:29162
0000: 30 39 02 01  00 04 06 70  75 62 6C 69  63 A4 2C 06    09.....public.,.
0016: 08 2B 06 01  04 01 86 8D  1F 40 04 C0  00 02 09 02    .+.......@......
0032: 01 06 02 01  11 43 01 37  30 11 30 0F  06 0A 2B 06    .....C.70.0...+.
0048: 01 04 01 86  8D 1F 01 01  02 01 04                    ...........

2026-11-26 05:05:40 192.0.2.9 [192.0.2.9] (via UDP: [192.0.2.7]:54606->[127.0.0.1]:29162) TRAP, SNMP v1, community public
\tiso.3.6.1.4.1.99999 Enterprise Specific Trap (17) Uptime: 0:00:00.55
";

fn payloads(text: &str) -> Vec<(Option<IpAddr>, Vec<u8>)> {
    let dumps = Dumps::read(text);
    assert_eq!(dumps.mistakes, [], "{text}");
    dumps.payloads().map(|payload| (payload.from, payload.octets.into_owned())).collect()
}

fn trap() -> Vec<u8> {
    payloads(SNMPTRAPD)[0].1.clone()
}

/// The packet of a datagram, with a header of IP.
fn ip(payload: &[u8]) -> Vec<u8> {
    let (all, datagram) =
        ((28 + payload.len() as u16).to_be_bytes(), (8 + payload.len() as u16).to_be_bytes());
    let head = [&[0x45, 0], &all[..], &[0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 192, 0, 2, 1]].concat();
    [&head[..], &[0x30, 0x39, 0, 162], &datagram, &[0, 0], payload].concat()
}

/// How programs print octets: the offset of a row, its octets in groups, the text.
#[derive(Debug, Clone, Copy)]
enum Form {
    Tcpdump { text: bool },
    Xxd,
    Hexdump,
    Wireshark,
    NetSnmp,
    Od,
    Bare { colons: bool },
}

const FORMS: [Form; 9] = [
    Form::Tcpdump { text: false },
    Form::Tcpdump { text: true },
    Form::Xxd,
    Form::Hexdump,
    Form::Wireshark,
    Form::NetSnmp,
    Form::Od,
    Form::Bare { colons: false },
    Form::Bare { colons: true },
];

fn print(form: Form, octets: &[u8]) -> String {
    let mut out = String::new();
    for (at, row) in octets.chunks(16).enumerate() {
        let at = at * 16;
        let hex: Vec<String> = row.iter().map(|octet| format!("{octet:02x}")).collect();
        let pairs: Vec<String> = hex.chunks(2).map(<[String]>::concat).collect();
        let groups =
            |size, between| hex.chunks(size).map(|group| group.join(" ")).collect::<Vec<_>>().join(between);
        let text: String =
            row.iter().map(|octet| if octet.is_ascii_graphic() { char::from(*octet) } else { '.' }).collect();
        let _ = match form {
            Form::Tcpdump { text: false } => writeln!(out, "\t0x{at:04x}:  {}", pairs.join(" ")),
            Form::Tcpdump { text: true } => writeln!(out, "\t0x{at:04x}:  {:<39}  {text}", pairs.join(" ")),
            Form::Xxd => writeln!(out, "{at:08x}: {:<39}  {text}", pairs.join(" ")),
            Form::Hexdump => writeln!(out, "{at:08x}  {:<48}  |{text}|", groups(8, "  ")),
            Form::Wireshark => {
                writeln!(out, "{at:04x}   {:<48}  {}", groups(8, "  "), text.replace('.', "·"))
            }
            Form::NetSnmp => writeln!(out, "{at:04}: {:<50}    {text}", groups(4, "  ")),
            Form::Od => writeln!(out, "{at:07o} {}", hex.join(" ")),
            Form::Bare { colons } => writeln!(out, "{}", hex.join(if colons { ":" } else { "" })),
        };
    }
    out
}

#[test]
fn snmptrapd_names_the_sender() {
    let all = payloads(SNMPTRAPD);
    assert_eq!((all.len(), all[0].0, all[0].1.len()), (1, Some([192, 0, 2, 7].into()), 59));
    assert_eq!(
        sender("Received 9 byte packet from UDP/IPv6: [2001:db8::1]:999->[::1]:162"),
        "2001:db8::1".parse().ok()
    );
    assert_eq!(sender("Received 9 byte packet from UNIX: x"), None);
}

#[test]
fn frames_packets_and_messages_are_told_apart() {
    let trap = trap();
    let packet = ip(&trap);
    let ethernet = [&[0x30; 12][..], &[8, 0], &packet].concat();
    let vlan = [&[0; 12][..], &[0x81, 0, 0, 7, 8, 0], &packet].concat();
    let any = [&[0; 14][..], &[8, 0], &packet].concat();
    for octets in [packet, ethernet, vlan, any] {
        for form in FORMS {
            let read = payloads(&print(form, &octets));
            assert_eq!(read, [(Some([192, 0, 2, 7].into()), trap.clone())], "{form:?}");
        }
    }
    let line = b"<13>Nov 20 12:00:01 h app: as a datagram carries it";
    assert_eq!(payloads(&print(Form::Hexdump, line)), [(None, line.to_vec())]);
}

#[test]
fn several_in_one_text() {
    let trap = trap();
    let two = format!(
        "12:00:01 IP 192.0.2.7.4 > 192.0.2.1.162:  C=\"public\"\n{}\nsome words\n{}",
        print(Form::Tcpdump { text: true }, &ip(&trap)),
        print(Form::Tcpdump { text: false }, &ip(&trap)),
    );
    assert_eq!(payloads(&two).len(), 2);
    let bare = print(Form::Bare { colons: false }, &trap);
    assert_eq!(payloads(&format!("{bare}\n{bare}")).len(), 2);
    // Mail programs put empty lines between rows.
    let spaced = print(Form::NetSnmp, &trap).replace('\n', "\n\n");
    assert_eq!(payloads(&spaced), [(None, trap)]);
}

#[test]
fn what_is_not_whole_is_said() {
    let text = print(Form::Hexdump, &trap());
    let rows: Vec<&str> = text.lines().collect();
    let without = |left_out: usize| {
        let rows = rows.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, row)| *row);
        Dumps::read(&rows.collect::<Vec<_>>().join("\n"))
    };
    assert_eq!(without(0), Dumps { dumps: Vec::new(), mistakes: vec![(1, Mistake::Missing(0))] });
    assert_eq!(without(2).mistakes, [(3, Mistake::Missing(32))]);
    // Without the last row it is a dump, of a packet that is cut off.
    assert_eq!(without(3).dumps.len(), 1);
    let words = Dumps::read("0000000 3930 0102 0400 7006 6275 696c a463 062c\n");
    assert_eq!(words.mistakes, [(1, Mistake::Words)]);
    let long: String = (0..5000).map(|at| format!("{:08x}  {}\n", at * 16, "30 ".repeat(16))).collect();
    assert_eq!(Dumps::read(&long).mistakes, [(4126, Mistake::Long)]);
}

#[test]
fn other_texts_have_no_dumps() {
    for text in [
        "",
        "Nov 20 12:00:01 db1 sshd[4]: Failed password for root from 192.0.2.4 port 4 ssh2",
        "<13>1 2026-11-20T12:00:01Z host app - - - 0000: 30 39",
        "2026-11-26 05:05:40 a line",
        "cafe\nbeef\nadd 4\n",
        "1234 56 lines",
        "1.3.6.1.4.1.99999.1.1 = INTEGER: 4",
    ] {
        assert!(Dumps::read(text).is_empty(), "{text}: {:?}", Dumps::read(text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_form_is_read(content in prop::collection::vec(any::<u8>(), 8..200), form in prop::sample::select(FORMS.to_vec())) {
        let trap = [&[0x30, 0x81, content.len() as u8], &content[..]].concat();
        prop_assert_eq!(payloads(&print(form, &trap)), [(None, trap)]);
    }

    #[test]
    fn any_text_is_safe(text in "([0-9a-f]{2,8}[: x|]{0,3}|\\PC|\n){0,60}") {
        let dumps = Dumps::read(&text);
        prop_assert!(dumps.dumps.iter().map(|dump| dump.octets.len()).sum::<usize>() <= text.len());
        dumps.payloads().for_each(drop);
    }
}
