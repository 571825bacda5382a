//! Looks at the files of `deploy/` with the programs they are for.

mod image;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{services, shell};

/// A program, and the files it can tell about.
struct Check {
    program: &'static str,
    /// Debian's name of what it is in.
    package: &'static str,
    run: fn() -> Result<()>,
}

const CHECKS: &[Check] = &[
    Check { program: "promtool", package: "prometheus", run: prometheus },
    Check { program: "systemd-analyze", package: "systemd", run: systemd },
    Check { program: "docker-compose", package: "docker-compose", run: compose },
];

/// Runs every check whose program is here or can be installed; returns what was not looked at and why. nginx's file is tried by a test with nginx
/// itself, and metrics' names by one with the server.
pub fn check() -> Result<Vec<String>> {
    dashboard()?;
    image::check()?;
    let mut skipped = Vec::new();
    for check in CHECKS {
        if is_here(check.program) || (services::may_install() && services::install(&[check.package]).is_ok()) {
            (check.run)().with_context(|| format!("`{}` refuses a file of deploy/", check.program))?;
        } else {
            skipped.push(format!("`{}` is not here (Debian: {})", check.program, check.package));
        }
    }
    Ok(skipped)
}

fn is_here(program: &str) -> bool {
    shell::program(program.as_ref()).args(["--version"]).works()
}

fn prometheus() -> Result<()> {
    let promtool = |args: &[&str]| shell::program("promtool".as_ref()).args(args).run();
    promtool(&["check", "config", "deploy/prometheus/prometheus.yml"])?;
    promtool(&["test", "rules", "deploy/prometheus/alerts.test.yml"])?;
    // What the dashboard asks for, as rules, for promtool reads no dashboards.
    let queries = dashboard()?.into_iter().enumerate();
    let rules: Vec<_> =
        queries.map(|(number, query)| json!({"record": format!("panel:{number}"), "expr": query})).collect();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("dashboard.yml");
    std::fs::write(&path, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string())?;
    shell::program("promtool".as_ref()).args(["check", "rules"]).args([&path]).run()
}

fn systemd() -> Result<()> {
    // It looks for the program too, which is installed where the unit is used.
    let unit = std::fs::read_to_string(shell::root().join("deploy/systemd/syncline.service"))?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("syncline.service");
    std::fs::write(&path, unit.replace("/usr/local/bin/syncline", "/bin/true"))?;
    shell::program("systemd-analyze".as_ref()).args(["verify", "--man=no"]).args([&path]).run()
}

fn compose() -> Result<()> {
    let compose =
        shell::program("docker-compose".as_ref()).args(["--file", "deploy/compose.yaml", "config", "--quiet"]);
    let secrets = ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET_KEY", "GRAFANA_PASSWORD"];
    secrets.into_iter().fold(compose, |compose, name| compose.env(name, "secret")).run()
}

/// The queries of the dashboard, after a look at its panels.
fn dashboard() -> Result<Vec<String>> {
    let path = shell::root().join("deploy/grafana/dashboards/syncline.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let panels = dashboard["panels"].as_array().context("the dashboard has panels")?;
    anyhow::ensure!(!panels.is_empty(), "the dashboard shows nothing");
    let (mut ids, mut places, mut queries) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for panel in panels {
        let title = &panel["title"];
        anyhow::ensure!(ids.insert(panel["id"].as_u64()), "two panels of the dashboard have the id of {title}");
        let side = |name: &str| panel["gridPos"][name].as_u64().with_context(|| format!("{title} has no {name}"));
        let (x, y, w, h) = (side("x")?, side("y")?, side("w")?, side("h")?);
        for place in (x..x + w).flat_map(|column| (y..y + h).map(move |row| (column, row))) {
            anyhow::ensure!(x + w <= 24 && places.insert(place), "{title} lies over another panel, or beside the page");
        }
        let targets = panel["targets"].as_array().filter(|targets| !targets.is_empty());
        for target in targets.with_context(|| format!("{title} asks for nothing"))? {
            queries.push(target["expr"].as_str().with_context(|| format!("a query of {title}"))?.to_owned());
        }
    }
    Ok(queries)
}
