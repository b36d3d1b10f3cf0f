//! Which peers are proxies whose word about a client counts, and what they say it with.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The fields that a trusted proxy describes a client with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedFamily {
    /// X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host.
    #[default]
    XForwarded,
    /// Forwarded (RFC 7239).
    Rfc7239,
}

/// The peers that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    networks: Vec<IpNet>,
    /// Whoever reaches us over a Unix domain socket.
    unix: bool,
}

impl Trusted {
    /// Whether nobody is believed.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether this peer is believed; `None`: one on a Unix domain socket.
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(self.unix, |peer| self.networks.iter().any(|network| network.contains(&peer)))
    }
}

/// A text that names no peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("addresses and networks, separated by commas, such as 10.0.0.0/8,fd00::/8, unix or *")]
pub struct TrustedError;

impl FromStr for Trusted {
    type Err = TrustedError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut trusted = Self::default();
        for part in text.split([',', ' ', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
            match part {
                "*" => {
                    trusted.unix = true;
                    trusted.networks.push(Ipv4Net::default().into());
                    trusted.networks.push(Ipv6Net::default().into());
                }
                "unix" => trusted.unix = true,
                _ => trusted.networks.push(network(part).ok_or(TrustedError)?),
            }
        }
        Ok(trusted)
    }
}

/// A network, or an address that is one by itself. Peers of IPv4 are never told in IPv6's clothes.
fn network(text: &str) -> Option<IpNet> {
    let network: IpNet = match text.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().into(),
        Err(_) => text.parse().ok()?,
    };
    Some(network.trunc())
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unix = self.unix.then(|| "unix".to_owned());
        let all = self.networks.iter().map(ToString::to_string).chain(unix);
        f.write_str(&all.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(list: &str, peer: &str) -> bool {
        list.parse::<Trusted>().unwrap().contains(peer.parse().ok())
    }

    #[test]
    fn networks_and_addresses_are_told_apart_from_others() {
        for (list, peer, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("192.168.0.1", "192.168.0.1", true),
            ("192.168.0.1", "192.168.0.2", false),
            ("::ffff:192.168.0.1", "192.168.0.1", true),
            ("fd00::/8, 127.0.0.1", "fd12::1", true),
            ("fd00::/8,127.0.0.1,", "127.0.0.1", true),
            ("fd00::/8", "127.0.0.1", false),
            ("0.0.0.0/0", "::1", false),
            ("*", "::1", true),
            ("*", "8.8.8.8", true),
            ("", "127.0.0.1", false),
            // No address: a Unix domain socket.
            ("unix", "-", true),
            ("*", "-", true),
            ("0.0.0.0/0,::/0", "-", false),
        ] {
            assert_eq!(trusts(list, peer), expected, "{list} {peer}");
        }
    }

    #[test]
    fn what_names_no_peer_is_refused() {
        for list in ["localhost", "10.0.0.0/33", "10.0.0", "10.0.0.0/8;::1", "10.0.0.1:80"] {
            assert_eq!(list.parse::<Trusted>(), Err(TrustedError), "{list}");
        }
    }

    #[test]
    fn a_list_is_shown_as_it_can_be_typed() {
        let shown = "10.1.0.0/8,::1,unix".parse::<Trusted>().unwrap().to_string();
        assert_eq!(shown, "10.0.0.0/8,::1/128,unix");
        assert_eq!(shown.parse::<Trusted>().unwrap().to_string(), shown);
    }
}
