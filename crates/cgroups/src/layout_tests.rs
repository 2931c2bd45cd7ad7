use super::*;

const HYBRID: &str = "\
23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:4 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
const HYBRID_SELF: &str =
    "9:name=systemd:/user.slice\n4:memory:/a/b\n2:cpu,cpuacct:/\n0::/user.slice\n";

fn names(layout: &Layout) -> Vec<&str> {
    layout.hierarchies().iter().map(Hierarchy::name).collect()
}

fn located(layout: &Layout, path: &str) -> Vec<String> {
    let path = CgroupPath::new(path).unwrap();
    let mode = layout.mode();
    layout
        .hierarchies()
        .iter()
        .map(|h| h.locate(&path, mode).display().to_string())
        .collect()
}

#[test]
fn hybrid() {
    let layout = Layout::parse(HYBRID, HYBRID_SELF);
    assert_eq!(layout.mode(), Mode::Hybrid);
    assert_eq!(
        names(&layout),
        ["name=systemd", "memory", "cpu,cpuacct", "unified"]
    );
    let cpu = layout.hierarchy_of(Controller::Cpuacct).unwrap().unwrap();
    assert_eq!(cpu.mountpoint(), Path::new("/sys/fs/cgroup/cpu,cpuacct"));
    assert_eq!(
        located(&layout, "/x"),
        [
            "/sys/fs/cgroup/systemd/x",
            "/sys/fs/cgroup/memory/x",
            "/sys/fs/cgroup/cpu,cpuacct/x",
            "/sys/fs/cgroup/unified/x",
        ]
    );
    assert_eq!(located(&layout, "x/y")[1], "/sys/fs/cgroup/memory/a/b/x/y");
}

#[test]
fn a_cgroup2_bind_mount_over_all_of_it_makes_it_pure_v2() {
    let mountinfo = format!("{HYBRID}60 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    let layout = Layout::parse(&mountinfo, HYBRID_SELF);
    assert_eq!(layout.mode(), Mode::V2);
    assert_eq!(names(&layout), ["unified"]);
    assert_eq!(
        layout.hierarchies()[0].mountpoint(),
        Path::new("/sys/fs/cgroup")
    );
}

#[test]
fn without_the_unified_mount_it_is_v1() {
    let mountinfo: String = HYBRID
        .lines()
        .filter(|l| !l.contains("cgroup2"))
        .flat_map(|l| [l, "\n"])
        .collect();
    let layout = Layout::parse(&mountinfo, HYBRID_SELF);
    assert_eq!(layout.mode(), Mode::V1);
    assert_eq!(layout.hierarchies().len(), 3);
}

#[test]
fn relative_paths_on_pure_v2_lie_beside_the_caller() {
    let mountinfo = "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
    let layout = Layout::parse(mountinfo, "0::/user.slice/session.scope\n");
    assert_eq!(layout.mode(), Mode::V2);
    assert_eq!(located(&layout, "x"), ["/sys/fs/cgroup/user.slice/x"]);
    assert_eq!(located(&layout, "/x"), ["/sys/fs/cgroup/x"]);
    let at_root = Layout::parse(mountinfo, "0::/\n");
    assert_eq!(located(&at_root, "x"), ["/sys/fs/cgroup/x"]);
}

#[test]
fn a_mount_of_a_part_of_the_tree() {
    let mountinfo = "30 1 0:26 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    let inside = Layout::parse(mountinfo, "4:memory:/docker/abc/mine\n");
    assert_eq!(
        inside.hierarchies()[0].own_path(),
        Path::new("/sys/fs/cgroup/memory/mine")
    );
    let outside = Layout::parse(mountinfo, "4:memory:/elsewhere\n");
    assert_eq!(
        outside.hierarchies()[0].own_path(),
        Path::new("/sys/fs/cgroup/memory")
    );
    let above = Layout::parse(
        "30 1 0:26 /.. /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        "4:memory:/../x\n",
    );
    assert_eq!(
        above.hierarchies()[0].own_path(),
        Path::new("/sys/fs/cgroup/memory/x")
    );
}

#[test]
fn the_whole_tree_is_preferred_to_a_part_of_it() {
    let mountinfo = "30 1 0:26 /part /mnt/part rw - cgroup2 cgroup2 rw\n\
                     31 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    let layout = Layout::parse(mountinfo, "0::/\n");
    assert_eq!(
        layout.hierarchies()[0].mountpoint(),
        Path::new("/sys/fs/cgroup")
    );
}

#[test]
fn nothing_mounted() {
    assert_eq!(Layout::parse("", HYBRID_SELF).mode(), Mode::None);
    assert_eq!(
        Layout::parse("garbage\n - cgroup\n", "x\n:\n::\n0:").mode(),
        Mode::None
    );
}

#[test]
fn probing_agrees_with_parsing() {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let show = |layout: &Layout| {
        layout
            .hierarchies()
            .iter()
            .map(|h| (h.name.clone(), h.own_path()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        show(&Layout::probe().unwrap()),
        show(&Layout::parse(&mountinfo, &cgroup))
    );
}
