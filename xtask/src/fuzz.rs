//! `cargo xtask fuzz-api`: schemathesis against a real server, with requests made from the server's own document.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// The version that is installed; another finds other things.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// What counts as a finding: a crash, an answer that is not in the document or not as it says there, and one that tells of
/// the program's insides.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,tells_no_insides";
/// Defines the last of [`CHECKS`]; the name of its file is that of a Python module.
const HOOKS: &str = include_str!("fuzz_hooks.py");
/// Who asks, by address of the demo; nobody last. The first has half of the time, because it gets furthest.
const ASKERS: [(Option<&str>, u32); 3] = [(Some("demo@syncline.dev"), 2), (Some("agent1@syncline.dev"), 4), (None, 4)];
/// Ends the sign-in that everything is asked with, or is no REST.
const LEFT_OUT: &str = "^(/ws/|/sse/|/poll/|/channel/|/metrics|/api/auth/(logout|password)$)";
/// Time for one request; seconds.
const REQUEST_S: &str = "10";

/// What became of a round.
pub enum Fuzzed {
    Passed,
    /// It cannot run here; why.
    Skipped(&'static str),
}

/// Asks a server of its own for `seconds`, beginning at `seed`, and fails at a finding.
pub fn fuzz(server: &Path, seconds: u32, seed: u32) -> Result<Fuzzed> {
    let Some(program) = install()? else {
        return Ok(Fuzzed::Skipped(
            "schemathesis could not be installed: python3 with venv and pip, and a way to its packages, are needed",
        ));
    };
    let hooks = tempfile::tempdir()?;
    std::fs::write(hooks.path().join("fuzz_hooks.py"), HOOKS)?;
    for (asker, share) in ASKERS {
        // One of their own: an administrator's requests may remove whoever asks next.
        let server = Served::start(server)?;
        println!("as {}", asker.unwrap_or("nobody"));
        let (time, seed) = ((seconds / share).max(1).to_string(), seed.to_string());
        let url = format!("http://{}/api/openapi.json", server.address);
        let run = shell::program(program.as_os_str()).args(["run", &url, "--checks", CHECKS]);
        let run = run.args(["--exclude-path-regex", LEFT_OUT, "--max-time", &time, "--seed", &seed]);
        let run = run.args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure"]);
        let run =
            run.args(["--request-timeout", REQUEST_S, "--warnings", "off", "--no-color", "--output-sanitize", "true"]);
        let run = run.env("SCHEMATHESIS_HOOKS", "fuzz_hooks").env("PYTHONPATH", &hooks.path().to_string_lossy());
        let bearer =
            asker.map(|email| server.token(email)).transpose()?.map(|token| format!("Authorization: Bearer {token}"));
        run.args(bearer.iter().flat_map(|bearer| ["--header", bearer.as_str()])).run()?;
    }
    Ok(Fuzzed::Passed)
}

/// The program in a virtual environment below `target/`; `None`: it cannot be had here.
fn install() -> Result<Option<PathBuf>> {
    let folder = shell::root().join("target/schemathesis");
    let program = folder.join("bin/st");
    let python = shell::program("python3".as_ref());
    if program.is_file() {
        return Ok(Some(program));
    }
    if !python.args(["-m", "venv"]).args([&folder]).works() {
        return Ok(None);
    }
    let pip = shell::program(folder.join("bin/pip").as_os_str());
    Ok(pip.args(["install", "--quiet", "--timeout", "10", "--retries", "0", SCHEMATHESIS]).works().then_some(program))
}

/// A server with demo data of its own, which ends with the value.
struct Served {
    child: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Served {
    fn start(program: &Path) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let mut command = Command::new(program);
        command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--data"]).arg(data.path());
        // Findings are the round's to tell; what the server logs of hostile requests is expected.
        command.env("METRICS_PORT", "0").env("LOG_LEVEL", "error").stdout(Stdio::piped());
        let mut child = command.spawn().context("the server could not be started")?;
        let output = child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(output).lines();
        let address =
            lines.find_map(|line| line.ok()?.split_once("http://").map(|(_, address)| address.trim().to_owned()));
        let Some(address) = address else { bail!("the server did not say where it listens") };
        // It goes on writing there.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address, _data: data })
    }

    /// Somebody's access token.
    fn token(&self, email: &str) -> Result<String> {
        let body = format!(r#"{{"email":"{email}","password":"syncline-demo"}}"#);
        let mut stream = TcpStream::connect(&self.address)?;
        let head = format!("POST /api/auth/login HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        write!(stream, "{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
        let answer = std::io::read_to_string(stream)?;
        let token = answer.split_once("\"access_token\":\"").and_then(|(_, rest)| rest.split('"').next());
        Ok(token.with_context(|| format!("signing in to the demo failed:\n{answer}"))?.to_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself, which the round has noticed.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
