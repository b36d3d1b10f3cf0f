//! Who the server runs as, once it listens: `--user` and `--group`.
//!
//! Rights are given up in the supervisor, before anything is forked and the application is loaded, so
//! that no process of the server has them afterwards. What it may need again belongs to the user by
//! then: the file of a Unix domain socket, and the listening sockets, as the kernel lets only their
//! owner add one to their group.

use std::ffi::CString;
use std::io;

use nix::sys::prctl::set_dumpable;
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, initgroups, setgid, setgroups, setuid};

use crate::config::Config;
use crate::listener::{Bound, Listeners};

/// Why the server cannot run as somebody else.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivilegeError {
    /// Nobody has that name.
    #[error("{flag} {name} is not known on this host; give a name of its /etc/{file}, or a number")]
    Unknown {
        /// Which flag.
        flag: &'static str,
        /// What it was given.
        name: String,
        /// Where names are.
        file: &'static str,
    },
    /// A number without a name has no group either.
    #[error("--user {user} has no entry in /etc/passwd that names its group; give a --group too")]
    NoGroup {
        /// What was asked for.
        user: String,
    },
    /// Only root may.
    #[error(
        "--user and --group need root, and this is user {uid}; leave them out, or start as root"
    )]
    NotRoot {
        /// Who we are.
        uid: Uid,
    },
    /// The kernel or the directory of users refuses.
    #[error("cannot run as user {uid} and group {gid}: {source}")]
    Refused {
        /// Who we shall be.
        uid: Uid,
        /// Their group.
        gid: Gid,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Who the server shall be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    uid: Uid,
    gid: Gid,
    /// Whose supplementary groups come with it.
    name: Option<CString>,
}

impl Identity {
    /// What the flags ask for; `None`: nothing else than what is.
    pub(crate) fn wanted(config: &Config) -> Result<Option<Self>, PrivilegeError> {
        let (user, group) = (config.user.as_deref(), config.group.as_deref());
        if user.is_none() && group.is_none() {
            return Ok(None);
        }
        let entry = user.map(find_user).transpose()?;
        let gid = match (group, &entry) {
            (Some(group), _) => find_group(group)?,
            (None, Some((_, Some(entry)))) => entry.gid,
            (None, _) => {
                return Err(PrivilegeError::NoGroup { user: user.unwrap_or_default().to_owned() });
            }
        };
        let (uid, entry) = entry.map_or((geteuid(), None), |(uid, entry)| (uid, entry));
        if (uid, gid) == (geteuid(), getegid()) {
            return Ok(None);
        }
        if !geteuid().is_root() {
            return Err(PrivilegeError::NotRoot { uid: geteuid() });
        }
        let name = entry.and_then(|entry| CString::new(entry.name).ok());
        Ok(Some(Self { uid, gid, name }))
    }

    /// Becomes it, for good.
    pub(crate) fn assume(
        &self,
        listeners: &mut Listeners,
        bound: &Bound,
    ) -> Result<(), PrivilegeError> {
        let Self { uid, gid, .. } = *self;
        let refused = |source| PrivilegeError::Refused { uid, gid, source };
        listeners.give_to(uid, gid, bound).map_err(refused)?;
        self.become_it().map_err(|error| refused(error.into()))
    }

    fn become_it(&self) -> nix::Result<()> {
        match &self.name {
            Some(name) => initgroups(name, self.gid)?,
            None => setgroups(&[self.gid])?,
        }
        setgid(self.gid)?;
        setuid(self.uid)?;
        // Else the kernel hides from the supervisor what /proc tells of its own children.
        set_dumpable(true)
    }
}

/// The number, and the entry where there is one: of a container's user there often is none.
fn find_user(user: &str) -> Result<(Uid, Option<User>), PrivilegeError> {
    let unknown =
        || PrivilegeError::Unknown { flag: "--user", name: user.to_owned(), file: "passwd" };
    match user.parse().map(Uid::from_raw) {
        Ok(uid) => Ok((uid, User::from_uid(uid).ok().flatten())),
        Err(_) => {
            let entry = User::from_name(user).ok().flatten().ok_or_else(unknown)?;
            Ok((entry.uid, Some(entry)))
        }
    }
}

fn find_group(group: &str) -> Result<Gid, PrivilegeError> {
    let unknown =
        || PrivilegeError::Unknown { flag: "--group", name: group.to_owned(), file: "group" };
    match group.parse().map(Gid::from_raw) {
        Ok(gid) => Ok(gid),
        Err(_) => Ok(Group::from_name(group).ok().flatten().ok_or_else(unknown)?.gid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_found() {
        assert_eq!(find_user("root").unwrap().0, Uid::from_raw(0));
        assert_eq!(find_user("4000000001").unwrap(), (Uid::from_raw(4_000_000_001), None));
        assert_eq!(find_group("root").unwrap(), Gid::from_raw(0));
        assert_eq!(find_group("4000000001").unwrap(), Gid::from_raw(4_000_000_001));
    }

    #[test]
    fn who_is_not_known_is_named() {
        let said = find_user("nobody-like-that").unwrap_err().to_string();
        assert!(said.starts_with("--user nobody-like-that is not known"), "{said}");
        let said = find_group("-1").unwrap_err().to_string();
        assert!(said.starts_with("--group -1 is not known"), "{said}");
    }
}
