//! Makes identifiers of requests that come without one.
//!
//! Two generators of 64 bits with a random start each: workers of any number of pods do not meet,
//! and no request needs the kernel. They are not secret: who knows some of a worker's can compute
//! its others.

use std::io;

use fastrand::Rng;
use hurricane_http::REQUEST_ID_BYTES;

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
            let number = generator.u64(..);
            digits[..8].copy_from_slice(&hexadecimal(number as u32));
            digits[8..].copy_from_slice(&hexadecimal((number >> 32) as u32));
        }
        id
    }
}

/// The eight digits of a number, all at once, in an order of their own: each byte of a word gets
/// four bits, and becomes a digit or, from ten on, a letter.
fn hexadecimal(number: u32) -> [u8; 8] {
    /// The same byte eight times.
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let mut bits = u64::from(number);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & each(0x0f);
    let is_letter = ((bits + each(6)) >> 4) & each(1);
    (bits + each(b'0') + is_letter * u64::from(b'a' - b'9' - 1)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const DIGITS: &[u8; 16] = b"0123456789abcdef";

    #[test]
    fn each_four_bits_of_a_number_are_one_digit() {
        for (place, four) in (0..8).flat_map(|place| (0..16u32).map(move |four| (place, four))) {
            let mut expected = [b'0'; 8];
            expected[place] = DIGITS[four as usize];
            assert_eq!(hexadecimal(four << (4 * place)), expected);
        }
    }

    #[test]
    fn identifiers_are_hexadecimal_digits_and_differ() {
        let mut workers = [Ids::new().unwrap(), Ids::new().unwrap()];
        let made: Vec<_> = workers.iter_mut().flat_map(|ids| [ids.next(), ids.next()]).collect();
        assert!(made.iter().flatten().all(|digit| DIGITS.contains(digit)));
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), made.len());
    }
}
