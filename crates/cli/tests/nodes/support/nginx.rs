//! nginx in front of the nodes, with the configuration of `deploy/`.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Deployment, until};

/// A process that ends with the test.
pub struct Nginx {
    pub port: u16,
    child: Child,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM: the master takes its workers along.
        super::postgres::signal(self.child.id(), "TERM");
        drop(self.child.wait());
    }
}

impl Nginx {
    /// The file as it is delivered, but for addresses, its own port and the folder for its files.
    pub async fn start(deployment: &Deployment) -> Self {
        let folder = deployment.folder.path().join("nginx");
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let delivered = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/nginx/nginx.conf");
        let mut config = std::fs::read_to_string(delivered).unwrap();
        config = config.replace("listen 8080", &format!("listen 127.0.0.1:{port}"));
        config = config.replace(" /tmp/", &format!(" {}/", folder.display()));
        for (index, node) in deployment.nodes.iter().enumerate() {
            let name = format!("node{}:8000", index + 1);
            assert!(config.contains(&name), "the configuration names {name}");
            config = config.replace(&name, &format!("127.0.0.1:{}", node.port));
        }
        let path = folder.join("nginx.conf");
        std::fs::write(&path, config).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let mut command = Command::new("nginx");
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        command.arg("-p").arg(&folder).arg("-c").arg(&path).args(["-e", "stderr", "-g", "daemon off;"]);
        let child = command.stdin(Stdio::null()).stderr(log).spawn();
        let child = child.expect("nginx is installed (Debian: nginx-light)");
        let nginx = Self { port, child };
        until("nginx answers", async || {
            let answer = reqwest::get(format!("http://127.0.0.1:{port}/health/ready")).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        nginx
    }
}
