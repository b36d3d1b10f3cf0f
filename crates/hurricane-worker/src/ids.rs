//! Makes identifiers of requests that come without one.
//!
//! Two generators of 64 bits with a random start each: workers of any number of pods do not meet,
//! and no request needs the kernel. They are not secret: who knows some of a worker's can compute
//! its others.

use std::io;

use fastrand::Rng;
use hurricane_http::REQUEST_ID_BYTES;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The identifiers of one worker. Never cloned, so that none is given twice.
#[derive(Debug)]
pub(crate) struct Ids([Rng; 2]);

impl Ids {
    /// From random numbers of the kernel: what a process has drawn before it forks, its children
    /// share.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self([Rng::with_seed(getrandom::u64()?), Rng::with_seed(getrandom::u64()?)]))
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> [u8; REQUEST_ID_BYTES] {
        let mut id = [0; REQUEST_ID_BYTES];
        for (digits, generator) in id.chunks_exact_mut(16).zip(&mut self.0) {
            let number = generator.u64(..).to_le_bytes();
            for (pair, byte) in digits.chunks_exact_mut(2).zip(number) {
                pair[0] = DIGITS[usize::from(byte >> 4)];
                pair[1] = DIGITS[usize::from(byte & 0xf)];
            }
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn identifiers_are_hexadecimal_digits_and_differ() {
        let mut workers = [Ids::new().unwrap(), Ids::new().unwrap()];
        let made: Vec<_> = workers.iter_mut().flat_map(|ids| [ids.next(), ids.next()]).collect();
        assert!(made.iter().flatten().all(|digit| DIGITS.contains(digit)));
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), made.len());
    }
}
