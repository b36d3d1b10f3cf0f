//! What is under way on one connection: a batch of requests, and how far the answers are.

use std::time::Instant;

use crate::ledger::Ledger;
use crate::response::Parser;

/// Sent and awaited on one connection; an engine moves the bytes.
#[derive(Debug)]
pub(crate) struct Exchange {
    parser: Parser,
    /// Responses that have not arrived.
    awaited: u32,
    due: Instant,
    sent: Instant,
}

/// What bytes from the server have brought.
#[derive(Debug, PartialEq)]
pub(crate) enum Progress {
    /// More has to arrive.
    Partial,
    /// All that was asked is answered; `closes` when the connection is not to be used again.
    Answered { closes: bool },
    /// The connection is of no use, and its open requests are lost.
    Broken,
}

impl Exchange {
    pub(crate) fn new(now: Instant) -> Self {
        Self { parser: Parser::default(), awaited: 0, due: now, sent: now }
    }

    /// Requests that were due then are sent now.
    pub(crate) fn begin(&mut self, requests: u32, due: Instant, now: Instant) {
        *self = Self { awaited: requests, due, sent: now, parser: Parser::default() };
    }

    pub(crate) fn received(
        &mut self,
        mut bytes: &[u8],
        now: Instant,
        ledger: &mut Ledger,
    ) -> Progress {
        while !bytes.is_empty() {
            if self.awaited == 0 {
                ledger.failed(0, "bytes behind the last response");
                return Progress::Broken;
            }
            match self.parser.feed(&mut bytes) {
                Err(cause) => return self.broken(cause, ledger),
                Ok(None) => return Progress::Partial,
                Ok(Some(response)) => {
                    ledger.answered(&response, self.due, self.sent, now);
                    self.awaited -= 1;
                    if response.closes && self.awaited > 0 {
                        return self.broken("closed between pipelined responses", ledger);
                    }
                    if self.awaited == 0 && bytes.is_empty() {
                        return Progress::Answered { closes: response.closes };
                    }
                }
            }
        }
        Progress::Partial
    }

    /// The server has closed the connection, or it has failed for a cause.
    pub(crate) fn ended(&mut self, cause: &str, now: Instant, ledger: &mut Ledger) -> Progress {
        match self.parser.close() {
            Some(response) if self.awaited == 1 => {
                ledger.answered(&response, self.due, self.sent, now);
                self.awaited = 0;
                Progress::Answered { closes: true }
            }
            _ if self.awaited == 0 => Progress::Broken,
            _ => self.broken(cause, ledger),
        }
    }

    fn broken(&mut self, cause: &str, ledger: &mut Ledger) -> Progress {
        ledger.failed(std::mem::take(&mut self.awaited), cause);
        Progress::Broken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::{Plan, Slow};

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    fn ledger() -> Ledger {
        let plan = Plan {
            address: ([127, 0, 0, 1], 1).into(),
            request: Vec::new(),
            batch: Vec::new(),
            connections: 1,
            pipeline: 3,
            churn: false,
            interval: None,
            duration: Duration::from_secs(1),
            requests_max: u64::MAX,
            read_rate: None,
            slow: Slow { clients: 0, duration: Duration::from_secs(1) },
        };
        Ledger::open(Box::leak(Box::new(plan)), Instant::now()).unwrap()
    }

    /// Three requests under way.
    fn asked() -> (Exchange, Ledger, Instant) {
        let (now, mut ledger) = (Instant::now(), ledger());
        ledger.next(now);
        let mut exchange = Exchange::new(now);
        exchange.begin(3, now, now);
        (exchange, ledger, now)
    }

    #[test]
    fn pipelined_answers_may_arrive_in_any_pieces() {
        let bytes = ANSWER.repeat(3);
        for cut in 1..bytes.len() {
            let (mut exchange, mut ledger, now) = asked();
            assert_eq!(exchange.received(&bytes[..cut], now, &mut ledger), Progress::Partial);
            let progress = exchange.received(&bytes[cut..], now, &mut ledger);
            assert_eq!(progress, Progress::Answered { closes: false }, "cut at {cut}");
            assert_eq!(ledger.under_way(), 0);
        }
    }

    #[test]
    fn more_than_was_asked_for_is_an_error() {
        let (mut exchange, mut ledger, now) = asked();
        let progress = exchange.received(&ANSWER.repeat(4), now, &mut ledger);
        assert_eq!(progress, Progress::Broken);
        assert_eq!(ledger.json(now).unwrap()["errors"], 1);
    }

    #[test]
    fn a_connection_that_ends_loses_what_is_under_way() {
        let (mut exchange, mut ledger, now) = asked();
        exchange.received(ANSWER, now, &mut ledger);
        assert_eq!(exchange.ended("reset", now, &mut ledger), Progress::Broken);
        assert_eq!(ledger.under_way(), 0);
        let outcome = ledger.json(now).unwrap();
        assert_eq!(
            (outcome["requests"].as_u64(), outcome["first_error"].as_str()),
            (Some(1), Some("reset"))
        );
    }

    #[test]
    fn an_idle_connection_may_end() {
        let now = Instant::now();
        let mut ledger = ledger();
        assert_eq!(Exchange::new(now).ended("closed", now, &mut ledger), Progress::Broken);
        assert_eq!(ledger.json(now).unwrap()["errors"], 0);
    }
}
