//! Content codings: which of them a peer takes (RFC 9110 §12.5.3), and the files that have them.

/// How the bytes of a representation are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// Zstandard.
    Zstd,
    /// Brotli.
    Brotli,
    /// Gzip.
    Gzip,
}

impl Coding {
    /// Those that a file may have beside it, the best first.
    pub const COMPRESSED: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// What the name of a file with this coding ends with.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Zstd => ".zst",
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// Its name in Content-Encoding.
    pub fn token(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    fn named(token: &[u8]) -> Option<Self> {
        let is = |name: &str| token.eq_ignore_ascii_case(name.as_bytes());
        match token.len() {
            8 if is("identity") => Some(Self::Identity),
            4 if is("gzip") => Some(Self::Gzip),
            4 if is("zstd") => Some(Self::Zstd),
            2 if is("br") => Some(Self::Brotli),
            6 if is("x-gzip") => Some(Self::Gzip),
            _ => None,
        }
    }
}

/// Quality in thousandths.
type Quality = u16;
const FULL: Quality = 1000;

/// What a peer says about codings in Accept-Encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codings {
    identity: Option<Quality>,
    zstd: Option<Quality>,
    brotli: Option<Quality>,
    gzip: Option<Quality>,
    /// `*`
    other: Option<Quality>,
}

impl Codings {
    /// Adds what one Accept-Encoding field says. An element that is malformed says nothing.
    pub fn add(&mut self, value: &[u8]) {
        for element in value.split(|byte| *byte == b',') {
            let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let token = parts.next().unwrap_or_default();
            let Some(quality) = parts.next().map_or(Some(FULL), weight) else { continue };
            let said = match Coding::named(token) {
                Some(Coding::Identity) => &mut self.identity,
                Some(Coding::Zstd) => &mut self.zstd,
                Some(Coding::Brotli) => &mut self.brotli,
                Some(Coding::Gzip) => &mut self.gzip,
                None if token == b"*" => &mut self.other,
                None => continue,
            };
            *said = Some(quality);
        }
    }

    /// How much the peer likes a coding; 0: not at all. Identity is taken unless it is refused,
    /// but anything that is asked for is liked better.
    fn quality(&self, coding: Coding) -> Quality {
        let said = match coding {
            Coding::Identity => {
                return self.identity.or(self.other.filter(|q| *q == 0)).unwrap_or(1);
            }
            Coding::Zstd => self.zstd,
            Coding::Brotli => self.brotli,
            Coding::Gzip => self.gzip,
        };
        said.or(self.other).unwrap_or(0)
    }

    /// The best of what there is: the one that the peer likes best, of several the first. Where
    /// the peer takes none it gets the identity, which is of more use than a refusal.
    pub fn choose(&self, available: impl Iterator<Item = Coding>) -> Coding {
        let mut best = (Coding::Identity, self.quality(Coding::Identity));
        for coding in available.filter(|coding| *coding != Coding::Identity) {
            let quality = self.quality(coding);
            let is_first = best.0 == Coding::Identity;
            if quality > 0 && (quality > best.1 || (is_first && quality == best.1)) {
                best = (coding, quality);
            }
        }
        best.0
    }
}

/// `q=` and up to three digits behind the point.
fn weight(parameter: &[u8]) -> Option<Quality> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else { return None };
    let (whole, thousandths) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut quality: Quality = match whole {
        b'0' => 0,
        b'1' => FULL,
        _ => return None,
    };
    let mut place = 100;
    for digit in thousandths {
        if !digit.is_ascii_digit() {
            return None;
        }
        quality += Quality::from(digit - b'0') * place;
        place /= 10;
    }
    (quality <= FULL).then_some(quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(value: &str) -> Coding {
        let mut codings = Codings::default();
        codings.add(value.as_bytes());
        codings.choose(Coding::COMPRESSED.into_iter())
    }

    #[test]
    fn the_best_coding_that_the_peer_takes_is_chosen() {
        for (value, expected) in [
            ("", Coding::Identity),
            ("gzip", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("gzip, deflate, br, zstd", Coding::Zstd),
            ("GZIP,BR", Coding::Brotli),
            ("br;q=0.5, gzip;q=0.8", Coding::Gzip),
            ("br;q=1.0, gzip;q=1", Coding::Brotli),
            ("gzip;q=0", Coding::Identity),
            ("zstd;q=0, *", Coding::Brotli),
            ("*", Coding::Zstd),
            ("*;q=0", Coding::Identity),
            ("*;q=0, gzip;q=0.001", Coding::Gzip),
            ("identity;q=1, gzip;q=0.5", Coding::Identity),
            ("identity, gzip", Coding::Gzip),
            ("identity;q=0.5, gzip;q=0.4", Coding::Identity),
            ("identity;q=0, gzip;q=0.1", Coding::Gzip),
            ("identity;q=0", Coding::Identity),
            ("deflate", Coding::Identity),
            ("gzip ; q=0.3 , br;q=0.2", Coding::Gzip),
        ] {
            assert_eq!(chosen(value), expected, "{value}");
        }
    }

    #[test]
    fn malformed_weights_say_nothing() {
        for value in [
            "gzip;q=2",
            "gzip;q=",
            "gzip;q=0.1234",
            "gzip;q=1.001",
            "gzip;q=-1",
            "gzip;x=1",
            "gzip;q=0.a",
            ";q=1",
            ",,;,",
            "gzipp",
            "gz",
        ] {
            assert_eq!(chosen(value), Coding::Identity, "{value}");
        }
    }

    #[test]
    fn several_fields_are_one_list() {
        let mut codings = Codings::default();
        codings.add(b"gzip");
        codings.add(b"br");
        assert_eq!(codings.choose(Coding::COMPRESSED.into_iter()), Coding::Brotli);
        assert_eq!(codings.choose([Coding::Gzip].into_iter()), Coding::Gzip);
        assert_eq!(codings.choose([].into_iter()), Coding::Identity);
    }
}
