//! What is around the database: configuration, keys, clocks, ports, files, Redis.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use secrecy::ExposeSecret as _;
use syncline_server::Config;
use syncline_server::bus::{Bus, BusHealth};
use syncline_server::config::Loaded;
use syncline_server::node_notes::{NodeNote, key_fingerprint};
use syncline_server::observe::machine;
use syncline_server::tls::facts;

use super::Finding;

/// Difference of clocks that is noticed by people; milliseconds. Tokens of other nodes are refused from twice that on.
const SKEW_MAX_MS: u64 = 2_000;

/// The configuration as `serve` would read it, if it can be.
pub fn configuration(loaded: anyhow::Result<Loaded>) -> (Vec<Finding>, Option<Config>) {
    let remedy = "correct what it names; `syncline config docs` lists every setting with its bounds";
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return (vec![Finding::problem("configuration", format!("{error:#}"), remedy)], None),
    };
    let misspelt = loaded.unknown_variables.iter().map(|name| {
        let detail = format!("nothing reads the variable {name}");
        Finding::warning("configuration", detail, "is it misspelt? `syncline config docs` lists those there are")
    });
    let checked = match loaded.config.check() {
        Ok(()) => Finding::ok("configuration", "file and environment are readable and within bounds"),
        Err(error) => Finding::problem("configuration", error.to_string(), remedy),
    };
    let is_valid = checked.is_ok();
    let findings = misspelt.chain([checked]).collect();
    (findings, is_valid.then_some(loaded.config))
}

/// Whether all nodes sign with one key. `own`: the key this configuration names.
pub fn signing_keys(config: &Config, nodes: &[NodeNote]) -> Finding {
    let check = "signing keys";
    let keys = [&config.tokens.secret_key, &config.tokens.secret_key_other].into_iter().flatten();
    let mut accepted: Vec<String> = keys.map(|key| key_fingerprint(key.expose_secret().as_bytes())).collect();
    if accepted.is_empty() {
        accepted.extend(nodes.first().map(|node| node.key_fingerprint.clone()));
    }
    if accepted.is_empty() {
        return Finding::ok(check, "no node has said which it uses");
    }
    let is_other = |node: &&NodeNote| !accepted.contains(&node.key_fingerprint);
    let others: Vec<&str> = nodes.iter().filter(is_other).map(|node| node.address.as_str()).collect();
    if others.is_empty() {
        return Finding::ok(check, format!("{} nodes and this configuration use the same", nodes.len()));
    }
    let detail = format!("not the same everywhere: {} signs with another key", others.join(", "));
    Finding::problem(
        check,
        detail,
        "give every node the same JWT_SECRET_KEY and start it again: tokens of one are refused by another",
    )
}

/// The database's clock against this machine's. `around`: this machine's before and after the question.
pub fn clock_skew(database_ms: u64, around: (u64, u64)) -> Finding {
    let check = "clock of the database";
    let ahead = database_ms.saturating_sub(around.1);
    let behind = around.0.saturating_sub(database_ms);
    match (ahead, behind) {
        (0..=SKEW_MAX_MS, 0..=SKEW_MAX_MS) => Finding::ok(check, "agrees with this machine's"),
        _ => {
            let (by, how) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
            let detail = format!("{by} ms {how} this machine's");
            Finding::problem(check, detail, "keep both with NTP: tokens, locks and retention go by them")
        }
    }
}

/// Whether the addresses to listen on are free. A server that runs on this data has them.
pub fn ports(config: &Config, is_running: bool) -> Vec<Finding> {
    if is_running {
        return vec![Finding::ok("ports", "not looked at: a server is running")];
    }
    let metrics = config.metrics.listen();
    let is_named = config.metrics.port.is_some();
    let main = [(config.http.listen(), "SERVER_PORT", true)];
    let all = main.into_iter().chain(metrics.map(|address| (address, "METRICS_PORT", is_named)));
    all.map(|(address, variable, is_needed)| port(address, variable, is_needed)).collect()
}

fn port(address: SocketAddr, variable: &'static str, is_needed: bool) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok("ports", format!("{address} is free")),
        Err(error) => {
            let detail = format!("{address} cannot be listened on: {error}");
            let hint = match variable {
                "SERVER_PORT" => "another program listens there: stop it, or name another SERVER_HOST and SERVER_PORT",
                _ => "another program listens there: name another METRICS_PORT",
            };
            if is_needed { Finding::problem("ports", detail, hint) } else { Finding::warning("ports", detail, hint) }
        }
    }
}

/// Whether as many files may be open as connections are allowed.
pub fn open_files(config: &Config) -> Finding {
    let check = "open files";
    // The server raises its own limit to this.
    let Some(max) = machine::open_files_hard_max() else { return Finding::ok(check, "without a limit") };
    let wanted = config.files_max();
    let (connections, channels) = (config.http.connections_max, config.sockets.channels_max);
    let detail = format!(
        "{max} are allowed, {wanted} are needed when http.connections_max ({connections}) and sockets.channels_max ({channels}) are reached"
    );
    let hint = "raise the limit (LimitNOFILE in the systemd unit, `ulimit -Hn` in a shell), or lower the limits of connections";
    match max {
        _ if max >= wanted => Finding::ok(check, detail),
        _ if max < 1_024 => Finding::problem(check, detail, hint),
        _ => Finding::warning(check, detail, hint),
    }
}

/// Days before the end of a certificate from which on it is time for the next.
const RENEW_DAYS: u64 = 14;

/// Whether the certificate can be used, and for how long and by which names. Nothing without TLS.
pub fn certificate(config: &Config, now_ms: u64) -> Option<Finding> {
    let check = "certificate";
    let tls = &config.tls;
    if !tls.is_on() {
        return None;
    }
    let facts = match facts(tls) {
        Ok(facts) => facts,
        Err(error) => {
            let hint = "TLS_CERT_FILE must name the certificate and its chain in PEM, TLS_KEY_FILE its key; the account \
                        that runs the server must be able to read both";
            return Some(Finding::problem(check, format!("{:#}", anyhow::Error::from(error)), hint));
        }
    };
    let (names, until) = (facts.names.join(", "), facts.until());
    let hint = "get a new one and put it in the place of the old: the server takes it up by itself";
    Some(if facts.is_expired(now_ms) {
        Finding::problem(check, format!("expired at {until}"), hint)
    } else if !facts.is_valid(now_ms) {
        Finding::problem(check, "is not valid yet", "set the machine's clock, or wait")
    } else if facts.names.is_empty() {
        let hint = "get one with subject alternative names: clients look at nothing else";
        Finding::problem(check, "names no host", hint)
    } else if facts.not_after_ms < now_ms + RENEW_DAYS * 86_400_000 {
        Finding::warning(check, format!("for {names}, expires at {until}"), hint)
    } else {
        Finding::ok(check, format!("for {names}, valid until {until}, and the key is its own"))
    })
}

/// Whether a file can be made and written in the data directory.
pub fn writable(folder: &Path) -> Finding {
    let check = "data directory";
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&probe, b"syncline"));
    let removed = written.and_then(|()| std::fs::remove_file(&probe));
    match removed {
        Ok(()) => Finding::ok(check, format!("{} can be written", folder.display())),
        Err(error) => Finding::problem(
            check,
            format!("{} cannot be written: {error}", folder.display()),
            "the account that runs the server must own it, on a disk that is not mounted read-only",
        ),
    }
}

/// Whether Redis answers, when one is configured.
pub async fn redis(config: &Config) -> Option<Finding> {
    let check = "redis";
    let url = config.bus.redis_url.as_ref()?;
    let bus = match Bus::start(&config.bus, "doctor").await {
        Ok(bus) => bus,
        Err(error) => return Some(Finding::problem(check, error.to_string(), "correct REDIS_URL")),
    };
    let health = bus.health();
    bus.close().await;
    Some(match health {
        BusHealth::Connected if !url.expose_secret().contains('@') && config.bus.redis_password.is_none() => {
            let hint = "set a password in Redis and REDIS_PASSWORD, unless nobody else reaches it";
            Finding::warning(check, "answers, and asks for no password", hint)
        }
        BusHealth::Connected => Finding::ok(check, "answers"),
        BusHealth::Degraded { reason, .. } => Finding::problem(
            check,
            format!("cannot be reached: {reason}"),
            "start it, or correct REDIS_URL and REDIS_PASSWORD; until then commits and revocations travel by the database",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_4_a_clock_that_differs_is_found_in_both_directions() {
        assert!(clock_skew(10_500, (10_000, 10_001)).is_ok());
        for (database_ms, expected) in [(70_000, "59900 ms ahead of"), (5_000, "5000 ms behind")] {
            let finding = clock_skew(database_ms, (10_000, 10_100));
            assert!(!finding.is_ok() && finding.detail.contains(expected), "{finding:?}");
        }
    }
}
