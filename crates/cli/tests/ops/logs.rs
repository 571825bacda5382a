//! What a server writes while it is driven with secrets and personal data: enough to find out what happened, and none of those.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::{Place, path};

const JWT_SECRET: &str = "jwt-secret-jwt-secret-jwt-secret-0001";
const EMAIL: &str = "demo@syncline.dev";
const PASSWORD: &str = "syncline-demo";
const WRONG: &str = "wrong-password-7361";
/// Names, addresses and numbers of people, and what they wrote.
const PERSONAL: [&str; 5] =
    ["Quentina", "Zimmerwald", "quentina@private.example", "+4915112345678", "her private note"];

struct Logged {
    child: Child,
    url: String,
    log: std::path::PathBuf,
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn serve(place: &Place, variables: &[(&str, &str)]) -> Logged {
    let log = place.dir.path().join("log");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.args(["serve", "--demo", "--listen", &format!("127.0.0.1:{port}"), "--data", path(&place.data())]);
    command.env("JWT_SECRET_KEY", JWT_SECRET).env("METRICS_ENABLED", "false").envs(variables.iter().copied());
    let file = std::fs::File::create(&log).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("listens on")), "{}", std::fs::read_to_string(&log).unwrap());
    std::thread::spawn(move || lines.for_each(drop));
    Logged { child, url: format!("http://127.0.0.1:{port}"), log }
}

impl Logged {
    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Signs in, is refused, writes, searches, pushes from a device; returns every secret that was made on the way.
    async fn drive(&self, place: &Place) -> Vec<String> {
        let client = reqwest::Client::new();
        let post = async |path: &str, token: &str, body: Value| {
            let answer =
                client.post(format!("{}{path}", self.url)).bearer_auth(token).json(&body).send().await.unwrap();
            answer.json::<Value>().await.unwrap_or_default()
        };
        let tokens = post("/api/auth/login", "", json!({"email": EMAIL, "password": PASSWORD})).await;
        let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
        post("/api/auth/login", "", json!({"email": EMAIL, "password": WRONG})).await;
        post("/api/auth/login", "", json!({"email": PERSONAL[2], "password": WRONG})).await;
        post("/api/auth/refresh", "", json!({"refresh_token": "slr_made-up-refresh-token"})).await;
        let contact = json!({"firstname": PERSONAL[0], "lastname": PERSONAL[1], "email": PERSONAL[2],
            "phone_number": PERSONAL[3], "notes": PERSONAL[4]});
        let made = post("/api/contacts", access, contact.clone()).await;
        assert_eq!(made["firstname"], PERSONAL[0], "{made}");
        post("/api/contacts", access, json!({"email": "not an address", "firstname": PERSONAL[0]})).await;
        post("/api/contacts", "made-up.access.token", contact).await;
        let search = format!("{}/api/contacts?email={}", self.url, PERSONAL[2]);
        client.get(search).bearer_auth(access).send().await.unwrap();
        let user = json!({"email": "new@private.example", "name": PERSONAL[1], "role": "agent"});
        let password = post("/api/admin/users", access, user).await;
        let device = place.dir.path().join("device");
        let device = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
            command.args(["device", "--dir", path(&device)]).args(args).env("SYNCLINE_PASSWORD", PASSWORD);
            assert!(command.output().unwrap().status.success(), "{args:?}");
        };
        device(&["init", "--server", &self.url, "--email", EMAIL]);
        device(&["create", "contacts", &format!("firstname={}", PERSONAL[0]), &format!("notes={}", PERSONAL[4])]);
        device(&["sync"]);
        [
            access,
            refresh,
            password["initial_password"].as_str().unwrap(),
            "slr_made-up-refresh-token",
            "made-up.access.token",
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

#[tokio::test]
async fn ops_3_logs_tell_what_happened_and_neither_secrets_nor_people() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let variables = [("LOG_LEVEL", "trace"), ("DEBUG", "true"), ("LOG_FORMAT", "json")];
    let server = serve(&place, &variables);
    let mut secrets = server.drive(&place).await;
    secrets.extend([JWT_SECRET, PASSWORD, WRONG, EMAIL, "new@private.example"].map(str::to_owned));
    let text = server.text();
    for secret in secrets.iter().map(String::as_str).chain(PERSONAL) {
        assert!(
            !text.contains(secret),
            "{secret} is in the log: {:?}",
            text.lines().find(|line| line.contains(secret))
        );
    }
    let ours = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line}")));
    let ours: Vec<Value> = ours.filter(|line| !line["event"].is_null()).collect();
    let of = |event: &str| ours.iter().find(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event}"));
    for line in &ours {
        for member in ["timestamp", "level", "logger", "message"] {
            assert!(line[member].is_string(), "no {member}: {line}");
        }
        let known =
            ["timestamp", "level", "logger", "request_id", "user_id", "deployment_mode", "event", "message", "context"];
        assert!(line.as_object().unwrap().keys().all(|member| known.contains(&member.as_str())), "{line}");
    }
    assert!(of("login")["request_id"].is_string() && of("login")["user_id"].is_string());
    let request = ours.iter().find(|line| line["event"] == "http_request" && line["user_id"].is_string());
    assert!(request.is_some(), "a request tells whose it was");
    let frame = of("frame_in");
    assert_eq!((&frame["deployment_mode"], &frame["logger"]), (&json!("local_install"), &json!("frames")));
    assert!(
        ours.iter().any(|line| line["event"] == "frame_in" && line["user_id"].is_string()),
        "a session tells whose it is"
    );
    assert!(of("sql")["context"]["elapsed_us"].is_u64() && of("frame_out")["context"]["bytes"].is_u64());
}

#[tokio::test]
async fn ops_3_without_debug_there_are_neither_frames_nor_sql() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let server = serve(&place, &[("LOG_LEVEL", "debug"), ("LOG_FORMAT", "json")]);
    server.drive(&place).await;
    let text = server.text();
    assert!(text.contains("\"http_request\"") && !text.contains("\"frame_in\"") && !text.contains("\"sql\""), "{text}");
}
