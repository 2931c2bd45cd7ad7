
# Added by Orlop's run of this suite: the tests start helpers in the background and use their sockets at
# once, which on a busy machine is too early. These wait for the socket, as setup_pidfd_kill does.

function wait_for_socket() {
	local try
	for try in {1..200}; do
		[ ! -S "$1" ] || return 0
		sleep 0.05
	done
	echo "no socket at $1" >&2
	return 1
}

eval "plain_$(declare -f setup_recvtty)"
function setup_recvtty() {
	plain_setup_recvtty && wait_for_socket "$CONSOLE_SOCKET"
}

eval "plain_$(declare -f setup_seccompagent)"
function setup_seccompagent() {
	plain_setup_seccompagent && wait_for_socket "$SECCCOMP_AGENT_SOCKET"
}
