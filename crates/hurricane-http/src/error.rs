//! Why a request is refused before the application sees it, and why a response cannot be sent.

/// Why a request is refused. One variant per rule, so that tests and metrics can name it.
///
/// After each of them the connection has to be closed: where the next request begins is not
/// known any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// RFC 6585 §5: the request line and fields are longer than `head_bytes_max`.
    #[error("head exceeds {limit} bytes")]
    HeadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// RFC 9112 §3: the target is longer than `target_bytes_max`.
    #[error("request target exceeds {limit} bytes")]
    TargetTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// RFC 6585 §5: more fields than `header_count_max`.
    #[error("head has more than {limit} fields")]
    TooManyFields {
        /// The limit.
        limit: usize,
    },
    /// RFC 9112 §2.2: a CR that no LF follows.
    #[error("carriage return without line feed")]
    BareCarriageReturn,
    /// RFC 9112 §2.2: an LF that no CR precedes. The RFC lets us take it for a line's end; peers
    /// that disagree about it are how requests are smuggled.
    #[error("line feed without carriage return")]
    BareLineFeed,
    /// RFC 9112 §3: not method, space, target, space, version.
    #[error("request line is not method, target and version, each one space apart")]
    InvalidRequestLine,
    /// RFC 9112 §3.1: the method is not a token.
    #[error("method is not a token")]
    InvalidMethod,
    /// RFC 9112 §3.2: the target has none of the four forms, or holds a control byte.
    #[error("request target has none of the four forms")]
    InvalidTarget,
    /// RFC 9112 §3.2: no form of target has a fragment.
    #[error("request target has a fragment")]
    TargetFragment,
    /// RFC 9112 §3.2: raw bytes above ASCII in the target, which we let through as UTF-8, are
    /// not UTF-8.
    #[error("request target is not utf-8")]
    TargetNotUtf8,
    /// RFC 9112 §3.2.2: an absolute-form of another scheme than http and https.
    #[error("absolute request target has a scheme that is not served")]
    UnsupportedScheme,
    /// RFC 9110 §4.2.4: user information in an http or https URI.
    #[error("absolute request target has user information")]
    Userinfo,
    /// RFC 9110 §4.2.1: an absolute-form with an empty or malformed host.
    #[error("absolute request target has an invalid authority")]
    InvalidAuthority,
    /// RFC 9112 §3.2.4: asterisk-form with another method than OPTIONS.
    #[error("request target is * but the method is not OPTIONS")]
    AsteriskWithoutOptions,
    /// RFC 9110 §9.3.6: we are no tunnel, and an application's 2xx would promise one.
    #[error("CONNECT is not served")]
    ConnectRefused,
    /// RFC 9112 §2.3: the version is not `HTTP/` digit `.` digit.
    #[error("version is not HTTP/digit.digit")]
    InvalidVersion,
    /// RFC 9110 §15.6.6: another version than HTTP/1.0 and HTTP/1.1.
    #[error("version is neither HTTP/1.0 nor HTTP/1.1")]
    UnsupportedVersion,
    /// RFC 9113 §3.4: the peer speaks HTTP/2 with prior knowledge.
    #[error("peer speaks HTTP/2")]
    Http2Preface,
    /// RFC 9112 §2.2: white space between the request line and the first field.
    #[error("white space before the first field")]
    SpaceBeforeFirstField,
    /// RFC 9112 §5.2: a field continued on the next line.
    #[error("field is folded over lines")]
    FoldedField,
    /// RFC 9112 §5.1: white space between a field's name and its colon.
    #[error("white space between field name and colon")]
    SpaceBeforeColon,
    /// RFC 9112 §5: a field without a name.
    #[error("field name is empty")]
    EmptyFieldName,
    /// RFC 9112 §5: a field line without a colon.
    #[error("field has no colon")]
    MissingColon,
    /// RFC 9110 §5.1: a field name that is not a token.
    #[error("field name is not a token")]
    InvalidFieldName,
    /// RFC 9110 §5.5: NUL or another control byte in a field value.
    #[error("control byte in a field value")]
    InvalidFieldValue,
    /// RFC 9112 §3.2: an HTTP/1.1 request without Host.
    #[error("host is missing")]
    MissingHost,
    /// RFC 9112 §3.2: more than one Host.
    #[error("host is repeated")]
    RepeatedHost,
    /// RFC 9112 §3.2: Host is not a host with an optional port.
    #[error("host is not a host with an optional port")]
    InvalidHost,
    /// RFC 9112 §6.3: Content-Length is not a row of digits.
    #[error("content-length is not a number")]
    InvalidContentLength,
    /// RFC 9110 §8.6: Content-Length does not fit into 64 bits.
    #[error("content-length exceeds 64 bits")]
    ContentLengthOverflow,
    /// RFC 9112 §6.3: more than one Content-Length, equal or not.
    #[error("content-length is repeated")]
    RepeatedContentLength,
    /// RFC 9112 §6.3: Content-Length beside Transfer-Encoding.
    #[error("content-length and transfer-encoding are both present")]
    AmbiguousLength,
    /// RFC 9112 §6.1: Transfer-Encoding in an HTTP/1.0 request.
    #[error("transfer-encoding in HTTP/1.0")]
    TransferEncodingInHttp10,
    /// RFC 9112 §6.1: Transfer-Encoding has an element that is empty, has parameters, or is no
    /// token.
    #[error("transfer-encoding is malformed")]
    InvalidTransferEncoding,
    /// RFC 9112 §6.1: `chunked` more than once.
    #[error("transfer-encoding names chunked more than once")]
    RepeatedChunked,
    /// RFC 9112 §6.3: `chunked` is not the last coding, so the body has no end.
    #[error("last transfer-encoding is not chunked")]
    ChunkedNotLast,
    /// RFC 9112 §6.1: another coding before `chunked`.
    #[error("transfer-encoding names a coding that is not known")]
    UnknownTransferCoding,
    /// RFC 9110 §10.1.1: another expectation than `100-continue`.
    #[error("expectation is not 100-continue")]
    UnknownExpectation,
    /// RFC 9110 §15.5.14: the body is longer than `body_bytes_max`.
    #[error("body exceeds {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// RFC 9112 §7.1: a chunk line does not start with a hexadecimal size that ends the line or
    /// has an extension after it.
    #[error("chunk size is malformed")]
    InvalidChunkSize,
    /// RFC 9112 §7.1.1: a chunk extension outside the grammar.
    #[error("chunk extension is malformed")]
    InvalidChunkExtension,
    /// RFC 9112 §7.1.1: a chunk line is longer than `chunk_line_bytes_max`.
    #[error("chunk line exceeds {limit} bytes")]
    ChunkLineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// RFC 9112 §7.1.1: the extensions of a body's chunks are together longer than
    /// `chunk_extension_bytes_max`.
    #[error("chunk extensions exceed {limit} bytes")]
    ChunkExtensionsTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// RFC 9112 §7.1: no CRLF behind a chunk's data.
    #[error("chunk data does not end in CRLF")]
    MissingChunkEnd,
    /// RFC 9112 §7.1.2: the trailer section is longer than `trailer_bytes_max`.
    #[error("trailers exceed {limit} bytes")]
    TrailersTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// RFC 7239 §4: a trusted proxy's Forwarded is not a list of elements.
    #[error("forwarded is malformed")]
    InvalidForwarded,
    /// PROXY protocol §2: the connection has to begin with a PROXY header, and does not.
    #[error("the connection does not begin with a PROXY header, which --proxy-protocol demands")]
    MissingProxyHeader,
    /// PROXY protocol §2.1, §2.2: a PROXY header outside the grammar, or of an unknown version or
    /// command.
    #[error("PROXY header is malformed")]
    InvalidProxyHeader,
    /// PROXY protocol §2.2: a PROXY header is longer than `proxy_header_bytes_max`.
    #[error("PROXY header exceeds {limit} bytes")]
    ProxyHeaderTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl RequestError {
    /// The status code that answers this error.
    pub fn status(&self) -> u16 {
        match self {
            Self::BodyTooLarge { .. } | Self::ContentLengthOverflow => 413,
            Self::TargetTooLong { .. } => 414,
            Self::UnknownExpectation => 417,
            Self::HeadTooLarge { .. }
            | Self::TooManyFields { .. }
            | Self::TrailersTooLarge { .. } => 431,
            Self::UnknownTransferCoding => 501,
            Self::UnsupportedVersion | Self::Http2Preface => 505,
            _ => 400,
        }
    }
}

/// Says the name of each rule once.
macro_rules! rules {
    ($($variant:ident => $name:literal),* $(,)?) => {
        impl RequestError {
            /// The names of all rules.
            pub const RULES: &[&str] = &[$($name),*];

            /// The rule's name in metrics and logs; it does not change between versions.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)*
                }
            }
        }
    };
}

rules! {
    HeadTooLarge => "head_too_large",
    TargetTooLong => "target_too_long",
    TooManyFields => "too_many_fields",
    BareCarriageReturn => "bare_carriage_return",
    BareLineFeed => "bare_line_feed",
    InvalidRequestLine => "invalid_request_line",
    InvalidMethod => "invalid_method",
    InvalidTarget => "invalid_target",
    TargetFragment => "target_fragment",
    TargetNotUtf8 => "target_not_utf8",
    UnsupportedScheme => "unsupported_scheme",
    Userinfo => "userinfo",
    InvalidAuthority => "invalid_authority",
    AsteriskWithoutOptions => "asterisk_without_options",
    ConnectRefused => "connect_refused",
    InvalidVersion => "invalid_version",
    UnsupportedVersion => "unsupported_version",
    Http2Preface => "http2_preface",
    SpaceBeforeFirstField => "space_before_first_field",
    FoldedField => "folded_field",
    SpaceBeforeColon => "space_before_colon",
    EmptyFieldName => "empty_field_name",
    MissingColon => "missing_colon",
    InvalidFieldName => "invalid_field_name",
    InvalidFieldValue => "invalid_field_value",
    MissingHost => "missing_host",
    RepeatedHost => "repeated_host",
    InvalidHost => "invalid_host",
    InvalidContentLength => "invalid_content_length",
    ContentLengthOverflow => "content_length_overflow",
    RepeatedContentLength => "repeated_content_length",
    AmbiguousLength => "ambiguous_length",
    TransferEncodingInHttp10 => "transfer_encoding_in_http10",
    InvalidTransferEncoding => "invalid_transfer_encoding",
    RepeatedChunked => "repeated_chunked",
    ChunkedNotLast => "chunked_not_last",
    UnknownTransferCoding => "unknown_transfer_coding",
    UnknownExpectation => "unknown_expectation",
    BodyTooLarge => "body_too_large",
    InvalidChunkSize => "invalid_chunk_size",
    InvalidChunkExtension => "invalid_chunk_extension",
    ChunkLineTooLong => "chunk_line_too_long",
    ChunkExtensionsTooLarge => "chunk_extensions_too_large",
    MissingChunkEnd => "missing_chunk_end",
    TrailersTooLarge => "trailers_too_large",
    InvalidForwarded => "invalid_forwarded",
    MissingProxyHeader => "missing_proxy_header",
    InvalidProxyHeader => "invalid_proxy_header",
    ProxyHeaderTooLarge => "proxy_header_too_large",
}

/// Why a response of the application cannot be sent as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// RFC 9110 §15: a final status code has three digits and does not start with 1.
    #[error("status code {0} is not in 200..=999")]
    Status(u16),
    /// RFC 9112 §4: a control byte in the reason phrase.
    #[error("control byte in the reason phrase")]
    Reason,
    /// RFC 9110 §5.1: a field name that is not a token.
    #[error("field name {name:?} is not a token")]
    FieldName {
        /// The name, readable.
        name: String,
    },
    /// RFC 9110 §5.5: CR, LF, NUL or another control byte in a field value.
    #[error("control byte in the value of field {name:?}")]
    FieldValue {
        /// The field's name.
        name: String,
    },
    /// PEP 3333: a hop-by-hop field, which is the server's to send.
    #[error("field {name:?} is hop-by-hop: the server sets it")]
    HopByHop {
        /// The field's name.
        name: String,
    },
    /// RFC 9110 §8.6: Content-Length is not a number of 64 bits.
    #[error("content-length is not a number")]
    ContentLength,
    /// RFC 9110 §8.6: two Content-Length fields that differ.
    #[error("content-length is given twice, as {first} and {second}")]
    DifferingContentLengths {
        /// What was said first.
        first: u64,
        /// What was said then.
        second: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_variants_in_snake_case() {
        let errors = [
            RequestError::HeadTooLarge { limit: 1 },
            RequestError::TransferEncodingInHttp10,
            RequestError::BodyTooLarge { limit: 1 },
            RequestError::Userinfo,
            RequestError::FoldedField,
        ];
        for error in errors {
            let debug = format!("{error:?}");
            let variant = debug.split(' ').next().unwrap_or_default();
            assert_eq!(error.name().replace('_', ""), variant.to_ascii_lowercase());
        }
    }

    #[test]
    fn errors_are_answered_with_the_status_of_their_rule() {
        let cases = [
            (RequestError::BareLineFeed, 400),
            (RequestError::ConnectRefused, 400),
            (RequestError::ContentLengthOverflow, 413),
            (RequestError::BodyTooLarge { limit: 1 }, 413),
            (RequestError::TargetTooLong { limit: 1 }, 414),
            (RequestError::UnknownExpectation, 417),
            (RequestError::HeadTooLarge { limit: 1 }, 431),
            (RequestError::TooManyFields { limit: 1 }, 431),
            (RequestError::TrailersTooLarge { limit: 1 }, 431),
            (RequestError::UnknownTransferCoding, 501),
            (RequestError::UnsupportedVersion, 505),
            (RequestError::Http2Preface, 505),
        ];
        for (error, status) in cases {
            assert_eq!(error.status(), status, "{}", error.name());
        }
    }
}
