//! The process's own use of the system, under the names that all Prometheus clients have:
//! `process_*`.
//!
//! Read at each scrape. What the system does not tell (no `/proc`, or one that is masked) is absent
//! then; nothing is guessed. Blocks for some milliseconds while there are thousands of descriptors.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::exposition::{Exposition, FamilyType};

/// When the process started.
pub(super) struct ProcessMetrics(SystemTime);

impl Default for ProcessMetrics {
    /// To be created when the process starts.
    fn default() -> Self {
        Self(SystemTime::now())
    }
}

/// What `/proc/self/status` tells.
#[derive(Debug, Default, PartialEq, Eq)]
struct ProcessStatus {
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    threads: Option<u64>,
}

impl ProcessMetrics {
    pub(super) fn write(&self, out: &mut Exposition) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let status = ProcessStatus::parse(&status);
        let started = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        out.process_family(
            "process_cpu_seconds_total",
            FamilyType::Counter,
            "CPU time that the process has used",
        )
        .sample(&[], cpu_seconds());
        let mut gauge = |name, help, value: Option<u64>| {
            if let Some(value) = value {
                out.process_family(name, FamilyType::Gauge, help)
                    .sample(&[], value);
            }
        };
        gauge(
            "process_resident_memory_bytes",
            "Resident memory",
            status.resident_bytes,
        );
        gauge(
            "process_virtual_memory_bytes",
            "Virtual memory",
            status.virtual_bytes,
        );
        gauge("process_threads", "Threads of the process", status.threads);
        gauge("process_open_fds", "Open file descriptors", open_files());
        gauge(
            "process_max_fds",
            "Maximum number of open file descriptors",
            getrlimit(Resource::Nofile).current,
        );
        out.process_family(
            "process_start_time_seconds",
            FamilyType::Gauge,
            "When the process started, in seconds since 1970",
        )
        .sample(&[], started.as_secs_f64());
    }
}

impl ProcessStatus {
    fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let number = || value.split_ascii_whitespace().next()?.parse::<u64>().ok();
            let bytes = || number()?.checked_mul(1024);
            match name {
                "VmRSS" => status.resident_bytes = bytes(),
                "VmSize" => status.virtual_bytes = bytes(),
                "Threads" => status.threads = number(),
                _ => {}
            }
        }
        status
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds need no more than 53 bits"
)]
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// The number of open descriptors. From Linux 6.2 on, the folder's size tells it, which takes no
/// descriptor: so it is known even when there is none left.
fn open_files() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        0 => {
            let entries = u64::try_from(fs::read_dir(FOLDER).ok()?.count()).ok()?;
            // One of them was for reading the folder.
            entries.checked_sub(1)
        }
        known => Some(known),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::telemetry::metrics::TextFormat;

    #[test]
    fn the_status_of_a_process_is_read_as_far_as_it_is_there() {
        let text = "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t    12 kB\nThreads:\t5\n";
        let expected = ProcessStatus {
            resident_bytes: Some(12 * 1024),
            virtual_bytes: Some(2048 * 1024),
            threads: Some(5),
        };
        assert_eq!(ProcessStatus::parse(text), expected);
        for text in [
            "",
            "VmRSS:\t18446744073709551615 kB",
            "VmRSS: many kB",
            "VmRSS",
        ] {
            assert_eq!(
                ProcessStatus::parse(text),
                ProcessStatus::default(),
                "{text}"
            );
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_numbers_of_this_process_are_plausible() {
        let mut out = Exposition::new(TextFormat::Prometheus);
        ProcessMetrics::default().write(&mut out);
        let text = out.finish();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.strip_prefix(name)?.trim().parse().ok());
            value.unwrap_or_else(|| panic!("{name} in {text}"))
        };
        let files: Vec<_> = (0..100).map(|_| File::open("/").unwrap()).collect();
        assert!(open_files().unwrap() >= 100, "{}", files.len());
        assert!(value("process_open_fds ") < value("process_max_fds "));
        assert!(value("process_resident_memory_bytes ") > 1e6);
        assert!(value("process_virtual_memory_bytes ") > value("process_resident_memory_bytes "));
        assert!(value("process_threads ") >= 1.0);
        assert!(value("process_cpu_seconds_total ") > 0.0);
        assert!(value("process_start_time_seconds ") > 1.7e9);
    }
}
