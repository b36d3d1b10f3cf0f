//! Django entered below WSGI: a request object whose parts are made when they are looked at, and a
//! response object that is read without `start_response`.
//!
//! What Django's own WSGI handler does around a request is done here, in the same order and on the
//! same thread: script prefix, `request_started`, request, `get_response`, head, body,
//! `response.close`, `request_finished`. Where that work is known to change nothing, because only
//! Django itself listens and nothing is open, it is left out. Whatever is not exactly as Django has
//! it goes through Django's own code instead.
//!
//! Invariants:
//! - `request.environ` and `request.META` are one dict, with what the WSGI path would put there.
//! - A request whose parts were all asked for is the one that Django would have made.
//! - Receivers of signals that others have connected are called as Django calls them.

pub(crate) mod answer;
pub(crate) mod entry;
pub(crate) mod lazy;
pub(crate) mod locals;
pub(crate) mod query;
pub(crate) mod rehearsal;
pub(crate) mod signals;
