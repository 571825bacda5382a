//! Where a webhook may be sent: not into networks that only this server reaches. What counts is the address a name resolves to,
//! at the moment it is used, so that a name cannot be pointed elsewhere after it was checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Longest address of a receiver; bytes.
pub const URL_BYTES_MAX: usize = 2_048;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("an address begins with https:// or http://, names a host, and has no user, password or fragment")]
    Form,
    #[error("an address has at most {URL_BYTES_MAX} bytes")]
    Long,
    #[error("the address lies in a network that is not public")]
    Private,
}

/// Checks an address by what is written in it. A name is checked again when it is resolved.
pub fn check_url(text: &str, is_private_allowed: bool) -> Result<Url, AddressError> {
    if text.len() > URL_BYTES_MAX {
        return Err(AddressError::Long);
    }
    let url = Url::parse(text).map_err(|_| AddressError::Form)?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(AddressError::Form)?;
    if !matches!(url.scheme(), "http" | "https") || !is_plain {
        return Err(AddressError::Form);
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_local_name = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    let is_private = is_local_name || literal.is_ok_and(|address| !is_public(address));
    if is_private && !is_private_allowed { Err(AddressError::Private) } else { Ok(url) }
}

/// Whether an address is one that anybody on the Internet could mean.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127, ..)
            | (169, 254, _)
            // The metadata service of a large cloud, reachable from its machines alone.
            | (168, 63, 129)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (100, 64..=127, _)
            | (172, 16..=31, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224.., ..)
    );
    !is_special
}

/// Of IPv6 only global unicast is public; addresses that carry an IPv4 address are as public as that is.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4(high, low)),
        [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
        // Documentation, Teredo and other special uses.
        [0x2001, 0x0db8 | 0..=0x01ff, ..] => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

/// Resolves names, and knows only public addresses.
#[derive(Clone, Copy, Debug)]
pub struct PublicResolver {
    pub is_private_allowed: bool,
}

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_private_allowed = self.is_private_allowed;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|found| is_private_allowed || is_public(found.ip())).collect();
            if allowed.is_empty() {
                return Err(AddressError::Private.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_7_only_public_addresses_are_public() {
        for public in ["1.1.1.1", "100.63.255.255", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.0.0.1",
            "168.63.129.16",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.1",
            "192.0.2.1",
            "100.64.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::7f00:1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn api_7_addresses_are_checked_by_what_is_written() {
        assert!(check_url("https://example.com/hook?x=1", false).is_ok());
        for (wrong, error) in [
            ("ftp://example.com", AddressError::Form),
            ("example.com", AddressError::Form),
            ("https://user:password@example.com/", AddressError::Form),
            ("https://example.com/#x", AddressError::Form),
            ("http://localhost/", AddressError::Private),
            ("http://a.localhost:80/", AddressError::Private),
            ("http://127.0.0.1:9/", AddressError::Private),
            ("http://[::1]/", AddressError::Private),
            ("http://2130706433/", AddressError::Private),
            ("http://0x7f.1/", AddressError::Private),
            ("http://169.254.169.254/latest/meta-data", AddressError::Private),
        ] {
            assert_eq!(check_url(wrong, false).unwrap_err(), error, "{wrong}");
        }
        assert!(check_url("http://127.0.0.1:9/", true).is_ok());
        assert_eq!(
            check_url(&format!("https://example.com/{}", "x".repeat(URL_BYTES_MAX)), false).unwrap_err(),
            AddressError::Long
        );
    }

    #[tokio::test]
    async fn api_7_a_name_that_leads_home_is_not_followed() {
        let resolve = |is_private_allowed| PublicResolver { is_private_allowed }.resolve("localhost".parse().unwrap());
        let Err(error) = resolve(false).await else { panic!("it was followed") };
        assert_eq!(error.to_string(), AddressError::Private.to_string());
        assert!(resolve(true).await.is_ok());
    }
}
