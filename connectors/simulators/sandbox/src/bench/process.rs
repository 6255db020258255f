//! What the system says of a process.

use std::time::Duration;

use anyhow::Context as _;

/// Linux counts processor time in hundredths of a second wherever it tells programs of it.
const TICK: Duration = Duration::from_millis(10);

/// Processor time that a process has used so far, threads that ended included.
pub(super) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the service's process is gone")?;
    // The name in parentheses may hold anything.
    let (_, rest) = text.rsplit_once(')').context("/proc/PID/stat is not as it should be")?;
    let field = |n: usize| rest.split_whitespace().nth(n).and_then(|text| text.parse::<u32>().ok());
    let (user, system) = field(11).zip(field(12)).context("/proc/PID/stat is not as it should be")?;
    Ok(TICK * user.saturating_add(system))
}

/// Memory in KiB: what it has now, and the most it ever had.
pub(super) fn memory(pid: u32) -> anyhow::Result<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the service's process is gone")?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    value("VmRSS:").zip(value("VmHWM:")).context("/proc/PID/status is not as it should be")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_uses_processor_time() {
        let pid = std::process::id();
        let (now, most) = memory(pid).unwrap();
        assert!(now > 1_000 && most >= now, "{now} {most}");
        let before = cpu(pid).unwrap();
        let mut n = 0_u64;
        while cpu(pid).unwrap() < before + TICK * 3 {
            n = std::hint::black_box(n + 1);
        }
    }
}
