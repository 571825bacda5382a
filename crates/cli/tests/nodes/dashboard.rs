//! Prometheus and the dashboard of `deploy/` over real nodes (OPS-7): every panel has figures once something has happened.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::crew::Crew;
use crate::support::{Deployment, until};

/// Time in which every panel has to have figures; seconds.
const SECONDS_MAX: usize = 60;

/// Panels of what does not happen here: trouble, conflicts, messages.
const OF_NOTHING: [&str; 3] =
    ["Sync operations that were refused or failed", "Conflicts, by entity and strategy", "Messages, by step"];

/// A process that ends with the test.
struct Prometheus {
    port: u16,
    child: Child,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

fn delivered(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

impl Prometheus {
    /// With the file as it is delivered, but for the nodes' addresses and its pace. `None`: it is not installed.
    fn start(deployment: &Deployment) -> Option<Self> {
        let folder = deployment.folder.path().join("prometheus");
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut config = std::fs::read_to_string(delivered("prometheus/prometheus.yml")).unwrap();
        config = config.replace("interval: 10s", "interval: 1s");
        let targets =
            deployment.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect::<Vec<_>>().join(", ");
        assert!(config.contains("[node1:9090, node2:9090, node3:9090]"));
        config = config.replace("node1:9090, node2:9090, node3:9090", &targets);
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        std::fs::copy(delivered("prometheus/alerts.yml"), folder.join("alerts.yml")).unwrap();
        let mut command = Command::new("prometheus");
        command.arg("--config.file").arg(folder.join("prometheus.yml"));
        command.arg("--storage.tsdb.path").arg(folder.join("data"));
        command.arg("--web.listen-address").arg(format!("127.0.0.1:{port}"));
        let child = command.stdin(Stdio::null()).stderr(File::create(folder.join("log")).unwrap()).spawn().ok()?;
        Some(Self { port, child })
    }

    /// The figures of an expression: what there is now, without what is not a number.
    async fn figures(&self, expression: &str) -> Option<Vec<f64>> {
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let form: String = format!("query={}", encoded(expression));
        let request = reqwest::Client::new().post(url).header("content-type", "application/x-www-form-urlencoded");
        let answer: Value = request.body(form).send().await.ok()?.json().await.ok()?;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let results = answer["data"]["result"].as_array()?.iter();
        let figures = results.filter_map(|result| result["value"][1].as_str()?.parse::<f64>().ok());
        Some(figures.filter(|figure| figure.is_finite()).collect())
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Title and expression of every panel.
fn panels() -> Vec<(String, String)> {
    let dashboard = std::fs::read(delivered("grafana/dashboards/syncline.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&dashboard).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push((panel["title"].as_str().unwrap().to_owned(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ops_7_every_panel_of_the_dashboard_has_figures() {
    let mut deployment = Deployment::prepare(2, true);
    deployment.nodes.iter_mut().for_each(|node| node.set("METRICS_ON_MAIN_PORT", "true"));
    deployment.up().await;
    let Some(prometheus) = Prometheus::start(&deployment) else {
        eprintln!("skipped: prometheus is not installed (Debian: prometheus)");
        return;
    };
    let crew = Crew::start(&deployment).await;
    until("both nodes are scraped", async || {
        (prometheus.figures("sum(up{job=\"syncline\"})").await? == [2.0]).then_some(())
    })
    .await;
    let panels = panels();
    assert!(panels.len() > 10);
    let mut missing = panels.iter().filter(|panel| !OF_NOTHING.contains(&panel.0.as_str())).collect::<Vec<_>>();
    for _ in 0..SECONDS_MAX {
        let mut still = Vec::new();
        for panel in missing {
            if prometheus.figures(&panel.1).await.is_none_or(|figures| figures.is_empty()) {
                still.push(panel);
            }
        }
        missing = still;
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(missing.is_empty(), "these show nothing: {missing:#?}");
    let of = async |title: &str| {
        let (_, expression) = panels.iter().find(|panel| panel.0 == title).unwrap();
        prometheus.figures(expression).await.unwrap()
    };
    assert_eq!(of("Nodes up").await, [2.0]);
    assert!(of("Sockets open").await[0] >= 8.0, "the crew's");
    assert!(of("Edits decided, by outcome").await.iter().sum::<f64>() > 1.0, "they write many a second");
    crew.settle(&deployment).await;
}
