//! Where Redis is. The only place that holds its password.

use redis::io::tcp::TcpSettings;
use redis::{ConnectionInfo, IntoConnectionInfo as _};
use secrecy::ExposeSecret as _;

use crate::bus::BusError;
use crate::config::BusConfig;

/// Addresses of a cluster that are read. More are refused.
const SEEDS_MAX: usize = 64;

pub(in crate::bus) struct Addresses {
    /// At least one; of a cluster, those from which it is found.
    pub seeds: Vec<ConnectionInfo>,
    pub is_cluster: bool,
    /// What is never written anywhere.
    secrets: Vec<String>,
}

impl Addresses {
    /// Reads `scheme://[user:password@]host:port[/db]` with more hosts after commas: `a,b` or `scheme://a,scheme://b`.
    /// Those without a scheme use the first one's, and its user and password.
    pub fn parse(config: &BusConfig) -> Result<Option<Self>, BusError> {
        let Some(url) = &config.redis_url else { return Ok(None) };
        let parts: Vec<&str> = url.expose_secret().split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        let first = *parts.first().ok_or_else(|| wrong("it is empty"))?;
        if parts.len() > SEEDS_MAX {
            return Err(wrong("it names more than 64 hosts"));
        }
        let (scheme, rest) = first.split_once("://").ok_or_else(|| wrong("it begins with redis:// or rediss://"))?;
        let user = rest.split_once('@').map_or("", |(user, _)| user);
        let at = if user.is_empty() { "" } else { "@" };
        let whole = |part: &str| match part.contains("://") {
            true => part.to_owned(),
            false => format!("{scheme}://{user}{at}{part}"),
        };
        let mut seeds = Vec::with_capacity(parts.len());
        for part in &parts {
            // The library's error repeats nothing of the address, ours must not either.
            let info = whole(part).into_connection_info().map_err(|error| wrong(error.category()))?;
            seeds.push(with_password(info, config).set_tcp_settings(TcpSettings::default().set_nodelay(true)));
        }
        let settings = seeds.iter().map(ConnectionInfo::redis_settings);
        let secrets = settings.flat_map(|info| [info.username(), info.password()]).flatten();
        let secrets = secrets.filter(|secret| !secret.is_empty() && *secret != "default").map(str::to_owned).collect();
        Ok(Some(Self { is_cluster: config.is_cluster || seeds.len() > 1, seeds, secrets }))
    }

    /// Takes user names and passwords out of a text.
    pub fn scrub(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "…"))
    }
}

/// The password of `bus.redis_password`, where the address names none.
fn with_password(info: ConnectionInfo, config: &BusConfig) -> ConnectionInfo {
    let settings = info.redis_settings();
    match &config.redis_password {
        Some(password) if settings.password().is_none() => {
            let settings = settings.clone().set_password(password.expose_secret());
            info.set_redis_settings(settings)
        }
        Some(_) | None => info,
    }
}

fn wrong(reason: &str) -> BusError {
    BusError::Address { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn parse(url: &str) -> Result<Addresses, BusError> {
        let config = BusConfig { redis_url: Some(SecretString::from(url)), ..BusConfig::default() };
        Addresses::parse(&config).map(|addresses| addresses.expect("there is a url"))
    }

    #[test]
    fn sto_2_one_address_is_a_redis_and_several_are_a_cluster() {
        let one = parse("redis://127.0.0.1:6400/2").unwrap();
        assert!(!one.is_cluster && one.seeds.len() == 1);
        for url in ["rediss://ann:hush@a:1,b:2,c:3", "rediss://ann:hush@a:1,rediss://ann:hush@b:2,c:3"] {
            let three = parse(url).unwrap();
            assert!(three.is_cluster);
            let hosts: Vec<String> = three.seeds.iter().map(|seed| seed.addr().to_string()).collect();
            assert_eq!(hosts, ["a:1", "b:2", "c:3"]);
            assert!(three.seeds.iter().all(|seed| seed.redis_settings().password() == Some("hush")));
        }
    }

    #[test]
    fn ops_4_a_password_of_its_own_is_for_addresses_without_one() {
        let password_of = |url: &str| {
            let (url, password) = (Some(SecretString::from(url)), Some(SecretString::from("own")));
            let config = BusConfig { redis_url: url, redis_password: password, ..BusConfig::default() };
            let addresses = Addresses::parse(&config).unwrap().unwrap();
            assert_eq!(addresses.scrub("own hush"), if addresses.secrets[0] == "own" { "… hush" } else { "own …" });
            addresses.seeds[0].redis_settings().password().unwrap_or_default().to_owned()
        };
        assert_eq!((password_of("redis://r"), password_of("redis://:hush@r")), ("own".to_owned(), "hush".to_owned()));
    }

    #[test]
    fn auth_3_no_error_repeats_a_password() {
        for url in ["http://:hush@a", "hush", "redis://:hush@a:port", ",", "redis://:hush@[", "redis://:hush@a/nodb"] {
            let Err(error) = parse(url) else { panic!("an error") };
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
        let addresses = parse("redis://ann:hush@a").unwrap();
        assert_eq!(addresses.scrub("WRONGPASS ann or hush"), "WRONGPASS … or …");
    }
}
