//! How a server comes to new code: by running its program anew when it is told to, and where code is
//! being written whenever a file changes.

use crate::reload::changes::Watched;
use crate::reload::program::Program;

/// Says where the files are that the application was loaded from.
pub(crate) type Outline = Box<dyn Fn() -> Watched>;

/// What a server of code that is being written needs.
pub struct Development {
    /// Called once the application is loaded: where to look for changes of it.
    pub outline: Box<dyn Fn() -> Watched>,
    /// Runs in a process of its own before code is loaded anew, when static files have changed.
    pub collect: Box<dyn Fn() -> Result<(), String>>,
}

/// What the supervisor needs for it.
#[derive(Default)]
pub(crate) struct Renewal {
    pub(crate) program: Option<Program>,
    pub(crate) outline: Option<Outline>,
}
