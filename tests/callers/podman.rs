//! Podman's and buildah's everyday work, as root and as a user.

use orlop_tests::callers::{Act, Section, Stage, USER, World, acts, make_image, plays};
use orlop_tests::{Fixture, cgroup};
use std::fs;
use std::os::unix::fs::chown;

/// Who calls Podman.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    Root,
    User,
}

/// Limits that a caller without `CAP_SYS_RESOURCE` may set, too.
const CONTAINERS_CONF: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;

/// The runtime and the parent of all cgroups are named; all else is as typed.
const PRELUDE: &str = r#"
parent() { [ $(id -u) != 0 ] || echo --cgroup-parent=/$ORLOP_TEST_TAG; }
podman() {
    case $1 in
        run | create) verb=$1; shift; command podman --runtime $RUNTIME $verb $(parent) "$@" ;;
        build) shift; command podman --runtime $RUNTIME build "$@" ;;
        pod)
            case $2 in
                create) shift 2; command podman --runtime $RUNTIME pod create $(parent) "$@" ;;
                *) command podman --runtime $RUNTIME "$@" ;;
            esac ;;
        *) command podman --runtime $RUNTIME "$@" ;;
    esac
}
buildah() {
    case $1 in
        run | bud) verb=$1; shift; command buildah $verb --isolation oci --network none --runtime $RUNTIME "$@" ;;
        *) command buildah "$@" ;;
    esac
}
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    MEMORY=/sys/fs/cgroup/memory.max QUOTA=/sys/fs/cgroup/cpu.max PIDS=/sys/fs/cgroup/pids.max
else
    MEMORY=/sys/fs/cgroup/memory/memory.limit_in_bytes QUOTA=/sys/fs/cgroup/cpu/cpu.cfs_quota_us
    PIDS=/sys/fs/cgroup/pids/pids.max
fi
"#;

const CLEAR: &str = "command podman pod rm -af -t 0; command podman rm -af -t 0; \
                     command buildah rm -a; command podman network prune -f";

/// What keeps a user's namespaces for the next command.
const STOP_PAUSE: &str = "for file in $XDG_RUNTIME_DIR/libpod/tmp/pause.pid \
                          $XDG_RUNTIME_DIR/libpod/pause.pid; do \
                          [ ! -e $file ] || kill -9 $(cat $file); done; sleep 0.3";

struct Podman<'a> {
    fixture: &'a Fixture,
    world: World,
    who: Who,
    prelude: String,
}

impl<'a> Podman<'a> {
    fn start(fixture: &'a Fixture, who: Who) -> Self {
        let world = World::make(&fixture.file("world"), fixture.tag()).expect("make a world");
        let work = fixture.file("work");
        fs::create_dir(&work).expect("make a folder");
        let conf = fixture.file("containers.conf");
        fs::write(&conf, CONTAINERS_CONF).expect("write a configuration");
        let image = make_image(fixture.path()).expect("make an image");
        let runtime_dir = match who {
            Who::Root => String::new(),
            Who::User => {
                chown(&work, Some(USER.1), Some(USER.1)).expect("hand the folder over");
                format!("export XDG_RUNTIME_DIR=/run/user/{}\n", USER.1)
            }
        };
        let prelude = format!(
            "cd {0}\nexport HOME=$PWD CONTAINERS_CONF={1}\n{runtime_dir}{PRELUDE}",
            work.display(),
            conf.display(),
        );
        let podman = Self {
            fixture,
            world,
            who,
            prelude,
        };
        let import = format!(
            "podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' {} box",
            image.display()
        );
        podman.stage("podman").line(&import).ok();
        podman
    }

    fn stage(&self, program: &str) -> Stage<'_> {
        let line = format!("{program} --version");
        let version = self.world.script(&line, false).run().stdout;
        let stage = Stage::new(&self.world, &version, self.prelude.clone(), CLEAR);
        match self.who {
            Who::Root => stage,
            Who::User => stage.rootless(),
        }
    }
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        let script = format!("{}\n{{ {CLEAR}; {STOP_PAUSE}; }} 2>&1", self.prelude);
        let _ = self.world.script(&script, self.who == Who::User).run();
        cgroup::remove_named(self.fixture.tag());
    }
}

fn play(test: &str, who: Who, sections: &[Section]) -> Result<(), String> {
    let program = match sections {
        [Section { caller, .. }, ..] if caller.starts_with("buildah") => "buildah",
        _ => "podman",
    };
    let needed = match who {
        Who::Root => vec!["podman", program],
        Who::User => vec!["podman", program, "newuidmap", "setpriv"],
    };
    if let Some(missing) = needed.iter().find(|program| !World::has(program)) {
        return Err(format!("{missing} is not installed"));
    }
    let fixture = Fixture::new(test);
    let podman = Podman::start(&fixture, who);
    for section in sections {
        podman.stage(program).play(section);
    }
    drop(podman);
    fixture.assert_clean();
    Ok(())
}

plays! {
    podman_runs_and_executes: Who::Root, section("Podman", "run", RUN), section("Podman", "exec, life", LIFE);
    podman_limits: Who::Root, section("Podman", "limits", LIMITS);
    podman_isolates: Who::Root, section("Podman", "privileges, namespaces, files", FLAGS), section("Podman", "users", USERS);
    podman_pods: Who::Root, section("Podman", "pods", PODS), section("Podman", "health checks", HEALTH);
    podman_builds: Who::Root, section("Podman", "images", BUILD), section("Podman", "networks", NETWORKS);
    podman_rootless_runs: Who::User, section("Podman, rootless", "run", RUN), section("Podman, rootless", "exec, life", ROOTLESS_LIFE);
    podman_rootless_isolates: Who::User, section("Podman, rootless", "privileges, namespaces, files", ROOTLESS_FLAGS), section("Podman, rootless", "users", ROOTLESS_USERS);
    podman_rootless_pods: Who::User, section("Podman, rootless", "pods", PODS), section("Podman, rootless", "health checks", HEALTH);
    podman_rootless_builds: Who::User, section("Podman, rootless", "images", BUILD);
    buildah: Who::Root, section("buildah", "as root", BUILDAH);
    buildah_rootless: Who::User, section("buildah, rootless", "as a user", BUILDAH);
}

const fn section(caller: &'static str, name: &'static str, acts: &'static [Act]) -> Section {
    Section { caller, name, acts }
}

const RUN: &[Act] = acts![
    "output", "podman run --rm --network none box echo hello" => 0, "hello";
    "exit status", "podman run --rm --network none box sh -c 'exit 7'" => 7;
    "standard input", "echo words | podman run --rm -i --network none box cat" => 0, "words";
    "a terminal", "script -qec \"command podman --runtime $RUNTIME run $(parent) --rm -it --network none box tty\" /dev/null" => 0, "/dev/pts/0";
    "as a user", "podman run --rm --network none -u 1000:50 --group-add 7 box id" => 0, "uid=1000(user) gid=50(staff)";
    "environment, entry point", "podman run --rm --network none -e A=b --entrypoint env box" => 0, "A=b";
    "host name, names", "podman run --rm --network none -h here --add-host there:10.1.2.3 box cat /etc/hostname /etc/hosts" => 0, "here", "10.1.2.3";
    "the host's network", "podman run --rm --network host box ip -o link" => 0, "lo";
    "--init", "podman run --rm --network none --init box ps" => 0, "podman-init";
    "a missing program", "podman run --rm --network none box fish" => 127, "executable file";
    "a program that is none", "podman run --rm --network none box /etc/passwd" => 126, "ermission denied";
    "a missing working directory", "podman run --rm --network none -w /new/folder box pwd" => 126, "/new/folder";
    "--systemd=always", "podman run --rm --network none --systemd=always box grep ' /run/lock ' /proc/mounts" => 0, "tmpfs";
    "a descriptor more", "podman run --rm --network none --preserve-fds 1 box sh -c 'cat <&3' 3<<END
from outside
END" => 0, "from outside";
    "--sdnotify=conmon", "podman run --rm --network none --sdnotify=conmon box echo hello" => 0, "hello";
];

const LIFE: &[Act] = acts![
    "run in the background", "podman run -d --network none --name box box sh -c 'echo begun; exec sleep 300' && podman ps" => 0, "Up ";
    "exec", "podman exec -u 1000 -w /tmp -e A=b box sh -c 'id -u; pwd; echo $A'" => 0, "1000", "/tmp", "b";
    "exec with a terminal", "script -qec 'podman exec -it box tty' /dev/null" => 0, "/dev/pts/0";
    "exec, exit status", "podman exec box sh -c 'exit 9'" => 9;
    "exec of a missing program", "podman exec box fish" => 127, "executable file";
    "exec in the background", "podman exec -d box sleep 299; sleep 0.3; podman top box args" => 0, "sleep 299";
    "logs", "podman logs box" => 0, "begun";
    "stats", "podman stats --no-stream --format '{{.Name}} {{.PIDs}}' box" => 0, "box 2";
    "pause", "podman pause box && podman ps --filter status=paused --format '{{.Names}} {{.Status}}'" => 0, "box";
    "unpause", "podman unpause box && podman exec box echo awake" => 0, "awake";
    "cp in and out", "echo words >in; podman cp in box:/tmp/f && podman exec box cat /tmp/f && podman cp box:/tmp/f out && cat out" => 0, "words\nwords";
    "diff, export, commit", "podman container diff box && podman export box | tar -t | grep tmp/f; podman commit -q box more && podman run --rm --network none more cat /tmp/f" => 0, "A /tmp/f", "words";
    "restart", "podman restart -t 1 box && podman exec box echo again" => 0, "again";
    "attach", "(sleep 1; podman exec box sh -c 'echo seen >/proc/1/fd/1'; podman kill box >/dev/null) & podman attach --no-stdin box" => 0, "seen";
    "start, kill, wait", "podman start box && podman kill -s KILL box && podman wait box" => 0, "137";
    "init, start, stop", "podman create --network none --name other box sleep 300 && podman init other && podman start other && podman stop -t 0 other && podman inspect -f '{{.State.ExitCode}}' other" => 0, "137";
    "restart on failure", "podman run -d --network none --name again --restart on-failure:2 box sh -c 'exit 3'; sleep 3; podman inspect -f '{{.RestartCount}} {{.State.Status}}' again" => 0, "2 exited";
    "remove by force", "podman run -d --network none --name third box sleep 300 && podman rm -f -t 0 third && podman rm -f box other again" => 0;
    "ten at once", "for i in 0 1 2 3 4 5 6 7 8 9; do podman run --rm --network none box echo n$i & done; wait" => 0, "n0", "n9";
];

const ROOTLESS_LIFE: &[Act] = acts![
    "run in the background", "podman run -d --network none --name box box sh -c 'echo begun; exec sleep 300' && podman ps" => 0, "Up ";
    "exec", "podman exec -u 1000 -w /tmp -e A=b box sh -c 'id -u; pwd; echo $A'" => 0, "1000", "/tmp", "b";
    "exec with a terminal", "script -qec 'podman exec -it box tty' /dev/null" => 0, "/dev/pts/0";
    "exec of a missing program", "podman exec box fish" => 127, "executable file";
    "logs", "podman logs box" => 0, "begun";
    "top", "podman top box args" => 0, "sleep 300";
    "cp in and out", "echo words >in; podman cp in box:/tmp/f && podman exec box cat /tmp/f && podman cp box:/tmp/f out && cat out" => 0, "words\nwords";
    "restart", "podman restart -t 1 box && podman exec box echo again" => 0, "again";
    "attach", "(sleep 1; podman exec box sh -c 'echo seen >/proc/1/fd/1'; podman kill box >/dev/null) & podman attach --no-stdin box" => 0, "seen";
    "start, kill, wait", "podman start box && podman kill -s KILL box && podman wait box" => 0, "137";
    "restart on failure", "podman run -d --network none --name again --restart on-failure:2 box sh -c 'exit 3'; sleep 3; podman inspect -f '{{.RestartCount}} {{.State.Status}}' again" => 0, "2 exited";
    "remove by force", "podman run -d --network none --name third box sleep 300 && podman rm -f -t 0 third && podman rm -f box again" => 0;
    "five at once", "for i in 0 1 2 3 4; do podman run --rm --network none box echo n$i & done; wait" => 0, "n0", "n4";
];

const LIMITS: &[Act] = acts![
    "memory", "podman run --rm --network none -m 32m box cat $MEMORY" => 0, "33554432";
    "out of memory", "podman run --network none --name box -m 16m --memory-swap 16m box tail /dev/zero; podman inspect -f '{{.State.ExitCode}}' box; podman rm box" => 0, "137";
    "CPU time", "podman run --rm --network none --cpus 0.5 box cat $QUOTA" => 0, "50000";
    "CPUs", "podman run --rm --network none --cpuset-cpus 0 box nproc" => 0, "1";
    "processes", "podman run --rm --network none --pids-limit 20 box cat $PIDS" => 0, "20";
    "ulimits", "podman run --rm --network none --ulimit nofile=100:200 --ulimit nproc=100:100 box sh -c 'ulimit -n; ulimit -Hn'" => 0, "100", "200";
    "shared memory", "podman run --rm --network none --shm-size 8m box df -k /dev/shm" => 0, "8192";
    "out-of-memory score", "podman run --rm --network none --oom-score-adj 500 box cat /proc/self/oom_score_adj" => 0, "500";
    "update", "podman run -d --network none --name box -m 32m --memory-swap 64m box sleep 300; podman update -m 48m --memory-swap 96m --cpus 0.7 box && podman exec box cat $MEMORY $QUOTA; podman rm -f -t 0 box" => 0, "50331648", "70000";
];

const FLAGS: &[Act] = acts![
    "capabilities", "podman run --rm --network none --cap-drop ALL --cap-add NET_ADMIN box grep CapEff /proc/self/status" => 0, "0000000000001000";
    "--privileged", "podman run --rm --network none --privileged box sh -c 'mount -t tmpfs none /tmp && grep tmpfs /proc/mounts && ls /dev/full'" => 0, " /tmp tmpfs";
    "no new privileges", "podman run --rm --network none --security-opt no-new-privileges box grep NoNewPrivs /proc/self/status" => 0, "\t1";
    "the default filter", "podman run --rm --network none box grep -w Seccomp /proc/self/status" => 0, "\t2";
    "nothing masked", "podman run --rm --network none --security-opt unmask=ALL box grep -c ' /proc/' /proc/mounts" => 1, "0";
    "a device", "podman run --rm --network none --device /dev/zero:/dev/nil:r box head -c 3 /dev/nil" => 0;
    "read-only root", "podman run --rm --network none --read-only box sh -c 'touch /tmp/x && touch /x'" => 1, "Read-only";
    "sysctls", "podman run --rm --network none --sysctl kernel.msgmax=9000 box cat /proc/sys/kernel/msgmax" => 0, "9000";
    "a volume", "podman run --rm --network none -v data:/data box sh -c 'echo kept >/data/x' && podman run --rm --network none -v data:/data:ro box cat /data/x" => 0, "kept";
    "a folder", "echo host >x; podman run --rm --network none -v $PWD:/here:ro box sh -c 'cat /here/x; touch /here/y'" => 1, "host", "Read-only";
    "an overlay of a folder", "echo host >x; podman run --rm --network none -v $PWD:/here:O box sh -c 'cat /here/x; touch /here/y' && ! ls y" => 0, "host";
    "tmpfs, with a copy up", "podman run --rm --network none --tmpfs /etc:rw,size=1m,tmpcopyup box cat /etc/passwd" => 0, "user:x:1000";
    "a secret", "echo hush | podman secret create pin - && podman run --rm --network none --secret pin box cat /run/secrets/pin; podman secret rm pin" => 0, "hush";
    "the host's processes, names, IPC", "podman run --rm --network none --pid host --uts host --ipc host box ps" => 0, "conmon";
    "another container's", "podman run -d --network none --name one box sleep 300; podman run --rm --pid container:one --network container:one box ps; podman rm -f -t 0 one" => 0, "sleep 300";
    "a time zone", "podman run --rm --network none --tz Asia/Tokyo box ls /etc/localtime" => 0;
    "no hosts", "podman run --rm --no-hosts --network none --umask 0077 box sh -c umask" => 0, "0077";
    "a root file system", "mkdir -p tree && tar -xf ../box.tar -C tree --exclude ./dev 2>/dev/null; mkdir -p tree/dev; podman run --rm --network none --rootfs $PWD/tree /bin/echo from a folder" => 0, "from a folder";
];

const USERS: &[Act] = acts![
    "--userns=auto", "echo containers:800000:300000 >>/etc/subuid; echo containers:800000:300000 >>/etc/subgid; podman run --rm --network none --userns auto:size=2000 box cat /proc/self/uid_map" => 0, "2000";
    "--uidmap", "podman run --rm --network none --uidmap 0:100000:5000 --gidmap 0:100000:5000 box cat /proc/self/uid_map" => 0, "5000";
    "mapped: a terminal", "script -qec \"command podman --runtime $RUNTIME run $(parent) --rm -it --network none --uidmap 0:100000:5000 box tty\" /dev/null" => 0, "/dev/pts/0";
    "mapped: exec, pause, limits", "podman run -d --network none --name box --uidmap 0:100000:5000 -m 32m box sleep 300 && podman exec box cat $MEMORY && podman pause box && podman unpause box; podman rm -f -t 0 box" => 0, "33554432";
    "mapped: a volume's ids", "podman run --rm --network none --uidmap 0:100000:5000 -v mapped:/data:U box sh -c 'stat -c %u /data; touch /data/x'" => 0, "0";
    "mapped: --init, read-only, tmpfs", "podman run --rm --network none --uidmap 0:100000:5000 --init --read-only --tmpfs /t box sh -c 'touch /t/x && ps'" => 0, "podman-init";
    "mapped: /dev/null stays the host's", "podman run --rm -d --network none --uidmap 0:100000:5000 --name box box sleep 300; podman exec box true; podman rm -f -t 0 box; stat -c %u:%g /dev/null" => 0, "0:0";
];

const ROOTLESS_FLAGS: &[Act] = acts![
    "capabilities", "podman run --rm --network none --cap-drop ALL --cap-add NET_ADMIN box grep CapEff /proc/self/status" => 0, "0000000000001000";
    "--privileged", "podman run --rm --network none --privileged box sh -c 'mount -t tmpfs none /tmp && grep tmpfs /proc/mounts'" => 0, " /tmp tmpfs";
    "no new privileges", "podman run --rm --network none --security-opt no-new-privileges box grep NoNewPrivs /proc/self/status" => 0, "\t1";
    "the default filter", "podman run --rm --network none box grep -w Seccomp /proc/self/status" => 0, "\t2";
    "a device", "podman run --rm --network none --device /dev/zero:/dev/nil box head -c 3 /dev/nil" => 0;
    "read-only root", "podman run --rm --network none --read-only box sh -c 'touch /tmp/x && touch /x'" => 1, "Read-only";
    "sysctls", "podman run --rm --network none --sysctl kernel.msgmax=9000 box cat /proc/sys/kernel/msgmax" => 0, "9000";
    "a volume", "podman run --rm --network none -v data:/data box sh -c 'echo kept >/data/x' && podman run --rm --network none -v data:/data:ro box cat /data/x" => 0, "kept";
    "a folder", "echo host >x; podman run --rm --network none -v $PWD:/here:ro box sh -c 'cat /here/x; touch /here/y'" => 1, "host", "Read-only";
    "tmpfs, with a copy up", "podman run --rm --network none --tmpfs /etc:rw,size=1m,tmpcopyup box cat /etc/passwd" => 0, "user:x:1000";
    "the host's processes", "podman run --rm --network none --pid host box ps" => 0, "conmon";
    "another container's", "podman run -d --network none --name one box sleep 300; podman run --rm --pid container:one --network container:one box ps; podman rm -f -t 0 one" => 0, "sleep 300";
    "slirp4netns", "podman run --rm --network slirp4netns box ip -o -4 addr show tap0" => 0, "10.0.2.";
    "a root file system", "mkdir -p tree && tar -xf ../box.tar -C tree --exclude ./dev 2>/dev/null; mkdir -p tree/dev; podman run --rm --network none --rootfs $PWD/tree /bin/echo from a folder" => 0, "from a folder";
    "a limit it can't have", "podman run --rm --network none --ulimit nofile=100:200 --oom-score-adj 500 box cat /proc/self/oom_score_adj" => 0, "500";
];

const ROOTLESS_USERS: &[Act] = acts![
    "mapped", "podman run --rm --network none box cat /proc/self/uid_map" => 0, "61234";
    "--userns=keep-id", "podman run --rm --network none --userns keep-id box id -u" => 0, "61234";
    "--userns=nomap", "podman run --rm --network none --userns nomap box cat /proc/self/uid_map" => 0, "65536";
    "--uidmap", "podman run --rm --network none --uidmap 0:1:1000 box cat /proc/self/uid_map" => 0, "1000";
    "a user and groups", "podman run --rm --network none -u 1000:50 box id" => 0, "uid=1000(user)";
    "a volume's ids", "podman run --rm --network none -v owned:/data:U -u 1000 box sh -c 'stat -c %u /data; touch /data/x'" => 0, "1000";
    "--group-add keep-groups", "podman run --rm --network none --group-add keep-groups box grep Groups /proc/self/status" => 0, "65534";
];

const PODS: &[Act] = acts![
    "an infra image", "printf 'FROM scratch\\nCOPY pause /pause\\nENTRYPOINT [\"/pause\", \"-P\"]\\n' >Pausefile; cp $(command -v catatonit || echo /usr/libexec/podman/catatonit) pause; command podman build -q -f Pausefile -t localhost/infra ." => 0;
    "create, and containers in it", "podman pod create --infra-image localhost/infra --network none --name pod && podman run -d --pod pod --name web box sh -c 'echo page >/tmp/index.html; exec httpd -f -h /tmp' && sleep 0.5 && podman run --rm --pod pod box wget -qO- http://127.0.0.1/" => 0, "page";
    "exec", "podman exec web hostname" => 0, "pod";
    "a shared IPC namespace", "podman exec web readlink /proc/self/ns/ipc >one; podman run --rm --pod pod box readlink /proc/self/ns/ipc >two; cmp one two" => 0;
    "ps, top", "podman pod ps && podman pod top pod args" => 0, "Running", "httpd";
    "restart", "podman pod restart pod && podman pod ps" => 0;
    "stop, start", "podman pod stop -t 0 pod && podman pod start pod && podman exec web echo again" => 0, "again";
    "kill, remove", "podman pod kill pod && podman pod rm -f -t 0 pod" => 0;
    "with shared processes", "podman pod create --infra-image localhost/infra --network none --name both --share pid,ipc,uts,net && podman run -d --pod both --name first box sleep 300 && podman run --rm --pod both box ps; podman pod rm -f -t 0 both" => 0, "sleep 300";
    "kube play", "printf 'apiVersion: v1\\nkind: Pod\\nmetadata: {name: kube}\\nspec:\\n  hostNetwork: true\\n  containers:\\n  - {name: c, image: localhost/box, command: [sleep, \"300\"]}\\n' >kube.yaml; podman play kube --no-hosts kube.yaml && podman exec kube-c echo from kube; podman pod rm -f -t 0 kube" => 0, "from kube";
];

const HEALTH: &[Act] = acts![
    "healthy", "podman run -d --network none --name box --health-cmd 'test -e /tmp/ok' --health-interval disable --health-retries 1 box sh -c 'touch /tmp/ok; sleep 300'; sleep 0.5; podman healthcheck run box && podman inspect -f '{{.State.Health.Status}}' box" => 0, "healthy";
    "unhealthy", "podman exec box rm /tmp/ok; podman healthcheck run box; podman inspect -f '{{.State.Health.Status}}' box; podman rm -f -t 0 box" => 0, "unhealthy";
];

const BUILD: &[Act] = acts![
    "build", "printf 'FROM localhost/box\\nRUN id -u >/who\\nUSER user\\nRUN id -u >/tmp/who2\\nCMD cat /who /tmp/who2\\n' | podman build --network none -t built - && podman run --rm --network none built" => 0, "0\n1000";
    "a build that fails", "printf 'FROM localhost/box\\nRUN exit 4\\n' | podman build --network none -" => 4;
    "build with files", "mkdir -p b; echo file >b/f; printf 'FROM localhost/box\\nCOPY f /f\\nRUN --mount=type=tmpfs,target=/t cat /f && touch /t/x\\n' >b/Dockerfile; podman build --network none b" => 0, "file";
    "save, load", "podman save -o saved.tar built && podman load -i saved.tar" => 0, "built";
];

const NETWORKS: &[Act] = acts![
    "the default bridge", "podman run --rm box ip -o -4 addr show eth0" => 0, "10.88.";
    "one's own", "podman network create net && podman run --rm --network net box ip -o -4 addr show eth0; podman network rm net" => 0, "10.89.";
    "a published port", "podman run -d -p 8080:80 --name web box sh -c 'echo page >/tmp/index.html; exec httpd -f -h /tmp' && sleep 0.5 && busybox wget -qO- http://127.0.0.1:8080/; podman rm -f -t 0 web" => 0, "page";
    "name servers", "podman run --rm --dns 10.9.8.7 box cat /etc/resolv.conf" => 0, "10.9.8.7";
];

const BUILDAH: &[Act] = acts![
    "from, run", "c=$(command buildah from localhost/box) && buildah run $c id -u && buildah run $c sh -c 'echo kept >/x' && buildah run $c cat /x" => 0, "0\nkept";
    "run with a terminal", "script -qec \"command buildah run --isolation oci --network none --runtime $RUNTIME -t box-working-container tty\" /dev/null" => 0, "/dev/pts/0";
    "run as a user, with files", "echo host >x; buildah run --user 1000 -v $PWD/x:/y:ro -e A=b --workingdir /tmp box-working-container sh -c 'id -u; cat /y; echo $A; pwd'" => 0, "1000\nhost\nb\n/tmp";
    "exit status", "buildah run box-working-container sh -c 'exit 6'" => 6;
    "a missing program", "buildah run box-working-container fish" => 1, "executable file";
    "capabilities", "buildah run --cap-drop ALL box-working-container grep CapEff /proc/self/status" => 0, "0000000000000000";
    "commit", "buildah commit -q box-working-container more && podman run --rm --network none more cat /x" => 0, "kept";
    "bud", "printf 'FROM localhost/box\\nRUN id -u >/who\\nUSER user\\nRUN id -u >/tmp/who2\\nCMD cat /who /tmp/who2\\n' >Dockerfile; buildah bud -t bud . && podman run --rm --network none bud" => 0, "0\n1000";
    "bud that fails", "printf 'FROM localhost/box\\nRUN exit 4\\n' >Dockerfile; buildah bud ." => 4;
    "removed", "command buildah rm -a" => 0;
];
