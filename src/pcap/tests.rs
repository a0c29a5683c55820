use proptest::prelude::*;

use super::*;

fn ipv4_udp(payload: &[u8]) -> Vec<u8> {
    ipv4(0, &udp(payload))
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len() as u16).to_be_bytes();
    [&[0x30, 0x39, 0, 162], &length[..], &[0, 0], payload].concat()
}

/// An IPv4 packet with a part of a datagram.
fn ipv4(flags: u16, content: &[u8]) -> Vec<u8> {
    let length = (20 + content.len() as u16).to_be_bytes();
    let head = [&[0x45, 0], &length[..], &[0, 9], &flags.to_be_bytes(), &[64, 17, 0, 0]].concat();
    [&head[..], &[192, 0, 2, 7, 192, 0, 2, 1], content].concat()
}

/// An IPv6 packet with a part of a datagram, behind a header of options.
fn ipv6(place: u16, content: &[u8]) -> Vec<u8> {
    let length = (16 + content.len() as u16).to_be_bytes();
    let (from, to) = ([0x20; 16], [0x21; 16]);
    let head = [&[0x60, 0, 0, 0], &length[..], &[0, 64], &from, &to].concat();
    let options = [44, 0, 1, 4, 0, 0, 0, 0];
    let fragment = [&[17, 0], &place.to_be_bytes()[..], &[0, 0, 0, 9]].concat();
    [&head[..], &options, &fragment, content].concat()
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    let kind = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    [&[0; 12][..], &kind, packet].concat()
}

fn classic(link: u16, frames: &[Vec<u8>]) -> Vec<u8> {
    let [low, high] = link.to_le_bytes();
    let mut file =
        vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, low, high, 0, 0];
    for frame in frames {
        let length = (frame.len() as u32).to_le_bytes();
        file.extend([[5, 0, 0, 0], [7, 0, 0, 0], length, length].concat());
        file.extend(frame);
    }
    file
}

/// A block of pcapng in either byte order.
fn block(big: bool, kind: u32, parts: &[&[u8]]) -> Vec<u8> {
    let mut body = parts.concat();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = number(big, body.len() as u32 + 12);
    [&number(big, kind)[..], &length, &body, &length].concat()
}

fn number(big: bool, value: u32) -> [u8; 4] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn short(big: bool, value: u16) -> [u8; 2] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

/// A file of pcapng with one interface, of a resolution of time, and one packet.
fn ng(big: bool, link: u16, resolution: u8, units: u64, frame: &[u8]) -> Vec<u8> {
    let n = |value| number(big, value);
    let section = block(big, 0x0a0d_0d0a, &[&n(0x1a2b_3c4d), &short(big, 1), &short(big, 0), &[0xff; 8]]);
    let comment = [&short(big, 1)[..], &short(big, 2), b"hi\0\0"].concat();
    let tsresol = [&short(big, 9)[..], &short(big, 1), &[resolution, 0, 0, 0], &[0; 4]].concat();
    let interface = block(big, 1, &[&short(big, link), &[0; 2], &n(0), &comment, &tsresol]);
    let length = n(frame.len() as u32);
    let time = [n((units >> 32) as u32), n(units as u32)].concat();
    let packet = block(big, 6, &[&n(0), &time, &length, &length, frame]);
    [section, interface, block(big, 4, &[b"names"]), packet].concat()
}

fn all(file: &[u8]) -> (Vec<Packet<'_>>, Skipped) {
    let mut capture = Capture::open(file).unwrap();
    let packets = (&mut capture).collect();
    (packets, capture.skipped())
}

#[test]
fn every_link() {
    let ip = ipv4_udp(b"trap");
    let tags = [&[0; 12][..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 5, 8, 0], &ip].concat();
    let any = [&[0; 14][..], &[8, 0], &ip].concat();
    let any_tagged = [&[0; 14][..], &[0x81, 0, 0, 5, 8, 0], &ip].concat();
    let any2 = [&[8, 0][..], &[0; 18], &ip].concat();
    let loopback = [&[2, 0, 0, 0][..], &ip].concat();
    for (link, frame) in [
        (101, ip.clone()),
        (228, ip.clone()),
        (1, ethernet(&ip)),
        (1, tags),
        (113, any),
        (113, any_tagged),
        (276, any2),
        (0, loopback),
    ] {
        let mut packet = Packet {
            time: Some(5_000_007),
            from: [192, 0, 2, 7].into(),
            port: 162,
            payload: (&b"trap"[..]).into(),
        };
        let file = classic(link, std::slice::from_ref(&frame));
        assert_eq!(all(&file), (vec![packet.clone()], Skipped::default()), "{link}");
        for big in [false, true] {
            for (resolution, units, micros) in [
                (6, 5_000_007, 5_000_007),
                (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456),
                (3, 1_700_000_000_123, 1_700_000_000_123_000),
                (0x8a, 2048, 2_000_000),
                (6, u64::MAX, 253_402_300_799_000_000),
                (0x7f, u64::MAX, 0),
                (0xff, u64::MAX, 0),
            ] {
                packet.time = Some(micros);
                let file = ng(big, link, resolution, units, &frame);
                assert_eq!(all(&file), (vec![packet.clone()], Skipped::default()), "{link} {resolution}");
            }
        }
    }
}

#[test]
fn simple_packets_have_no_time() {
    let ip = ipv4_udp(b"trap");
    let file = ng(false, 101, 6, 0, &ip);
    let head = &file[..file.len() - (20 + ip.len().next_multiple_of(4) + 12)];
    let simple = block(false, 3, &[&number(false, ip.len() as u32), &ip]);
    let file = [head, &simple].concat();
    let (packets, skipped) = all(&file);
    assert_eq!((packets.len(), packets[0].time, skipped), (1, None, Skipped::default()));
}

#[test]
fn what_is_no_capture() {
    assert_eq!(Capture::open(b"hello").unwrap_err(), PcapError::Format);
    assert_eq!(Capture::open(&classic(200, &[])).unwrap_err(), PcapError::Link(200));
    assert!(!is_capture(b"") && !is_capture(&[0x0a, 0x0d, 0x0d, 0x0a]) && !is_capture(b"0x0000: 30"));
    assert!(is_capture(&classic(1, &[])) && is_capture(&ng(true, 1, 6, 0, &[])));
}

#[test]
fn what_is_left_out_is_counted() {
    let ip = ipv4_udp(b"trap");
    let mut tcp = ip.clone();
    tcp[9] = 6;
    let arp = [&[0; 12][..], &[8, 6], &[0; 28]].concat();
    let cut = &ethernet(&ip)[..30];
    let lone = ipv4(0x2000, &udp(b"trapline")[..8]);
    let frames = [ethernet(&ip), ethernet(&tcp), arp, cut.to_vec(), ethernet(&lone)];
    let mut file = classic(1, &frames);
    let expected = Skipped { other: 2, cut: 1, fragments: 1, ..Skipped::default() };
    assert_eq!(all(&file).1, expected);
    assert_eq!(
        expected.to_string(),
        "2 without UDP, 1 cut off (capture whole packets: tcpdump -s 0), 1 that are fragments without the rest"
    );
    file.pop();
    assert!(all(&file).1.damaged && !all(&file).0.is_empty());
    let unknown = ng(false, 200, 6, 0, &ip);
    assert_eq!(all(&unknown).1, Skipped { links: 1, ..Skipped::default() });
}

/// The fragments of a datagram, in frames.
fn fragments(v6: bool, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let datagram = udp(payload);
    let count = datagram.len().div_ceil(size);
    let one = |(at, part): (usize, &[u8])| {
        let (place, more) = ((at * size) as u16, at + 1 < count);
        let packet = if v6 {
            ipv6(place | u16::from(more), part)
        } else {
            ipv4((place / 8) | if more { 0x2000 } else { 0 }, part)
        };
        ethernet(&packet)
    };
    datagram.chunks(size).enumerate().map(one).collect()
}

#[test]
fn fragments_that_overlap_are_refused() {
    let frames = fragments(false, b"a datagram in three fragments", 16);
    let mut other = frames[1].clone();
    *other.last_mut().unwrap() ^= 1;
    for order in [
        vec![frames[0].clone(), frames[1].clone(), other.clone(), frames[2].clone()],
        vec![frames[2].clone(), ethernet(&ipv4(0x2000 | 8, b"beyond the end!!"))],
    ] {
        let file = classic(1, &order);
        let (packets, skipped) = all(&file);
        assert!(packets.is_empty() && skipped.fragments == order.len() as u64, "{packets:?} {skipped:?}");
    }
    let twice = classic(1, &[frames[0].clone(), frames[0].clone(), frames[2].clone(), frames[1].clone()]);
    assert_eq!(all(&twice).0.len(), 1);
}

#[test]
fn fragments_that_are_never_completed_are_bounded() {
    let frames: Vec<Vec<u8>> = (0..1000u16)
        .map(|id| {
            let mut packet = ipv4(0x2000, &[0; 8]);
            packet[4..6].copy_from_slice(&id.to_be_bytes());
            packet
        })
        .collect();
    let file = classic(101, &frames);
    let mut capture = Capture::open(&file).unwrap();
    assert_eq!((&mut capture).count(), 0);
    assert_eq!(capture.skipped().fragments, 1000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn fragments_are_put_together_in_any_order(
        v6 in any::<bool>(),
        payload in prop::collection::vec(any::<u8>(), 20..400),
        size in 1usize..8,
        order in any::<prop::sample::Index>(),
    ) {
        let mut frames = fragments(v6, &payload, size * 8);
        let middle = order.index(frames.len());
        frames.rotate_left(middle);
        frames.reverse();
        let file = classic(1, &frames);
        let (packets, skipped) = all(&file);
        prop_assert_eq!(packets.len(), 1);
        prop_assert_eq!(&packets[0].payload[..], &payload[..]);
        prop_assert_eq!(skipped, Skipped::default());
    }

    #[test]
    fn any_frame_is_safe(
        link in prop::sample::select(vec![0u16, 1, 12, 101, 113, 276]),
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..5),
    ) {
        Capture::open(&classic(link, &frames)).unwrap().for_each(drop);
    }

    /// Octets of whole files are replaced; each packet costs octets of the file, so there is an end.
    #[test]
    fn any_damage_is_safe(
        as_ng in any::<bool>(),
        v6 in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let frames = fragments(v6, b"a datagram in three fragments", 16);
        let mut file = if as_ng { ng(v6, 1, 6, 7, &frames[0]) } else { classic(1, &frames) };
        for (at, octet) in damage {
            let at = at.index(file.len());
            file[at] = octet;
        }
        if let Ok(capture) = Capture::open(&file) {
            prop_assert!(capture.count() <= file.len());
        }
    }
}

#[test]
fn zeros_are_no_record() {
    let whole = classic(1, &[ethernet(&ipv4_udp(b"one"))]);
    let file = [&whole[..], &[0; 64]].concat();
    let (packets, skipped) = all(&file);
    assert_eq!((packets.len(), skipped), (1, Skipped { damaged: true, ..Skipped::default() }));
}
