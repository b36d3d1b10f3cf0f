//! Where our cgroups are in the file tree: `/proc/self/cgroup` against `/proc/self/mountinfo`.
//!
//! The first file names our cgroup in each hierarchy, the second says which part of a hierarchy
//! is mounted where. In a container on v1 the first shows the host's path while the mount shows
//! the container's cgroup at its root: only the mount's root field brings the two together.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// The longest cgroup path or mount point that is believed (PATH_MAX).
const PATH_BYTES_MAX: usize = 4096;

/// What a hierarchy is called: v2 is the unified one, v1 has a list of controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    V1(Vec<String>),
    V2,
}

impl Hierarchy {
    fn matches(&self, controller: Option<&str>) -> bool {
        match (self, controller) {
            (Self::V1(names), Some(controller)) => names.iter().any(|name| name == controller),
            (Self::V2, None) => true,
            _ => false,
        }
    }
}

/// One line of mountinfo that mounts a cgroup file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) hierarchy: Hierarchy,
    /// The cgroup that is seen at the mount point.
    pub(crate) root: PathBuf,
    pub(crate) point: PathBuf,
}

/// One line of `/proc/self/cgroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) hierarchy: Hierarchy,
    pub(crate) cgroup: PathBuf,
}

/// One cgroup that limits us, and the directory that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) cgroup: PathBuf,
    pub(crate) directory: PathBuf,
    /// Whether we are in this cgroup itself; its ancestors follow.
    pub(crate) own: bool,
}

/// Our cgroup and every ancestor that can be seen, ours first, of one v1 controller or (`None`)
/// of v2.
pub(crate) fn levels(
    memberships: &[Membership],
    mounts: &[Mount],
    controller: Option<&str>,
) -> Vec<Level> {
    let Some(own) = memberships.iter().find(|own| own.hierarchy.matches(controller)) else {
        return Vec::new();
    };
    // The shortest root shows the most ancestors.
    let mount = mounts
        .iter()
        .filter(|mount| mount.hierarchy.matches(controller) && encloses(&mount.root, &own.cgroup))
        .min_by_key(|mount| mount.root.components().count());
    mount.map(|mount| climb(mount, &own.cgroup)).unwrap_or_default()
}

/// The cgroup mounts that can be reached: of two on one mount point the later hides the earlier.
pub(crate) fn parse_mounts(content: &[u8]) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for mount in content.split(|&byte| byte == b'\n').filter_map(parse_mount) {
        mounts.retain(|earlier| earlier.point != mount.point);
        mounts.push(mount);
    }
    mounts
}

/// Our cgroup in each hierarchy.
pub(crate) fn parse_memberships(content: &[u8]) -> Vec<Membership> {
    content.split(|&byte| byte == b'\n').filter_map(parse_membership).collect()
}

/// Whether the cgroup at a mount's root is ours or an ancestor of ours.
///
/// A root of only `..` lies above our cgroup namespace (the mount is older than the namespace):
/// it is an ancestor whatever it is called.
fn encloses(root: &Path, cgroup: &Path) -> bool {
    cgroup.starts_with(root) || is_above_namespace(root)
}

fn is_above_namespace(root: &Path) -> bool {
    root.components().any(|part| part == Component::ParentDir)
        && root.components().all(|part| !matches!(part, Component::Normal(_)))
}

fn climb(mount: &Mount, cgroup: &Path) -> Vec<Level> {
    // Above the namespace the way from the mount down to us has no names: its root alone is seen.
    let below = cgroup.strip_prefix(&mount.root).ok();
    let names: Vec<&Path> = match below {
        Some(below) if !is_above_namespace(&mount.root) => {
            if below.components().any(|part| !matches!(part, Component::Normal(_))) {
                return Vec::new();
            }
            below.ancestors().collect()
        }
        _ => vec![Path::new("")],
    };
    let own_is_seen = !is_above_namespace(&mount.root);
    names
        .into_iter()
        .enumerate()
        .map(|(above, name)| Level {
            cgroup: joined(&mount.root, name),
            directory: joined(&mount.point, name),
            own: above == 0 && own_is_seen,
        })
        .collect()
}

/// `base/name` without the trailing slash that an empty name would leave.
fn joined(base: &Path, name: &Path) -> PathBuf {
    if name.as_os_str().is_empty() { base.to_owned() } else { base.join(name) }
}

/// `36 35 98:0 /root /point opts [tags…] - type source superopts`
fn parse_mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let root = path(&unescaped(fields.nth(3)?))?;
    let point = path(&unescaped(fields.next()?))?;
    fields.find(|field| field == b"-")?;
    let hierarchy = match fields.next()? {
        b"cgroup" => Hierarchy::V1(names(fields.nth(1)?)),
        b"cgroup2" => Hierarchy::V2,
        _ => return None,
    };
    Some(Mount { hierarchy, root, point })
}

/// `4:memory,cpu:/path` of v1 or `0::/path` of v2; the path may hold colons.
fn parse_membership(line: &[u8]) -> Option<Membership> {
    let mut fields = line.splitn(3, |&byte| byte == b':');
    let number = fields.next()?;
    let hierarchy = match fields.next()? {
        b"" if number == b"0" => Hierarchy::V2,
        b"" => return None,
        controllers => Hierarchy::V1(names(controllers)),
    };
    Some(Membership { hierarchy, cgroup: path(fields.next()?)? })
}

fn names(list: &[u8]) -> Vec<String> {
    list.split(|&byte| byte == b',')
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

/// An absolute path of a sane length.
fn path(bytes: &[u8]) -> Option<PathBuf> {
    (bytes.first() == Some(&b'/') && bytes.len() <= PATH_BYTES_MAX)
        .then(|| PathBuf::from(OsString::from_vec(bytes.to_vec())))
}

/// mountinfo writes space, tab, newline and backslash as `\` and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        match tail {
            [high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', after @ ..]
                if first == b'\\' =>
            {
                plain.push((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'));
                rest = after;
            }
            _ => {
                plain.push(first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directories(cgroup: &str, mountinfo: &str, controller: Option<&str>) -> Vec<String> {
        let mounts = parse_mounts(mountinfo.as_bytes());
        levels(&parse_memberships(cgroup.as_bytes()), &mounts, controller)
            .into_iter()
            .map(|level| level.directory.display().to_string())
            .collect()
    }

    #[test]
    fn own_cgroup_comes_first_and_the_mount_point_last() {
        assert_eq!(
            directories("0::/a/b\n", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", None),
            ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]
        );
    }

    #[test]
    fn controllers_mounted_together_are_found_under_each_name() {
        let mountinfo =
            "31 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        for controller in ["cpu", "cpuacct"] {
            assert_eq!(
                directories("4:cpu,cpuacct:/\n", mountinfo, Some(controller)),
                ["/sys/fs/cgroup/cpu,cpuacct"]
            );
        }
    }

    #[test]
    fn the_host_path_is_cut_at_the_mounts_root() {
        assert_eq!(
            directories(
                "1:cpu:/docker/abc/inner\n",
                "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
                Some("cpu")
            ),
            ["/sys/fs/cgroup/cpu/inner", "/sys/fs/cgroup/cpu"]
        );
    }

    #[test]
    fn a_sibling_whose_name_begins_like_the_root_is_not_below_it() {
        let mountinfo = "32 31 0:29 /docker/ab /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n";
        assert!(directories("1:cpu:/docker/abc\n", mountinfo, Some("cpu")).is_empty());
    }

    #[test]
    fn octal_escapes_of_mountinfo_are_undone() {
        assert_eq!(unescaped(br"/my\040cgroups\134x\011"), b"/my cgroups\\x\t");
        assert_eq!(unescaped(br"\04 \999 \777 \"), br"\04 \999 \777 \");
        assert_eq!(
            directories(
                "0::/a b\n",
                "31 23 0:28 / /sys/fs/my\\040cgroup rw shared:9 master:1 - cgroup2 cgroup2 rw\n",
                None
            ),
            ["/sys/fs/my cgroup/a b", "/sys/fs/my cgroup"]
        );
    }

    #[test]
    fn of_two_mounts_on_one_point_the_later_counts() {
        assert_eq!(
            directories(
                "1:cpu:/pod/box\n",
                "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                 63 32 0:29 /pod /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
                Some("cpu")
            ),
            ["/sys/fs/cgroup/cpu/box", "/sys/fs/cgroup/cpu"]
        );
    }

    #[test]
    fn of_several_mounts_the_one_that_shows_most_ancestors_counts() {
        assert_eq!(
            directories(
                "1:cpu:/pod/box\n",
                "32 31 0:29 /pod/box /inner rw - cgroup cgroup rw,cpu\n\
                 63 32 0:29 / /outer rw - cgroup cgroup rw,cpu\n",
                Some("cpu")
            ),
            ["/outer/pod/box", "/outer/pod", "/outer"]
        );
    }

    #[test]
    fn a_mount_from_above_our_namespace_shows_only_its_root() {
        let mountinfo = "32 31 0:29 /../.. /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert_eq!(directories("1:cpu:/\n", mountinfo, Some("cpu")), ["/sys/fs/cgroup/cpu"]);
        let levels = levels(
            &parse_memberships(b"1:cpu:/\n"),
            &parse_mounts(mountinfo.as_bytes()),
            Some("cpu"),
        );
        assert!(!levels[0].own);
    }

    #[test]
    fn a_cgroup_outside_the_mount_is_never_climbed_to() {
        let mountinfo = "32 31 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert!(directories("0::/../../etc\n", mountinfo, None).is_empty());
    }

    #[test]
    fn colons_belong_to_the_path() {
        let own = parse_memberships(b"0::/a:b\n");
        assert_eq!(own[0].cgroup, Path::new("/a:b"));
    }

    #[test]
    fn named_hierarchies_are_neither_a_controller_nor_v2() {
        let mountinfo = "9 1 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
        assert!(directories("9:name=systemd:/\n", mountinfo, None).is_empty());
        assert!(directories("9:name=systemd:/\n", mountinfo, Some("cpu")).is_empty());
    }
}
