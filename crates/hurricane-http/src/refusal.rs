//! What a request or a connection is refused for: the rules of HTTP, and the limits of the server.

use crate::RequestError;

/// Why something is refused without the application. Their number is fixed, and each has a name in
/// metrics and logs that does not change between versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(usize);

/// What is refused although it breaks no rule of HTTP.
const OWN: [&str; 8] = [
    "slow_head",
    "slow_body",
    "body_not_stored",
    "no_tls",
    "too_many_connections",
    "queue_full",
    "memory_full",
    "slow_reader",
];

impl Refusal {
    /// A head that took longer than its time.
    pub const SLOW_HEAD: Self = Self::own(0);
    /// A body that was silent for too long, or slower than its least rate.
    pub const SLOW_BODY: Self = Self::own(1);
    /// A body that finds no room on the disk.
    pub const BODY_NOT_STORED: Self = Self::own(2);
    /// A handshake that failed.
    pub const NO_TLS: Self = Self::own(3);
    /// A connection beyond those that may be open.
    pub const TOO_MANY_CONNECTIONS: Self = Self::own(4);
    /// A request for which no place is left in the queue.
    pub const QUEUE_FULL: Self = Self::own(5);
    /// A request that would need memory of which none is left.
    pub const MEMORY_FULL: Self = Self::own(6);
    /// A response that was taken slower than its least rate, and is cut.
    pub const SLOW_READER: Self = Self::own(7);

    const fn own(index: usize) -> Self {
        Self(RequestError::RULES.len() + index)
    }

    /// All of them, in the order of their indices.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..RequestError::RULES.len() + OWN.len()).map(Self)
    }

    /// Its number: small, and dense.
    pub fn index(self) -> usize {
        self.0
    }

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        let rules = RequestError::RULES;
        rules.get(self.0).copied().unwrap_or_else(|| OWN[self.0 - rules.len()])
    }
}

impl From<&RequestError> for Refusal {
    fn from(error: &RequestError) -> Self {
        let name = error.name();
        let index = RequestError::RULES.iter().position(|rule| *rule == name);
        Self(index.expect("each name is in the list that it was made with"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own() {
        let names: std::collections::HashSet<_> = Refusal::all().map(Refusal::name).collect();
        assert_eq!(names.len(), Refusal::all().count());
        assert_eq!(Refusal::SLOW_READER.index() + 1, names.len());
        assert_eq!(Refusal::SLOW_HEAD.name(), "slow_head");
        assert_eq!(Refusal::SLOW_READER.name(), "slow_reader");
    }

    #[test]
    fn a_broken_rule_keeps_its_name() {
        for error in [RequestError::BareLineFeed, RequestError::HeadTooLarge { limit: 1 }] {
            assert_eq!(Refusal::from(&error).name(), error.name());
        }
    }
}
