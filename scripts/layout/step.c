/*
 * step OUT LOW HIGH PROGRAM [ARGUMENT...]: executes the program one instruction at a time, and appends to
 * OUT the start of each 16 bytes between the addresses LOW and HIGH (hexadecimal) of which one was
 * executed. What the program starts runs freely.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <elf.h>

#define PIECE 16

static unsigned long instruction(pid_t pid)
{
	struct user_regs_struct registers;
	struct iovec part = { &registers, sizeof registers };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &part) < 0)
		err(1, "PTRACE_GETREGSET");
#if defined(__x86_64__)
	return registers.rip;
#elif defined(__aarch64__)
	return registers.pc;
#endif
}

int main(int count, char **arguments)
{
	if (count < 5)
		errx(2, "usage: step OUT LOW HIGH PROGRAM [ARGUMENT...]");
	unsigned long low = strtoul(arguments[2], NULL, 16), high = strtoul(arguments[3], NULL, 16);
	unsigned char *seen = calloc((high - low) / PIECE + 1, 1);
	FILE *out = fopen(arguments[1], "ae");
	int status, signal = 0;
	pid_t pid;

	if (!seen || !out)
		err(1, "%s", arguments[1]);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execv(arguments[4], arguments + 4);
		err(127, "%s", arguments[4]);
	}
	if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
		errx(1, "%s was not started", arguments[4]);
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL);
	while (ptrace(PTRACE_SINGLESTEP, pid, NULL, signal) == 0 && waitpid(pid, &status, 0) == pid &&
	       WIFSTOPPED(status)) {
		unsigned long at = instruction(pid);

		signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		if (at >= low && at < high)
			seen[(at - low) / PIECE] = 1;
	}
	for (unsigned long piece = 0; piece <= (high - low) / PIECE; piece++)
		if (seen[piece])
			fprintf(out, "%lx\n", low + piece * PIECE);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
