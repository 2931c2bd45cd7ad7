//! The operations: a closed set of verbs, one step of a container's birth each.
//!
//! An operation has no branch and no result but success or an error number; the only variables
//! are file descriptor [`Slot`]s. Every path is either the caller's own host path, used before
//! the root file system is entered, or a path inside the root, looked up with `openat2(2)` on the
//! root's descriptor and `RESOLVE_IN_ROOT`.

use crate::wire::{Blob, Field, List, OnError, Sink, Slot, Str, Value, Words};

macro_rules! ops {
    ($($(#[$doc:meta])* $code:literal $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty),* $(,)? })*) => {
        /// One step that `init` takes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Op {
            $($(#[$doc])* $name { $($(#[$fdoc])* $field: $ty),* },)*
        }

        impl Op {
            /// The verb's name, as a printed Plan has it.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => stringify!($name),)*
                }
            }

            /// Calls `each` with every field's name and value.
            pub fn fields(&self, mut each: impl FnMut(&'static str, Value)) {
                match self {
                    $(Self::$name { $($field),* } => {
                        $(each(stringify!($field), Field::value($field));)*
                    })*
                }
                let _ = &mut each;
            }

            /// Appends the operation's words.
            pub fn encode(&self, out: &mut impl Sink) {
                match self {
                    $(Self::$name { $($field),* } => {
                        out.word($code);
                        $($field.encode(out);)*
                    })*
                }
            }

            /// Reads an operation; `None` when the words end or are not one.
            pub fn decode(words: &mut Words<'_>) -> Option<Self> {
                Some(match u32::decode(words)? {
                    $($code => Self::$name { $($field: Field::decode(words)?),* },)*
                    _ => return None,
                })
            }
        }
    };
}

ops! {
    /// Reports failure: a test's way to make a chosen step fail.
    1 Fail {
        /// The error number to report.
        errno: u32,
    }
    /// Waits for ever: a test's way to stop a container's birth at a chosen step.
    2 Park {}
    /// Sets the "dumpable" attribute (`PR_SET_DUMPABLE`), which guards `/proc/<pid>` and ptrace.
    3 Dumpable {
        /// Whether others may look.
        on: bool,
    }
    /// Empties the signal mask and gives SIGPIPE its default action again.
    4 ResetSignals {}
    /// Makes descriptor `to` a copy of `from`, kept across exec (`dup2(2)`).
    5 Dup {
        /// What to copy.
        from: Slot,
        /// The descriptor number that the program will see.
        to: u32,
    }
    /// Starts a session without a terminal (`setsid(2)`).
    6 NewSession {}
    /// Joins a new session keyring of this name (`keyctl(2)`, `KEYCTL_JOIN_SESSION_KEYRING`).
    7 SessionKeyring {
        /// The keyring's name; empty for a new one without a name.
        name: Str,
    }
    /// Moves this process into a cgroup by writing `0` to its `tasks` file.
    8 JoinCgroup {
        /// The file, open for writing.
        tasks: Slot,
        /// Its path on the host, for messages.
        path: Str,
    }
    /// Waits for the `tasks` files of the cgroup, which the caller makes while earlier operations run.
    56 AwaitCgroup {
        /// The slot of the first; those of the others follow it.
        to: Slot,
        /// How many there are.
        count: u32,
    }
    /// Leaves shared namespaces (`unshare(2)`).
    9 Unshare {
        /// `CLONE_NEW*` flags.
        flags: u32,
    }
    /// Joins a namespace, or those of a process given by pidfd (`setns(2)`).
    10 SetNs {
        /// The namespace file or pidfd.
        fd: Slot,
        /// `CLONE_NEW*` flags that must match.
        flags: u32,
    }
    /// Goes on in a new process that is a sibling of this one, and so enters a PID namespace that
    /// was joined or unshared; this process reports the other's pid and ends.
    11 Fork {}
    /// Lets the caller write the id maps of the user namespace that was just made, and waits for it.
    50 NeedMaps {}
    /// Waits until the caller has written the id maps of the user namespace that this process was born
    /// in, which it does unasked.
    76 AwaitMaps {}
    /// Becomes this user and group in a user namespace that was just entered.
    12 BecomeIds {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    }
    /// Changes how mounts spread from here on down (`mount_setattr(2)`, recursive).
    13 Propagation {
        /// A host path.
        path: Str,
        /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED` or `MS_UNBINDABLE`.
        propagation: u64,
    }
    /// Makes a procfs of this PID namespace that is never mounted anywhere.
    14 PrivateProc {
        /// Where its root goes.
        to: Slot,
    }
    /// Writes a string to a file below a private procfs.
    15 WriteProc {
        /// The private procfs.
        proc: Slot,
        /// The path below it.
        path: Str,
        /// What to write.
        data: Str,
    }
    /// Clones a mount tree from a host path (`open_tree(2)`), where the caller may not do so itself.
    16 OpenTree {
        /// Where the detached tree goes.
        to: Slot,
        /// A host path.
        path: Str,
        /// Whether mounts below come along.
        recursive: bool,
        /// Whether a symbolic link in the path's last place is followed.
        follow: bool,
        /// Whether it must be the root of a procfs: it is to cover `/proc`.
        procfs: bool,
    }
    /// Clones a mount tree from a path inside the root, with what was mounted there before.
    71 CloneInside {
        /// Where the detached tree goes.
        to: Slot,
        /// The root file system.
        root: Slot,
        /// Path inside the root.
        path: Str,
        /// Whether mounts below come along.
        recursive: bool,
        /// Whether a symbolic link in the path's last place is followed.
        follow: bool,
        /// Whether it must be the root of a procfs: it is to cover `/proc`.
        procfs: bool,
    }
    /// Lets the caller give a detached mount its attributes and id map, and waits for it.
    72 LendMount {
        /// The mount.
        mount: Slot,
    }
    /// Clones the mount of the host's null device, after a look that it is that.
    52 OpenNull {
        /// Where the detached mount goes.
        to: Slot,
    }
    /// Changes a mount's attributes (`mount_setattr(2)`).
    17 SetAttr {
        /// The mount.
        mount: Slot,
        /// `MOUNT_ATTR_*` to set.
        set: u64,
        /// `MOUNT_ATTR_*` to clear.
        clear: u64,
        /// `MS_*` propagation, or 0 for none.
        propagation: u64,
        /// Whether mounts below change too.
        recursive: bool,
    }
    /// Attaches the detached root file system at a host path.
    18 AttachRoot {
        /// The detached tree.
        root: Slot,
        /// The host path to cover.
        at: Str,
    }
    /// Makes a new file system and mounts it inside the root (`mount(2)` on the looked-up directory).
    19 MountFs {
        /// The root file system.
        root: Slot,
        /// Path inside the root; made when missing.
        target: Str,
        /// The file system's type.
        fstype: Str,
        /// What `/proc/mounts` shows as the source.
        source: Str,
        /// `MS_*` flags.
        flags: u64,
        /// Options for the file system.
        data: Str,
        /// Whether no component of the path may be a symbolic link.
        strict: bool,
        /// Whether the new root directory gets the permissions of the one it covers (`mode=`).
        keep_mode: bool,
    }
    /// Attaches a detached mount inside the root.
    20 Attach {
        /// The detached mount.
        mount: Slot,
        /// The root file system.
        root: Slot,
        /// Path inside the root; made when missing, as a directory or a file like the mount.
        target: Str,
        /// Whether no component of the path may be a symbolic link.
        strict: bool,
    }
    /// As [`Op::Attach`], for who cares about symbolic links in the last place of either path.
    73 AttachLink {
        /// The detached mount, which may be a link's own.
        mount: Slot,
        /// The root file system.
        root: Slot,
        /// Path inside the root; made when missing.
        target: Str,
        /// Whether a link in the path's last place is followed, not covered itself.
        follow: bool,
        /// Whether of a link's mount the link itself is made there; one that says the same may be there.
        copy: bool,
    }
    /// Binds a host directory at a new name in the working directory, which nobody else can change yet.
    21 BindAt {
        /// The host directory.
        path: Str,
        /// One component; the directory is made.
        name: Str,
    }
    /// Opens a directory inside the root.
    22 OpenDir {
        /// Where the descriptor goes.
        to: Slot,
        /// The root file system.
        root: Slot,
        /// Path inside the root.
        path: Str,
    }
    /// Opens the root directory of the mount namespace that was joined.
    51 OpenRoot {
        /// Where the descriptor goes.
        to: Slot,
    }
    /// Enters a directory (`fchdir(2)`).
    67 EnterDir {
        /// The directory.
        dir: Slot,
    }
    /// Makes a device node, fifo or the like inside the root (`mknodat(2)`).
    23 Device {
        /// The root file system.
        root: Slot,
        /// Path inside the root; its directories are made when missing.
        path: Str,
        /// File type and permission bits.
        mode: u32,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
        /// Owner.
        uid: u32,
        /// Owning group.
        gid: u32,
    }
    /// Makes a symbolic link inside the root; one that is there already is left alone.
    24 Symlink {
        /// The root file system.
        root: Slot,
        /// Path inside the root.
        path: Str,
        /// What the link says.
        target: Str,
        /// Whether something that is there already is removed first.
        replace: bool,
    }
    /// Hides a path: a file behind the null device, a directory behind an empty file system.
    25 Mask {
        /// The root file system.
        root: Slot,
        /// Path inside the root.
        path: Str,
        /// A detached mount of the host's null device.
        null: Slot,
        /// What to do when the path is not there.
        on_error: OnError,
    }
    /// Makes a path and what lies below it read-only.
    26 ReadOnly {
        /// The root file system.
        root: Slot,
        /// Path inside the root.
        path: Str,
        /// What to do when the path is not there.
        on_error: OnError,
    }
    /// Makes the mount the root of this mount namespace and drops the old root (`pivot_root(2)`).
    27 Pivot {
        /// The attached root file system.
        root: Slot,
    }
    /// Takes a mount of the host out of this mount namespace, or covers it where it is held fast.
    69 Conceal {
        /// A host path.
        path: Str,
    }
    /// Makes the mount this process's root (`chroot(2)`), where pivoting can't be done.
    28 Chroot {
        /// The attached root file system.
        root: Slot,
    }
    /// Sets the host name (`sethostname(2)`).
    29 Hostname {
        /// The name.
        name: Str,
    }
    /// Sets the NIS domain name (`setdomainname(2)`).
    30 Domainname {
        /// The name.
        name: Str,
    }
    /// Brings the loopback interface of a new network namespace up (`netdevice(7)`).
    55 LoopbackUp {}
    /// Makes standard input the controlling terminal of this session.
    53 ControllingTerminal {}
    /// Opens a terminal in the container, makes it standard input, output and error and
    /// `/dev/console`, sends its master to the caller, and waits until that has dealt with it.
    31 Console {
        /// The root file system.
        root: Slot,
        /// Owner of the terminal.
        uid: u32,
        /// Rows; 0 leaves the size alone.
        rows: u32,
        /// Columns.
        columns: u32,
        /// Whether `/dev/console` is made.
        bind: bool,
    }
    /// Lets the caller run its hooks, and waits for it.
    32 HookPoint {}
    /// Runs a hook of the container's own namespaces, with the state that the caller sent last on its
    /// standard input.
    33 Hook {
        /// The program.
        path: Str,
        /// Its arguments.
        argv: List,
        /// Its environment.
        env: List,
        /// Milliseconds until it is killed; 0 for no limit.
        timeout: u32,
    }
    /// Sets a resource limit (`setrlimit(2)`).
    34 Rlimit {
        /// `RLIMIT_*`.
        resource: u32,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
    }
    /// Sets the file mode creation mask.
    35 Umask {
        /// Permission bits.
        mask: u32,
    }
    /// Removes every capability but these from the bounding set.
    36 Bounding {
        /// Bit n keeps capability n.
        keep: u64,
    }
    /// Sets the supplementary groups (`setgroups(2)`).
    37 Groups {
        /// 32-bit group ids.
        groups: Blob,
    }
    /// Sets real, effective and saved user and group, keeping permitted capabilities.
    38 SetIds {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    }
    /// Sets this thread's capabilities (`capset(2)`).
    39 Capabilities {
        /// Effective set.
        effective: u64,
        /// Permitted set.
        permitted: u64,
        /// Inheritable set.
        inheritable: u64,
        /// Ambient set.
        ambient: u64,
    }
    /// Forbids gaining privileges by exec (`PR_SET_NO_NEW_PRIVS`).
    40 NoNewPrivs {}
    /// Loads a system call filter (`seccomp(2)`).
    41 Seccomp {
        /// `struct sock_filter`s.
        filter: Blob,
        /// `SECCOMP_FILTER_FLAG_*`.
        flags: u32,
    }
    /// Enters the working directory and checks that it lies inside the root.
    42 Cwd {
        /// Path inside the root.
        path: Str,
        /// Whether it is made when missing.
        create: bool,
    }
    /// The same for a process that is to become another user: where it may not go itself, that is
    /// left to [`Op::RetryCwd`].
    74 TryCwd {
        /// Path inside the root.
        path: Str,
        /// Whether it is made when missing.
        create: bool,
    }
    /// Enters the working directory that the process could not enter before it became who it is.
    75 RetryCwd {
        /// Path inside the root.
        path: Str,
    }
    /// Chooses the first of these paths that can be executed.
    43 FindProgram {
        /// Paths, best first.
        candidates: List,
    }
    /// Fills in HOME from the container's `/etc/passwd`.
    44 Home {
        /// The environment's cell to fill.
        cell: u32,
        /// The user to look for.
        uid: u32,
    }
    /// Sets the execution domain (`personality(2)`).
    45 Personality {
        /// The persona.
        domain: u32,
    }
    /// Lets this process run on every CPU that its cpuset allows, whatever its caller was bound to.
    57 ResetAffinity {}
    /// Binds this process to CPUs (`sched_setaffinity(2)`).
    58 Affinity {
        /// Bit n allows CPU n; 64-bit words.
        cpus: Blob,
        /// Whether CPUs that are all outside of the cpuset are no failure.
        lenient: bool,
    }
    /// Sets the scheduling policy and its parameters (`sched_setattr(2)`).
    59 Scheduler {
        /// `SCHED_*`.
        policy: u32,
        /// `SCHED_FLAG_*`.
        flags: u64,
        /// The nice value, as a signed number's bits.
        nice: u32,
        /// The static priority.
        priority: u32,
        /// Nanoseconds of run time in a period.
        runtime: u64,
        /// Nanoseconds until the deadline.
        deadline: u64,
        /// Nanoseconds of a period.
        period: u64,
    }
    /// Sets the block I/O class and priority of this process (`ioprio_set(2)`).
    60 IoPriority {
        /// The class in bits 13 to 15, the priority below.
        value: u32,
    }
    /// Sets the NUMA memory policy (`set_mempolicy(2)`).
    61 MemoryPolicy {
        /// `MPOL_*`, with `MPOL_F_*` flags.
        policy: u32,
        /// Bit n names node n; 64-bit words.
        nodes: Blob,
    }
    /// Makes a time namespace, sets its clocks, and enters it. Uses the host's procfs: it has to happen
    /// before the process hides itself in a new user namespace.
    62 TimeNamespace {
        /// Lines for `/proc/self/timens_offsets`; may be empty.
        offsets: Str,
    }
    /// Opens a directory inside the root for reading; made when missing.
    63 OpenCovered {
        /// Where the descriptor goes.
        to: Slot,
        /// The root file system.
        root: Slot,
        /// Path inside the root.
        target: Str,
    }
    /// Copies a directory that was covered by a mount into what covers it.
    64 CopyUp {
        /// The directory that is covered.
        from: Slot,
        /// The root file system.
        root: Slot,
        /// Path inside the root.
        target: Str,
    }
    /// Gives a directory inside the root a security label (`fsetxattr(2)`), where mounting can't.
    65 SecurityLabel {
        /// The root file system.
        root: Slot,
        /// Path inside the root.
        path: Str,
        /// The SELinux context.
        label: Str,
    }
    /// Lets the caller move network devices into the network namespace, and waits for it.
    66 NeedDevices {}
    /// Lets the caller set this process's scheduling policy, which it could not bring along through a
    /// fork and may not set itself, and waits for it.
    70 NeedScheduler {}
    /// Moves this process into a group of the resctrl file system by writing `0` to its `tasks` file.
    68 JoinResctrl {
        /// The file, on the host.
        path: Str,
    }
    /// Reports that all is set up, and waits until the caller has recorded it.
    46 Ready {}
    /// Waits at the start gate for `start`, whose connection then takes the control socket's place.
    47 Gate {}
    /// Tells the caller that the program is next, or the hooks before it: the end of the stream is then its start.
    54 Starting {}
    /// Closes every descriptor but the program's own and the control socket.
    48 CloseFds {}
    /// Becomes the program that [`Op::FindProgram`] chose (`execve(2)`).
    49 Exec {
        /// Its arguments.
        argv: List,
        /// Its environment.
        env: List,
    }
}
