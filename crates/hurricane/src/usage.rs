//! From command line, settings and environment to [`Args`]; refusals in one sentence.
//!
//! Precedence: command line, settings, environment, default. A value given on the command line
//! wins even when it equals the default. What loses is not looked at, so it cannot be wrong.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::cli::consumer::{Consume, ConsumerArgs, command_line, shared_words};
use crate::cli::{ABOUT, Args, ProjectArgs, Surroundings, flags, is_repeatable};
use crate::exit::Exit;
use crate::healthcheck;
use crate::reload::errand;
use crate::termination::TerminationLog;
use crate::values::number;

/// Why there are no flags to run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A text was asked for (`--help`, `--version`, a man page): it goes to stdout, exit code 0.
    Asked(String),
    /// A flag, setting or variable is wrong: one sentence for stderr, exit code 2.
    Usage(String),
    /// A probe was asked (`healthcheck`) and does not succeed: what it says, for stderr, exit code
    /// 1.
    Failed(String),
}

impl Refusal {
    /// Prints the text or sentence where it belongs and returns the exit code.
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "logging is not set up yet")]
    pub fn report(&self) -> Exit {
        match self {
            Self::Asked(text) => {
                print!("{text}");
                Exit::Clean
            }
            Self::Usage(sentence) => {
                eprintln!("hurricane: {sentence}");
                errand::said(sentence);
                TerminationLog::of_environment().write(sentence);
                Exit::Usage
            }
            Self::Failed(text) => {
                eprint!("{text}");
                Exit::Failed
            }
        }
    }
}

/// What the console script `hurricane` was asked to do.
#[derive(Clone, Debug)]
pub struct Serve {
    /// What to serve: `module:attribute`.
    pub application: String,
    /// The flags.
    pub args: Args,
}

/// What the console script was asked to do.
#[derive(Clone, Debug)]
pub enum Asked {
    /// To serve.
    Serve(Box<Serve>),
    /// To compress files.
    Compress(Compress),
}

/// Directories whose files are to be compressed.
#[derive(Clone, Debug, clap::Args)]
pub struct Compress {
    /// Directories; those in them are looked at too
    #[arg(required = true, value_name = "DIRECTORY")]
    pub directories: Vec<PathBuf>,
    /// Threads that compress; 0 for one per CPU
    #[arg(long, value_name = "N", default_value = "0", value_parser = number(0..=1024))]
    pub jobs: usize,
}

/// Command line of the console script.
#[derive(Debug, Parser)]
#[command(name = "hurricane", version, about = ABOUT)]
struct Console {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Serve a WSGI application
    Serve {
        /// The application: a module and an attribute of it, such as project.wsgi:application
        #[arg(value_name = "APP")]
        application: String,
        #[command(flatten)]
        args: Box<Args>,
    },
    /// Make compressed copies of static files beside them: .zst, .br, .gz
    Compress(Compress),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Parses the flags of a binary that serves one application of its own. `argv` begins with the
/// program's name. `settings` are pairs of a name and a value; `port`, `PORT` and
/// `HURRICANE_PORT` all mean the flag `--port`.
///
/// # Errors
/// [`Refusal`]: the sentence, or the text asked for, to report instead of serving.
pub fn parse(argv: &[OsString], settings: &[(String, String)]) -> Result<Args, Refusal> {
    let sources = Sources { settings, environment: &|name| std::env::var_os(name) };
    let (matches, surroundings) = sources.resolve(Args::command(), argv)?;
    args_of(&matches, surroundings)
}

/// Every flag at its default, whatever the environment says.
pub(crate) fn defaults() -> Result<Args, Refusal> {
    let sources = Sources { settings: &[], environment: &|_| None };
    let (matches, surroundings) = sources.resolve(Args::command(), &["hurricane".into()])?;
    let args = Args::from_arg_matches(&matches).map_err(|error| render(&error, &[]))?;
    Ok(Args { surroundings, ..args })
}

/// Parses the flags of Django's `manage.py serve`, as [`parse`] does.
///
/// # Errors
/// As [`parse`].
pub fn project(argv: &[OsString], settings: &[(String, String)]) -> Result<ProjectArgs, Refusal> {
    let sources = Sources { settings, environment: &|name| std::env::var_os(name) };
    let (matches, mut surroundings) = sources.resolve(ProjectArgs::command(), argv)?;
    let given = ProjectArgs::from_arg_matches(&matches).map_err(|error| render(&error, &[]))?;
    let development = &given.development;
    if !development.autoreload && !development.static_watch.is_empty() {
        surroundings.warnings.push(
            "--static-watch does nothing without --autoreload; add that where you develop"
                .to_owned(),
        );
    }
    Ok(ProjectArgs { args: Args { surroundings, ..given.args }, ..given })
}

/// Parses the flags of `manage.py consume`, as [`parse`] does.
///
/// # Errors
/// As [`parse`].
pub fn consumer(argv: &[OsString], settings: &[(String, String)]) -> Result<Consume, Refusal> {
    let sources = Sources { settings, environment: &|name| std::env::var_os(name) };
    consumer_from(&sources, argv)
}

fn consumer_from(sources: &Sources<'_>, argv: &[OsString]) -> Result<Consume, Refusal> {
    let (matches, surroundings) = sources.resolve(command_line(), argv)?;
    let consumer = ConsumerArgs::from_arg_matches(&matches).map_err(|error| render(&error, &[]))?;
    let shared = ProjectArgs::try_parse_from(shared_words(&matches));
    let ProjectArgs { args, development, .. } = shared.map_err(|error| render(&error, &[]))?;
    Ok(Consume { consumer, args: Args { surroundings, ..args }, development })
}

/// Parses the command line of a native service's binary: flags, or `healthcheck`.
///
/// # Errors
/// As [`parse`]; also when a probe was asked.
pub(crate) fn binary(argv: &[OsString]) -> Result<Args, Refusal> {
    let sources = Sources { settings: &[], environment: &|name| std::env::var_os(name) };
    let command =
        Args::command().subcommand(healthcheck::command()).args_conflicts_with_subcommands(true);
    let (matches, surroundings) = sources.resolve(command, argv)?;
    match matches.subcommand() {
        Some((_, asked)) => Err(healthcheck::ask(asked)),
        None => args_of(&matches, surroundings),
    }
}

fn args_of(matches: &ArgMatches, surroundings: Surroundings) -> Result<Args, Refusal> {
    let args = Args::from_arg_matches(matches).map_err(|error| render(&error, &[]))?;
    Ok(Args { surroundings, ..args })
}

/// The console script's commands, in the order of its help.
fn console_command() -> Command {
    Console::command().subcommand(healthcheck::command().display_order(1))
}

/// Parses the command line of the console script: `hurricane serve APP`, `healthcheck`,
/// `completions`, `man`.
///
/// # Errors
/// As [`parse`].
pub fn console(argv: &[OsString]) -> Result<Asked, Refusal> {
    let sources = Sources { settings: &[], environment: &|name| std::env::var_os(name) };
    let (matches, surroundings) = sources.resolve(console_command(), argv)?;
    if let Some((healthcheck::NAME, asked)) = matches.subcommand() {
        return Err(healthcheck::ask(asked));
    }
    match Console::from_arg_matches(&matches).map_err(|error| render(&error, &[]))?.task {
        Task::Serve { application, args } => {
            let args = Args { surroundings, ..*args };
            Ok(Asked::Serve(Box::new(Serve { application, args })))
        }
        Task::Compress(compress) => Ok(Asked::Compress(compress)),
        Task::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut console_command(), "hurricane", &mut text);
            Err(Refusal::Asked(String::from_utf8_lossy(&text).into_owned()))
        }
        Task::Man => Err(Refusal::Asked(manual_page())),
    }
}

fn manual_page() -> String {
    let mut command = console_command();
    command.build();
    let mut text = Vec::new();
    let detailed = |name: &str| command.find_subcommand(name).cloned().unwrap_or_default();
    let (serve, healthcheck) = (detailed("serve"), detailed(healthcheck::NAME));
    for part in [command, serve, healthcheck] {
        // Writing into memory cannot fail.
        let _ = clap_mangen::Man::new(part).render(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The subcommands whose flags are also settings and variables.
const FLAGGED: [&str; 2] = ["serve", healthcheck::NAME];
/// Of the setting and variable for the application's version.
const VERSION: &str = "version";

/// Where values come from when the command line does not give them.
struct Sources<'a> {
    settings: &'a [(String, String)],
    environment: &'a dyn Fn(&str) -> Option<OsString>,
}

/// A value that a setting or variable gives to a flag.
struct Given {
    flag: String,
    origin: String,
    value: OsString,
}

impl Sources<'_> {
    /// Parses twice: the command line alone, to learn what it gives; then again with the winners
    /// among the other sources put in front of its flags.
    fn resolve(
        &self,
        command: Command,
        argv: &[OsString],
    ) -> Result<(ArgMatches, Surroundings), Refusal> {
        let defined = command.clone();
        let described = with_every_arg(command.clone(), |arg| arg.hide_env_values(true));
        // clap would let the environment win over settings, and blame a flag for a variable.
        let command = with_every_arg(command, |arg| arg.env(Resettable::Reset));
        let explicit = command.clone().try_get_matches_from(argv).map_err(|error| {
            // Help tells the variables as well.
            let told = described.try_get_matches_from(argv).err();
            let told = told.filter(|told| told.kind() == ErrorKind::DisplayHelp);
            render(&told.unwrap_or(error), &[])
        })?;
        let (explicit, flagged, flags_at) = match explicit.subcommand() {
            Some((name, given)) if FLAGGED.contains(&name) => {
                (given.clone(), defined.find_subcommand(name).unwrap_or(&defined), 2)
            }
            Some(_) => return Ok((explicit, Surroundings::default())),
            None => (explicit, &defined, 1),
        };
        let mut surroundings = Surroundings {
            kubernetes: (self.environment)("KUBERNETES_SERVICE_HOST").is_some(),
            application_version: self.application_version(),
            warnings: Vec::new(),
        };
        let given = self.given(flagged, &explicit, &mut surroundings.warnings)?;
        let flags_at = flags_at.min(argv.len());
        let mut all = argv[..flags_at].to_vec();
        all.extend(given.iter().map(|given| {
            let mut flag = OsString::from(format!("--{}=", given.flag));
            flag.push(&given.value);
            flag
        }));
        all.extend_from_slice(&argv[flags_at..]);
        let matches = command.try_get_matches_from(all).map_err(|error| render(&error, &given))?;
        Ok((matches, surroundings))
    }

    /// `HURRICANE_VERSION`, which is no flag: `--version` tells the server's own.
    fn application_version(&self) -> Option<String> {
        let setting = self.settings.iter().rfind(|(name, _)| is_flag(name, VERSION));
        let variable = || (self.environment)("HURRICANE_VERSION");
        let version = setting
            .map(|(_, version)| version.clone())
            .or_else(|| variable().map(|version| version.to_string_lossy().into_owned()));
        version.filter(|version| !version.is_empty())
    }

    fn given(
        &self,
        flagged: &Command,
        explicit: &ArgMatches,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Given>, Refusal> {
        let mut unknown: Vec<&String> = self.settings.iter().map(|(name, _)| name).collect();
        let mut all = Vec::new();
        for arg in flagged.get_arguments() {
            let (Some(flag), Some(variable)) = (arg.get_long(), arg.get_env()) else { continue };
            let variable = variable.to_string_lossy();
            let setting = self.settings.iter().rfind(|(name, _)| is_flag(name, flag));
            unknown.retain(|name| !is_flag(name, flag) && !is_flag(name, VERSION));
            if explicit.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
                continue;
            }
            let (origin, value) = if let Some((name, value)) = setting {
                (setting_named(name, &variable), OsString::from(value))
            } else {
                match (self.environment)(&variable) {
                    // A variable that a chart left empty says nothing.
                    Some(value) if value.is_empty() => continue,
                    Some(value) => (format!("variable {variable}"), value),
                    None => continue,
                }
            };
            if setting.is_none() && is_service_link(&value) {
                let service = variable.split('_').next().unwrap_or_default().to_lowercase();
                warnings.push(format!(
                    "ignored variable {variable}: Kubernetes made it of a Service named \
                     {service}; rename the Service or set enableServiceLinks: false"
                ));
                continue;
            }
            let values = if is_repeatable(arg) { listed(value, &origin)? } else { vec![value] };
            let given = |value| Given { flag: flag.to_owned(), origin: origin.clone(), value };
            all.extend(values.into_iter().map(given));
        }
        match unknown.first() {
            Some(name) => Err(Refusal::Usage(format!("setting {name} is not a flag of serve"))),
            None => Ok(all),
        }
    }
}

/// The values of a flag that may be repeated: a JSON list of texts, or one a line.
fn listed(value: OsString, origin: &str) -> Result<Vec<OsString>, Refusal> {
    let Some(text) = value.to_str() else { return Ok(vec![value]) };
    if !text.trim_start().starts_with('[') {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        return Ok(lines.map(OsString::from).collect());
    }
    let values: Result<Vec<String>, _> = serde_json::from_str(text);
    values.map(|values| values.into_iter().map(OsString::from).collect()).map_err(|_| {
        Refusal::Usage(format!(
            "{origin} cannot be '{}': expected one value a line, or a JSON list of texts",
            text.trim()
        ))
    })
}

/// Whether the name of a setting means `flag`.
fn is_flag(name: &str, flag: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let name = name.trim_start_matches('-');
    name.strip_prefix("hurricane-").unwrap_or(name) == flag
}

/// A setting as its user knows it: names that were only handed through are in lower case.
fn setting_named(name: &str, variable: &str) -> String {
    let written = name.chars().any(|c| c.is_ascii_uppercase());
    format!("setting {}", if written { name } else { variable })
}

/// Whether a value is what Kubernetes injects for a Service of our name: `tcp://10.0.0.1:8000`.
fn is_service_link(value: &OsString) -> bool {
    let value = value.to_string_lossy();
    ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
}

/// Changes every flag that has a variable, wherever it is.
fn with_every_arg(command: Command, change: fn(Arg) -> Arg) -> Command {
    FLAGGED.into_iter().fold(command.mut_args(change), |command, name| {
        match command.find_subcommand(name) {
            Some(_) => command.mut_subcommand(name, |flagged| flagged.mut_args(change)),
            None => command,
        }
    })
}

/// One sentence that names the source, the value and what is allowed.
fn render(error: &clap::Error, given: &[Given]) -> Refusal {
    let one = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let subject = one(ContextKind::InvalidArg);
    let flag = subject.split([' ', '=', '[']).next().unwrap_or_default();
    let origin = given
        .iter()
        .find(|given| flag.strip_prefix("--") == Some(&given.flag))
        .map_or(flag, |given| &given.origin);
    let value = one(ContextKind::InvalidValue);
    let sentence = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return Refusal::Asked(error.render().to_string());
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a subcommand is missing: expected serve, compress, healthcheck, completions or man"
                .to_owned()
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("{origin} needs a value{}", allowed(error))
        }
        ErrorKind::InvalidValue => format!("{origin} cannot be '{value}'{}", allowed(error)),
        ErrorKind::ValueValidation => {
            let rule = std::error::Error::source(error).map(ToString::to_string);
            format!("{origin} cannot be '{value}': expected {}", rule.unwrap_or_default())
        }
        ErrorKind::UnknownArgument if is_of_projects(flag) => {
            format!("{flag} needs a Django project: it is a flag of manage.py serve only")
        }
        ErrorKind::UnknownArgument => {
            format!("unknown flag '{subject}'{}", suggestion(error, ContextKind::SuggestedArg))
        }
        ErrorKind::InvalidSubcommand => format!(
            "unknown subcommand '{}'{}",
            one(ContextKind::InvalidSubcommand),
            suggestion(error, ContextKind::SuggestedSubcommand)
        ),
        ErrorKind::MissingRequiredArgument => format!("{subject} is missing"),
        _ => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    };
    Refusal::Usage(sentence)
}

/// Whether only `manage.py serve` has this flag.
fn is_of_projects(flag: &str) -> bool {
    let name = flag.trim_start_matches('-');
    flags().iter().any(|known| known.needs_project && known.name == name)
}

fn allowed(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            format!(": expected {}", values.join(", "))
        }
        _ => String::new(),
    }
}

fn suggestion(error: &clap::Error, kind: ContextKind) -> String {
    let near = match error.get(kind) {
        Some(ContextValue::String(near)) => near.clone(),
        Some(ContextValue::Strings(near)) => near.join("' or '"),
        _ => return "; see --help".to_owned(),
    };
    format!("; did you mean '{near}'?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{Io, Workers};

    fn from(
        argv: &[&str],
        settings: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Result<Args, Refusal> {
        let argv: Vec<OsString> =
            std::iter::once("test").chain(argv.iter().copied()).map(OsString::from).collect();
        let settings: Vec<(String, String)> =
            settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let environment = |name: &str| {
            environment.iter().find(|(given, _)| *given == name).map(|(_, value)| value.into())
        };
        let sources = Sources { settings: &settings, environment: &environment };
        let (matches, surroundings) = sources.resolve(Args::command(), &argv)?;
        Ok(Args { surroundings, ..Args::from_arg_matches(&matches).unwrap() })
    }

    fn sentence(argv: &[&str], settings: &[(&str, &str)], environment: &[(&str, &str)]) -> String {
        match from(argv, settings, environment).unwrap_err() {
            Refusal::Usage(sentence) => sentence,
            Refusal::Asked(text) | Refusal::Failed(text) => panic!("asked for {text}"),
        }
    }

    #[test]
    fn command_line_wins_over_settings_over_environment_over_default() {
        let environment = [("HURRICANE_PORT", "8200")];
        let settings = [("PORT", "8100")];
        assert_eq!(from(&[], &[], &[]).unwrap().port, 8000);
        assert_eq!(from(&[], &[], &environment).unwrap().port, 8200);
        assert_eq!(from(&[], &settings, &environment).unwrap().port, 8100);
        assert_eq!(from(&["--port", "8300"], &settings, &environment).unwrap().port, 8300);
    }

    #[test]
    fn an_explicit_value_wins_even_when_it_equals_the_default() {
        assert_eq!(from(&["--port=8000"], &[], &[("HURRICANE_PORT", "8200")]).unwrap().port, 8000);
    }

    #[test]
    fn a_bad_value_that_loses_is_not_looked_at() {
        let args = from(&["--port", "1"], &[("port", "x")], &[("HURRICANE_PORT", "y")]);
        assert_eq!(args.unwrap().port, 1);
    }

    #[test]
    fn a_bad_value_is_one_sentence_that_names_its_source() {
        let expected = "cannot be 'abc': expected a port from 0 (the kernel chooses) to 65535";
        assert_eq!(sentence(&["--port", "abc"], &[], &[]), format!("--port {expected}"));
        assert_eq!(
            sentence(&[], &[("HURRICANE_PORT", "abc")], &[]),
            format!("setting HURRICANE_PORT {expected}")
        );
        assert_eq!(
            sentence(&[], &[("port", "abc")], &[]),
            format!("setting HURRICANE_PORT {expected}")
        );
        assert_eq!(
            sentence(&[], &[], &[("HURRICANE_PORT", "abc")]),
            format!("variable HURRICANE_PORT {expected}")
        );
        assert_eq!(
            sentence(&["--io", "kqueue"], &[], &[]),
            "--io cannot be 'kqueue': expected auto, io-uring, epoll"
        );
        assert_eq!(
            sentence(&[], &[], &[("HURRICANE_NO_PROBE", "perhaps")]),
            "variable HURRICANE_NO_PROBE cannot be 'perhaps': expected true or false (1, yes, on; \
             0, no, off)"
        );
        assert_eq!(sentence(&["--port"], &[], &[]), "--port needs a value");
        assert_eq!(
            sentence(&["--port="], &[], &[]),
            format!("--port {}", expected.replace("abc", ""))
        );
        assert_eq!(
            sentence(&["--probe-prot", "1"], &[], &[]),
            "unknown flag '--probe-prot'; did you mean '--probe-port'?"
        );
        assert_eq!(sentence(&["surplus"], &[], &[]), "unknown flag 'surplus'; see --help");
        assert_eq!(sentence(&[], &[("COLOUR", "1")], &[]), "setting COLOUR is not a flag of serve");
    }

    #[test]
    fn switches_in_the_environment_are_real_booleans() {
        for (value, expected) in [
            ("false", false),
            ("0", false),
            ("no", false),
            ("off", false),
            ("", false),
            ("1", true),
        ] {
            let args = from(&[], &[], &[("HURRICANE_NO_PROBE", value)]).unwrap();
            assert_eq!(args.no_probe, expected, "{value:?}");
        }
        assert!(from(&["--no-probe"], &[], &[]).unwrap().no_probe);
        assert!(
            !from(&["--no-probe=false"], &[], &[("HURRICANE_NO_PROBE", "1")]).unwrap().no_probe
        );
        assert!(from(&["--no-probe"], &[("no-probe", "False")], &[]).unwrap().no_probe);
        assert!(
            !from(&[], &[("no_probe", "False")], &[("HURRICANE_NO_PROBE", "1")]).unwrap().no_probe
        );
    }

    #[test]
    fn variables_of_a_service_named_hurricane_are_ignored_with_a_warning() {
        let environment = [
            ("HURRICANE_PORT", "tcp://10.0.0.1:8000"),
            ("HURRICANE_SERVICE_HOST", "10.0.0.1"),
            ("KUBERNETES_SERVICE_HOST", "10.0.0.2"),
        ];
        let args = from(&[], &[], &environment).unwrap();
        assert_eq!(args.port, 8000);
        assert!(args.surroundings.kubernetes);
        assert_eq!(args.surroundings.warnings.len(), 1);
        assert!(args.surroundings.warnings[0].contains("HURRICANE_PORT"));
    }

    #[test]
    fn the_last_of_repeated_flags_counts() {
        assert_eq!(from(&["--port", "1", "--port", "2"], &[], &[]).unwrap().port, 2);
    }

    fn commands(
        argv: &[&str],
        settings: &[(&str, &str)],
        variable: &str,
    ) -> Result<Vec<String>, Refusal> {
        let argv: Vec<OsString> =
            std::iter::once(&"test").chain(argv).map(OsString::from).collect();
        let settings: Vec<(String, String)> =
            settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let environment = |name: &str| (name == "HURRICANE_COMMAND").then(|| variable.into());
        let sources = Sources { settings: &settings, environment: &environment };
        let (matches, _) = sources.resolve(ProjectArgs::command(), &argv)?;
        let preparation = ProjectArgs::from_arg_matches(&matches).unwrap().preparation;
        Ok(preparation.commands.into_iter().map(|command| command.0.join("|")).collect())
    }

    #[test]
    fn a_repeatable_flag_keeps_all_that_one_source_gives() {
        let typed = ["--command", "a 'b c'", "--command=d"];
        assert_eq!(commands(&typed, &[("COMMAND", "e")], "f").unwrap(), ["a|b c", "d"]);
        let settings = [("HURRICANE_COMMAND", r#"["e", "f g"]"#)];
        assert_eq!(commands(&[], &settings, "h").unwrap(), ["e", "f|g"]);
        assert_eq!(commands(&[], &[], "\n a b\n\nc\n").unwrap(), ["a|b", "c"]);
        assert_eq!(commands(&[], &[], r#" ["a 'x y'", "c"]"#).unwrap(), ["a|x y", "c"]);
        assert_eq!(commands(&[], &[], "").unwrap(), [""; 0]);
    }

    #[test]
    fn a_bad_list_is_one_sentence_that_names_its_source() {
        assert_eq!(
            commands(&[], &[], "[migrate]").unwrap_err(),
            Refusal::Usage(
                "variable HURRICANE_COMMAND cannot be '[migrate]': expected one value a line, or \
                 a JSON list of texts"
                    .to_owned()
            )
        );
        assert_eq!(
            commands(&[], &[], "migrate\nshell -c 'x").unwrap_err(),
            Refusal::Usage(
                "variable HURRICANE_COMMAND cannot be 'shell -c 'x': expected a management \
                 command and its arguments, quoted as for a shell, such as 'collectstatic \
                 --no-input'"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_consumer_takes_the_broker_from_flags_settings_and_variables() {
        let consumer = |argv: &[&str], settings: &[(&str, &str)]| {
            let argv: Vec<OsString> =
                std::iter::once(&"test").chain(argv).map(OsString::from).collect();
            let settings: Vec<(String, String)> =
                settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let environment = |name: &str| {
                let found = match name {
                    "AMQP_HOST" => "variable",
                    "AMQP_PORT" => "tcp://10.0.0.1:5672",
                    "HURRICANE_MAX_LIFETIME" => "7",
                    _ => return None,
                };
                Some(found.into())
            };
            let sources = Sources { settings: &settings, environment: &environment };
            consumer_from(&sources, &argv)
        };
        let host = |argv: &[&str], settings: &[(&str, &str)]| {
            consumer(argv, settings).unwrap().consumer.amqp_host.unwrap()
        };
        let settings = [("AMQP_HOST", "setting")];
        assert_eq!(host(&[], &[]), "variable");
        assert_eq!(host(&[], &settings), "setting");
        assert_eq!(host(&["--amqp-host", "typed"], &settings), "typed");
        let given = consumer(&["--probe-port=9"], &[("AMQP_VHOST", "/shop")]).unwrap();
        assert_eq!((given.args.probe_port, given.args.max_lifetime), (Some(9), 7));
        assert_eq!(given.consumer.amqp_vhost, "/shop");
        assert_eq!(given.consumer.amqp_port, None);
        assert!(given.args.surroundings.warnings[0].contains("a Service named amqp"));
        let refused = |argv| match consumer(argv, &[]).unwrap_err() {
            Refusal::Usage(sentence) => sentence,
            other => panic!("{other:?}"),
        };
        assert!(refused(&["--workers", "2"]).starts_with("unknown flag '--workers'"));
        assert_eq!(
            refused(&["--probe-port=x"]),
            "--probe-port cannot be 'x': expected a port from 0 (the kernel chooses) to 65535"
        );
    }

    #[test]
    fn flags_of_projects_are_refused_elsewhere() {
        for flag in ["--command=migrate", "--check-migrations", "--check-migrations-apply"] {
            let name = flag.split('=').next().unwrap();
            assert_eq!(
                sentence(&[flag], &[], &[]),
                format!("{name} needs a Django project: it is a flag of manage.py serve only")
            );
        }
        // A variable for a project beside it says nothing to a server that has no such flag.
        assert!(from(&[], &[], &[("HURRICANE_COMMAND", "migrate")]).is_ok());
    }

    #[test]
    fn choices_do_not_mind_case_and_spelling() {
        assert_eq!(from(&["--io", "IO_URING"], &[], &[]).unwrap().io, Io::IoUring);
        assert!(from(&["--log-level", "WARNING"], &[], &[]).is_ok());
        assert_eq!(from(&[], &[], &[]).unwrap().workers, Workers::Auto);
    }

    #[test]
    fn the_console_script_serves_prints_and_refuses() {
        let run = |words: &[&str]| console(&words.iter().map(OsString::from).collect::<Vec<_>>());
        let asked = run(&["hurricane", "serve", "project.wsgi:application", "--port", "1"]);
        let Ok(Asked::Serve(serve)) = asked else { panic!("{asked:?}") };
        assert_eq!((serve.application.as_str(), serve.args.port), ("project.wsgi:application", 1));
        for words in
            [&["hurricane", "--version"][..], &["hurricane", "man"], &["hurricane", "serve", "-h"]]
        {
            assert!(
                matches!(run(words), Err(Refusal::Asked(text)) if !text.is_empty()),
                "{words:?}"
            );
        }
        let Err(Refusal::Asked(completions)) = run(&["hurricane", "completions", "bash"]) else {
            panic!("no completions");
        };
        assert!(completions.contains("--heartbeat-timeout"));
        let usage = |words: &[&str]| match run(words) {
            Err(Refusal::Usage(sentence)) => sentence,
            other => panic!("{other:?}"),
        };
        assert_eq!(usage(&["hurricane", "serve"]), "<APP> is missing");
        assert_eq!(
            usage(&["hurricane", "server"]),
            "unknown subcommand 'server'; did you mean 'serve'?"
        );
        assert_eq!(
            usage(&["hurricane"]),
            "a subcommand is missing: expected serve, compress, healthcheck, completions or man"
        );
    }
}
