//! UDP packets out of what people capture, without I/O: files of tcpdump and Wireshark (pcap and pcapng), and hex dumps
//! that they paste (tcpdump -x and -X, snmptrapd -d, xxd, hexdump -C, Wireshark).
//!
//! VLAN tags are skipped and fragments of IP put together. Whatever is left out is counted ([`Skipped`]). What is kept in
//! memory beside the file is bounded.

mod capture;
mod classic;
mod dump;
mod frame;
mod ip;
mod link;
mod ng;

pub use capture::{Capture, Packet, is_capture};
pub use dump::{Dump, Dumps, Mistake, Payload, Payloads};
pub use frame::{PcapError, Skipped};
