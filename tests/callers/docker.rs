//! Docker's everyday work, with a `dockerd` of each test's own.

use orlop_tests::Fixture;
use orlop_tests::callers::{Daemon, Section, Stage, World, acts, make_image, plays};
use std::fs;

/// `docker run` and `docker create` name the runtime; all else is as typed.
const PRELUDE: &str = r#"
docker() {
    case $1 in
        run | create) verb=$1; shift; command docker $verb --runtime ${RUNTIME##*/} "$@" ;;
        *) command docker "$@" ;;
    esac
}
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    MEMORY=/sys/fs/cgroup/memory.max QUOTA=/sys/fs/cgroup/cpu.max PIDS=/sys/fs/cgroup/pids.max
    RESERVATION=/sys/fs/cgroup/memory.low
    # The weights of those shares.
    SHARES='sed s/^59$/512/;s/^39$/300/ /sys/fs/cgroup/cpu.weight'
else
    MEMORY=/sys/fs/cgroup/memory/memory.limit_in_bytes QUOTA=/sys/fs/cgroup/cpu/cpu.cfs_quota_us
    PIDS=/sys/fs/cgroup/pids/pids.max
    RESERVATION=/sys/fs/cgroup/memory/memory.soft_limit_in_bytes
    SHARES='cat /sys/fs/cgroup/cpu/cpu.shares'
fi
"#;

const CLEAR: &str = "docker ps -aq | xargs -r docker rm -f; docker network prune -f";

/// A `dockerd`, its world and an image `box`. The daemon goes first, the world last.
struct Docker<'a> {
    fixture: &'a Fixture,
    daemon: Option<Daemon>,
    world: World,
    prelude: String,
}

impl<'a> Docker<'a> {
    fn start(fixture: &'a Fixture, options: &[&str]) -> Self {
        let world = World::make(&fixture.file("world"), fixture.tag()).expect("make a world");
        let at = |name: &str| fixture.file(name).display().to_string();
        fs::create_dir(fixture.file("work")).expect("make a folder");
        fs::write(fixture.file("daemon.json"), "{}").expect("write a configuration");
        let ours = fixture.runtime().program().display();
        let mut args: Vec<String> = [
            format!("--data-root={}", at("data")),
            format!("--exec-root={}", at("exec")),
            format!("--pidfile={}", at("docker.pid")),
            format!("--config-file={}", at("daemon.json")),
            format!("--host=unix://{}", at("d.sock")),
            format!("--add-runtime=orlop-runc={ours}"),
            "--default-runtime=orlop-runc".to_owned(),
            format!("--cgroup-parent=/{}", fixture.tag()),
        ]
        .into();
        args.extend(options.iter().map(ToString::to_string));
        let log = fixture.file("dockerd.log");
        let daemon = Daemon::start(&world, "dockerd", args, &log).expect("start dockerd");
        let prelude = format!(
            "cd {}\nexport HOME=$PWD DOCKER_HOST=unix://{} COMPOSE_PROJECT_NAME=project\n{PRELUDE}",
            at("work"),
            at("d.sock")
        );
        let docker = Self {
            fixture,
            daemon: Some(daemon),
            world,
            prelude,
        };
        docker.wait();
        let image = make_image(fixture.path()).expect("make an image");
        let import = format!(
            "docker import --change 'CMD [\"sh\"]' --change 'ENV PATH=/bin' {} box",
            image.display()
        );
        docker.stage().line(&import).ok();
        docker
    }

    fn wait(&self) {
        let daemon = self.daemon.as_ref().expect("a daemon");
        let answers = || self.stage().line("docker version").status.success();
        if let Err(error) = daemon.wait_until("dockerd answers", answers) {
            let log = fs::read_to_string(self.fixture.file("dockerd.log")).unwrap_or_default();
            panic!("{error}: {log}");
        }
    }

    fn stage(&self) -> Stage<'_> {
        let version = "docker --version";
        let call = self.world.script(version, false).run();
        Stage::new(&self.world, &call.stdout, self.prelude.clone(), CLEAR)
    }
}

impl Drop for Docker<'_> {
    fn drop(&mut self) {
        let _ = self
            .world
            .script(&format!("{}\n{CLEAR}", self.prelude), false)
            .run();
        drop(self.daemon.take());
        orlop_tests::cgroup::remove_named(self.fixture.tag());
    }
}

fn play(test: &str, options: &[&str], sections: &[Section]) -> Result<(), &'static str> {
    if !World::has("dockerd") {
        return Err("docker.io is not installed");
    }
    let fixture = Fixture::new(test);
    let docker = Docker::start(&fixture, options);
    for section in sections {
        docker.stage().play(section);
    }
    drop(docker);
    fixture.assert_clean();
    Ok(())
}

const fn section(name: &'static str, acts: &'static [orlop_tests::callers::Act]) -> Section {
    Section {
        caller: "Docker",
        name,
        acts,
    }
}

plays! {
    docker_runs_and_executes: &[], RUN, EXEC, LIFE;
    docker_limits_and_updates: &[], LIMITS, UPDATE;
    docker_isolates: &[], SECURITY, NAMESPACES;
    docker_files_and_networks: &[], FILES, NETWORKS;
    docker_restarts_and_checks_health: &[], RESTART, HEALTH;
    docker_builds_and_composes: &[], IMAGES, COMPOSE;
    docker_remaps_users: &["--userns-remap=orlop-user"], REMAP;
}

const RUN: Section = section(
    "run",
    acts![
        "output", "docker run --rm box echo hello" => 0, "hello";
        "exit status", "docker run --rm box sh -c 'exit 7'" => 7;
        "standard input", "echo words | docker run --rm -i box cat" => 0, "words";
        "a terminal", "script -qec \"command docker run --runtime ${RUNTIME##*/} --rm -it box tty\" /dev/null" => 0, "/dev/pts/0";
        "a terminal, answered", "(sleep 1; echo 'echo $((6*7))'; sleep 1; echo exit) | script -qec \"command docker run --runtime ${RUNTIME##*/} --rm -it box\" /dev/null" => 0, "42";
        "as a user", "docker run --rm -u 1000:50 --group-add 7 box id" => 0, "uid=1000(user) gid=50(staff)";
        "as a user by name", "docker run --rm -u user box id -u" => 0, "1000";
        "environment, entry point", "docker run --rm -e A=b --entrypoint env box" => 0, "A=b";
        "working directory", "docker run --rm -w /new/folder box pwd" => 0, "/new/folder";
        "host name, names", "docker run --rm -h here --add-host there:10.1.2.3 box cat /etc/hostname /etc/hosts" => 0, "here", "10.1.2.3";
        "--init", "docker run --rm --init box ps" => 0, "docker-init";
        "a missing program", "docker run --rm box fish" => 127, "exec: \"fish\": executable file not found in $PATH";
        "a program that is none", "docker run --rm box /etc/passwd" => 126, "permission denied";
        "killed by a signal", "docker run --rm --init box sh -c 'kill -9 $$'" => 137;
        "ids in a file", "docker run --rm --cidfile id box true && test -s id; rm id" => 0;
    ],
);

const EXEC: Section = section(
    "exec",
    acts![
        "a container", "docker run -d --name box box sleep 300" => 0;
        "a program", "docker exec box id -u" => 0, "0";
        "exit status", "docker exec box sh -c 'exit 9'" => 9;
        "standard input", "echo words | docker exec -i box cat" => 0, "words";
        "a terminal", "script -qec 'docker exec -it box tty' /dev/null" => 0, "/dev/pts/0";
        "as a user, elsewhere", "docker exec -u 1000 -w /tmp -e A=b box sh -c 'id -u; pwd; echo $A'" => 0, "1000", "/tmp", "b";
        "in the background", "docker exec -d box sleep 299; sleep 0.3; docker top box" => 0, "sleep 299";
        "--privileged", "docker exec --privileged box grep CapEff /proc/self/status" => 0, "fff";
        "a missing program", "docker exec box fish" => 126, "executable file not found in $PATH";
        "removed", "docker rm -f box" => 0;
    ],
);

const LIFE: Section = section(
    "life",
    acts![
        "create, start", "docker create --name box box sh -c 'echo begun; exec sleep 300' && docker start box && docker ps" => 0, "Up ";
        "logs", "sleep 0.3; docker logs box" => 0, "begun";
        "pause", "docker pause box && docker ps" => 0, "(Paused)";
        "exec while paused", "docker exec box true" => 1, "is paused";
        "unpause", "docker unpause box && docker exec box echo awake" => 0, "awake";
        "restart", "docker restart -t 1 box && docker exec box echo again" => 0, "again";
        "attach", "(sleep 1; docker kill box >/dev/null) & docker attach box" => 137;
        "start once more", "docker start box && docker inspect -f '{{.State.Status}}' box" => 0, "running";
        "signal", "docker kill -s TERM box; docker inspect -f '{{.State.Status}}' box" => 0, "running";
        "stop, after its time", "docker stop -t 1 box && docker inspect -f '{{.State.ExitCode}}' box" => 0, "137";
        "stop by a handler", "docker run -d --name trap box sh -c 'trap \"exit 5\" TERM; while :; do sleep 0.1; done' && sleep 0.5 && docker stop trap && docker wait trap" => 0, "5";
        "rename, remove", "docker rename box other && docker rm other trap" => 0, "other";
        "remove by force", "docker run -d --name box box sleep 300 && docker rm -f box && ! docker container inspect box" => 0;
        "ten at once", "for i in 0 1 2 3 4 5 6 7 8 9; do docker run --rm box echo n$i & done; wait" => 0, "n0", "n9";
    ],
);

const LIMITS: Section = section(
    "limits",
    acts![
        "memory", "docker run --rm -m 32m box cat $MEMORY" => 0, "33554432";
        "out of memory", "docker run --name box -m 16m --memory-swap 16m box tail /dev/zero; docker inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' box; docker rm box" => 0, "true 137";
        "CPU time", "docker run --rm --cpus 0.5 box cat $QUOTA" => 0, "50000";
        "CPUs", "docker run --rm --cpuset-cpus 0 box nproc" => 0, "1";
        "processes", "docker run --rm --pids-limit 20 box cat $PIDS" => 0, "20";
        "too many processes", "docker run --rm --pids-limit 5 box sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait'" => 2, "fork";
        "weight, reservation", "docker run --rm -c 512 -m 64m --memory-reservation 32m box $SHARES $RESERVATION" => 0, "512\n33554432";
        "ulimits", "docker run --rm --ulimit nofile=100:200 box sh -c 'ulimit -n; ulimit -Hn'" => 0, "100", "200";
        "shared memory", "docker run --rm --shm-size 8m box df -k /dev/shm" => 0, "8192";
        "out-of-memory score", "docker run --rm --oom-score-adj 500 box cat /proc/self/oom_score_adj" => 0, "500";
        "a parent cgroup", "docker run --rm --cgroupns host --cgroup-parent /$ORLOP_TEST_TAG/below box cat /proc/self/cgroup" => 0, "/below/";
    ],
);

const UPDATE: Section = section(
    "update, stats, top",
    acts![
        "a container", "docker run -d --name box -m 32m --memory-swap 64m box sleep 300" => 0;
        "memory, CPU, processes", "docker update -m 48m --memory-swap 96m --cpus 0.7 --pids-limit 77 --cpu-shares 300 box" => 0;
        "as the container sees them", "docker exec box cat $MEMORY $QUOTA $PIDS && docker exec box $SHARES" => 0, "50331648", "70000", "77", "\n300\n";
        "stats", "docker stats --no-stream --format '{{.MemUsage}} {{.PIDs}} {{.CPUPerc}}' box" => 0, "/ 48MiB 1 ";
        "top", "docker top box -o pid,args" => 0, "sleep 300";
        "removed", "docker rm -f box" => 0;
    ],
);

const SECURITY: Section = section(
    "privileges",
    acts![
        "capabilities", "docker run --rm --cap-drop ALL --cap-add NET_ADMIN box grep CapEff /proc/self/status" => 0, "0000000000001000";
        "--privileged", "docker run --rm --privileged box sh -c 'mount -t tmpfs none /tmp && grep tmpfs /proc/mounts && ls /dev/full'" => 0, " /tmp tmpfs";
        "no new privileges", "docker run --rm --security-opt no-new-privileges box grep NoNewPrivs /proc/self/status" => 0, "\t1";
        "the default filter", "docker run --rm box grep -w Seccomp /proc/self/status" => 0, "\t2";
        "the default filter bites", "docker run --rm box unshare -U true" => 1, "Operation not permitted";
        "no filter", "docker run --rm --security-opt seccomp=unconfined box grep -w Seccomp /proc/self/status" => 0, "\t0";
        "a filter of one's own", "echo '{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\",\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\"}]}' >f.json; docker run --rm --security-opt seccomp=f.json box mkdir /x" => 1, "Operation not permitted";
        "masked and read-only /proc", "docker run --rm box sh -c 'wc -c </proc/kcore; echo 1 >/proc/sys/kernel/panic'" => 1, "Read-only";
        "nothing masked", "docker run --rm --security-opt systempaths=unconfined box grep -c ' /proc/' /proc/mounts" => 1, "0";
        "a device", "docker run --rm --device /dev/zero:/dev/nil:r box head -c 3 /dev/nil" => 0;
        "a device not allowed", "docker run --rm --cap-add MKNOD box sh -c 'mknod /tmp/m c 1 1; cat /tmp/m'" => 1, "not permitted";
        "a device rule", "docker run --rm --cap-add MKNOD --device-cgroup-rule 'c 1:5 rwm' box sh -c 'mknod /tmp/z c 1 5; head -c 1 /tmp/z'" => 0;
        "read-only root", "docker run --rm --read-only --tmpfs /tmp box sh -c 'touch /tmp/x && touch /x'" => 1, "Read-only";
        "sysctls", "docker run --rm --sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=9000 box cat /proc/sys/kernel/msgmax" => 0, "9000";
    ],
);

const NAMESPACES: Section = section(
    "namespaces",
    acts![
        "the host's processes", "docker run --rm --pid host box ps" => 0, "dockerd";
        "the host's names", "docker run --rm --uts host box readlink /proc/self/ns/uts >a; readlink /proc/self/ns/uts >b; cmp a b" => 0;
        "the host's IPC", "docker run --rm --ipc host box readlink /proc/self/ns/ipc >a; readlink /proc/self/ns/ipc >b; cmp a b" => 0;
        "a cgroup namespace", "docker run --rm --cgroupns private box cat /proc/self/cgroup" => 0, ":/\n";
        "another container's", "docker run -d --name one --ipc shareable box sleep 300; docker run --rm --pid container:one --network container:one --ipc container:one box ps; docker rm -f one" => 0, "sleep 300";
    ],
);

const FILES: Section = section(
    "files",
    acts![
        "a volume", "docker run --rm -v data:/data box sh -c 'echo kept >/data/x' && docker run --rm -v data:/data:ro box cat /data/x" => 0, "kept";
        "a folder", "echo host >x; docker run --rm -v $PWD:/here:ro box sh -c 'cat /here/x; touch /here/y'" => 1, "host", "Read-only";
        "a file", "echo host >x; docker run --rm -v $PWD/x:/etc/x box cat /etc/x" => 0, "host";
        "--mount", "docker run --rm --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700 box df -k /t" => 0, "1024";
        "propagation", "mkdir -p p; mount --bind p p; mount --make-shared p; docker run --rm -v $PWD/p:/p:rslave box grep ' /p ' /proc/self/mountinfo; umount p" => 0, "master:";
        "cp in and out", "docker run -d --name box box sleep 300; echo words >in; docker cp in box:/tmp/f && docker exec box cat /tmp/f && docker cp box:/tmp/f out && cat out" => 0, "words\nwords";
        "diff, export", "docker diff box && docker export box | tar -t | grep tmp/f; docker rm -f box" => 0, "A /tmp/f";
    ],
);

const NETWORKS: Section = section(
    "networks",
    acts![
        "none", "docker run --rm --network none box ip -o link" => 0, "lo";
        "the host's", "docker run --rm --network host box ip -o link" => 0, "docker0";
        "the default bridge", "docker run --rm box ip -o -4 addr show eth0" => 0, "172.";
        "one's own, by name", "docker network create net && docker run -d --network net --name web box sh -c 'echo page >/tmp/index.html; exec httpd -f -h /tmp' && sleep 0.5 && docker run --rm --network net box wget -qO- http://web/; docker rm -f web; docker network rm net" => 0, "page";
        "a published port", "docker run -d -p 8080:80 --name web box sh -c 'echo page >/tmp/index.html; exec httpd -f -h /tmp' && sleep 0.5 && busybox wget -qO- http://127.0.0.1:8080/; docker rm -f web" => 0, "page";
        "name servers", "docker run --rm --dns 10.9.8.7 box cat /etc/resolv.conf" => 0, "10.9.8.7";
    ],
);

const RESTART: Section = section(
    "restart policies",
    acts![
        "on failure, twice", "docker run -d --name box --restart on-failure:2 box sh -c 'exit 3'; sleep 3; docker inspect -f '{{.RestartCount}} {{.State.Status}}' box; docker rm -f box" => 0, "2 exited";
        "always", "docker run -d --name box --restart always box sleep 1; sleep 3; docker inspect -f '{{.RestartCount}}' box | grep -qv '^0' && echo more than once; docker rm -f box" => 0, "more than once";
        "unless stopped", "docker run -d --name box --restart unless-stopped box sleep 300; docker stop -t 0 box; sleep 1; docker inspect -f '{{.State.Status}}' box; docker rm -f box" => 0, "exited";
    ],
);

const HEALTH: Section = section(
    "health checks",
    acts![
        "becomes healthy", "docker run -d --name box --health-cmd 'test -e /tmp/ok' --health-interval 500ms --health-retries 1 box sh -c 'touch /tmp/ok; sleep 300'; sleep 2; docker inspect -f '{{.State.Health.Status}}' box" => 0, "healthy";
        "becomes unhealthy", "docker exec box rm /tmp/ok; sleep 2; docker inspect -f '{{.State.Health.Status}}' box; docker rm -f box" => 0, "unhealthy";
    ],
);

const IMAGES: Section = section(
    "images",
    acts![
        "build", "printf 'FROM box\\nRUN id -u >/who\\nUSER user\\nRUN id -u >/tmp/who2\\nCMD cat /who /tmp/who2\\n' | docker build -t built - && docker run --rm built" => 0, "Successfully built", "0\n1000";
        "a build that fails", "printf 'FROM box\\nRUN exit 4\\n' | docker build -" => 4, "non-zero code: 4";
        "build with files", "mkdir -p b; echo file >b/f; printf 'FROM box\\nCOPY f /f\\nRUN cat /f\\n' >b/Dockerfile; docker build b" => 0, "file";
        "commit", "docker run --name box box touch /new && docker commit box more && docker run --rm more ls /new; docker rm box" => 0, "/new";
        "save, load", "docker save built | docker load" => 0, "built";
    ],
);

const COMPOSE: Section = section(
    "compose",
    acts![
        "up", "cat >docker-compose.yml <<END
version: '2.4'
services:
  web:
    image: box
    runtime: ${RUNTIME##*/}
    command: sh -c 'echo page >/tmp/index.html; exec httpd -f -h /tmp'
    healthcheck: {test: wget -qO- http://localhost/, interval: 500ms}
    mem_limit: 32m
  user:
    image: box
    runtime: ${RUNTIME##*/}
    command: sh -c 'wget -qO- http://web/; exec sleep 300'
    depends_on: {web: {condition: service_healthy}}
END
docker-compose up -d && docker-compose ps" => 0, "web_1", "healthy";
        "logs", "sleep 1; docker-compose logs user" => 0, "page";
        "exec", "docker-compose exec -T web cat $MEMORY" => 0, "33554432";
        "run", "docker-compose run --rm user echo one-off" => 0, "one-off";
        "scale", "docker-compose up -d --scale user=3 && docker-compose ps -q user | wc -l" => 0, "3";
        "pause, unpause", "docker-compose pause web && docker-compose ps && docker-compose unpause web" => 0, "Paused";
        "restart, stop, down", "docker-compose restart -t 0 && docker-compose stop -t 0 && docker-compose down" => 0;
    ],
);

const REMAP: Section = section(
    "users remapped (--userns-remap)",
    acts![
        "mapped", "docker run --rm box cat /proc/self/uid_map" => 0, "700000";
        "a terminal", "script -qec \"command docker run --runtime ${RUNTIME##*/} --rm -it box tty\" /dev/null" => 0, "/dev/pts/0";
        "as a user", "docker run --rm -u 1000 box id -u" => 0, "1000";
        "a volume", "docker run --rm -v data:/data box sh -c 'echo x >/data/x && stat -c %u /data/x'" => 0, "0";
        "tmpfs, devices", "docker run --rm --tmpfs /t box sh -c 'touch /t/x; ls -l /dev/null; echo >/dev/null'" => 0, "/dev/null";
        "limits", "docker run --rm -m 32m --pids-limit 20 box cat $MEMORY $PIDS" => 0, "33554432", "20";
        "network", "docker run --rm box ip -o -4 addr show eth0" => 0, "172.";
        "exec, pause, update, stop", "docker run -d --name box box sleep 300 && docker exec box id -u && docker pause box && docker unpause box && docker update -m 32m --memory-swap 64m box && docker stop -t 0 box && docker rm box" => 0;
        "exec with a terminal", "docker run -d --name box box sleep 300 && script -qec 'docker exec -u 1000 -it box tty' /dev/null; docker rm -f box" => 0, "/dev/pts/0";
        "the host's user", "docker run --rm --userns host box cat /proc/self/uid_map" => 0, "4294967295";
        "--init, read-only", "docker run --rm --init --read-only box ps" => 0, "docker-init";
        "build", "printf 'FROM box\\nRUN id -u\\n' | docker build -" => 0, "Successfully built";
    ],
);
