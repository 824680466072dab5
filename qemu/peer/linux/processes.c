/* Making processes and threads, and waiting for their end; stopping another process at its system calls. */

#define _GNU_SOURCE

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"

static pid_t traced;

static void wait_for(pid_t child)
{
	int status;

	must(child, "fork");
	ensure(waitpid(child, &status, 0) == child && WIFEXITED(status), "waitpid");
}

static uint64_t fork_once(void)
{
	uint64_t begin = counter();
	pid_t child = fork();
	if (child == 0)
		_exit(0);
	wait_for(child);
	return counter() - begin;
}

static uint64_t vfork_once(void)
{
	uint64_t begin = counter();
	pid_t child = vfork();
	if (child == 0)
		_exit(0);
	wait_for(child);
	return counter() - begin;
}

static void *nothing(void *unused)
{
	return unused;
}

static uint64_t thread_once(void)
{
	pthread_t thread;
	uint64_t begin = counter();
	int refused = pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL);
	uint64_t end = counter();

	ensure(!refused, "pthread_create and pthread_join");
	return end - begin;
}

static _Noreturn int be_traced(void *unused)
{
	(void)unused;
	must(ptrace(PTRACE_TRACEME, 0, NULL, NULL), "PTRACE_TRACEME");
	raise(SIGSTOP);
	for (;;)
		call(SYS_getppid);
}

static uint64_t resume_once(void)
{
	int status;
	uint64_t begin = counter();
	long result = ptrace(PTRACE_SYSEMU, traced, NULL, NULL);
	pid_t stopped = waitpid(traced, &status, 0);
	uint64_t end = counter();

	must(result, "PTRACE_SYSEMU");
	ensure(stopped == traced && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, "waitpid of a traced process");
	return end - begin;
}

static void measure_fork(unsigned mib, unsigned samples)
{
	char name[32];
	size_t bytes = (size_t)mib * MIB_BYTES;
	void *memory = bytes ? map_private(bytes) : NULL;

	touch(memory, bytes);
	snprintf(name, sizeof name, "fork_mib/%u", mib);
	measure(name, samples, 1, fork_once);
	if (bytes)
		must(munmap(memory, bytes), "munmap");
}

void measure_processes(void)
{
	measure_fork(0, 200);
	measure_fork(1, 200);
	measure_fork(64, 20);
	measure("vfork", 200, 1, vfork_once);
	measure("pthread_create_join", SAMPLES, 1, thread_once);
	traced = start(be_traced, OWN_SPACE);
	must(waitpid(traced, NULL, 0), "waitpid of a process that stopped itself");
	measure("ptrace_sysemu", SAMPLES, 1, resume_once);
	stop(traced);
}
