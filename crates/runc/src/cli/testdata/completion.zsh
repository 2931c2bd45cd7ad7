#compdef orlop-runc

_orlop_runc() {
    local context state line
    _arguments -C \
        '--debug[log what is done, not only what fails]' \
        '--log[append the log to this file (default\: standard error)]:FILE:_files' \
        '--log-format[the log'\''s format\: text or json (default\: text)]:FORMAT:' \
        '--log-level[log this and what is worse (default\: warning)]:value:(error warning debug)' \
        '--root[keep the state of containers here, preferably in a tmpfs]:DIR:_files' \
        '--systemd-cgroup[let systemd make the cgroups; cgroupsPath is then slice\:prefix\:name]' \
        '--cgroup-manager[who makes the cgroups; disabled\: containers stay in their caller'\''s (default\: cgroupfs)]:value:(cgroupfs systemd disabled)' \
        '--rootless[true\: go on without what can'\''t be had of cgroups, and say so (default\: auto)]:value:(true false auto)' \
        '-h[show help]' \
        '--help[show help]' \
        '-v[show the version]' \
        '--version[show the version]' \
        '1:command:->command' '*::argument:->argument'
    case $state in
    command)
        local -a commands=(
            'create:create a container'
            'start:start a created container'
            'run:create, start and wait for a container'
            'exec:run a further process in a container'
            'state:show a container'\''s state'
            'list:list all containers'
            'ps:list the processes of a container'
            'events:show what a container uses, and when its memory ran out'
            'kill:send a signal to a container'
            'pause:suspend all processes of a container'
            'resume:let the processes of a paused container go on'
            'update:change the limits of a container'
            'checkpoint:write a running container to disk'
            'restore:bring a container back from disk'
            'delete:remove a container'
            'spec:write a configuration to start from'
            'plan:show what creating a container would do'
            'features:show what this program can do'
            'doctor:examine the host'
            'completion:print a shell'\''s completion script'
            'man:print the manual page'
        )
        _describe command commands ;;
    argument)
        case $line[1] in
        create)
            _arguments \
        '-b[the bundle'\''s directory (default\: the current one)]:DIR:_files' \
        '--bundle[the bundle'\''s directory (default\: the current one)]:DIR:_files' \
        '-f[the file in the bundle with the configuration (default\: config.json)]:FILE:_files' \
        '--config[the file in the bundle with the configuration (default\: config.json)]:FILE:_files' \
        '--console-socket[send the terminal'\''s master side to this unix socket]:SOCKET:_files' \
        '--pidfd-socket[send a pidfd of the process to this unix socket]:SOCKET:_files' \
        '--pid-file[write the process'\''s pid, as the caller sees it, to this file]:FILE:_files' \
        '--no-pivot[change the root with chroot instead of pivot_root, for a host whose root is a ramdisk]' \
        '--no-new-keyring[keep the caller'\''s session keyring]' \
        '--preserve-fds[pass N descriptors on, from 3 or what follows $LISTEN_FDS (default\: 0)]:N:' \
        '-h[show help]' \
        '--help[show help]' \
        '*::argument:_default' ;;
        start)
            _arguments \
        '-h[show help]' \
        '--help[show help]' \
        '1:container:($(orlop-runc list -q 2>/dev/null))' ;;
        run)
            _arguments \
        '-b[the bundle'\''s directory (default\: the current one)]:DIR:_files' \
        '--bundle[the bundle'\''s directory (default\: the current one)]:DIR:_files' \
        '-f[the file in the bundle with the configuration (default\: config.json)]:FILE:_files' \
        '--config[the file in the bundle with the configuration (default\: config.json)]:FILE:_files' \
        '--console-socket[send the terminal'\''s master side to this unix socket]:SOCKET:_files' \
        '--pidfd-socket[send a pidfd of the process to this unix socket]:SOCKET:_files' \
        '--pid-file[write the process'\''s pid, as the caller sees it, to this file]:FILE:_files' \
        '-d[do not wait for the process]' \
        '--detach[do not wait for the process]' \
        '--keep[do not remove the container when it is over]' \
        '--no-subreaper[do not adopt processes that the container orphans]' \
        '--no-pivot[change the root with chroot instead of pivot_root, for a host whose root is a ramdisk]' \
        '--no-new-keyring[keep the caller'\''s session keyring]' \
        '--preserve-fds[pass N descriptors on, from 3 or what follows $LISTEN_FDS (default\: 0)]:N:' \
        '-h[show help]' \
        '--help[show help]' \
        '*::argument:_default' ;;
        exec)
            _arguments \
        '--console-socket[send the terminal'\''s master side to this unix socket]:SOCKET:_files' \
        '--pidfd-socket[send a pidfd of the process to this unix socket]:SOCKET:_files' \
        '--cwd[the working directory in the container]:DIR:' \
        '-e[add to the environment; may be repeated]:NAME=VALUE:' \
        '--env[add to the environment; may be repeated]:NAME=VALUE:' \
        '-t[give the process a terminal]' \
        '--tty[give the process a terminal]' \
        '-u[the user, and the group, in numbers]:UID[:GID]:' \
        '--user[the user, and the group, in numbers]:UID[:GID]:' \
        '-g[add a supplementary group; may be repeated]:GID:' \
        '--additional-gids[add a supplementary group; may be repeated]:GID:' \
        '-p[take all about the process from this JSON file]:FILE:_files' \
        '--process[take all about the process from this JSON file]:FILE:_files' \
        '-d[do not wait for the process]' \
        '--detach[do not wait for the process]' \
        '--pid-file[write the process'\''s pid, as the caller sees it, to this file]:FILE:_files' \
        '--process-label[the SELinux context of the process]:LABEL:' \
        '--apparmor[the AppArmor profile of the process]:PROFILE:' \
        '--no-new-privs[never let the process gain privileges]' \
        '-c[add a capability; may be repeated]:CAPABILITY:' \
        '--cap[add a capability; may be repeated]:CAPABILITY:' \
        '--preserve-fds[pass N descriptors on, from 3 or what follows $LISTEN_FDS (default\: 0)]:N:' \
        '--cgroup[run in a cgroup below the container'\''s; may be repeated]:[CONTROLLERS:]PATH:' \
        '--ignore-paused[go on when the container is paused]' \
        '-h[show help]' \
        '--help[show help]' \
        '1:container:($(orlop-runc list -q 2>/dev/null))' ;;
        state)
            _arguments \
        '-h[show help]' \
        '--help[show help]' \
        '1:container:($(orlop-runc list -q 2>/dev/null))' ;;
        list)
            _arguments \
        '-f[how to list them (default\: table)]:value:(table json)' \
        '--format[how to list them (default\: table)]:value:(table json)' \
        '-q[print ids only]' \
        '--quiet[print ids only]' \
        '-h[show help]' \
        '--help[show help]' \
        '*::argument:_default' ;;
        ps)
            _arguments \
        '-f[how to list them (default\: table)]:value:(table json)' \
        '--format[how to list them (default\: table)]:value:(table json)' \
        '-h[show help]' \
        '--help[show help]' \
        '1:container:($(orlop-runc list -q 2>/dev/null))' ;;
        events)
            _arguments \
        '--interval[the time between figures, such as 500ms or 1m (default\: 5s)]:TIME:' \
        '--stats[print the figures once]' \
        '-h[show help]' \
        '--help[show help]' \
        '1:container:($(orlop-runc list -q 2>/dev/null))' ;;
        kill)
            _arguments \
        '-r[ID is a regular expression\: do it to every container with an id in which that is found]' \
        '--regex[ID is a regular expression\: do it to every container with an id in which that is found]' \
        '-h[show help]' \
        '--help[show help]' \
        '1:container:($(orlop-runc list -q 2>/dev/null))' ;;
        pause)
            _arguments \
        '-h[show help]' \
        '--help[show help]' \
        '1:container:($(orlop-runc list -q 2>/dev/null))' ;;
        resume)
            _arguments \
        '-h[show help]' \
        '--help[show help]' \
        '1:container:($(orlop-runc list -q 2>/dev/null))' ;;
        update)
            _arguments \
        '-r[take all limits from this JSON file, or from standard input with -]:FILE:_files' \
        '--resources[take all limits from this JSON file, or from standard input with -]:FILE:_files' \
        '--blkio-weight[the relative weight of block I/O, from 10 to 1000]:WEIGHT:' \
        '--cpu-period[the period of the CPU quota]:TIME:' \
        '--cpu-quota[the CPU time in each period]:TIME:' \
        '--cpu-burst[the unused quota that one period may spend beside its own]:TIME:' \
        '--cpu-share[the relative weight of CPU time, from 2 to 262144]:SHARES:' \
        '--cpu-rt-period[the real-time period (cgroup v1)]:TIME:' \
        '--cpu-rt-runtime[the real-time CPU time in each period (cgroup v1)]:TIME:' \
        '--cpuset-cpus[the CPUs to run on, such as 0-3,7]:LIST:' \
        '--cpuset-mems[the memory nodes to allocate from]:LIST:' \
        '--cpu-idle[1 to run only when nothing else wants the CPU]:0|1:' \
        '--memory[the limit of memory]:SIZE:' \
        '--memory-reservation[the soft limit of memory]:SIZE:' \
        '--memory-swap[the limit of memory and swap together]:SIZE:' \
        '--pids-limit[how many processes and threads there may be]:N:' \
        '--l3-cache-schema[the schema of Intel RDT'\''s L3 cache]:SCHEMA:' \
        '--mem-bw-schema[the schema of Intel RDT'\''s memory bandwidth]:SCHEMA:' \
        '-h[show help]' \
        '--help[show help]' \
        '1:container:($(orlop-runc list -q 2>/dev/null))' ;;
        checkpoint)
            _arguments \
        '--image-path[the directory of criu'\''s images (default\: checkpoint)]:DIR:_files' \
        '--work-path[where criu works and logs (default\: with the images)]:DIR:_files' \
        '--parent-path[an earlier image, relative to this one\: write only what changed since]:DIR:_files' \
        '--leave-running[let the container go on]' \
        '--tcp-established[allow open TCP connections]' \
        '--tcp-skip-in-flight[leave TCP connections out that are not established yet]' \
        '--link-remap[give files a name that have none any more]' \
        '--ext-unix-sk[allow unix sockets that are connected outside]' \
        '--shell-job[allow a session or a terminal of outside]' \
        '--lazy-pages[hand memory over when it is used first (userfaultfd)]' \
        '--status-fd[write a zero byte to this descriptor once lazy pages are ready]:FD:' \
        '--page-server[send memory to a page server of criu]:ADDRESS:PORT:' \
        '--file-locks[take file locks along]' \
        '--pre-dump[write memory only, as a parent of the next image, and let the container go on]' \
        '--manage-cgroups-mode[what becomes of cgroups\: soft, full, strict or ignore (default\: soft)]:MODE:' \
        '--empty-ns[make a namespace without what is in it; network is always so]:TYPE:' \
        '--auto-dedup[drop memory from an image once another one has it]' \
        '--network-lock[how the network is kept still where there are open TCP connections]:value:(iptables nftables skip)' \
        '-h[show help]' \
        '--help[show help]' \
        '1:container:($(orlop-runc list -q 2>/dev/null))' ;;
        restore)
            _arguments \
        '--image-path[the directory of criu'\''s images (default\: checkpoint)]:DIR:_files' \
        '--work-path[where criu works and logs (default\: with the images)]:DIR:_files' \
        '-b[the bundle'\''s directory (default\: the current one)]:DIR:_files' \
        '--bundle[the bundle'\''s directory (default\: the current one)]:DIR:_files' \
        '--console-socket[send the terminal'\''s master side to this unix socket]:SOCKET:_files' \
        '--pidfd-socket[send a pidfd of the process to this unix socket]:SOCKET:_files' \
        '--pid-file[write the process'\''s pid, as the caller sees it, to this file]:FILE:_files' \
        '-d[do not wait for the process]' \
        '--detach[do not wait for the process]' \
        '--no-subreaper[do not adopt processes that the container orphans]' \
        '--tcp-established[allow open TCP connections]' \
        '--tcp-close[bring TCP connections back closed]' \
        '--ext-unix-sk[allow unix sockets that are connected outside]' \
        '--shell-job[allow a session or a terminal of outside]' \
        '--file-locks[take file locks along]' \
        '--manage-cgroups-mode[what becomes of cgroups\: soft, full, strict or ignore (default\: soft)]:MODE:' \
        '--empty-ns[make a namespace without what is in it; network is always so]:TYPE:' \
        '--auto-dedup[drop memory from an image once another one has it]' \
        '--lazy-pages[hand memory over when it is used first (userfaultfd)]' \
        '--lsm-profile[a security module'\''s profile for the processes\: apparmor or selinux]:TYPE:NAME:' \
        '--lsm-mount-context[the SELinux context of the mounts]:CONTEXT:' \
        '--network-lock[how the network is kept still where there are open TCP connections]:value:(iptables nftables skip)' \
        '-h[show help]' \
        '--help[show help]' \
        '*::argument:_default' ;;
        delete)
            _arguments \
        '-f[kill the container first, with SIGKILL]' \
        '--force[kill the container first, with SIGKILL]' \
        '-r[ID is a regular expression\: do it to every container with an id in which that is found]' \
        '--regex[ID is a regular expression\: do it to every container with an id in which that is found]' \
        '-h[show help]' \
        '--help[show help]' \
        '1:container:($(orlop-runc list -q 2>/dev/null))' ;;
        spec)
            _arguments \
        '-b[the bundle'\''s directory (default\: the current one)]:DIR:_files' \
        '--bundle[the bundle'\''s directory (default\: the current one)]:DIR:_files' \
        '--rootless[for a user who is not root]' \
        '-h[show help]' \
        '--help[show help]' \
        '*::argument:_default' ;;
        plan)
            _arguments \
        '-b[the bundle'\''s directory (default\: the current one)]:DIR:_files' \
        '--bundle[the bundle'\''s directory (default\: the current one)]:DIR:_files' \
        '-f[how to print it (default\: text)]:value:(text json)' \
        '--format[how to print it (default\: text)]:value:(text json)' \
        '--no-pivot[change the root with chroot instead of pivot_root, for a host whose root is a ramdisk]' \
        '--no-new-keyring[keep the caller'\''s session keyring]' \
        '--preserve-fds[pass N descriptors on, from 3 or what follows $LISTEN_FDS (default\: 0)]:N:' \
        '-h[show help]' \
        '--help[show help]' \
        '*::argument:_default' ;;
        features)
            _arguments \
        '-h[show help]' \
        '--help[show help]' \
        '*::argument:_default' ;;
        doctor)
            _arguments \
        '-f[how to show it (default\: text)]:value:(text json)' \
        '--format[how to show it (default\: text)]:value:(text json)' \
        '-h[show help]' \
        '--help[show help]' \
        '*::argument:_default' ;;
        completion)
            _arguments \
        '-h[show help]' \
        '--help[show help]' \
        '1:argument:(bash fish zsh)' ;;
        man)
            _arguments \
        '-h[show help]' \
        '--help[show help]' \
        '*::argument:_default' ;;
        esac ;;
    esac
}

_orlop_runc "$@"
