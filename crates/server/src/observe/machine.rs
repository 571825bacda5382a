//! What the operating system says of this process and its machine. Each `None` where it does not say.

use std::path::Path;

/// Memory of this process that is in use; bytes.
pub fn resident_bytes() -> Option<u64> {
    kib(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Processor time of this process so far; seconds. Linux counts it in hundredths.
pub fn cpu_s() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / 100.0)
}

/// Files and sockets this process has open.
pub fn open_files() -> Option<u64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

/// Files and sockets this process may have open.
pub fn open_files_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Lets this process have as many open as it may at most. Returns how many that is; `None`: without a limit.
pub fn raise_open_files_max() -> Option<u64> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    match rustix::process::setrlimit(rustix::process::Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// As many as [`raise_open_files_max`] would get.
pub fn open_files_hard_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
}

/// Processes that ran or wanted to, averaged over a minute, for each processor; 1.0 is a busy machine.
pub fn load_per_cpu() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let load: f64 = text.split_whitespace().next()?.parse().ok()?;
    let cpus = std::thread::available_parallelism().ok()?.get();
    Some(load / cpus as f64)
}

/// Memory of the machine: what could be had without swapping, and all of it; bytes.
pub fn memory_bytes() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some((kib(&text, "MemAvailable:")?, kib(&text, "MemTotal:")?))
}

/// The file system of a path: what an ordinary process may still write, and its size; bytes.
pub fn disk_bytes(path: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some((stat.f_bavail.checked_mul(stat.f_frsize)?, stat.f_blocks.checked_mul(stat.f_frsize)?))
}

/// A line such as `VmRSS:  1234 kB`; bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1_024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn ops_2_the_machine_can_be_asked() {
        let (free, all) = memory_bytes().unwrap();
        assert!(free <= all && all > 1 << 20);
        let (free, all) = disk_bytes(Path::new(".")).unwrap();
        assert!(free <= all);
        assert!(resident_bytes().unwrap() > 1 << 16 && open_files().unwrap() > 2 && load_per_cpu().unwrap() >= 0.0);
        assert_eq!(disk_bytes(Path::new("/nowhere/at/all")), None);
    }
}
