/* The shortest call, and what needs no other task's answer. */

#define _GNU_SOURCE

#include <sys/uio.h>
#include <unistd.h>

#include "peer.h"

static char memory[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
static char copy[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
static size_t copied_bytes;
static pid_t other;

static uint64_t getppid_once(void)
{
	uint64_t begin = counter();
	call(SYS_getppid);
	return counter() - begin;
}

static _Noreturn int wait_for_its_end(void *unused)
{
	(void)unused;
	for (;;)
		pause();
}

static uint64_t readv_once(void)
{
	struct iovec here = { copy, copied_bytes }, there = { memory, copied_bytes };
	uint64_t begin = counter();
	ssize_t done = process_vm_readv(other, &here, 1, &there, 1, 0);
	uint64_t end = counter();

	ensure(done == (ssize_t)copied_bytes, "process_vm_readv");
	return end - begin;
}

void measure_calls(void)
{
	measure("getppid", SAMPLES, 1, getppid_once);
	touch(memory, sizeof memory);
	other = start(wait_for_its_end, OWN_SPACE);
	copied_bytes = 8;
	measure("process_vm_readv/8", SAMPLES, 1, readv_once);
	copied_bytes = PAGE_BYTES;
	measure("process_vm_readv/4096", SAMPLES, 1, readv_once);
	stop(other);
}
