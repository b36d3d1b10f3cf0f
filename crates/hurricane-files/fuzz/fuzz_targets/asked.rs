//! Paths stay below their root, ranges inside their file, and codings among those that there are,
//! whatever bytes ask.
#![no_main]

use hurricane_files::{Coding, Codings, Ranged, Relative, is_hashed_name, ranged};

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
});
