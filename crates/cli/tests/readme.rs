//! What the README says to paste works when it is pasted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The fenced block after the mark.
fn walkthrough() -> &'static str {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("<!-- tested by crates/cli/tests/readme.rs -->\n```bash\n").expect("the mark");
    rest.split_once("\n```").expect("the block ends").0
}

struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

fn demo_server(data: &Path) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.into_iter().find_map(|line| Some(format!("http://{}", line.split_once("http://")?.1)));
    let url = url.expect("the server says where it listens");
    Server { child, url }
}

#[test]
fn the_walkthrough_of_the_readme_works_when_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let server = demo_server(&folder.path().join("data"));
    let script = walkthrough().replace("http://127.0.0.1:8000", &server.url);
    let program = Path::new(env!("CARGO_BIN_EXE_syncline")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    let output = bash.arg("-c").arg(&script).env("PATH", path).current_dir(folder.path()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !err.contains("error:"), "{out}\n{err}");
    let (_, end) = out.split_once("decided conflict").expect("there was a conflict to decide");
    for value in ["Arlington", "Admiral", "150.00"] {
        assert!(end.contains(value), "the end does not show {value}:\n{out}\n{err}");
    }
}
