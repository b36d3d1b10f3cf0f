//! What every file of `requirements/` must be good for.

use crate::assert_none;
use crate::tree::{Source, sources_with};

/// Tasks install single packages with such a file as the constraint, and pip takes none with extras.
#[test]
fn requirements_can_be_constraints() {
    let files = sources_with("txt").into_iter().filter(|it| it.path.starts_with("requirements/"));
    let breaches = files.flat_map(|Source { path, text }| {
        let lines = text.lines().zip(1..).filter(|(line, _)| {
            let requirement = line.split(['#', ';']).next().unwrap_or_default();
            requirement.contains('[')
        });
        let lines = lines.map(|(line, number)| format!("{path}:{number}: {line} has extras"));
        lines.collect::<Vec<_>>()
    });
    assert_none(&breaches.collect::<Vec<_>>());
}
