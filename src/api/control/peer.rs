//! Who is at the other end of the socket, and whether it may give commands.
//!
//! ```text
//!  connect() ─▶ the kernel keeps pid, uid, gid (SO_PEERCRED) and the supplementary groups (SO_PEERGROUPS) of that moment
//!                     │
//!                   Peer ─▶ allowed(peer, rule):  root?  the daemon's user?  a member of the group?   else Permission
//! ```
//!
//! See unix(7) and socket(7). What a client writes plays no part.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;

use super::accounts;
use crate::base::error::{Error, Result};
use crate::err;
use crate::gallery::command::Actor;

/// Most supplementary groups a Linux process has (`NGROUPS_MAX`).
const MOST_GROUPS: usize = 65_536;

/// A process that connected, as it was when it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Process id; 0 if it lives in a container that we cannot see into.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Peer {
    /// The process at the other end of `socket`.
    ///
    /// # Errors
    /// What the system says: of a socket that is connected, nothing.
    pub fn of(socket: &impl AsRawFd) -> io::Result<Self> {
        // struct ucred: pid, uid, gid, 32 bits each. Read as numbers, because a pid of 0 is possible.
        let mut credentials = [0; 3];
        if socket_option(socket, libc::SO_PEERCRED, &mut credentials)? != credentials.len() {
            return Err(ErrorKind::InvalidData.into());
        }
        let [pid, uid, gid] = credentials;
        Ok(Self { pid, uid, gid, groups: groups(socket)? })
    }

    /// Ourselves.
    pub fn this_process() -> Self {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { pid: std::process::id(), uid, gid, groups: Vec::new() }
    }

    /// As the audit log names it: `uid 1000 (ana), pid 4711`.
    pub fn actor(&self) -> Actor {
        let name = accounts::user(self.uid).map(|name| format!(" ({name})")).unwrap_or_default();
        Actor(format!("uid {}{name}, pid {}", self.uid, self.pid))
    }
}

fn groups(socket: &impl AsRawFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0; 32];
    loop {
        match socket_option(socket, libc::SO_PEERGROUPS, &mut groups) {
            Ok(count) => {
                groups.truncate(count);
                return Ok(groups);
            }
            Err(e) if e.raw_os_error() == Some(libc::ERANGE) && groups.len() < MOST_GROUPS => {
                groups.resize(groups.len() * 2, 0);
            }
            // A kernel before 4.13: the group must then be the primary one.
            Err(e) if e.raw_os_error() == Some(libc::ENOPROTOOPT) => return Ok(Vec::new()),
            Err(e) => return Err(e),
        }
    }
}

/// Reads an option that consists of 32-bit numbers. Returns how many there are.
#[allow(unsafe_code, reason = "getsockopt of SO_PEERGROUPS has no safe wrapper")]
fn socket_option(socket: &impl AsRawFd, option: libc::c_int, numbers: &mut [u32]) -> io::Result<usize> {
    let size = size_of_val(numbers);
    let mut length = libc::socklen_t::try_from(size).map_err(|_| ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open while `socket` is borrowed. The kernel writes at most `length` bytes to `numbers`,
    // which is that long, borrowed exclusively, and may hold any bits; and `length` itself, which is ours.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            numbers.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(length).unwrap_or(size).min(size) / size_of::<u32>())
}

/// Who may give gallery commands and read events, besides root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    uid: u32,
    gid: u32,
}

impl Rule {
    /// The user and the primary group of this process.
    pub fn own() -> Self {
        Self { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }

    /// `control.group`: the user of this process and that group, by name or number. `None`: the primary group.
    ///
    /// # Errors
    /// `Config`, when there is no such group.
    pub fn configured(group: Option<&str>) -> Result<Self> {
        Self::of_key("control.group", group)
    }

    /// The same of another key of the configuration.
    ///
    /// # Errors
    /// As [`Rule::configured`].
    pub fn of_key(key: &str, group: Option<&str>) -> Result<Self> {
        let Some(group) = group else { return Ok(Self::own()) };
        let gid = accounts::gid(group).ok_or_else(|| {
            err!(
                Config,
                "{key}: no group {group:?} in /etc/group; make it with `groupadd --system NAME`, or give the \
                 number of a group that a directory service knows"
            )
        })?;
        Ok(Self { gid, ..Self::own() })
    }

    /// Number of the group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The group for a message: its name, else its number.
    pub fn group(&self) -> String {
        accounts::group(self.gid).unwrap_or_else(|| self.gid.to_string())
    }

    /// The answer to whoever may not.
    pub(super) fn refusal(&self, peer: &Peer) -> Error {
        let group = self.group();
        err!(
            Permission,
            "control.socket: uid {} may neither give gallery commands nor read events; use sudo, or join the group {group} \
             (`usermod -aG {group} USER`, then log in again)",
            peer.uid
        )
    }
}

/// True if `peer` may give gallery commands: root, the daemon's own user, and members of the group.
pub fn allowed(peer: &Peer, rule: &Rule) -> bool {
    peer.uid == 0 || peer.uid == rule.uid || peer.gid == rule.gid || peer.groups.contains(&rule.gid)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::base::error::Kind;

    #[test]
    fn root_the_daemons_user_and_members_may_and_nobody_else() {
        let rule = Rule { uid: 500, gid: 600 };
        let may =
            |uid, gid, groups: &[u32]| allowed(&Peer { pid: 1, uid, gid, groups: groups.to_vec() }, &rule);
        assert!(may(0, 0, &[]), "root");
        assert!(may(500, 1, &[]), "the daemon's user");
        assert!(may(1, 600, &[]), "by primary group");
        assert!(may(1, 1, &[2, 600, 3]), "by a supplementary group");
        assert!(!may(1, 1, &[2, 3]));
        assert!(!may(600, 500, &[500]), "a user's number is no group's");
        assert!(!may(1, 0, &[0]), "the group root is not the user root");
    }

    #[test]
    fn the_kernel_tells_who_is_at_the_other_end() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let peer = Peer::of(&ours).expect("credentials");
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert_eq!(peer.gid, rustix::process::getegid().as_raw());
        let mut own: Vec<u32> =
            rustix::process::getgroups().expect("groups").iter().map(|g| g.as_raw()).collect();
        let mut groups = peer.groups.clone();
        own.sort_unstable();
        groups.sort_unstable();
        assert_eq!(groups, own);
        assert!(allowed(&peer, &Rule::own()));
        let actor = peer.actor().0;
        assert!(actor.starts_with(&format!("uid {}", peer.uid)), "{actor}");
        assert!(actor.ends_with(&format!(", pid {}", peer.pid)), "{actor}");
    }

    #[test]
    fn an_unknown_group_names_the_key() {
        let error = Rule::configured(Some("no such group")).expect_err("unknown");
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains("control.group"), "{error}");
        assert_eq!(Rule::configured(None).expect("own"), Rule::own());
        assert_eq!(Rule::configured(Some("root")).expect("known").gid(), 0);
        assert_eq!(Rule::configured(Some("4711")).expect("a number").gid(), 4711);
    }
}
