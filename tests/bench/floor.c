/*
 * floor ROOTFS COUNT [CGROUP]: the least that a container of the default configuration costs, as
 * straight-line C. Each round clones a child into five new namespaces, mounts what the default
 * configuration mounts, drops what it drops, executes /bin/true and reaps it. There is no parsing,
 * no state and no error handling but to stop. Prints one line a round: nanoseconds.
 *
 * With CGROUP there is a cgroup of that name, too, in each hierarchy of version 1: made, given the
 * default's device rules, joined, mounted in the container, and removed.
 *
 * The child shares the caller's memory until it executes (CLONE_VM and CLONE_VFORK), so no page
 * table is copied. That is safe here: one thread, a stack of its own, nothing but system calls.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MUST(call) do { if ((call) < 0) { failed = #call; _exit(125); } } while (0)
#define NEED(call) do { if ((call) < 0) err(1, #call); } while (0)
#define LENGTH(list) (sizeof(list) / sizeof *(list))
#define NO_EXTRAS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static const char *rootfs;
/* The child shares memory with us, so it can leave a word. */
static const char *volatile failed;

static const struct { const char *path; mode_t mode; unsigned minor, major; } devices[] = {
    { "dev/null", 0666, 3, 1 },    { "dev/zero", 0666, 5, 1 },    { "dev/full", 0666, 7, 1 },
    { "dev/random", 0666, 8, 1 },  { "dev/urandom", 0666, 9, 1 }, { "dev/tty", 0666, 0, 5 },
};

static const char *const links[][2] = {
    { "/proc/self/fd", "dev/fd" },         { "/proc/self/fd/0", "dev/stdin" },
    { "/proc/self/fd/1", "dev/stdout" },   { "/proc/self/fd/2", "dev/stderr" },
    { "/proc/kcore", "dev/core" },         { "pts/ptmx", "dev/ptmx" },
};

static const char *const readonly_paths[] = {
    "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger",
};

static const char *const masked_paths[] = {
    "proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats",
    "proc/timer_list", "proc/timer_stats", "proc/sched_debug", "proc/scsi", "sys/firmware",
    "sys/devices/virtual/powercap",
};

/* Hierarchies of version 1: where the container's cgroup is, and its name in the container. */
static struct { char path[128], name[64]; int tasks; } hierarchies[16];
static size_t hierarchy_count;

static const char *const device_rules[] = {
    "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm",
    "c 5:2 rwm", "c 136:* rwm",
};

static void find_hierarchies(const char *cgroup)
{
    DIR *folder = opendir("/sys/fs/cgroup");
    struct statfs about;
    char root[128];

    if (!folder)
        err(1, "/sys/fs/cgroup");
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || hierarchy_count == LENGTH(hierarchies))
            continue;
        snprintf(hierarchies[hierarchy_count].name, sizeof hierarchies->name, "%.63s", entry->d_name);
        snprintf(hierarchies[hierarchy_count].path, sizeof hierarchies->path, "/sys/fs/cgroup/%.48s/%.48s",
                 entry->d_name, cgroup);
        snprintf(root, sizeof root, "/sys/fs/cgroup/%.48s", entry->d_name);
        if (statfs(root, &about) == 0 && about.f_type == CGROUP_SUPER_MAGIC)
            hierarchy_count++;
    }
    closedir(folder);
}

static void put(const char *folder, const char *file, const char *const *values, size_t count)
{
    char path[256];
    int fd;

    snprintf(path, sizeof path, "%s/%s", folder, file);
    NEED(fd = open(path, O_WRONLY | O_CLOEXEC));
    for (size_t i = 0; i < count; i++)
        NEED(write(fd, values[i], strlen(values[i])));
    close(fd);
}

/* A new cpuset may use nothing, and takes no process, before it is told what its parent may use. */
static void inherit(const char *folder, const char *file)
{
    char path[256], value[64];
    const char *const values[] = { value };
    ssize_t length;
    int fd;

    snprintf(path, sizeof path, "%s/../%s", folder, file);
    NEED(fd = open(path, O_RDONLY | O_CLOEXEC));
    NEED(length = read(fd, value, sizeof value - 1));
    close(fd);
    value[length] = 0;
    put(folder, file, values, 1);
}

static void make_cgroups(void)
{
    static const char *const all[] = { "a" };
    char path[256];

    for (size_t i = 0; i < hierarchy_count; i++) {
        const char *folder = hierarchies[i].path;

        NEED(mkdir(folder, 0755));
        if (strstr(hierarchies[i].name, "cpuset")) {
            inherit(folder, "cpuset.cpus");
            inherit(folder, "cpuset.mems");
        }
        if (!strcmp(hierarchies[i].name, "devices")) {
            put(folder, "devices.deny", all, 1);
            put(folder, "devices.allow", device_rules, LENGTH(device_rules));
        }
        snprintf(path, sizeof path, "%.127s/tasks", folder);
        NEED(hierarchies[i].tasks = open(path, O_WRONLY | O_CLOEXEC));
    }
}

static void join_and_mount_cgroups(void)
{
    char path[256];

    for (size_t i = 0; i < hierarchy_count; i++)
        MUST(write(hierarchies[i].tasks, "0", 1));
    if (!hierarchy_count)
        return;
    MUST(mount("cgroup", "sys/fs/cgroup", "tmpfs", NO_EXTRAS, "mode=755"));
    for (size_t i = 0; i < hierarchy_count; i++) {
        snprintf(path, sizeof path, "sys/fs/cgroup/%s", hierarchies[i].name);
        MUST(mkdir(path, 0755));
        MUST(mount(hierarchies[i].path, path, NULL, MS_BIND, NULL));
        MUST(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | NO_EXTRAS, NULL));
    }
}

static void remove_cgroups(void)
{
    for (size_t i = 0; i < hierarchy_count; i++) {
        close(hierarchies[i].tasks);
        if (rmdir(hierarchies[i].path) < 0)
            err(1, "%s", hierarchies[i].path);
    }
}

static void file_systems(void)
{
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL));
    MUST(chdir(rootfs));
    MUST(mount("proc", "proc", "proc", 0, NULL));
    MUST(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
    MUST(mkdir("dev/pts", 0755));
    MUST(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
               "newinstance,ptmxmode=0666,mode=0620,gid=5"));
    MUST(mkdir("dev/shm", 0755));
    MUST(mount("shm", "dev/shm", "tmpfs", NO_EXTRAS, "mode=1777,size=65536k"));
    MUST(mkdir("dev/mqueue", 0755));
    MUST(mount("mqueue", "dev/mqueue", "mqueue", NO_EXTRAS, NULL));
    MUST(mount("sysfs", "sys", "sysfs", NO_EXTRAS | MS_RDONLY, NULL));
}

static void nodes(void)
{
    umask(0);
    for (size_t i = 0; i < LENGTH(devices); i++)
        MUST(mknod(devices[i].path, S_IFCHR | devices[i].mode,
                   makedev(devices[i].major, devices[i].minor)));
    for (size_t i = 0; i < LENGTH(links); i++)
        MUST(symlink(links[i][0], links[i][1]));
    umask(022);
}

static void hide(void)
{
    struct stat about;

    for (size_t i = 0; i < LENGTH(readonly_paths); i++) {
        if (mount(readonly_paths[i], readonly_paths[i], NULL, MS_BIND | MS_REC, NULL) < 0)
            continue; /* this kernel has none */
        MUST(mount(NULL, readonly_paths[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
    }
    for (size_t i = 0; i < LENGTH(masked_paths); i++) {
        if (stat(masked_paths[i], &about) < 0)
            continue;
        if (S_ISDIR(about.st_mode))
            MUST(mount("tmpfs", masked_paths[i], "tmpfs", MS_RDONLY, NULL));
        else
            MUST(mount("dev/null", masked_paths[i], NULL, MS_BIND, NULL));
    }
}

static void pivot(void)
{
    MUST(syscall(SYS_pivot_root, ".", "."));
    MUST(umount2(".", MNT_DETACH));
    MUST(chdir("/"));
    MUST(mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
}

static void loopback_up(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    MUST(fd);
    MUST(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
}

static void privileges(void)
{
    static const int kept = 1 << CAP_AUDIT_WRITE | 1 << CAP_KILL | 1 << CAP_NET_BIND_SERVICE;
    struct rlimit files = { 1024, 1024 };
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct sets[2] = {
        { .effective = kept, .permitted = kept, .inheritable = 0 },
    };

    MUST(sethostname("contained", 9));
    MUST(setrlimit(RLIMIT_NOFILE, &files));
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (cap >= 32 || !(kept & 1 << cap))
            MUST(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0));
    /* The system calls themselves: glibc's functions would tell other threads. */
    MUST(syscall(SYS_setgroups, 0, NULL));
    MUST(syscall(SYS_setresgid, 0, 0, 0));
    MUST(syscall(SYS_setresuid, 0, 0, 0));
    MUST(syscall(SYS_capset, &header, sets));
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static int child(void *unused)
{
    static char *const args[] = { "true", NULL };
    static char *const env[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", NULL,
    };

    (void)unused;
    MUST(setsid());
    file_systems();
    join_and_mount_cgroups();
    nodes();
    hide();
    pivot();
    loopback_up();
    privileges();
    MUST(execve("/bin/true", args, env));
    return 125;
}

static long long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
    static char stack[64 << 10] __attribute__((aligned(16)));
    const int flags = CLONE_VM | CLONE_VFORK | SIGCHLD | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                      CLONE_NEWUTS | CLONE_NEWNS;

    if (argc != 3 && argc != 4)
        errx(2, "usage: floor ROOTFS COUNT [CGROUP]");
    rootfs = argv[1];
    if (argc == 4)
        find_hierarchies(argv[3]);
    for (int rounds = atoi(argv[2]); rounds > 0; rounds--) {
        long long start = now();
        int status, pid;

        make_cgroups();
        pid = clone(child, stack + sizeof stack, flags, NULL);

        if (pid < 0)
            err(1, "clone");
        if (waitpid(pid, &status, 0) < 0)
            err(1, "waitpid");
        if (status != 0)
            errx(1, "child: status %#x at %s", status, failed ? failed : "/bin/true");
        remove_cgroups();
        printf("%lld\n", now() - start);
    }
    return 0;
}
