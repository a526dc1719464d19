//! Who may ask what, proved with other users' credentials. They need root; without it these say so and pass.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};

use super::super::client;
use super::*;

/// Numbers that no account has.
const STRANGER: u32 = 987_651;
const GROUP: u32 = 987_652;
const OTHER_GROUP: u32 = 987_653;

/// Does `work` as another user. On Linux a thread has credentials of its own, and this one does not outlive it.
fn become_other<T: Send + 'static>(groups: &[u32], work: impl FnOnce() -> T + Send + 'static) -> T {
    let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let thread = std::thread::spawn(move || {
        set_thread_groups(&groups).expect("root may");
        set_thread_gid(Gid::from_raw(STRANGER)).expect("root may");
        set_thread_uid(Uid::from_raw(STRANGER)).expect("root may");
        work()
    });
    thread.join().expect("no panic")
}

/// A folder of that mode, whatever the umask.
fn folder(mode: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    set_permissions(folder.path(), Permissions::from_mode(mode)).expect("ours");
    folder
}

/// A site whose group is [`GROUP`], in a folder that everybody can look into; `None` without root.
fn site(mode: u32) -> Option<Site> {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return None;
    }
    let folder = folder(0o755);
    let path = folder.path().join("control.sock");
    let (fake, gate) = Fake::new();
    let rule = Rule::configured(Some(&GROUP.to_string())).expect("a number");
    let server = Server::start(&path, rule, fake.clone()).expect("started");
    let file = std::fs::metadata(&path).expect("there");
    assert_eq!((file.gid(), file.mode() & 0o777), (GROUP, 0o660), "the socket is the group's");
    set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
    let (seen, sought) = (path.clone(), path.clone());
    let reachable = become_other(&[], move || std::fs::metadata(seen).is_ok());
    if !reachable {
        eprintln!("skipped: {} is in a folder that not everybody may look into", sought.display());
        return None;
    }
    Some(Site { server: Some(server), fake, gate, path, _folder: folder })
}

#[test]
fn the_sockets_mode_keeps_others_out() {
    let Some(site) = site(0o660) else { return };
    let path = site.path.clone();
    let (asked, connected) =
        become_other(&[OTHER_GROUP], move || (client::query(&path, LONG), Client::connect(&path, LONG)));
    assert_eq!(asked.expect_err("not for it").kind(), Kind::Permission);
    let error = connected.expect_err("not for it");
    assert_eq!(error.kind(), Kind::Permission);
    assert!(error.to_string().contains("join the socket's group"), "{error}");
}

#[test]
fn a_member_by_supplementary_group_is_served() {
    let Some(site) = site(0o660) else { return };
    let path = site.path.clone();
    let reply = become_other(&[OTHER_GROUP, GROUP], move || {
        ask(&mut Client::connect(&path, LONG).expect("connected"), Command::Describe, b"abc")
    });
    let reply = reply.expect("a member");
    assert_eq!(reply.body, b"cba");
    assert_eq!(reply.value["actor"], format!("uid {STRANGER}, pid {}", std::process::id()));
}

#[test]
fn a_member_of_very_many_groups_is_served() {
    let Some(site) = site(0o660) else { return };
    let path = site.path.clone();
    let mut groups: Vec<u32> = (1_000_000..1_000_500).collect();
    groups.insert(0, GROUP);
    let asked = become_other(&groups, move || {
        ask(&mut Client::connect(&path, LONG).expect("connected"), Command::Describe, b"")
    });
    assert!(asked.is_ok(), "{asked:?}");
}

/// Even where the socket's mode was opened by hand.
#[test]
fn who_is_no_member_may_ask_for_the_status_and_nothing_else() {
    let Some(site) = site(0o666) else { return };
    let path = site.path.clone();
    let (status, short, long, events) = become_other(&[OTHER_GROUP], move || {
        let client = || Client::connect(&path, LONG).expect("connected");
        let long = Command::Trust { key: "0".repeat(100_000), label: String::new() };
        (
            client::query(&path, LONG),
            ask(&mut client(), Command::Describe, &[0; 1000]),
            ask(&mut client(), long, &vec![0; 8 << 20]),
            ask_events(&mut client(), &Question::Head),
        )
    });
    assert!(status.is_ok(), "{status:?}");
    for refused in [short, long, events] {
        let error = refused.expect_err("no member");
        assert_eq!(error.kind(), Kind::Permission, "{error}");
        let words = format!("join the group {GROUP} (`usermod -aG {GROUP} USER`");
        assert!(error.to_string().contains(&words), "{error}");
    }
    assert_eq!(site.fake.done(), 0);
}

#[test]
fn root_is_served_whatever_the_group() {
    let Some(site) = site(0o660) else { return };
    site.assert_well();
}

/// A daemon that is not root can give the socket only to groups that it is in.
#[test]
fn a_group_that_the_daemon_is_not_in_is_told_with_what_to_do() {
    if site(0o660).is_none() {
        return;
    }
    let folder = folder(0o777);
    let path = folder.path().join("control.sock");
    let start = |groups: &[u32]| {
        let path = path.clone();
        become_other(groups, move || {
            let rule = Rule::configured(Some(&GROUP.to_string())).expect("a number");
            Server::start(&path, rule, Fake::new().0).map(drop)
        })
    };
    let error = start(&[OTHER_GROUP]).expect_err("not its group");
    assert_eq!(error.kind(), Kind::Permission, "{error}");
    assert!(error.to_string().contains(&format!("SupplementaryGroups={GROUP}")), "{error}");
    start(&[GROUP]).expect("its group");
}
