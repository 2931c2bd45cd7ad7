# bash completion for orlop-runc
_orlop_runc() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local command= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --log|--log-format|--log-level|--root|--cgroup-manager|--rootless) ((i++)) ;;
            -*) ;;
            *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $command:$previous in
        :--log) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        :--log-format) COMPREPLY=(); return ;;
        :--log-level) COMPREPLY=($(compgen -W 'error warning debug' -- "$word")); return ;;
        :--root) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        :--cgroup-manager) COMPREPLY=($(compgen -W 'cgroupfs systemd disabled' -- "$word")); return ;;
        :--rootless) COMPREPLY=($(compgen -W 'true false auto' -- "$word")); return ;;
        create:-b|create:--bundle) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        create:-f|create:--config) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        create:--console-socket) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        create:--pidfd-socket) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        create:--pid-file) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        create:--preserve-fds) COMPREPLY=(); return ;;
        run:-b|run:--bundle) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        run:-f|run:--config) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        run:--console-socket) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        run:--pidfd-socket) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        run:--pid-file) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        run:--preserve-fds) COMPREPLY=(); return ;;
        exec:--console-socket) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        exec:--pidfd-socket) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        exec:--cwd) COMPREPLY=(); return ;;
        exec:-e|exec:--env) COMPREPLY=(); return ;;
        exec:-u|exec:--user) COMPREPLY=(); return ;;
        exec:-g|exec:--additional-gids) COMPREPLY=(); return ;;
        exec:-p|exec:--process) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        exec:--pid-file) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        exec:--process-label) COMPREPLY=(); return ;;
        exec:--apparmor) COMPREPLY=(); return ;;
        exec:-c|exec:--cap) COMPREPLY=(); return ;;
        exec:--preserve-fds) COMPREPLY=(); return ;;
        exec:--cgroup) COMPREPLY=(); return ;;
        list:-f|list:--format) COMPREPLY=($(compgen -W 'table json' -- "$word")); return ;;
        ps:-f|ps:--format) COMPREPLY=($(compgen -W 'table json' -- "$word")); return ;;
        events:--interval) COMPREPLY=(); return ;;
        update:-r|update:--resources) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        update:--blkio-weight) COMPREPLY=(); return ;;
        update:--cpu-period) COMPREPLY=(); return ;;
        update:--cpu-quota) COMPREPLY=(); return ;;
        update:--cpu-burst) COMPREPLY=(); return ;;
        update:--cpu-share) COMPREPLY=(); return ;;
        update:--cpu-rt-period) COMPREPLY=(); return ;;
        update:--cpu-rt-runtime) COMPREPLY=(); return ;;
        update:--cpuset-cpus) COMPREPLY=(); return ;;
        update:--cpuset-mems) COMPREPLY=(); return ;;
        update:--cpu-idle) COMPREPLY=(); return ;;
        update:--memory) COMPREPLY=(); return ;;
        update:--memory-reservation) COMPREPLY=(); return ;;
        update:--memory-swap) COMPREPLY=(); return ;;
        update:--pids-limit) COMPREPLY=(); return ;;
        update:--l3-cache-schema) COMPREPLY=(); return ;;
        update:--mem-bw-schema) COMPREPLY=(); return ;;
        checkpoint:--image-path) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        checkpoint:--work-path) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        checkpoint:--parent-path) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        checkpoint:--status-fd) COMPREPLY=(); return ;;
        checkpoint:--page-server) COMPREPLY=(); return ;;
        checkpoint:--manage-cgroups-mode) COMPREPLY=(); return ;;
        checkpoint:--empty-ns) COMPREPLY=(); return ;;
        checkpoint:--network-lock) COMPREPLY=($(compgen -W 'iptables nftables skip' -- "$word")); return ;;
        restore:--image-path) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        restore:--work-path) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        restore:-b|restore:--bundle) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        restore:--console-socket) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        restore:--pidfd-socket) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        restore:--pid-file) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        restore:--manage-cgroups-mode) COMPREPLY=(); return ;;
        restore:--empty-ns) COMPREPLY=(); return ;;
        restore:--lsm-profile) COMPREPLY=(); return ;;
        restore:--lsm-mount-context) COMPREPLY=(); return ;;
        restore:--network-lock) COMPREPLY=($(compgen -W 'iptables nftables skip' -- "$word")); return ;;
        spec:-b|spec:--bundle) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        plan:-b|plan:--bundle) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        plan:-f|plan:--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
        plan:--preserve-fds) COMPREPLY=(); return ;;
        doctor:-f|doctor:--format) COMPREPLY=($(compgen -W 'text json' -- "$word")); return ;;
    esac
    case $command:$word in
        :-*) COMPREPLY=($(compgen -W '--debug --log --log-format --log-level --root --systemd-cgroup --cgroup-manager --rootless -h --help -v --version' -- "$word")) ;;
        :*) COMPREPLY=($(compgen -W 'create start run exec state list ps events kill pause resume update checkpoint restore delete spec plan features doctor completion man' -- "$word")) ;;
        create:-*) COMPREPLY=($(compgen -W '-b --bundle -f --config --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds -h --help' -- "$word")) ;;
        start:-*) COMPREPLY=($(compgen -W '-h --help' -- "$word")) ;;
        start:*) COMPREPLY=($(compgen -W "$(orlop-runc list -q 2>/dev/null)" -- "$word")) ;;
        run:-*) COMPREPLY=($(compgen -W '-b --bundle -f --config --console-socket --pidfd-socket --pid-file -d --detach --keep --no-subreaper --no-pivot --no-new-keyring --preserve-fds -h --help' -- "$word")) ;;
        exec:-*) COMPREPLY=($(compgen -W '--console-socket --pidfd-socket --cwd -e --env -t --tty -u --user -g --additional-gids -p --process -d --detach --pid-file --process-label --apparmor --no-new-privs -c --cap --preserve-fds --cgroup --ignore-paused -h --help' -- "$word")) ;;
        exec:*) COMPREPLY=($(compgen -W "$(orlop-runc list -q 2>/dev/null)" -- "$word")) ;;
        state:-*) COMPREPLY=($(compgen -W '-h --help' -- "$word")) ;;
        state:*) COMPREPLY=($(compgen -W "$(orlop-runc list -q 2>/dev/null)" -- "$word")) ;;
        list:-*) COMPREPLY=($(compgen -W '-f --format -q --quiet -h --help' -- "$word")) ;;
        ps:-*) COMPREPLY=($(compgen -W '-f --format -h --help' -- "$word")) ;;
        ps:*) COMPREPLY=($(compgen -W "$(orlop-runc list -q 2>/dev/null)" -- "$word")) ;;
        events:-*) COMPREPLY=($(compgen -W '--interval --stats -h --help' -- "$word")) ;;
        events:*) COMPREPLY=($(compgen -W "$(orlop-runc list -q 2>/dev/null)" -- "$word")) ;;
        kill:-*) COMPREPLY=($(compgen -W '-r --regex -h --help' -- "$word")) ;;
        kill:*) COMPREPLY=($(compgen -W "$(orlop-runc list -q 2>/dev/null)" -- "$word")) ;;
        pause:-*) COMPREPLY=($(compgen -W '-h --help' -- "$word")) ;;
        pause:*) COMPREPLY=($(compgen -W "$(orlop-runc list -q 2>/dev/null)" -- "$word")) ;;
        resume:-*) COMPREPLY=($(compgen -W '-h --help' -- "$word")) ;;
        resume:*) COMPREPLY=($(compgen -W "$(orlop-runc list -q 2>/dev/null)" -- "$word")) ;;
        update:-*) COMPREPLY=($(compgen -W '-r --resources --blkio-weight --cpu-period --cpu-quota --cpu-burst --cpu-share --cpu-rt-period --cpu-rt-runtime --cpuset-cpus --cpuset-mems --cpu-idle --memory --memory-reservation --memory-swap --pids-limit --l3-cache-schema --mem-bw-schema -h --help' -- "$word")) ;;
        update:*) COMPREPLY=($(compgen -W "$(orlop-runc list -q 2>/dev/null)" -- "$word")) ;;
        checkpoint:-*) COMPREPLY=($(compgen -W '--image-path --work-path --parent-path --leave-running --tcp-established --tcp-skip-in-flight --link-remap --ext-unix-sk --shell-job --lazy-pages --status-fd --page-server --file-locks --pre-dump --manage-cgroups-mode --empty-ns --auto-dedup --network-lock -h --help' -- "$word")) ;;
        checkpoint:*) COMPREPLY=($(compgen -W "$(orlop-runc list -q 2>/dev/null)" -- "$word")) ;;
        restore:-*) COMPREPLY=($(compgen -W '--image-path --work-path -b --bundle --console-socket --pidfd-socket --pid-file -d --detach --no-subreaper --tcp-established --tcp-close --ext-unix-sk --shell-job --file-locks --manage-cgroups-mode --empty-ns --auto-dedup --lazy-pages --lsm-profile --lsm-mount-context --network-lock -h --help' -- "$word")) ;;
        delete:-*) COMPREPLY=($(compgen -W '-f --force -r --regex -h --help' -- "$word")) ;;
        delete:*) COMPREPLY=($(compgen -W "$(orlop-runc list -q 2>/dev/null)" -- "$word")) ;;
        spec:-*) COMPREPLY=($(compgen -W '-b --bundle --rootless -h --help' -- "$word")) ;;
        plan:-*) COMPREPLY=($(compgen -W '-b --bundle -f --format --no-pivot --no-new-keyring --preserve-fds -h --help' -- "$word")) ;;
        features:-*) COMPREPLY=($(compgen -W '-h --help' -- "$word")) ;;
        doctor:-*) COMPREPLY=($(compgen -W '-f --format -h --help' -- "$word")) ;;
        completion:-*) COMPREPLY=($(compgen -W '-h --help' -- "$word")) ;;
        completion:*) COMPREPLY=($(compgen -W 'bash fish zsh' -- "$word")) ;;
        man:-*) COMPREPLY=($(compgen -W '-h --help' -- "$word")) ;;
    esac
}
complete -F _orlop_runc orlop-runc
