//! Names of definitions as words.

/// Words that are written in capitals.
const ACRONYMS: [&str; 87] = [
    "ac", "acl", "adsl", "ap", "aps", "arp", "ats", "bfd", "bgp", "cfm", "cmos", "cpu", "dc", "dhcp", "dns",
    "dsl", "ecc", "eigrp", "erps", "fc", "fcoe", "fru", "gps", "ha", "hdd", "hsrp", "http", "iap", "id",
    "igmp", "ike", "ip", "ips", "ipsec", "isdn", "isis", "kvm", "l2tp", "lacp", "lag", "lan", "ldp", "lldp",
    "lsa", "lsdb", "lsp", "lun", "mac", "mlag", "mpls", "msdp", "nic", "nssa", "ntp", "nvram", "ospf", "pdu",
    "pim", "poe", "ppp", "pse", "psu", "qos", "radius", "raid", "ram", "rip", "rmon", "rps", "rsvp", "sfp",
    "sip", "ssd", "ssid", "ssl", "stp", "tcp", "udld", "udp", "ups", "usb", "vlan", "vpn", "vrrp", "wan",
    "wlan", "wtp",
];

/// Abbreviations, and what an operator reads.
const LONG: [(&str, &str); 24] = [
    ("addr", "address"),
    ("auth", "authentication"),
    ("batt", "battery"),
    ("brd", "board"),
    ("comm", "communication"),
    ("config", "configuration"),
    ("ctrl", "controller"),
    ("cntlr", "controller"),
    ("dev", "device"),
    ("env", "environment"),
    ("humid", "humidity"),
    ("hw", "hardware"),
    ("if", "interface"),
    ("mem", "memory"),
    ("nbr", "neighbor"),
    ("ps", "power supply"),
    ("pwr", "power"),
    ("rtr", "router"),
    ("sw", "software"),
    ("temp", "temperature"),
    ("tun", "tunnel"),
    ("util", "utilization"),
    ("virt", "virtual"),
    ("volt", "voltage"),
];

/// The words of a name, as written: `jnxPowerSupplyOK` has jnx, Power, Supply, OK.
pub fn split(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = vec![String::new()];
    for (at, c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let before = at.checked_sub(1).map(|before| chars[before]);
        let next_is_small = chars.get(at + 1).is_some_and(char::is_ascii_lowercase);
        let word_starts = before.is_some_and(|before| {
            let capital_after_small = c.is_ascii_uppercase() && !before.is_ascii_uppercase();
            let end_of_acronym = c.is_ascii_uppercase() && before.is_ascii_uppercase() && next_is_small;
            // `Supply1` has a number; `ipv6` and `dot11` are words.
            let number = c.is_ascii_digit()
                && before.is_ascii_lowercase()
                && words.last().is_some_and(|word| word.len() > 3);
            capital_after_small || end_of_acronym || number
        });
        if word_starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(*c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a word is an acronym that says what a thing is, such as BGP.
pub fn is_acronym(word: &str) -> bool {
    ACRONYMS.contains(&&*word.to_lowercase())
}

/// Words as an operator writes them: acronyms in capitals, abbreviations in full.
pub fn plain(words: &[String]) -> String {
    let one = |word: &String| {
        let lower = word.to_lowercase();
        let all_capitals = word.len() > 1 && !word.contains(|c: char| c.is_ascii_lowercase());
        match LONG.iter().find(|(short, _)| *short == lower) {
            Some((_, long)) => (*long).to_owned(),
            None if is_acronym(word) || all_capitals => word.to_uppercase(),
            None => lower,
        }
    };
    words.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// The same with a capital at the start.
pub fn title(words: &[String]) -> String {
    capital(&plain(words))
}

/// A text with a capital at the start.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// How many words at their start all of these names share, without regard to case.
pub fn common_start(names: &[Vec<String>]) -> usize {
    let Some((first, rest)) = names.split_first() else { return 0 };
    let same = |at: usize| rest.iter().all(|name| name[at].eq_ignore_ascii_case(&first[at]));
    let shortest = names.iter().map(Vec::len).min().unwrap_or(0);
    (0..shortest).take_while(|at| same(*at)).count()
}
