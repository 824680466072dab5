/* Other processes, in their own space or in this one, and memory. */

#define _GNU_SOURCE

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "peer.h"

#define STACK_BYTES (64 * 1024)

pid_t start(int (*loop)(void *), enum space space)
{
	/* There is at most one in this space at a time, and each other has a copy. */
	static char stack[STACK_BYTES] __attribute__((aligned(16)));
	int flags = SIGCHLD | (space == SAME_SPACE ? CLONE_VM : 0);

	return must(clone(loop, stack + STACK_BYTES, flags, NULL), "clone");
}

void stop(pid_t process)
{
	must(kill(process, SIGKILL), "kill");
	must(waitpid(process, NULL, 0), "waitpid of a process that was killed");
}

static void *map(size_t bytes, int kind)
{
	void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);

	ensure(found != MAP_FAILED, "mmap");
	return found;
}

void *map_private(size_t bytes)
{
	return map(bytes, MAP_PRIVATE);
}

void *map_shared(size_t bytes)
{
	return map(bytes, MAP_SHARED);
}

void touch(void *begin, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += PAGE_BYTES)
		((volatile char *)begin)[at] = 1;
}
