//! The CPU request behind a cgroup's weight.
//!
//! Kubernetes turns a request into v1 shares (1,024 a CPU), and the container runtime turns the
//! shares into a v2 weight, by one of two formulas: a straight line (runc before 1.3.2, crun
//! before 1.23) or a curve through the default (1,024 shares are weight 100). One weight can thus
//! mean two requests, up to 2.6 times apart. A request is a number that a person wrote, so the
//! rounder of the two is taken, and the smaller one where both are as round. That gives the right
//! number of workers for whole CPUs up to 14; above it may give too few (15 CPUs on the line look
//! like 9 on the curve), where the downward API's variable is exact.
//!
//! Outside Kubernetes a weight is only a weight, and the default one means nothing: the caller
//! asks here only for a container of Kubernetes.

use std::ops::RangeInclusive;

use crate::cgroup::Weight;
use crate::quantity::MilliCpus;
use crate::version::CgroupVersion;

/// The shares that Kubernetes gives to a container without a request.
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;
const SHARES_PER_CPU: u64 = 1024;

/// From the roundest down; every request is a multiple of the last.
const ROUND_MILLIS: [u64; 7] = [1000, 500, 250, 100, 50, 10, 1];

/// The request that gave a Kubernetes container its weight; `None` if it has no request.
pub(crate) fn request_behind(weight: &Weight) -> Option<MilliCpus> {
    match weight.version {
        CgroupVersion::V1 => request_behind_shares(weight.value),
        CgroupVersion::V2 => request_behind_weight(weight.value),
    }
}

fn request_behind_shares(shares: u64) -> Option<MilliCpus> {
    if shares <= SHARES_MIN || shares > SHARES_MAX {
        return None;
    }
    roundest(&(shares..=shares)).map(|(_, cpus)| cpus)
}

fn request_behind_weight(weight: u64) -> Option<MilliCpus> {
    if weight <= 1 || weight > 10_000 {
        return None;
    }
    [linear_weight as fn(u64) -> u64, curved_weight]
        .into_iter()
        .filter_map(|convert| roundest(&shares_with(weight, convert)))
        .min()
        .map(|(_, cpus)| cpus)
}

fn linear_weight(shares: u64) -> u64 {
    1 + (shares - SHARES_MIN) * 9999 / (SHARES_MAX - SHARES_MIN)
}

fn curved_weight(shares: u64) -> u64 {
    // Between 1 and 10,000 for the shares that exist.
    let bits = (shares as f64).log2();
    let exponent = (bits * bits + 125.0 * bits) / 612.0 - 7.0 / 34.0;
    10f64.powf(exponent).ceil() as u64
}

/// All shares that a rising conversion turns into this weight; empty if there are none.
fn shares_with(weight: u64, convert: fn(u64) -> u64) -> RangeInclusive<u64> {
    let first_from = |weight: u64| {
        let (mut low, mut high) = (SHARES_MIN, SHARES_MAX + 1);
        while low < high {
            let middle = low.midpoint(high);
            if convert(middle) < weight {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    };
    first_from(weight)..=first_from(weight + 1) - 1
}

/// The roundest request that Kubernetes turns into one of these shares, and how round it is
/// (0 is the roundest).
fn roundest(shares: &RangeInclusive<u64>) -> Option<(usize, MilliCpus)> {
    // Kubernetes rounds `millis * 1024 / 1000` down.
    let low = (shares.start() * 1000).div_ceil(SHARES_PER_CPU);
    let high = ((shares.end() + 1) * 1000 - 1) / SHARES_PER_CPU;
    ROUND_MILLIS.iter().enumerate().find_map(|(roundness, step)| {
        let millis = low.div_ceil(*step) * step;
        (millis <= high && millis > 0).then_some((roundness, MilliCpus(millis)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(millis: u64) -> u64 {
        (millis * SHARES_PER_CPU / 1000).max(SHARES_MIN)
    }

    #[test]
    fn shares_give_the_request_back() {
        for millis in [100, 250, 333, 500, 1000, 1500, 2000, 64_000] {
            assert_eq!(request_behind_shares(shares(millis)), Some(MilliCpus(millis)));
        }
    }

    #[test]
    fn no_request_is_no_request() {
        assert_eq!(request_behind_shares(2), None);
        assert_eq!(request_behind_weight(1), None);
        assert_eq!(request_behind_weight(0), None);
        assert_eq!(request_behind_shares(u64::MAX), None);
        assert_eq!(request_behind_weight(u64::MAX), None);
    }

    #[test]
    fn weights_are_what_the_runtimes_make_of_shares() {
        // Seen with runc 1.3.1 and 1.4.0: 2,000 shares became 77 and 170.
        assert_eq!((linear_weight(2000), curved_weight(2000)), (77, 170));
        assert_eq!((linear_weight(1024), curved_weight(1024)), (39, 100));
        assert_eq!((linear_weight(2), curved_weight(2)), (1, 1));
        assert_eq!((linear_weight(262_144), curved_weight(262_144)), (10_000, 10_000));
    }

    #[test]
    fn usual_requests_give_the_right_workers_under_both_formulas() {
        let small = [100, 200, 250, 300, 400, 500, 600, 700, 750, 800, 900];
        let whole = (1..=14).map(|cpus| cpus * 1000);
        for millis in small.into_iter().chain(whole).chain([1500, 2500, 3500]) {
            for convert in [linear_weight, curved_weight] {
                let weight = convert(shares(millis));
                let read = request_behind_weight(weight).map(|cpus| cpus.floor().max(1));
                assert_eq!(
                    read,
                    Some((millis as usize / 1000).max(1)),
                    "{millis}m as weight {weight}"
                );
            }
        }
    }
}
