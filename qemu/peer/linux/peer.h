/* What every file of this program uses: the counter, the measuring of one operation, and the end when a step fails. */

#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>

#define PAGE_BYTES 4096
#define MIB_BYTES (1024 * 1024)
/* As many as Tessera's own benchmarks have. */
#define SAMPLES 1000

/* The guest's time in ns, of which every instruction takes one. */
static inline uint64_t counter(void)
{
	uint64_t value;
#if defined(__x86_64__)
	/* Whole, so that every reading takes the same. */
	__asm__ volatile("rdtsc\n\tshl $32, %%rdx\n\tor %%rdx, %0" : "=a"(value) : : "rdx", "cc", "memory");
#elif defined(__aarch64__)
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(value) : : "memory");
#else
#error "an x86_64 or an aarch64 is wanted"
#endif
	return value;
}

/* A system call without arguments and without the C library, whose part would show where a call is this short. */
static inline long call(long number)
{
#if defined(__x86_64__)
	__asm__ volatile("syscall" : "+a"(number) : : "rcx", "r11", "memory");
	return number;
#else
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0");
	__asm__ volatile("svc 0" : "=r"(x0) : "r"(x8) : "memory");
	return x0;
#endif
}

/* Ends the machine with a line that says what failed and why. */
_Noreturn void fail(const char *what);

/* Fails unless the system call that gave this result succeeded. */
static inline long must(long result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

/* Fails unless this holds. */
static inline void ensure(bool holds, const char *what)
{
	if (!holds)
		fail(what);
}

/* samples.c */
void find_overhead(void);
/* Calls `once`, which returns the difference of its two readings of the counter, and prints each sample: that difference
   without what reading costs, divided by the number of `parts`, each of which is one of what is named. */
void measure(const char *name, unsigned samples, unsigned parts, uint64_t (*once)(void));
void print_samples(const char *name, const uint64_t *samples, unsigned count, const char *unit);

/* tasks.c */
enum space { OWN_SPACE, SAME_SPACE };
/* Starts a process that calls `loop`, which does not return, in a copy of this space or in this space itself. */
pid_t start(int (*loop)(void *), enum space space);
void stop(pid_t process);
void *map_private(size_t bytes);
void *map_shared(size_t bytes);
/* Writes to every page. */
void touch(void *begin, size_t bytes);

/* One function for each kind of operation, in the file of its name. */
void measure_calls(void);
void measure_switches(void);
void measure_mappings(void);
void measure_faults(void);
void measure_processes(void);
void measure_sharers(void);

#endif
