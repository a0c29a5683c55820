//! A value by network.

use std::net::IpAddr;

use ipnet::IpNet;

/// Values by network. The smallest network that an address is in decides.
#[derive(Debug, Clone)]
pub struct ByNetwork<T>(Vec<(IpNet, T)>);

impl<T> Default for ByNetwork<T> {
    fn default() -> Self {
        ByNetwork(Vec::new())
    }
}

impl<T: Copy> ByNetwork<T> {
    /// The values of these networks; of one network that is given twice the first.
    pub fn new(mut all: Vec<(IpNet, T)>) -> Self {
        all.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        ByNetwork(all)
    }

    /// Whether there is no network.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value for an address.
    pub fn of(&self, address: IpAddr) -> Option<T> {
        self.0.iter().find(|(network, _)| network.contains(&address)).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_network_decides() {
        let networks = [("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("2001:db8::/32", 3), ("10.1.0.1/32", 4)];
        let all = networks.map(|(network, value)| (network.parse().unwrap(), value));
        let values = ByNetwork::new(all.into());
        for (address, expected) in [
            ("10.2.0.1", Some(1)),
            ("10.1.2.3", Some(2)),
            ("10.1.0.1", Some(4)),
            ("2001:db8::1", Some(3)),
            ("192.0.2.1", None),
        ] {
            assert_eq!(values.of(address.parse().unwrap()), expected, "{address}");
        }
    }
}
