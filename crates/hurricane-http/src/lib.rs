//! HTTP/1.1 without sockets or clocks: bytes in, requests out; responses in, bytes out.
//!
//! Invariants:
//! - Nothing here does I/O, reads a clock, logs, or panics on what a peer sent.
//! - Every buffer that grows from a peer's bytes is bounded by a field of [`Limits`].
//! - A request is refused with one documented [`RequestError`] variant per rule.

#![forbid(unsafe_code)]

mod answered;
mod application;
mod body;
mod chunked;
mod date;
mod dialect;
mod encoder;
mod error;
mod fields;
mod forwarded;
mod head;
mod limits;
mod outlet;
mod proxy_header;
mod refusal;
mod request;
mod request_id;
mod response;
mod span;
mod target;
mod trust;

pub use answered::Answered;
pub use application::{Application, Service, service};
pub use body::{Body, BodyDecoder, BodyProgress};
pub use date::HttpDate;
pub use dialect::Dialect;
pub use encoder::{CONTINUE, FINAL_CHUNK, HeadEncoder, chunk_prefix, end_head};
pub use error::{RequestError, ResponseError};
pub use forwarded::{Origin, Scheme};
pub use head::HeadParser;
pub use limits::{Limits, time_at};
pub use outlet::{Outlet, PeerState};
pub use proxy_header::ProxyHeader;
pub use refusal::Refusal;
pub use request::{BodyFraming, Head, Header, Request, Version};
pub use request_id::{REQUEST_ID_BYTES, REQUEST_ID_BYTES_MAX, RequestId};
pub use response::{
    BodyLength, File, Reply, RequestFacts, Response, ResponseBody, Rest, TransferFraming, Written,
};
pub use trust::{ForwardedFamily, Trusted, TrustedError};
