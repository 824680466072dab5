/* What processes that share one mapping take for it: page tables, and instructions to map it and to touch each page. */

#define _GNU_SOURCE

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "peer.h"

#define SHARERS_MAX 64
#define SHARED_BYTES (64 * MIB_BYTES)

static uint64_t *table_bytes_of;
static int file, ready[2];
static unsigned own_number;

/* What the page tables of this process take, but for the first. */
static uint64_t table_bytes(void)
{
	char line[128];
	unsigned long long kib;
	FILE *status = fopen("/proc/self/status", "r");

	ensure(status != NULL, "open /proc/self/status");
	while (fgets(line, sizeof line, status)) {
		if (sscanf(line, "VmPTE: %llu kB", &kib) == 1) {
			fclose(status);
			return kib * 1024;
		}
	}
	fail("VmPTE in /proc/self/status");
}

static volatile char *map_file(int more)
{
	void *memory = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | more, file, 0);

	ensure(memory != MAP_FAILED, "mmap of the shared file");
	return memory;
}

static void unmap_file(volatile char *memory)
{
	must(munmap((void *)memory, SHARED_BYTES), "munmap");
}

static uint64_t share_once(void)
{
	uint64_t begin = counter();
	volatile char *memory = map_file(0);
	touch((void *)memory, SHARED_BYTES);
	uint64_t end = counter();

	unmap_file(memory);
	return end - begin;
}

/* One process of several: reads from each page, for which the tables are the same and the faults fewer. */
static _Noreturn int share(void *unused)
{
	uint64_t before = table_bytes();
	volatile char *memory = map_file(0);

	(void)unused;
	for (size_t at = 0; at < SHARED_BYTES; at += PAGE_BYTES)
		memory[at];
	table_bytes_of[own_number] = table_bytes() - before;
	must(write(ready[1], "", 1), "write to a pipe");
	for (;;)
		pause();
}

/* Prints what so many take together for tables. All are there at once. */
static void measure_tables(unsigned count)
{
	pid_t processes[SHARERS_MAX];
	uint64_t sum = 0;
	char name[32], byte;

	for (own_number = 0; own_number < count; own_number++)
		processes[own_number] = start(share, OWN_SPACE);
	for (unsigned i = 0; i < count; i++)
		must(read(ready[0], &byte, 1) - 1, "read from a pipe");
	for (unsigned i = 0; i < count; i++) {
		sum += table_bytes_of[i];
		stop(processes[i]);
	}
	snprintf(name, sizeof name, "table_bytes/%u", count);
	print_samples(name, &sum, 1, "bytes");
}

void measure_sharers(void)
{
	table_bytes_of = map_shared(sizeof(uint64_t[SHARERS_MAX]));
	file = must(memfd_create("shared", 0), "memfd_create");
	must(ftruncate(file, SHARED_BYTES), "ftruncate");
	must(pipe(ready), "pipe");
	/* The file's own pages are there before anything is measured. */
	unmap_file(map_file(MAP_POPULATE));
	for (unsigned count = 1; count <= SHARERS_MAX; count *= 4)
		measure_tables(count);
	measure("share_64_mib", 5, 1, share_once);
}
