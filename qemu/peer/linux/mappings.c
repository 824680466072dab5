/* Making, changing and removing mappings of one page and of 512, and the first touch of a page. */

#define _GNU_SOURCE

#include <sys/mman.h>
#include <unistd.h>

#include "peer.h"

#define MANY 512

static size_t bytes;
/* A file in memory, all of whose pages are present. */
static int file;
/* A mapping between two that cannot be accessed, so that no other is joined to it or split off. */
static char *mapping;
/* The next page to be touched for the first time. */
static char *fresh;

static uint64_t mmap_once(void)
{
	uint64_t begin = counter();
	void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t end = counter();

	ensure(found != MAP_FAILED, "mmap");
	must(munmap(found, bytes), "munmap");
	return end - begin;
}

static uint64_t munmap_of(void *found)
{
	uint64_t begin = counter();
	int result = munmap(found, bytes);
	uint64_t end = counter();

	must(result, "munmap");
	return end - begin;
}

static uint64_t munmap_once(void)
{
	void *found = map_private(bytes);

	touch(found, bytes);
	return munmap_of(found);
}

static void *map_file(void)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
}

static uint64_t map_file_once(void)
{
	uint64_t begin = counter();
	void *found = map_file();
	uint64_t end = counter();

	ensure(found != MAP_FAILED, "mmap of a file that is present");
	must(munmap(found, bytes), "munmap");
	return end - begin;
}

static uint64_t unmap_file_once(void)
{
	void *found = map_file();

	ensure(found != MAP_FAILED, "mmap of a file that is present");
	return munmap_of(found);
}

static uint64_t protect(int rights)
{
	uint64_t begin = counter();
	int result = mprotect(mapping, bytes, rights);
	uint64_t end = counter();

	must(result, "mprotect");
	return end - begin;
}

static uint64_t protect_once(void)
{
	uint64_t taken = protect(PROT_READ);

	protect(PROT_READ | PROT_WRITE);
	return taken;
}

static uint64_t unprotect_once(void)
{
	protect(PROT_READ);
	return protect(PROT_READ | PROT_WRITE);
}

static uint64_t touch_once(void)
{
	uint64_t begin = counter();
	*(volatile char *)fresh = 1;
	uint64_t end = counter();

	fresh += PAGE_BYTES;
	return end - begin;
}

static void map_between(void)
{
	size_t all = bytes + 2 * PAGE_BYTES;
	char *area = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ensure(area != MAP_FAILED, "mmap of a reserve");
	mapping = mmap(area + PAGE_BYTES, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ensure(mapping != MAP_FAILED, "mmap inside a reserve");
	touch(mapping, bytes);
}

static void unmap_between(void)
{
	must(munmap(mapping - PAGE_BYTES, bytes + 2 * PAGE_BYTES), "munmap of a reserve");
}

static void measure_file(void)
{
	file = must(memfd_create("present", 0), "memfd_create");
	must(ftruncate(file, MANY * PAGE_BYTES), "ftruncate");
	bytes = MANY * PAGE_BYTES;
	munmap_of(map_file());
	bytes = PAGE_BYTES;
	measure("mmap_present/1", SAMPLES, 1, map_file_once);
	measure("munmap_present/1", SAMPLES, 1, unmap_file_once);
	bytes = MANY * PAGE_BYTES;
	measure("mmap_present/512", SAMPLES / 10, 1, map_file_once);
	measure("munmap_present/512", SAMPLES / 10, 1, unmap_file_once);
	must(close(file), "close");
}

static void measure_protect(void)
{
	bytes = PAGE_BYTES;
	map_between();
	measure("mprotect_read/1", SAMPLES, 1, protect_once);
	measure("mprotect_write/1", SAMPLES, 1, unprotect_once);
	unmap_between();
	bytes = MANY * PAGE_BYTES;
	map_between();
	measure("mprotect_read/512", SAMPLES / 10, 1, protect_once);
	measure("mprotect_write/512", SAMPLES / 10, 1, unprotect_once);
	unmap_between();
}

void measure_mappings(void)
{
	bytes = PAGE_BYTES;
	measure("mmap/1", SAMPLES, 1, mmap_once);
	measure("munmap/1", SAMPLES, 1, munmap_once);
	bytes = MANY * PAGE_BYTES;
	measure("mmap/512", SAMPLES / 10, 1, mmap_once);
	measure("munmap/512", SAMPLES / 10, 1, munmap_once);
	measure_file();
	measure_protect();
	bytes = 2 * SAMPLES * PAGE_BYTES;
	char *area = map_private(bytes);
	fresh = area;
	measure("first_touch", SAMPLES, 1, touch_once);
	munmap_of(area);
}
