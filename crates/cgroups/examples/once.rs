//! Makes one cgroup with the limits of a default container, and removes it: the
//! subject of system call counts (`strace -f -c`, `strace -T`).

use orlop_cgroups::{
    Access, Bytes, Cgroup, CgroupPath, DeviceKind, DeviceRule, Layout, Limits, Result,
};

fn main() -> Result<()> {
    let layout = Layout::probe()?;
    let path = CgroupPath::new(&format!("/orlop-once-{}", std::process::id()))?;
    let limits = match std::env::args().nth(1).as_deref() {
        Some("limits") => Limits::new()
            .memory_limit(Bytes::mib(64))
            .pids_limit(100)
            .device_rules([DeviceRule::deny(DeviceKind::All, None, None, Access::ALL)]),
        _ => Limits::new(),
    };
    let cgroup = Cgroup::create(&layout, &path, &limits)?;
    let tasks = cgroup.tasks_fds()?;
    cgroup.v2_dir()?;
    drop(tasks);
    cgroup.destroy()
}
