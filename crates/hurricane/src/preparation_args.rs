//! The flags of what comes before a Django project serves.

use std::path::PathBuf;

use clap::ArgAction;

use crate::values::{ManagementCommand, management_command, switch};

/// What a Django project does before it serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct PreparationArgs {
    /// Management command to run before serving, quoted as for a shell: "collectstatic --no-input".
    /// May be given several times; the variable holds one a line, or a JSON list
    #[arg(long = "command", env = "HURRICANE_COMMAND", value_name = "COMMAND",
          value_parser = management_command)]
    pub commands: Vec<ManagementCommand>,

    /// Serve only when no migration is pending on any database; waits until somebody applies them
    #[arg(long, env = "HURRICANE_CHECK_MIGRATIONS", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub check_migrations: bool,

    /// The same, but apply pending migrations; of several replicas one at a time where the
    /// database has locks for that (PostgreSQL, MySQL)
    #[arg(long, env = "HURRICANE_CHECK_MIGRATIONS_APPLY", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub check_migrations_apply: bool,
}

/// What only those want who develop a Django project.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct DevelopmentArgs {
    /// For development: load the application afresh whenever its code, a template or a translation
    /// changes. Only this flag does so, never Django's DEBUG
    #[arg(long, env = "HURRICANE_AUTORELOAD", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub autoreload: bool,

    /// With --autoreload: directory of static files; when one changes, collectstatic is run again
    /// before the reload. May be given several times; the variable holds one a line, or a JSON list
    #[arg(long, env = "HURRICANE_STATIC_WATCH", value_name = "PATH")]
    pub static_watch: Vec<PathBuf>,

    /// Answer failing probes with all that a check says, and with its traceback; on where Django's
    /// DEBUG is. Nothing else is different
    #[arg(long, env = "HURRICANE_DEBUG", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub debug: bool,
}

impl PreparationArgs {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
