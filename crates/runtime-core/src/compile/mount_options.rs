//! Mount options as `mount(8)` and the OCI specification name them.

use crate::plan::Attr;

/// What a list of options means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MountOptions {
    /// `MS_*` flags for a new file system.
    pub flags: u64,
    /// Mount attributes, each as it is named.
    pub attr: Attr,
    /// Whether any was named.
    attr_is_named: bool,
    /// The attribute of `noatime`, `relatime` or `strictatime`: what only takes one back changes no
    /// bind mount.
    access_time: Option<u64>,
    /// Mount attributes for the whole tree.
    pub recursive_attr: Attr,
    /// `MS_*` propagation, 0 where none is given.
    pub propagation: u64,
    pub recursive_propagation: bool,
    pub bind: bool,
    pub recursive: bool,
    /// What only the file system itself understands.
    pub data: Vec<String>,
    /// Whether the mount gets an id map of its own, or the container's.
    pub id_map: Option<IdMapDepth>,
    /// Whether what the mount covers is copied into it.
    pub copy_up: bool,
    /// Whether what is mounted there already is changed, in place of a new mount.
    pub remount: bool,
    /// The id map of `idmap=`, as it is written.
    pub id_map_text: Option<String>,
    /// What is done with symbolic links in the last place of source and destination.
    pub links: Links,
}

/// Symbolic links in the last place of a bind mount's paths, as crun has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Links {
    /// A link at the source is mounted itself (`src-nofollow`).
    pub source: bool,
    /// A link at the destination is covered itself (`dest-nofollow`).
    pub destination: bool,
    /// A link at the source is made at the destination, not mounted (`copy-symlink`).
    pub copied: bool,
}

/// How far an id map reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdMapDepth {
    /// The mount itself (`idmap`).
    One,
    /// The mounts below as well (`ridmap`).
    Tree,
}

const ATIME: u64 = libc::MOUNT_ATTR__ATIME;

/// Name, flag of mount(2), attribute of mount_setattr(2).
const SET: [(&str, u64, u64); 10] = [
    ("ro", libc::MS_RDONLY, libc::MOUNT_ATTR_RDONLY),
    ("nosuid", libc::MS_NOSUID, libc::MOUNT_ATTR_NOSUID),
    ("nodev", libc::MS_NODEV, libc::MOUNT_ATTR_NODEV),
    ("noexec", libc::MS_NOEXEC, libc::MOUNT_ATTR_NOEXEC),
    (
        "nodiratime",
        libc::MS_NODIRATIME,
        libc::MOUNT_ATTR_NODIRATIME,
    ),
    ("nosymfollow", MS_NOSYMFOLLOW, libc::MOUNT_ATTR_NOSYMFOLLOW),
    ("sync", libc::MS_SYNCHRONOUS, 0),
    ("dirsync", libc::MS_DIRSYNC, 0),
    ("iversion", libc::MS_I_VERSION, 0),
    ("lazytime", libc::MS_LAZYTIME, 0),
];

const MS_NOSYMFOLLOW: u64 = 256;

/// The opposites of [`SET`].
const CLEAR: [(&str, &str); 10] = [
    ("rw", "ro"),
    ("suid", "nosuid"),
    ("dev", "nodev"),
    ("exec", "noexec"),
    ("diratime", "nodiratime"),
    ("symfollow", "nosymfollow"),
    ("async", "sync"),
    ("noiversion", "iversion"),
    ("nolazytime", "lazytime"),
    ("loud", "silent"),
];

/// Access time options of a mount: what sets a flag, what takes it back, the flag, and the attribute
/// where it is set, the strongest first, as mount(2) has it.
const ACCESS_TIME: [(&str, &str, u64, u64); 3] = [
    (
        "strictatime",
        "nostrictatime",
        libc::MS_STRICTATIME,
        libc::MOUNT_ATTR_STRICTATIME,
    ),
    (
        "noatime",
        "atime",
        libc::MS_NOATIME,
        libc::MOUNT_ATTR_NOATIME,
    ),
    (
        "relatime",
        "norelatime",
        libc::MS_RELATIME,
        libc::MOUNT_ATTR_RELATIME,
    ),
];

/// What a bind mount loses that names attributes, and not these.
const CLEARED_UNLESS_NAMED: u64 = libc::MOUNT_ATTR_RDONLY
    | libc::MOUNT_ATTR_NOSUID
    | libc::MOUNT_ATTR_NODEV
    | libc::MOUNT_ATTR_NOEXEC
    | libc::MOUNT_ATTR_NOSYMFOLLOW;

const PROPAGATION: [(&str, u64); 4] = [
    ("private", libc::MS_PRIVATE),
    ("slave", libc::MS_SLAVE),
    ("shared", libc::MS_SHARED),
    ("unbindable", libc::MS_UNBINDABLE),
];

/// Options about how to mount; `idmap` and `ridmap` have a place of their own in features-linux.md.
const WAYS: [&str; 7] = [
    "bind",
    "copy-symlink",
    "dest-nofollow",
    "rbind",
    "remount",
    "src-nofollow",
    "tmpcopyup",
];

/// Options without effect: the defaults, and what kernels have dropped.
const IGNORED: [&str; 5] = ["defaults", "mand", "nomand", "silent", "loud"];

impl MountOptions {
    pub(super) fn parse(options: &[String]) -> Self {
        let mut all = Self::default();
        for option in options {
            if !all.known(option) {
                all.data.push(option.clone());
            }
        }
        all
    }

    /// What a bind mount changes of the mount that it clones, as runc's remounting does: who names one
    /// attribute names all of them, and access times stay as they are unless named.
    ///
    /// `locked`: what a user namespace may not clear stays unless it is named.
    pub(super) fn bind_attr(&self, locked: bool) -> Attr {
        if !self.attr_is_named {
            return Attr::default();
        }
        let times = ATIME | libc::MOUNT_ATTR_NODIRATIME;
        let mut set = self.attr.set & !ATIME;
        let cleared = if locked {
            libc::MOUNT_ATTR_NOSYMFOLLOW
        } else {
            CLEARED_UNLESS_NAMED
        };
        let mut clear = self.attr.clear & !times | cleared & !set;
        if self.access_time.is_some() || set & times != 0 {
            clear |= ATIME | libc::MOUNT_ATTR_NODIRATIME & !set;
            set |= self.access_time.unwrap_or(libc::MOUNT_ATTR_RELATIME);
        }
        Attr { set, clear }
    }

    fn known(&mut self, option: &str) -> bool {
        if IGNORED.contains(&option) {
            return true;
        }
        for (prefix, depth) in [("idmap=", IdMapDepth::One), ("ridmap=", IdMapDepth::Tree)] {
            if let Some(map) = option.strip_prefix(prefix) {
                self.id_map = Some(depth);
                self.id_map_text = Some(map.to_owned()).filter(|map| !map.is_empty());
                return true;
            }
        }
        match option {
            "bind" => self.bind = true,
            "idmap" => self.id_map = Some(IdMapDepth::One),
            "ridmap" => self.id_map = Some(IdMapDepth::Tree),
            "tmpcopyup" => self.copy_up = true,
            "src-nofollow" => self.links.source = true,
            "dest-nofollow" => self.links.destination = true,
            "copy-symlink" => self.links.copied = true,
            "remount" => self.remount = true,
            "rbind" => {
                self.bind = true;
                self.recursive = true;
            }
            _ => {
                return self.switch(option)
                    || self.access_time(option)
                    || self.propagation(option)
                    || self.recursive(option);
            }
        }
        true
    }

    fn switch(&mut self, option: &str) -> bool {
        if let Some((_, flag, bit)) = SET.iter().find(|(name, ..)| *name == option) {
            self.attr_is_named = true;
            self.flags |= flag;
            add(&mut self.attr, *bit);
            return true;
        }
        let opposite = CLEAR.iter().find(|(name, _)| *name == option);
        let cleared = opposite.and_then(|(_, of)| SET.iter().find(|(name, ..)| name == of));
        if let Some((_, flag, bit)) = cleared {
            self.attr_is_named = true;
            self.flags &= !flag;
            remove(&mut self.attr, *bit);
        }
        cleared.is_some()
    }

    fn access_time(&mut self, option: &str) -> bool {
        let Some((set, _, flag, _)) = ACCESS_TIME
            .iter()
            .find(|(set, clear, ..)| [*set, *clear].contains(&option))
        else {
            return false;
        };
        if option == *set {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
        let strongest = ACCESS_TIME
            .iter()
            .find(|(.., flag, _)| self.flags & flag != 0);
        self.access_time = strongest.map(|(.., attr)| *attr);
        let value = self.access_time.unwrap_or(libc::MOUNT_ATTR_RELATIME);
        set_access_time(&mut self.attr, value);
        self.attr_is_named = true;
        true
    }

    fn propagation(&mut self, option: &str) -> bool {
        let (name, recursive) = match option.strip_prefix('r') {
            Some(name) => (name, true),
            None => (option, false),
        };
        let found = PROPAGATION.iter().find(|(known, _)| *known == name);
        if let Some((_, flag)) = found {
            self.propagation = *flag;
            self.recursive_propagation = recursive;
        }
        found.is_some()
    }

    /// `rro`, `rnosuid` and their kin, which change a whole tree.
    fn recursive(&mut self, option: &str) -> bool {
        let Some(name) = option.strip_prefix('r') else {
            return false;
        };
        if let Some((.., bit)) = SET
            .iter()
            .find(|(known, _, bit)| *known == name && *bit != 0)
        {
            add(&mut self.recursive_attr, *bit);
            return true;
        }
        // Without a flag of any kind, relatime is what the kernel does.
        let mut times = ACCESS_TIME
            .iter()
            .flat_map(|(set, clear, _, attr)| [(set, *attr), (clear, libc::MOUNT_ATTR_RELATIME)]);
        if let Some((_, value)) = times.find(|(known, _)| **known == name) {
            set_access_time(&mut self.recursive_attr, value);
            return true;
        }
        let opposite = CLEAR.iter().find(|(known, _)| *known == name);
        let cleared = opposite.and_then(|(_, of)| SET.iter().find(|(known, ..)| known == of));
        match cleared {
            Some((.., bit)) if *bit != 0 => {
                remove(&mut self.recursive_attr, *bit);
                true
            }
            _ => false,
        }
    }
}

fn add(attr: &mut Attr, bit: u64) {
    attr.set |= bit;
    attr.clear &= !bit;
}

fn remove(attr: &mut Attr, bit: u64) {
    attr.set &= !bit;
    attr.clear |= bit;
}

/// The kernel wants the whole field cleared whenever access time changes.
fn set_access_time(attr: &mut Attr, value: u64) {
    attr.clear |= ATIME;
    attr.set = attr.set & !ATIME | value;
}

/// All options that are understood, for `features`.
pub(crate) fn all() -> Vec<String> {
    let recursive_of = |name: &&str| format!("r{name}");
    let attributes = SET
        .iter()
        .filter(|(.., bit)| *bit != 0)
        .map(|(name, ..)| *name);
    let opposites = CLEAR
        .iter()
        .filter(|(_, of)| attributes.clone().any(|name| name == *of));
    let times = ACCESS_TIME
        .iter()
        .flat_map(|(set, clear, ..)| [*set, *clear]);
    let deep: Vec<&str> = attributes
        .clone()
        .chain(opposites.map(|(name, _)| *name))
        .chain(times.clone())
        .collect();
    let mut names: Vec<String> = deep.iter().map(recursive_of).collect();
    names.extend(SET.iter().map(|(name, ..)| (*name).to_owned()));
    names.extend(CLEAR.iter().map(|(name, _)| (*name).to_owned()));
    names.extend(times.map(str::to_owned));
    names.extend(
        PROPAGATION
            .iter()
            .flat_map(|(name, _)| [(*name).to_owned(), format!("r{name}")]),
    );
    names.extend(
        IGNORED
            .iter()
            .filter(|name| **name != "loud")
            .map(|name| (*name).to_owned()),
    );
    names.extend(WAYS.map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> MountOptions {
        MountOptions::parse(
            &options
                .iter()
                .map(|&option| option.to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn later_options_win() {
        assert_eq!(parse(&["ro", "rw"]).flags, 0);
        assert_eq!(parse(&["rw", "ro"]).attr.set, libc::MOUNT_ATTR_RDONLY);
    }

    /// As the kernel takes the flags that `mount(8)` and runc give it.
    #[test]
    fn access_times_are_taken_back_one_by_one() {
        let time = |options: &[&str]| parse(options).access_time;
        assert_eq!(time(&["noatime", "atime"]), None);
        assert_eq!(
            time(&["noatime", "norelatime"]),
            Some(libc::MOUNT_ATTR_NOATIME)
        );
        assert_eq!(
            time(&["noatime", "relatime"]),
            Some(libc::MOUNT_ATTR_NOATIME)
        );
        assert_eq!(
            time(&["strictatime", "noatime"]),
            Some(libc::MOUNT_ATTR_STRICTATIME)
        );
        assert_eq!(parse(&["relatime", "norelatime"]).flags, 0);
    }

    #[test]
    fn recursive_attributes_are_told_from_propagation() {
        let options = parse(&["rbind", "rslave", "rro", "rnosuid"]);
        assert_eq!(options.propagation, libc::MS_SLAVE);
        assert!(options.recursive_propagation && options.recursive);
        let both = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID;
        assert_eq!(options.recursive_attr.set, both);
        assert!(options.data.is_empty());
    }

    #[test]
    fn what_is_not_known_is_the_file_systems() {
        assert_eq!(
            parse(&["mode=755", "nosuid", "size=64k"]).data,
            ["mode=755", "size=64k"]
        );
    }

    #[test]
    fn every_advertised_option_is_understood() {
        for name in all() {
            let options = parse(&[&name]);
            assert!(options.data.is_empty(), "{name}");
        }
    }

    /// Every name of the tables, alone and made recursive: what is understood is advertised.
    #[test]
    fn every_option_that_is_understood_is_advertised() {
        let advertised = all();
        let names = SET.iter().map(|(name, ..)| *name);
        let names = names.chain(CLEAR.iter().map(|(name, _)| *name));
        let times = ACCESS_TIME.iter();
        let names = names.chain(times.flat_map(|(set, clear, ..)| [*set, *clear]));
        let names = names.chain(PROPAGATION.iter().map(|(name, _)| *name));
        let names = names.chain(IGNORED).chain(WAYS);
        for name in names.flat_map(|name| [name.to_owned(), format!("r{name}")]) {
            let understood = parse(&[&name]).data.is_empty();
            assert_eq!(advertised.contains(&name), understood, "{name}");
        }
        for mount_extension in ["idmap", "ridmap"] {
            assert!(parse(&[mount_extension]).id_map.is_some());
            assert!(!advertised.contains(&mount_extension.to_owned()));
        }
    }
}
