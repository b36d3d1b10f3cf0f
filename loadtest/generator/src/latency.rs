//! Latencies in buckets that are at most an eighth wide, so that recording one allocates nothing.

use std::time::Duration;

/// Buckets per power of two.
const STEPS: u64 = 8;

const BUCKETS: usize = 8 * 62;

pub(crate) struct Latencies {
    /// Bucket `i` counts the latencies in nanoseconds for which `bucket` is `i`.
    counts: Box<[u64; BUCKETS]>,
    total: u64,
    max: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0, max: Duration::ZERO }
    }
}

impl Latencies {
    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.max = self.max.max(latency);
    }

    /// The upper bound of the bucket that holds the quantile; zero when nothing was recorded.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts of a load test are far below 2^52"
        )]
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_nanos(upper_bound(index)).min(self.max);
            }
        }
        self.max
    }

    pub(crate) fn max(&self) -> Duration {
        self.max
    }
}

/// The position of the highest bit, and the three bits behind it.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(STEPS);
    let shift = nanos.ilog2() - STEPS.ilog2();
    let step = (nanos >> shift) - STEPS;
    shift as usize * 8 + usize::try_from(step).unwrap_or(0)
}

fn upper_bound(bucket: usize) -> u64 {
    let (shift, step) = (bucket / 8, bucket as u64 % STEPS);
    let width = 1_u64 << shift;
    ((STEPS + step) << shift).saturating_add(width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_at_most_its_bound_and_within_an_eighth_of_it() {
        for nanos in [8, 9, 15, 16, 1_000, 123_456_789, u64::MAX / 3, u64::MAX] {
            let bound = upper_bound(bucket(nanos));
            assert!(nanos <= bound && bound - nanos <= nanos / 8, "{nanos} is below {bound}");
        }
    }

    #[test]
    fn quantiles_follow_the_counts() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), Duration::ZERO);
        for micros in 1..=100 {
            latencies.record(Duration::from_micros(micros));
        }
        let median = latencies.quantile(0.5).as_nanos();
        assert!((50_000..57_000).contains(&median), "{median}");
        assert_eq!(latencies.quantile(1.0), Duration::from_micros(100));
    }
}
