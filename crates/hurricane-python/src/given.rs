//! What a management command was given: the flags that were typed, and the settings.

use std::collections::HashMap;
use std::ffi::OsString;

use hurricane::{Args, Refusal, TerminationLog};

/// Parses `argv`, which lacks the program's name, as flags of `command`.
pub(crate) fn parse<T>(
    command: &str,
    parser: impl FnOnce(&[OsString], &[(String, String)]) -> Result<T, Refusal>,
    argv: Vec<OsString>,
    settings: HashMap<String, String>,
) -> Result<T, Refusal> {
    let argv: Vec<OsString> = std::iter::once(command.into()).chain(argv).collect();
    let settings: Vec<_> = settings.into_iter().collect();
    parser(&argv, &settings)
}

/// Last words of a process that ends before it supervises anything; who is to hear them is among
/// the flags, when these are right.
pub(crate) fn last_words(args: Result<Args, Refusal>, reason: &str) {
    match args {
        Ok(args) => hurricane::last_words(&args, reason),
        Err(_) => TerminationLog::at(None).write(reason),
    }
}
