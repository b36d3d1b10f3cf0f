//! How many requests there are, and how fast they are answered.

use std::time::Duration;

use hurricane_scoreboard::SlotReading;

use super::{Reason, Snapshot, Subject, VerdictLimits, unready};
use crate::manners::Manners;

/// What asyncio had to do besides tasks of requests, so that Django-Hurricane 1.6.2 took it off;
/// more of them were of the server itself.
const TASKS_NOT_COUNTED: u64 = 3;

/// Too many requests to take one more.
pub(super) fn busy(workers: &[SlotReading], limits: &VerdictLimits) -> Option<Reason> {
    let (total, limit) = (queue_len(workers.iter(), limits.manners), limits.req_queue_len);
    (total >= limit as u64).then(|| {
        unready(Subject::Queue, format!("request queue length {total} is at or over {limit}"))
    })
}

/// Requests that wait or run. As tasks of asyncio a request was two, and a connection without one
/// was one.
pub(crate) fn queue_len<'a>(
    workers: impl Iterator<Item = &'a SlotReading>,
    manners: &Manners,
) -> u64 {
    let sum = |(requests, connections), worker: &SlotReading| {
        let own = u64::from(worker.queued) + u64::from(worker.running);
        (requests + own, connections + u64::from(worker.connections).max(own))
    };
    let (requests, connections) = workers.fold((0, 0), sum);
    match manners.counts_tasks {
        false => requests,
        true => (requests + connections).saturating_sub(TASKS_NOT_COUNTED),
    }
}

/// How the server gets on, once a request was answered.
pub(super) fn pace(snapshot: &Snapshot, manners: &Manners) -> Option<String> {
    let (answers, time) = snapshot.timed;
    let mean = time.as_nanos().checked_div(u128::from(answers))?;
    let millis = Duration::from_nanos(u64::try_from(mean).ok()?).as_secs_f64() * 1000.0;
    let queue = queue_len(snapshot.workers.iter(), manners);
    Some(format!("Average response time: {millis:.2}ms Request queue size: {queue} Rx"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_scoreboard::{Monotonic, Slot};

    #[test]
    fn tasks_are_two_for_a_request_and_one_for_an_idle_connection() {
        let slot = Slot::default();
        let len = |manners| queue_len([slot.read()].iter(), manners);
        (0..5).for_each(|_| slot.connection_opened());
        (0..5).for_each(|_| slot.request_began(Monotonic::now()));
        assert_eq!((len(&Manners::OURS), len(&Manners::LEGACY)), (5, 7));
        (0..5).for_each(|_| slot.request_ended());
        (0..15).for_each(|_| slot.connection_opened());
        assert_eq!((len(&Manners::OURS), len(&Manners::LEGACY)), (0, 17));
    }
}
