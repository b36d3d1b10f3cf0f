//! Amounts of CPU in thousandths, read from Kubernetes quantities ("1500m", "2", "1.5").

use std::fmt;
use std::str::FromStr;

/// The longest quantity that is read; a canonical one has at most 20 digits and a suffix.
const QUANTITY_BYTES_MAX: usize = 32;

/// CPU time per time, in thousandths of one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MilliCpus(pub u64);

impl MilliCpus {
    /// Whole CPUs, rounded down.
    pub fn floor(self) -> usize {
        usize::try_from(self.0 / 1000).unwrap_or(usize::MAX)
    }

    /// Whether this many CPUs fit in.
    pub(crate) fn covers(self, cpus: usize) -> bool {
        self.floor() >= cpus
    }
}

/// As a person writes it: `2`, `1.5`, `0.25`.
impl fmt::Display for MilliCpus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, milli) = (self.0 / 1000, self.0 % 1000);
        if milli == 0 {
            return write!(formatter, "{whole}");
        }
        let digits = format!("{milli:03}");
        write!(formatter, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// Why a text is not an amount of CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// There are no digits, or something stands among them.
    #[error("it does not begin with a number")]
    Number,
    /// The unit is none of Kubernetes'.
    #[error("its unit is not one of n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei")]
    Unit,
    /// There is no such machine.
    #[error("it is too large")]
    TooLarge,
}

/// Reads a Kubernetes quantity; parts of a thousandth are rounded up, as Kubernetes does.
impl FromStr for MilliCpus {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let text = text.trim();
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        let end = unsigned
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(unsigned.len());
        let (number, unit) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(QuantityError::Number);
        }
        if number.len() > QUANTITY_BYTES_MAX {
            return Err(QuantityError::TooLarge);
        }
        let digits: u128 =
            format!("{whole}{fraction}").parse().map_err(|_| QuantityError::TooLarge)?;
        let (exponent, factor) = scale(unit)?;
        let numerator = digits.checked_mul(factor).ok_or(QuantityError::TooLarge)?;
        // At most QUANTITY_BYTES_MAX digits stand behind the point.
        let power = exponent + 3 - fraction.len() as i32;
        let milli = times_ten_to(numerator, power).ok_or(QuantityError::TooLarge)?;
        u64::try_from(milli).map(Self).map_err(|_| QuantityError::TooLarge)
    }
}

/// A unit as a power of ten and a factor.
fn scale(unit: &str) -> Result<(i32, u128), QuantityError> {
    let decimal = |exponent| Ok((exponent, 1));
    let binary = |thousands: u32| Ok((0, 1 << (10 * thousands)));
    match unit {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent = unit.strip_prefix(['e', 'E']).ok_or(QuantityError::Unit)?;
            let exponent: i16 = exponent.parse().map_err(|_| QuantityError::Unit)?;
            decimal(i32::from(exponent))
        }
    }
}

/// `number * 10^power`, rounded up; `None` when it does not fit.
fn times_ten_to(number: u128, power: i32) -> Option<u128> {
    match 10u128.checked_pow(power.unsigned_abs()) {
        Some(factor) if power < 0 => Some(number.div_ceil(factor)),
        Some(factor) => number.checked_mul(factor),
        // Above 10^38 there is nothing that counts, below 10^-38 anything is one thousandth.
        None if power < 0 || number == 0 => Some(u128::from(number != 0)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milli(text: &str) -> Result<u64, QuantityError> {
        text.parse::<MilliCpus>().map(|cpus| cpus.0)
    }

    #[test]
    fn every_form_of_a_quantity_is_read() {
        for (text, expected) in [
            ("2", 2000),
            ("1500m", 1500),
            ("1.5", 1500),
            (".5", 500),
            ("2.", 2000),
            ("+1", 1000),
            (" 250m\n", 250),
            ("0", 0),
            ("1500000u", 1500),
            ("1n", 1),
            ("2k", 2_000_000),
            ("1e1", 10_000),
            ("15E-1", 1500),
            ("1Ki", 1_024_000),
            ("0.0005", 1),
            ("5e-400", 1),
            ("0e400", 0),
        ] {
            assert_eq!(milli(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_cause() {
        for (text, expected) in [
            ("", QuantityError::Number),
            ("m", QuantityError::Number),
            (".", QuantityError::Number),
            ("1.2.3", QuantityError::Number),
            ("-1", QuantityError::Number),
            ("tcp://10.0.0.1:80", QuantityError::Number),
            ("auto", QuantityError::Number),
            ("2 CPUs", QuantityError::Unit),
            ("1mm", QuantityError::Unit),
            ("1e", QuantityError::Unit),
            ("1e99999", QuantityError::Unit),
            ("1e400", QuantityError::TooLarge),
            ("99999999999999999999", QuantityError::TooLarge),
            ("1000000000000000000000000000000000000000", QuantityError::TooLarge),
            ("18446744073709551615Ei", QuantityError::TooLarge),
        ] {
            assert_eq!(milli(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn it_is_shown_as_a_person_writes_it() {
        for (milli, shown) in [(2000, "2"), (1500, "1.5"), (250, "0.25"), (1, "0.001"), (0, "0")] {
            assert_eq!(MilliCpus(milli).to_string(), shown);
        }
    }
}
