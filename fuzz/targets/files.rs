//! Paths stay below their root, ranges inside their file, and codings among those that there are,
//! whatever bytes ask, as the value of a field or as all the fields of a request.
#![no_main]

use hurricane_files::{
    Coding, Codings, Entity, Ranged, Relative, Verdict, is_hashed_name, judge, ranged,
};
use hurricane_http::{Head, Limits};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(path) = Relative::parse(input) {
        let name = path.as_bytes();
        assert!(!name.contains(&0) && !name.starts_with(b"/"));
        assert!(!name.split(|byte| *byte == b'/').any(|part| part == b"." || part == b".."));
    }
    for len in [0, 1, 10, u64::MAX] {
        if let Ranged::Part(range) = ranged(input, len) {
            assert!(range.first <= range.last && range.last < len);
        }
    }
    let mut codings = Codings::default();
    codings.add(input);
    let chosen = codings.choose([Coding::Gzip].into_iter());
    assert!(matches!(chosen, Coding::Gzip | Coding::Identity));
    is_hashed_name(input);
    let request = [b"GET /a HTTP/1.1\r\nHost: a\r\n", input, b"\r\n\r\n"].concat();
    if let Ok(Some((head, _))) = Head::parse(&request, &Limits::default()) {
        let modified = b"Sun, 06 Nov 1994 08:49:37 GMT";
        let (etag, modified_seconds, len) = (b"\"a\"", 784_111_777, 10);
        let entity = Entity { etag, last_modified: modified, modified_seconds, len };
        if let Verdict::Part(range) = judge(&head, &entity) {
            assert!(range.first <= range.last && range.last < len);
        }
    }
});
