//! What a consumer of messages tells.

use std::fmt;

use hurricane_scoreboard::{BrokerState, ConsumptionReading, Settled};
use prometheus_client::registry::Unit;

use super::{Families, Scrape};

impl Scrape {
    /// Of a consumer; servers of requests have none.
    pub(super) fn messages(&self, families: &mut Families<'_>) -> fmt::Result {
        let consumers = || self.slots.iter().filter_map(|(_, slot)| slot.consumption.as_ref());
        if consumers().next().is_none() {
            return Ok(());
        }
        let sum = |of: fn(&ConsumptionReading) -> u64| consumers().map(of).sum::<u64>();
        let current = self.workers.iter().filter_map(|slot| slot.consumption.as_ref());
        let consuming = current.filter(|it| it.broker == BrokerState::Consuming).count();
        families.gauge(
            "hurricane_consumers_consuming",
            "Consumers that the broker delivers messages to now.",
            None,
            consuming,
        )?;
        families.counter(
            "hurricane_consumer_connections",
            "How often consuming has begun: one more for each connection that was lost.",
            None,
            sum(|it| it.begun),
        )?;
        families.counter(
            "hurricane_messages_received",
            "Messages that the broker has delivered, redelivered ones too.",
            None,
            sum(|it| it.received),
        )?;
        let settled = |how: Settled| consumers().map(|it| it.settled[how as usize]).sum::<u64>();
        families.counters(
            "hurricane_messages_settled",
            "Messages by how they were settled with the broker.",
            Settled::ALL.map(|how| ([("how", how.as_str())], settled(how))),
        )?;
        families.counter(
            "hurricane_messages_failed",
            "Messages on which the application has raised an exception.",
            None,
            sum(|it| it.failed),
        )?;
        families.counter(
            "hurricane_messages_ended",
            "Messages that the application has ended, well or not.",
            None,
            sum(|it| it.ended),
        )?;
        families.counter(
            "hurricane_messages_run",
            "Time for which the application has worked on those messages.",
            Some(Unit::Seconds),
            consumers().map(|it| it.ended_for.as_secs_f64()).sum::<f64>(),
        )
    }
}
