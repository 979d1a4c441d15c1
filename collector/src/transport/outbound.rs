//! Which addresses may be dialled. Asked about the address itself, after the name was
//! resolved and for the very connection that is made: a name that changes its mind in between gains nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::TransportError;

/// Where no NAS is and clouds keep their secrets: link-local, and the metadata services that lie elsewhere; then what is
/// no address of a machine.
pub const DENIED_BY_DEFAULT: &str = "169.254.0.0/16, fe80::/10, fd00:ec2::254/128, fd20:ce::254/128, \
    100.100.100.200/32, 168.63.129.16/32, 0.0.0.0/8, ::/128, 224.0.0.0/4, ff00::/8, 255.255.255.255/32";
const NETWORKS_MAX: usize = 1_000;

/// A denied address is denied; an allowed list that is not empty allows nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    pub allow: Arc<[IpNet]>,
    pub deny: Arc<[IpNet]>,
}

impl Default for Outbound {
    fn default() -> Self {
        let deny = networks(DENIED_BY_DEFAULT).unwrap_or_default();
        Self { allow: Arc::default(), deny: deny.into() }
    }
}

/// "10.0.0.0/8, fd00::/8"; a bare address is a network of one.
pub fn networks(text: &str) -> Option<Vec<IpNet>> {
    let network =
        |part: &str| part.parse::<IpNet>().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from));
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let found: Option<Vec<IpNet>> = parts.map(network).collect();
    found.filter(|found| found.len() <= NETWORKS_MAX)
}

impl Outbound {
    pub fn check(&self, address: IpAddr) -> Result<(), TransportError> {
        let forbidden = |why: String| TransportError::Forbidden { address, why };
        // An IPv4 address in IPv6 clothes is that IPv4 address.
        for seen in inner(address) {
            if let Some(network) = self.deny.iter().find(|network| network.contains(&seen)) {
                return Err(forbidden(format!("outbound.deny has {network}")));
            }
        }
        let seen = address.to_canonical();
        if self.allow.is_empty() || self.allow.iter().any(|network| network.contains(&seen)) {
            return Ok(());
        }
        Err(forbidden("outbound.allow does not have it".to_owned()))
    }

    /// Those that may be dialled; an error when there is none.
    pub fn permitted(
        &self,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, TransportError> {
        let mut refused = None;
        let mut permitted = Vec::new();
        for address in addresses {
            match self.check(address.ip()) {
                Ok(()) => permitted.push(address),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(error) if permitted.is_empty() => Err(error),
            _ => Ok(permitted),
        }
    }
}

/// The address, and the IPv4 address that a translator would make of it.
fn inner(address: IpAddr) -> Vec<IpAddr> {
    let mut all = vec![address.to_canonical()];
    if let IpAddr::V6(six) = address {
        let [head @ .., high, low] = six.segments();
        let v4 = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            IpAddr::from([a, b, c, d])
        };
        match head {
            // NAT64 with the prefix of everybody and with one of one's own, a stateless translator, and the old form of embedding.
            [0x64, 0xff9b, 0, 0, 0, 0] | [0x64, 0xff9b, 1, ..] | [0, 0, 0, 0, 0xffff, 0] => {
                all.push(v4(high, low));
            }
            [0, 0, 0, 0, 0, 0] if high != 0 => all.push(v4(high, low)),
            // 6to4.
            [0x2002, high, low, ..] => all.push(v4(high, low)),
            _ => {}
        }
    }
    all
}

/// Resolves as the machine does and gives out what may be dialled.
pub(super) struct Resolver(pub(super) Outbound);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let outbound = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Addrs = Box::new(outbound.permitted(found)?.into_iter());
            Ok(permitted)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(outbound: &Outbound, addresses: &[&str]) -> Vec<bool> {
        addresses.iter().map(|text| outbound.check(text.parse().expect("an address")).is_ok()).collect()
    }

    #[test]
    fn metadata_services_are_out_of_reach_in_every_spelling() {
        let outbound = Outbound::default();
        assert!(!outbound.deny.is_empty());
        let denied = [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "::ffff:0:a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::a9fe:a9fe",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
        ];
        assert_eq!(verdicts(&outbound, &denied), [false; 14]);
        assert_eq!(
            verdicts(&outbound, &["192.168.1.9", "10.0.0.1", "fd00::9", "127.0.0.1", "::1"]),
            [true; 5]
        );
    }

    #[test]
    fn an_allowed_list_allows_nothing_else_and_a_denied_one_wins() {
        let list = |text| networks(text).expect("networks").into();
        let outbound = Outbound { allow: list("10.0.0.0/8, 192.168.7.7"), deny: list("10.9.0.0/16") };
        let addresses = ["10.1.2.3", "192.168.7.7", "10.9.0.1", "192.168.7.8", "fd00::1", "::ffff:10.1.2.3"];
        assert_eq!(verdicts(&outbound, &addresses), [true, true, false, false, false, true]);
        for bad in ["10.0.0.0/33", "nas.example", "10.0.0.0/8 10.0.0.1"] {
            assert_eq!(networks(bad), None, "{bad}");
        }
    }

    #[test]
    fn of_many_addresses_the_permitted_ones_are_dialled() {
        let both: [SocketAddr; 2] = [([169, 254, 169, 254], 443).into(), ([192, 168, 1, 9], 443).into()];
        let outbound = Outbound::default();
        assert_eq!(outbound.permitted(both).expect("one"), both[1..]);
        let error = outbound.permitted([both[0]]).expect_err("none").to_string();
        assert!(error.contains("169.254.169.254") && error.contains("outbound.deny"), "{error}");
    }
}
