//! What a consumer of messages adds: its broker, and a lifetime that counts messages.

use std::time::Duration;

use hurricane_scoreboard::{BrokerState, Monotonic, SlotReading};

use super::{Named, Reason, Snapshot, Subject, unready};

/// A consumer that the broker sends nothing.
pub(super) fn disconnected(index: usize, worker: &SlotReading, now: Monotonic) -> Option<Reason> {
    let consumption = worker.consumption.as_ref()?;
    let lasts = match consumption.since.is_never() {
        true => Duration::ZERO,
        false => now.since(consumption.since),
    };
    match consumption.broker {
        BrokerState::Consuming => None,
        // Why is said as the server's phase, or the worker's state.
        BrokerState::Ending => None,
        BrokerState::Connecting | BrokerState::Connected | BrokerState::Lost => {
            let text = format!(
                "{} has not been consuming for {:.1} s: {}",
                Named(index, worker),
                lasts.as_secs_f64(),
                match consumption.remark.as_str() {
                    "" => "it is about to connect to the broker",
                    remark => remark,
                }
            );
            Some(unready(Subject::Worker(index), text))
        }
    }
}

/// A pod that has served as many requests, or consumed as many messages, as it was to
/// (`--max-lifetime`).
pub(super) fn outlived(snapshot: &Snapshot, lifetime: Option<u64>) -> Option<Reason> {
    let limit = lifetime?;
    let (count, done) = match snapshot.messages {
        0 => (snapshot.requests, "requests have been served"),
        messages => (messages, "messages have been consumed"),
    };
    (count > limit).then(|| {
        let text = format!("{count} {done}, more than --max-lifetime {limit}");
        unready(Subject::Lifetime, text)
    })
}
