//! The committed counts that new ones are compared with.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::subject::Place;

/// By name of the place; see [`Place`].
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Baseline(BTreeMap<String, Counts>);

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Counts {
    /// What the counts were made with.
    with: String,
    /// Instructions of each subject.
    instructions: BTreeMap<String, u64>,
}

/// What the baseline says of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// So many instructions; `elsewhere`: made with something else than there is here.
    Count { instructions: u64, elsewhere: Option<String> },
    /// The place has counts, but none of this subject.
    New,
    /// Nothing was ever counted here, so that nothing can be compared.
    Foreign { place: String },
}

impl Baseline {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        match fs::read(path) {
            Ok(json) => serde_json::from_slice(&json)
                .with_context(|| format!("{} cannot be read", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        fs::write(path, json + "\n").with_context(|| path.display().to_string())
    }

    pub(crate) fn known(&self, place: &Place, subject: &str) -> Known {
        let Some(counts) = self.0.get(&place.name) else {
            return Known::Foreign { place: place.name.clone() };
        };
        match counts.instructions.get(subject) {
            None => Known::New,
            Some(instructions) => Known::Count {
                instructions: *instructions,
                elsewhere: (counts.with != place.with)
                    .then(|| format!("{}, here {}", counts.with, place.with)),
            },
        }
    }

    pub(crate) fn set(&mut self, place: &Place, subject: &str, instructions: u64) {
        let counts = self.0.entry(place.name.clone()).or_default();
        counts.with.clone_from(&place.with);
        counts.instructions.insert(subject.to_owned(), instructions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, with: &str) -> Place {
        Place { name: name.to_owned(), with: with.to_owned() }
    }

    #[test]
    fn what_was_saved_is_known_where_it_was_saved() {
        let directory = std::env::temp_dir().join(format!("baseline-{}", std::process::id()));
        let (here, there) = (place("x86_64", "glibc 2.36"), place("aarch64", "glibc 2.36"));
        let mut baseline = Baseline::read(&directory).unwrap();
        assert!(matches!(baseline.known(&here, "head"), Known::Foreign { .. }));
        baseline.set(&here, "head", 1200);
        baseline.write(&directory).unwrap();
        let baseline = Baseline::read(&directory).unwrap();
        fs::remove_file(&directory).unwrap();
        let known = Known::Count { instructions: 1200, elsewhere: None };
        assert_eq!(baseline.known(&here, "head"), known);
        assert_eq!(baseline.known(&here, "chunks"), Known::New);
        assert!(matches!(baseline.known(&there, "head"), Known::Foreign { .. }));
        let newer = baseline.known(&place("x86_64", "glibc 2.41"), "head");
        assert!(matches!(newer, Known::Count { elsewhere: Some(_), .. }), "{newer:?}");
    }
}
