//! One Redis, and three that are a cluster.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use super::child::{Service, ask, command, free_port};
use super::folder::Folder;
use super::programs::Programs;

pub struct Started {
    pub service: Service,
    pub url: String,
    port: u16,
}

pub fn start(programs: &Programs, folder: &Folder, name: &str) -> Result<Started> {
    start_with(programs, folder, name, |_| {})
}

/// Three masters that share the slots. Returns their addresses with commas between them.
pub fn start_cluster(programs: &Programs, folder: &Folder, running: &mut Vec<Service>) -> Result<String> {
    let mut nodes = Vec::new();
    for name in ["cluster-1", "cluster-2", "cluster-3"] {
        let bus_port = free_port()?.to_string();
        nodes.push(start_with(programs, folder, name, |redis| {
            redis.args(["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]);
            redis.args(["--cluster-node-timeout", "2000", "--cluster-port", &bus_port]);
        })?);
    }
    let mut create = Command::new(&programs.redis_cli);
    create.args(["--cluster", "create"]).args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
    let output = create.args(["--cluster-replicas", "0", "--cluster-yes"]).output();
    let output = output.context("redis-cli could not be started")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("`redis-cli --cluster create` failed: {}", String::from_utf8_lossy(&said).trim());
    }
    for node in &mut nodes {
        let port = node.port;
        node.service.wait_until(|| {
            ask(port, "CLUSTER INFO", "cluster_slots_ok").is_some_and(|info| info.contains("cluster_state:ok"))
        })?;
    }
    let urls: Vec<String> = nodes.iter().map(|node| node.url.clone()).collect();
    running.extend(nodes.into_iter().map(|node| node.service));
    Ok(urls.join(","))
}

fn start_with(
    programs: &Programs,
    folder: &Folder,
    name: &str,
    settings: impl FnOnce(&mut Command),
) -> Result<Started> {
    let home = folder.make(name, None)?;
    let port = free_port()?;
    let mut redis = command(&programs.redis_server, None);
    redis.current_dir(&home).args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    redis.args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--maxmemory", "256mb"]);
    settings(&mut redis);
    let mut service = Service::start(name, &mut redis, folder.log(name), Signal::KILL)?;
    service.wait_until(|| ask(port, "PING", "\r\n").is_some_and(|answer| answer.starts_with("+PONG")))?;
    Ok(Started { service, url: format!("redis://127.0.0.1:{port}"), port })
}
