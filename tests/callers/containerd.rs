//! containerd's everyday work: with `ctr`, and as a kubelet asks for it (CRI).

use orlop_tests::callers::{
    Act, Daemon, Section, Stage, World, acts, make_archive, make_image, plays,
};
use orlop_tests::{Fixture, cgroup};
use std::fs;

/// The runtime is named; all else is as typed.
const PRELUDE: &str = r#"
ctr() {
    case $1 in
        run) shift; command ctr run --runc-binary $RUNTIME "$@" ;;
        *) command ctr "$@" ;;
    esac
}
BOX=docker.io/library/box:latest
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    MEMORY=/sys/fs/cgroup/memory.max QUOTA=/sys/fs/cgroup/cpu.max
else
    MEMORY=/sys/fs/cgroup/memory/memory.limit_in_bytes QUOTA=/sys/fs/cgroup/cpu/cpu.cfs_quota_us
fi
stopped() { for i in $(seq 50); do ctr task ls | grep -q "$1 .*STOPPED" && return; sleep 0.1; done; false; }
gone() { ctr task kill -s KILL $1; stopped $1; ctr task rm $1; ctr container rm $1; }
cri() { command $CRI $SOCKET "$@"; }
POD='"metadata":{"name":"pod","uid":"1","namespace":"default"},"log_directory":"'$PWD'"'
GROUP='"cgroup_parent":"/'$ORLOP_TEST_TAG'"'
pod() { cri RunPodSandbox "{\"runtime_handler\":\"${RUNTIME##*/}\",\"config\":{$POD,\"linux\":{$GROUP$1}}}" | jq -r .pod_sandbox_id >pod; }
container() {
    cri CreateContainer "{\"pod_sandbox_id\":\"$(cat pod)\",\"sandbox_config\":{$POD,\"linux\":{$GROUP}},\"config\":{\"metadata\":{\"name\":\"$1\"},\"image\":{\"image\":\"$BOX\"},\"log_path\":\"$1.log\",\"command\":$2${3:+,$3}}}" | jq -r .container_id >$1
    [ -s $1 ] && id $1 && cri StartContainer "$ID"
}
id() { ID="{\"container_id\":\"$(cat $1)\"}"; }
inside() { cri ExecSync "{\"container_id\":\"$(cat $1)\",\"cmd\":$2,\"timeout\":10}"; }
ended() { id $1; for i in $(seq 50); do cri ContainerStatus "$ID" | grep '"state": 2' && return; sleep 0.1; done; false; }
remove() { id $1; cri StopContainer "$ID" && cri RemoveContainer "$ID"; }
no_pod() { cri StopPodSandbox "{\"pod_sandbox_id\":\"$(cat pod)\"}" && cri RemovePodSandbox "{\"pod_sandbox_id\":\"$(cat pod)\"}"; }
"#;

const CLEAR: &str = "for c in $(ctr container ls -q); do gone $c; done; \
    for p in $(cri ListPodSandbox | jq -r '.items[]?.id'); do echo $p >pod; no_pod; done";

const NETWORK: &str = r#"{
  "cniVersion": "0.4.0", "name": "pods", "plugins": [
    { "type": "bridge", "bridge": "pods0", "isGateway": true, "ipMasq": false,
      "ipam": { "type": "host-local", "subnet": "10.222.0.0/24", "routes": [{ "dst": "0.0.0.0/0" }] } },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}"#;

struct Containerd<'a> {
    fixture: &'a Fixture,
    daemon: Option<Daemon>,
    world: World,
    prelude: String,
}

fn config(fixture: &Fixture) -> String {
    let at = |name: &str| fixture.file(name).display().to_string();
    let handler = |name: &str, program: &str| {
        format!(
            "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.{name}]\n\
             runtime_type = \"io.containerd.runc.v2\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.{name}.options]\n\
             BinaryName = \"{program}\"\n"
        )
    };
    let ours = fixture.runtime().program().display().to_string();
    format!(
        "version = 2\nroot = \"{}\"\nstate = \"{}\"\n[grpc]\naddress = \"{}\"\n\
         [ttrpc]\naddress = \"{}\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\"]\nrestrict_oom_score_adj = true\n\
         sandbox_image = \"docker.io/library/pause:latest\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"/usr/lib/cni\"\n\
         conf_dir = \"{}\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = \"orlop-runc\"\n\
         {}{}",
        at("root"),
        at("run"),
        at("c.sock"),
        at("t.sock"),
        at("cni"),
        handler("orlop-runc", &ours),
        handler("runc", "/usr/sbin/runc"),
    )
}

impl<'a> Containerd<'a> {
    fn start(fixture: &'a Fixture, namespace: &str) -> Self {
        let world = World::make(&fixture.file("world"), fixture.tag()).expect("make a world");
        let at = |name: &str| fixture.file(name).display().to_string();
        for folder in ["work", "cni"] {
            fs::create_dir(fixture.file(folder)).expect("make a folder");
        }
        fs::write(fixture.file("containerd.toml"), config(fixture)).expect("write a configuration");
        fs::write(fixture.file("cni/1.conflist"), NETWORK).expect("write a configuration");
        let log = fixture.file("containerd.log");
        let args = ["--config".to_owned(), at("containerd.toml")];
        let daemon = Daemon::start(&world, "containerd", args, &log).expect("start containerd");
        let prelude = format!(
            "cd {}\nSOCKET={socket} CRI={}/callers/cri\nexport CONTAINERD_ADDRESS={socket} \
             CONTAINERD_NAMESPACE={namespace}\n{PRELUDE}",
            at("work"),
            env!("CARGO_MANIFEST_DIR"),
            socket = at("c.sock"),
        );
        let containerd = Self {
            fixture,
            daemon: Some(daemon),
            world,
            prelude,
        };
        containerd.wait();
        make_image(fixture.path()).expect("make a root file system");
        for (name, command) in [("box", &["sh"][..]), ("pause", &["sleep", "86400"])] {
            let archive = make_archive(fixture.path(), name, command).expect("make an image");
            let line = format!("ctr images import {}", archive.display());
            containerd.stage().line(&line).ok();
        }
        containerd
    }

    fn wait(&self) {
        let daemon = self.daemon.as_ref().expect("a daemon");
        let answers = || self.stage().line("ctr version").status.success();
        if let Err(error) = daemon.wait_until("containerd answers", answers) {
            let log = fs::read_to_string(self.fixture.file("containerd.log")).unwrap_or_default();
            panic!("{error}: {log}");
        }
    }

    fn stage(&self) -> Stage<'_> {
        let version = self
            .world
            .script("containerd --version", false)
            .run()
            .stdout;
        // `containerd github.com/containerd/containerd 1.6.20~ds1 …`
        let version: Vec<&str> = version.split(' ').collect();
        let version = format!("containerd {}", version.get(2).unwrap_or(&""));
        Stage::new(&self.world, &version, self.prelude.clone(), CLEAR)
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        let script = format!("{}\n{{ {CLEAR}; }} 2>&1", self.prelude);
        let _ = self.world.script(&script, false).run();
        drop(self.daemon.take());
        cgroup::remove_named(self.fixture.tag());
    }
}

fn play(test: &str, cri: bool, sections: &[Section]) -> Result<(), String> {
    let needed: &[&str] = if cri {
        &["containerd", "ctr", "jq"]
    } else {
        &["containerd", "ctr"]
    };
    if let Some(missing) = needed.iter().find(|program| !World::has(program)) {
        return Err(format!("{missing} is not installed"));
    }
    let fixture = Fixture::new(test);
    // The name of the namespace is that of the parent cgroup; CRI has one of its own.
    let tag = fixture.tag().to_owned();
    let containerd = Containerd::start(&fixture, if cri { "k8s.io" } else { &tag });
    if cri && !containerd.stage().line("cri Version").status.success() {
        return Err("python3-grpcio is not installed, or containerd is without CRI".to_owned());
    }
    for section in sections {
        containerd.stage().play(section);
    }
    drop(containerd);
    fixture.assert_clean();
    Ok(())
}

plays! {
    ctr_runs: false, section("containerd (ctr)", "run", RUN), section("containerd (ctr)", "tasks", TASKS);
    kubelet_pods: true, section("containerd (CRI)", "pods", PODS);
    kubelet_containers: true, section("containerd (CRI)", "containers", CONTAINERS);
}

const fn section(caller: &'static str, name: &'static str, acts: &'static [Act]) -> Section {
    Section { caller, name, acts }
}

const RUN: &[Act] = acts![
    "output", "ctr run --rm $BOX one echo hello" => 0, "hello";
    "exit status", "ctr run --rm $BOX one sh -c 'exit 7'" => 7;
    "a terminal", "script -qec \"command ctr run --runc-binary $RUNTIME --rm --tty $BOX one tty\" /dev/null" => 0, "/dev/pts/0";
    "environment, directory", "ctr run --rm --env A=b --cwd /tmp $BOX one sh -c 'echo $A; pwd'" => 0, "b\n/tmp";
    "limits", "ctr run --rm --memory-limit 33554432 --cpus 0.5 --mount type=bind,src=/sys/fs/cgroup,dst=/sys/fs/cgroup,options=rbind:ro $BOX one sh -c 'cat /proc/self/cgroup'" => 0;
    "the limits are the kernel's", "ctr run -d --memory-limit 33554432 $BOX one sleep 300; cat /sys/fs/cgroup/memory/$ORLOP_TEST_TAG/one/memory.limit_in_bytes /sys/fs/cgroup/$ORLOP_TEST_TAG/one/memory.max; gone one" => 0, "33554432";
    "--privileged", "ctr run --rm --privileged $BOX one mount -t tmpfs none /tmp" => 0;
    "capabilities, read-only", "ctr run --rm --read-only --cap-drop CAP_CHOWN $BOX one touch /x" => 1, "Read-only";
    "the default filter", "ctr run --rm --seccomp $BOX one grep -w Seccomp /proc/self/status" => 0, "\t2";
    "the host's network", "ctr run --rm --net-host $BOX one ip -o link" => 0, "lo";
    "a mount", "echo host >x; ctr run --rm --mount type=bind,src=$PWD,dst=/here,options=rbind:ro $BOX one cat /here/x" => 0, "host";
    "a user namespace", "ctr run --rm --uidmap 0:100000:65536 --gidmap 0:100000:65536 $BOX one cat /proc/self/uid_map" => 0, "100000";
    "a device", "ctr run --rm --device /dev/zero $BOX one head -c 3 /dev/zero" => 0;
    "a pid file", "ctr run --rm --pid-file pid $BOX one true; test -s pid" => 0;
    "a missing program", "ctr run --rm $BOX one fish" => 1, "exec: \"fish\": executable file not found in $PATH";
];

const TASKS: &[Act] = acts![
    "run in the background", "ctr run -d $BOX two sleep 300 && ctr task ls" => 0, "RUNNING";
    "exec", "ctr task exec --exec-id e1 two id -u" => 0, "0";
    "exec, exit status", "ctr task exec --exec-id e2 two sh -c 'exit 9'" => 9;
    "exec with a terminal", "script -qec 'ctr task exec --tty --exec-id e3 two tty' /dev/null" => 0, "/dev/pts/0";
    "exec of a missing program", "ctr task exec --exec-id e4 two fish" => 1, "executable file not found";
    "exec as a user", "ctr task exec --exec-id e5 --user 1000 --cwd /tmp two sh -c 'id -u; pwd'" => 0, "1000\n/tmp";
    "ps, metrics", "ctr task ps two && ctr task metrics two" => 0, "PID", "memory";
    "pause, resume", "ctr task pause two && ctr task ls && ctr task resume two && ctr task ls" => 0, "PAUSED", "RUNNING";
    "signal", "ctr task kill -s TERM two; sleep 0.2; ctr task ls" => 0, "RUNNING";
    "kill, remove", "gone two" => 0;
];

const PODS: &[Act] = acts![
    "a pod, with a network", "pod && cri PodSandboxStatus \"{\\\"pod_sandbox_id\\\":\\\"$(cat pod)\\\"}\"" => 0, "10.222.0.";
    "containers in it", "container web '[\"sh\",\"-c\",\"echo page >/tmp/index.html; exec httpd -f -h /tmp\"]' && sleep 0.5 && container user '[\"wget\",\"-qO-\",\"http://127.0.0.1/\"]' && ended user && cat user.log" => 0, "page";
    "a shared IPC namespace", "inside web '[\"readlink\",\"/proc/self/ns/ipc\"]' >a; container other '[\"sleep\",\"300\"]' && inside other '[\"readlink\",\"/proc/self/ns/ipc\"]' >b; cmp a b" => 0;
    "list, stop, remove", "cri ListContainers && remove web && remove user && remove other && no_pod" => 0, "containers";
    "on the host's network", "pod ',\"security_context\":{\"namespace_options\":{\"network\":2}}' && container c '[\"ip\",\"-o\",\"link\"]' && ended c && cat c.log; no_pod" => 0, "pods0";
    "the host's processes", "pod ',\"security_context\":{\"namespace_options\":{\"network\":2,\"pid\":2}}' && container c '[\"ps\"]' '\"linux\":{\"security_context\":{\"namespace_options\":{\"network\":2,\"pid\":2}}}' && ended c && cat c.log; no_pod" => 0, "containerd";
    "shared processes", "pod ',\"security_context\":{\"namespace_options\":{\"pid\":0}}' && container c '[\"ps\"]' '\"linux\":{\"security_context\":{\"namespace_options\":{\"pid\":0}}}' && ended c && cat c.log; no_pod" => 0, "sleep 86400";
    "sysctls", "pod ',\"sysctls\":[{\"key\":\"kernel.msgmax\",\"value\":\"9000\"}]' && container c '[\"cat\",\"/proc/sys/kernel/msgmax\"]' && ended c && cat c.log; no_pod" => 0, "9000";
];

const CONTAINERS: &[Act] = acts![
    "a pod", "pod" => 0;
    "exec, its status and errors", "container c '[\"sleep\",\"300\"]' && inside c '[\"sh\",\"-c\",\"echo out; echo err >&2; exit 5\"]'" => 0, "out", "err", "5";
    "exec of a missing program", "inside c '[\"fish\"]'" => 1, "executable file not found";
    "exec past its time", "id c; cri ExecSync \"{\\\"container_id\\\":\\\"$(cat c)\\\",\\\"cmd\\\":[\\\"sleep\\\",\\\"30\\\"],\\\"timeout\\\":1}\"" => 1, "DEADLINE";
    "stats", "id c; cri ContainerStats \"$ID\"" => 0, "working_set_bytes", "usage_core_nano_seconds";
    "new limits", "cri UpdateContainerResources \"{\\\"container_id\\\":\\\"$(cat c)\\\",\\\"linux\\\":{\\\"memory_limit_in_bytes\\\":50331648,\\\"cpu_quota\\\":70000,\\\"cpu_period\\\":100000}}\" && inside c \"[\\\"cat\\\",\\\"$MEMORY\\\",\\\"$QUOTA\\\"]\"" => 0, "50331648", "70000";
    "stop, remove", "remove c" => 0;
    "limits", "container c \"[\\\"cat\\\",\\\"$MEMORY\\\",\\\"$QUOTA\\\"]\" '\"linux\":{\"resources\":{\"memory_limit_in_bytes\":33554432,\"cpu_period\":100000,\"cpu_quota\":50000,\"cpu_shares\":512,\"oom_score_adj\":500}}' && ended c && cat c.log; remove c" => 0, "33554432", "50000";
    "out of memory", "container c '[\"tail\",\"/dev/zero\"]' '\"linux\":{\"resources\":{\"memory_limit_in_bytes\":16777216}}' && ended c; remove c" => 0, "OOMKilled", "137";
    "exit status", "container c '[\"sh\",\"-c\",\"exit 7\"]' && ended c; remove c" => 0, "\"exit_code\": 7";
    "a terminal", "container c '[\"tty\"]' '\"tty\":1' && ended c && cat c.log; remove c" => 0, "/dev/pts/0";
    "a user, groups, environment, directory", "container c '[\"sh\",\"-c\",\"id; echo $A; pwd\"]' '\"envs\":[{\"key\":\"A\",\"value\":\"bcd\"}],\"working_dir\":\"/tmp\",\"linux\":{\"security_context\":{\"run_as_user\":{\"value\":1000},\"supplemental_groups\":[50]}}' && ended c && cat c.log; remove c" => 0, "uid=1000(user)", "50(staff)", "bcd", "/tmp";
    "mounts", "mkdir -p m; echo host >m/x; container c '[\"sh\",\"-c\",\"cat /m/x; touch /m/y\"]' \"\\\"mounts\\\":[{\\\"container_path\\\":\\\"/m\\\",\\\"host_path\\\":\\\"$PWD/m\\\",\\\"readonly\\\":1}]\" && ended c && cat c.log; remove c" => 0, "host", "Read-only";
    "capabilities, read-only, no new privileges", "container c '[\"sh\",\"-c\",\"grep -E \\\"CapEff|NoNew\\\" /proc/self/status; touch /x\"]' '\"linux\":{\"security_context\":{\"capabilities\":{\"drop_capabilities\":[\"ALL\"],\"add_capabilities\":[\"NET_ADMIN\"]},\"readonly_rootfs\":1,\"no_new_privs\":1}}' && ended c && cat c.log; remove c" => 0, "0000000000001000", "NoNewPrivs:\t1", "Read-only";
    "the default filter", "container c '[\"grep\",\"-w\",\"Seccomp\",\"/proc/self/status\"]' '\"linux\":{\"security_context\":{\"seccomp_profile_path\":\"runtime/default\"}}' && ended c && cat c.log; remove c" => 0, "\t2";
    "a missing program", "container c '[\"fish\"]'; remove c" => 0, "executable file not found in $PATH";
    "a log opened anew", "container c '[\"sh\",\"-c\",\"while sleep 0.2; do echo line; done\"]' && mv c.log old.log && id c && cri ReopenContainerLog \"$ID\" && sleep 0.6 && cat c.log; remove c" => 0, "line";
    "the pod removed", "no_pod" => 0;
];
