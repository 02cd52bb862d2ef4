//! Whether the daemon may open something, judged from the owner, group and mode of it: opening a serial line moves its wires, and a
//! printer's node takes one opener, so trying is no way to find out. A person who looks as root is told about the daemon's user.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The user of the unit.
const DAEMON: &str = "kassad";

/// Groups that the unit adds to that user (`systemd/kassad.service`).
const UNIT_GROUPS: [&str; 2] = ["lp", "dialout"];

/// Who is to open things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name, for cures.
    pub name: String,
    uid: u32,
    groups: Vec<u32>,
}

/// Whether and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It may be read and written.
    Granted,
    /// Its group may, and the person is not in it.
    Group(String),
    /// Nobody but its owner may.
    Owner,
}

impl Person {
    /// The user of this process; for root the daemon's user, where the machine has one.
    pub fn here(root: &Path) -> Person {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let numbers = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<u32>>()
        };
        // Real, effective, saved and of the file system: the effective one opens.
        let uid = numbers("Uid:").get(1).copied().unwrap_or(0);
        let mut groups = numbers("Groups:");
        groups.extend(numbers("Gid:").get(1));
        let daemon = (uid == 0).then(|| daemon(root)).flatten();
        daemon.unwrap_or_else(|| Person { name: name_of(root, "etc/passwd", uid), uid, groups })
    }

    /// Whether a node may be read and written.
    pub fn may_open(&self, path: &Path) -> io::Result<Permit> {
        let about = std::fs::metadata(path)?;
        let (owner, group, others) = (about.mode() >> 6 & 6, about.mode() >> 3 & 6, about.mode() & 6);
        let mine = match () {
            () if self.uid == 0 => 6,
            () if about.uid() == self.uid => owner,
            () if self.groups.contains(&about.gid()) => group,
            () => others,
        };
        Ok(match mine {
            6 => Permit::Granted,
            _ if group == 6 && about.gid() != 0 && about.uid() != self.uid => Permit::Group(about.gid().to_string()),
            _ => Permit::Owner,
        })
    }
}

/// The name of a group for a person to read.
pub fn group_name(root: &Path, gid: &str) -> String {
    gid.parse().map_or_else(|_| gid.to_owned(), |gid| name_of(root, "etc/group", gid))
}

/// Lines of `passwd` and `group`: name, password, number, the rest.
fn lines(root: &Path, file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
    text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
}

fn name_of(root: &Path, file: &str, number: u32) -> String {
    let number = number.to_string();
    let found = lines(root, file).into_iter().find(|line| line.get(2) == Some(&number));
    found.and_then(|line| line.into_iter().next()).unwrap_or(number)
}

fn daemon(root: &Path) -> Option<Person> {
    let of = |line: &[String], place: usize| line.get(place).and_then(|number| number.parse::<u32>().ok());
    let user = lines(root, "etc/passwd").into_iter().find(|line| line.first().is_some_and(|name| name == DAEMON))?;
    let is_mine = |line: &[String]| {
        let is_unit = line.first().is_some_and(|name| UNIT_GROUPS.contains(&name.as_str()));
        is_unit || line.get(3).is_some_and(|members| members.split(',').any(|member| member.trim() == DAEMON))
    };
    let mut groups: Vec<u32> =
        lines(root, "etc/group").iter().filter(|line| is_mine(line)).filter_map(|line| of(line, 2)).collect();
    groups.extend(of(&user, 3));
    Some(Person { name: DAEMON.to_owned(), uid: of(&user, 2)?, groups })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_daemon_is_in_the_groups_of_its_unit() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\nkassad:x:990:991::/:/bin/false\n")
            .unwrap();
        let group = "lp:x:7:\ndialout:x:20:max\ntty:x:5:\nshop:x:77:max,kassad\n";
        std::fs::write(root.path().join("etc/group"), group).unwrap();
        let expected = Person { name: "kassad".to_owned(), uid: 990, groups: vec![7, 20, 77, 991] };
        assert_eq!(daemon(root.path()), Some(expected));
        assert_eq!(group_name(root.path(), "20"), "dialout");
        assert_eq!(group_name(root.path(), "21"), "21");
        assert_eq!(daemon(Path::new("/nonexistent")), None);
    }

    #[test]
    fn the_mode_decides_without_opening() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (uid, gid) = file.as_file().metadata().map(|about| (about.uid(), about.gid())).unwrap();
        let set = |mode| std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let person = |uid, groups: &[u32]| Person { name: "x".to_owned(), uid, groups: groups.to_vec() };
        let (stranger, owner) = (person(uid + 1, &[gid + 1]), person(uid.max(1), &[]));
        set(0o666);
        assert_eq!(stranger.may_open(file.path()).unwrap(), Permit::Granted);
        set(0o600);
        assert_eq!(stranger.may_open(file.path()).unwrap(), Permit::Owner);
        set(0o400);
        assert_eq!(owner.may_open(file.path()).unwrap(), Permit::Owner);
        assert_eq!(person(0, &[]).may_open(file.path()).unwrap(), Permit::Granted);
        set(0o660);
        assert_eq!(person(uid + 1, &[gid]).may_open(file.path()).unwrap(), Permit::Granted);
        // A file of root's own group: nobody is put into that.
        let cure = if gid == 0 { Permit::Owner } else { Permit::Group(gid.to_string()) };
        assert_eq!(stranger.may_open(file.path()).unwrap(), cure);
    }
}
