//! What the system says of this process, read when somebody asks.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::observe::machine;

/// Memory, processor time and open files of this process; each absent where the system does not say.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        if let Some(bytes) = machine::resident_bytes() {
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            let unit = Some(&Unit::Bytes);
            let help = "Memory of this process that is in use";
            let metric = encoder.encode_descriptor("process_resident_memory", help, unit, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        if let Some(seconds) = machine::cpu_s() {
            let counter = ConstCounter::new(seconds);
            let unit = Some(&Unit::Seconds);
            let help = "Processor time used";
            let metric = encoder.encode_descriptor("process_cpu", help, unit, counter.metric_type())?;
            counter.encode(metric)?;
        }
        if let Some(files) = machine::open_files() {
            let gauge = ConstGauge::new(i64::try_from(files).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor("process_open_fds", "Open files", None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
