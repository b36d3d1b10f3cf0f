//! The flags of files that the server serves itself, and the mounts that they mean.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgAction;
use hurricane_files::{Audience, Freshness, Mount, MountError, Root};

use crate::values::{duration, switch};

const YEAR: Duration = Duration::from_secs(366 * 86400);

/// Files that every server may serve.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct FileArgs {
    /// Serve the files of a directory below a path, without asking the application. May be given
    /// several times; the variable holds one a line, or a JSON list
    #[arg(long = "static-path", env = "HURRICANE_STATIC_PATH", value_name = "/PATH=DIRECTORY",
          value_parser = directory)]
    pub static_paths: Vec<DirectoryMount>,

    /// How long browsers may use a file without asking again; names that hold a hash of their
    /// content are good for ten years; 0 they ask each time
    #[arg(long, env = "HURRICANE_STATIC_MAX_AGE", value_name = "DURATION", default_value = "60s",
          value_parser = duration(Duration::ZERO..=YEAR))]
    pub static_max_age: Duration,

    /// The file that is served for a directory, such as index.html; by default none, and directories
    /// are answered 403
    #[arg(long, env = "HURRICANE_STATIC_INDEX", value_name = "NAME", value_parser = file_name)]
    pub static_index: Option<String>,

    /// Directory of files that only the application hands out, by answering with X-Accel-Redirect
    /// (/PATH/name) or X-Sendfile (DIRECTORY/name). May be given several times; the variable holds
    /// one a line, or a JSON list
    #[arg(long = "sendfile-path", env = "HURRICANE_SENDFILE_PATH", value_name = "/PATH=DIRECTORY",
          value_parser = directory)]
    pub sendfile_paths: Vec<DirectoryMount>,
}

/// Files of a Django project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct ProjectFileArgs {
    /// Serve STATIC_ROOT below STATIC_URL; with DEBUG what the staticfiles finders find
    #[arg(long = "static", env = "HURRICANE_STATIC", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub static_files: bool,

    /// Serve MEDIA_ROOT below MEDIA_URL
    #[arg(long, env = "HURRICANE_MEDIA", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub media: bool,
}

/// Tells a worker of directories that were not known before the application was loaded.
pub(crate) type LateMounts = Arc<dyn Fn() -> Vec<Mount> + Send + Sync>;

/// A path and a directory, as a flag names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryMount(Mount);

/// Files of a Django project, as its settings describe them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectMount {
    /// Path of the URLs.
    pub prefix: String,
    /// Where below it files of which directory are; the first that has a name counts.
    pub roots: Vec<(String, PathBuf)>,
    /// Names that change with their content.
    pub immutable_names: Vec<String>,
    /// Whether files are the project's own, and not what strangers have uploaded.
    pub is_static: bool,
    /// Whether files change while somebody works on them.
    pub is_development: bool,
}

impl FileArgs {
    /// The mounts of these flags.
    pub(crate) fn mounts(&self) -> Vec<Mount> {
        let public = self.static_paths.iter().map(|path| {
            let freshness = Freshness { trusts_hashes: true, ..self.freshness() };
            Mount { freshness, index: self.static_index.clone(), ..path.0.clone() }
        });
        let internal = self.sendfile_paths.iter().map(|path| Mount {
            audience: Audience::Application,
            is_precompressed: false,
            ..path.0.clone()
        });
        public.chain(internal).collect()
    }

    fn freshness(&self) -> Freshness {
        Freshness { max_age: self.static_max_age, ..Freshness::default() }
    }

    /// The mount of a project's files.
    ///
    /// # Errors
    /// When its prefix is none.
    pub fn project_mount(&self, project: ProjectMount) -> Result<Mount, MountError> {
        let mount = Mount::new(&project.prefix, PathBuf::new())?;
        let root = |(below, directory)| Root { below, directory };
        let names = project.immutable_names.into_iter().map(String::into_bytes);
        let mut freshness = Freshness {
            immutable_names: Arc::new(names.collect()),
            trusts_hashes: project.is_static && !project.is_development,
            ..self.freshness()
        };
        let mut trust = mount.trust;
        if project.is_development {
            (freshness.max_age, trust) = (Duration::ZERO, Duration::ZERO);
        }
        Ok(Mount {
            roots: project.roots.into_iter().map(root).collect(),
            is_precompressed: project.is_static && !project.is_development,
            index: self.static_index.clone().filter(|_| project.is_static),
            freshness,
            trust,
            ..mount
        })
    }
}

/// `/path=directory`
fn directory(text: &str) -> Result<DirectoryMount, String> {
    let allowed = "/path=directory, such as /files=/srv/files";
    let (path, directory) = text.split_once('=').ok_or(allowed)?;
    if directory.is_empty() {
        return Err(allowed.to_owned());
    }
    // The application may change the working directory.
    let directory = std::path::absolute(directory).map_err(|error| error.to_string())?;
    if !directory.is_dir() {
        return Err(format!("a directory that exists, which {} does not", directory.display()));
    }
    Mount::new(path, directory).map(DirectoryMount).map_err(|error| error.to_string())
}

fn file_name(text: &str) -> Result<String, &'static str> {
    let is_name = !text.is_empty() && !text.contains(['/', '\0']) && text != "." && text != "..";
    if is_name { Ok(text.to_owned()) } else { Err("the name of a file, such as index.html") }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::Args;

    fn mounts(argv: &[&str]) -> Vec<Mount> {
        let argv = std::iter::once(&"test").chain(argv);
        Args::try_parse_from(argv).unwrap().files.mounts()
    }

    #[test]
    fn paths_and_directories_become_mounts() {
        let argv = ["--static-path", "/a=/tmp", "--sendfile-path", "/b/=/", "--static-index", "i"];
        let mounts = mounts(&argv);
        let told: Vec<_> = mounts
            .iter()
            .map(|mount| (mount.prefix(), mount.audience, mount.index.as_deref()))
            .collect();
        let expected =
            [("/a/", Audience::Everyone, Some("i")), ("/b/", Audience::Application, None)];
        assert_eq!(told, expected);
        assert_eq!(mounts[0].freshness.max_age, Duration::from_secs(60));
    }

    #[test]
    fn what_is_no_directory_below_a_path_is_refused() {
        for (text, reason) in [
            ("/a", "/path=directory, such as /files=/srv/files"),
            ("/a=", "/path=directory, such as /files=/srv/files"),
            ("/=/tmp", "a path below /, such as /static/"),
            ("a=/tmp", "a path that begins with / and holds no space, ? or #"),
            ("/a=/nonexistent/d", "a directory that exists, which /nonexistent/d does not"),
        ] {
            assert_eq!(directory(text).unwrap_err(), reason, "{text}");
        }
        assert!(file_name("a/b").is_err() && file_name("..").is_err());
    }

    #[test]
    fn uploads_are_never_good_for_ever_and_their_neighbours_no_codings() {
        let args = Args::try_parse_from(["test"]).unwrap().files;
        let project = |is_static, is_development| ProjectMount {
            prefix: "/x/".into(),
            roots: vec![(String::new(), "/tmp".into())],
            immutable_names: Vec::new(),
            is_static,
            is_development,
        };
        let uploads = args.project_mount(project(false, false)).unwrap();
        assert!(!uploads.is_precompressed && !uploads.freshness.trusts_hashes);
        let own = args.project_mount(project(true, false)).unwrap();
        assert!(own.is_precompressed && own.freshness.trusts_hashes && !own.trust.is_zero());
        let development = args.project_mount(project(true, true)).unwrap();
        assert!(development.trust.is_zero() && development.freshness.max_age.is_zero());
    }
}
