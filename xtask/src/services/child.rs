//! Programs that run beside the tests and never longer than we do.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::programs::User;

/// Time a service has to answer after its start, and to end when it is told to.
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A command run as `user` (without one: as we are) and, on Linux, killed by the system at our own end.
pub fn command(program: &std::path::Path, user: Option<&User>) -> Command {
    let mut words: Vec<String> = Vec::new();
    if cfg!(target_os = "linux") {
        words.extend(["--pdeathsig".to_owned(), "KILL".to_owned()]);
    }
    if let Some(User { uid, gid }) = user {
        words.extend([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
    }
    let mut command = match words.is_empty() {
        true => return Command::new(program),
        false => Command::new("setpriv"),
    };
    command.args(words).arg("--").arg(program);
    command
}

/// A running service; dropping it ends it.
pub struct Service {
    name: String,
    child: Child,
    log: PathBuf,
    /// The signal by which it ends at once and leaves nothing behind.
    end: Signal,
}

impl Service {
    /// Starts `command` with its output in the file `log`.
    pub fn start(name: &str, command: &mut Command, log: PathBuf, end: Signal) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("{} could not be written", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("{name} could not be started"))?;
        Ok(Self { name: name.to_owned(), child, log, end })
    }

    /// Waits until `is_ready`; an error when it ends before, or takes too long. The error shows the end of its output.
    pub fn wait_until(&mut self, is_ready: impl Fn() -> bool) -> Result<()> {
        for _ in 0..START_MAX.as_millis() / LOOK_EVERY.as_millis() {
            if is_ready() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}):\n{}", self.name, self.last_words());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        bail!("{} did not answer within {START_MAX:?}:\n{}", self.name, self.last_words())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _is_gone_already = kill_process(pid, self.end).is_err();
        }
        for _ in 0..STOP_MAX.as_millis() / LOOK_EVERY.as_millis() {
            match self.child.try_wait() {
                Ok(Some(_)) => return,
                Ok(None) => std::thread::sleep(LOOK_EVERY),
                Err(_) => break,
            }
        }
        let _is_gone_already = self.child.kill().and_then(|()| self.child.wait()).is_err();
    }
}

/// A port of this machine that was free a moment ago.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

/// Sends one line to a local port and returns the answer up to `end`; `None` when it does not come.
pub fn ask(port: u16, line: &str, end: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    while !answer.contains(end) {
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            count => answer.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_alive(pid: u32) -> bool {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::test_kill_process(pid).is_ok()
    }

    #[test]
    fn a_service_ends_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        let log = folder.path().join("log");
        let service = Service::start("sleep", command.arg("60"), log, Signal::TERM).unwrap();
        let pid = service.child.id();
        assert!(is_alive(pid));
        drop(service);
        assert!(!is_alive(pid));
    }

    #[test]
    fn a_service_that_ends_before_it_answers_says_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let command = command.args(["-c", "echo no room; exit 3"]);
        let mut service = Service::start("the shell", command, folder.path().join("log"), Signal::TERM).unwrap();
        let error = service.wait_until(|| false).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no room"), "{error}");
    }
}
