//! The six standard samplers, as a setting.
//!
//! Called by `settings`, which parses the name, and by `Telemetry::start`.

use opentelemetry_sdk::trace::Sampler;

/// `OTEL_TRACES_SAMPLER` with its argument. "Parent-based" follows the caller's
/// sampled flag where there is a caller, and decides by itself where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum TraceSampler {
    /// `always_on`
    AlwaysOn,
    /// `always_off`
    AlwaysOff,
    /// `traceidratio`: the share of traces to record, 0 to 1.
    Ratio(f64),
    /// `parentbased_always_on`
    #[default]
    ParentBasedAlwaysOn,
    /// `parentbased_always_off`
    ParentBasedAlwaysOff,
    /// `parentbased_traceidratio`: likewise.
    ParentBasedRatio(f64),
}

impl From<TraceSampler> for Sampler {
    fn from(sampler: TraceSampler) -> Self {
        match sampler {
            TraceSampler::AlwaysOn => Self::AlwaysOn,
            TraceSampler::AlwaysOff => Self::AlwaysOff,
            TraceSampler::Ratio(ratio) => Self::TraceIdRatioBased(ratio),
            TraceSampler::ParentBasedAlwaysOn => Self::ParentBased(Box::new(Self::AlwaysOn)),
            TraceSampler::ParentBasedAlwaysOff => Self::ParentBased(Box::new(Self::AlwaysOff)),
            TraceSampler::ParentBasedRatio(ratio) => {
                Self::ParentBased(Box::new(Self::TraceIdRatioBased(ratio)))
            }
        }
    }
}
