//! Names of users and groups, from `/etc/passwd` and `/etc/group` (passwd(5), group(5)). Both have the name in the first
//! field and the number in the third. Accounts that only a directory service knows go by their number.

use std::fs;

/// The name of a user, if there is one.
pub(super) fn user(uid: u32) -> Option<String> {
    name(&read("/etc/passwd"), uid)
}

/// The name of a group, if there is one.
pub(super) fn group(gid: u32) -> Option<String> {
    name(&read("/etc/group"), gid)
}

/// The number of a group that is named, or given by its number.
pub(super) fn gid(group: &str) -> Option<u32> {
    number(&read("/etc/group"), group)
}

fn read(path: &str) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn entries(text: &str) -> impl Iterator<Item = (&str, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        Some((name, fields.nth(1)?.parse().ok()?))
    })
}

fn name(text: &str, id: u32) -> Option<String> {
    entries(text).find(|(_, number)| *number == id).map(|(name, _)| name.to_owned())
}

fn number(text: &str, name: &str) -> Option<u32> {
    let named = entries(text).find(|(entry, _)| *entry == name).map(|(_, id)| id);
    // The last number is "no group" for the system (chown(2)).
    named.or_else(|| name.parse().ok()).filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "root:x:0:\n# a comment:x:7:\nbroken\nno-number:x:x:\nstaff:x:50:ana,bo\n1000:x:77:\n::5:\n";

    #[test]
    fn names_and_numbers_are_found() {
        assert_eq!(name(TEXT, 0).as_deref(), Some("root"));
        assert_eq!(name(TEXT, 50).as_deref(), Some("staff"));
        assert_eq!((name(TEXT, 7), name(TEXT, 5), name(TEXT, 6)), (None, None, None));
        assert_eq!(number(TEXT, "staff"), Some(50));
        assert_eq!(number(TEXT, "51"), Some(51), "a number without an entry");
        assert_eq!(number(TEXT, "1000"), Some(77), "a name goes before a number");
        assert_eq!((number(TEXT, "nobody-knows"), number(TEXT, ""), number(TEXT, "-1")), (None, None, None));
        assert_eq!(number(TEXT, "4294967295"), None);
        assert_eq!(user(0).as_deref(), Some("root"), "on this system");
    }
}
