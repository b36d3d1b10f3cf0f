//! Where HTTP leaves a choice, or a predecessor has taken a liberty: how we choose.
//!
//! Made once, as a constant; whoever parses, encodes or refuses is handed it with [`Limits`] and
//! with what it has parsed. Nothing here lets a message end where another server sees it end
//! otherwise.
//!
//! [`Limits`]: crate::Limits

use crate::RequestError;

/// How requests are taken and answers are sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The line that names the server, where it is not our own.
    pub(crate) server: Option<&'static [u8]>,
    /// Whether answers have a Date.
    pub(crate) dates: bool,
    /// Whether an answer without content says that its length is 0.
    pub(crate) measures_no_content: bool,
    /// Whether Content-Length may be repeated with the same number.
    pub(crate) joins_equal_lengths: bool,
    /// Whether fields of an application's answer may be empty; else these are left out.
    pub sends_empty_fields: bool,
    /// The methods that there are; `None`: the application decides.
    pub methods: Option<&'static [&'static str]>,
    /// Whether a body that is made part by part is sent so; else in one piece, as far as memory is
    /// given to it.
    pub streams: bool,
    /// Whether a request that has waited is left alone when its client has left.
    pub abandons: bool,
    /// Whether the application sees a request as Tornado's WSGI container told it.
    pub tells_like_tornado: bool,
    refusals: Refusals,
}

/// What refusals are answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusals {
    /// The status code of the rule.
    ByRule,
    /// 400, but a head that is too long is not answered.
    Plain,
}

impl Dialect {
    /// Ours.
    pub const OURS: Self = Self {
        server: None,
        dates: true,
        measures_no_content: false,
        joins_equal_lengths: false,
        sends_empty_fields: true,
        methods: None,
        streams: true,
        abandons: true,
        tells_like_tornado: false,
        refusals: Refusals::ByRule,
    };

    /// That of Django-Hurricane 1.6.2, which is Tornado's, but for what was a danger to others.
    pub const LEGACY: Self = Self {
        server: Some(b"Server: Hurricane/1.6.2\r\n"),
        dates: false,
        measures_no_content: true,
        joins_equal_lengths: true,
        sends_empty_fields: false,
        methods: Some(&["GET", "HEAD", "POST", "DELETE", "PATCH", "PUT", "OPTIONS"]),
        streams: false,
        abandons: false,
        tells_like_tornado: true,
        refusals: Refusals::Plain,
    };

    /// The status code that a refused request is answered with; `None`: it is not.
    pub fn refusal(&self, error: &RequestError) -> Option<u16> {
        match (self.refusals, error) {
            (Refusals::ByRule, _) => Some(error.status()),
            (Refusals::Plain, RequestError::HeadTooLarge { .. }) => None,
            (Refusals::Plain, RequestError::ConnectRefused) => Some(405),
            (Refusals::Plain, _) => Some(400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_were_plain_or_silent() {
        for (error, ours, legacy) in [
            (RequestError::BodyTooLarge { limit: 1 }, 413, Some(400)),
            (RequestError::UnsupportedVersion, 505, Some(400)),
            (RequestError::ConnectRefused, 400, Some(405)),
            (RequestError::BareLineFeed, 400, Some(400)),
            (RequestError::HeadTooLarge { limit: 1 }, 431, None),
        ] {
            assert_eq!(Dialect::OURS.refusal(&error), Some(ours), "{}", error.name());
            assert_eq!(Dialect::LEGACY.refusal(&error), legacy, "{}", error.name());
        }
    }
}
