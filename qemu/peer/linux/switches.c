/* From one task to another and back, in another space and in the same: by yielding, through pipes, by futexes. */

#define _GNU_SOURCE

#include <linux/futex.h>
#include <sched.h>
#include <stdint.h>
#include <unistd.h>

#include "peer.h"

/* Half of a round trip is one switch, with the calls that this way of switching takes. */
#define BOTH_WAYS 2

static int there[2], back[2];

struct words {
	uint32_t there, back;
};
static struct words *words;
static int futex_kind;

static uint64_t yield_once(void)
{
	uint64_t begin = counter();
	call(SYS_sched_yield);
	return counter() - begin;
}

static _Noreturn int yield_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		call(SYS_sched_yield);
}

static uint64_t pipe_once(void)
{
	char byte = 0;
	uint64_t begin = counter();
	ssize_t written = write(there[1], &byte, 1), got = read(back[0], &byte, 1);
	uint64_t end = counter();

	ensure(written == 1 && got == 1, "a byte through a pipe and back");
	return end - begin;
}

static _Noreturn int answer_pipe(void *unused)
{
	char byte;

	(void)unused;
	while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
		;
	fail("answering through a pipe");
}

static void wake(uint32_t *word)
{
	__atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE | futex_kind, 1, NULL, NULL, 0);
}

static void wait_while(uint32_t *word, uint32_t seen)
{
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == seen)
		syscall(SYS_futex, word, FUTEX_WAIT | futex_kind, seen, NULL, NULL, 0);
}

static uint64_t futex_once(void)
{
	uint32_t seen = words->back;
	uint64_t begin = counter();
	wake(&words->there);
	wait_while(&words->back, seen);
	return counter() - begin;
}

static _Noreturn int answer_futex(void *unused)
{
	(void)unused;
	for (uint32_t seen = 0;; seen++) {
		wait_while(&words->there, seen);
		wake(&words->back);
	}
}

static void measure_with(const char *name, enum space space, int (*loop)(void *), uint64_t (*once)(void))
{
	pid_t other = start(loop, space);

	measure(name, SAMPLES, BOTH_WAYS, once);
	stop(other);
}

/* First in, first out at one priority: a yield is a switch to the other, if there is one. */
static void measure_yields(void)
{
	struct sched_param first = { .sched_priority = 1 }, ordinary = { .sched_priority = 0 };

	must(sched_setscheduler(0, SCHED_FIFO, &first), "sched_setscheduler SCHED_FIFO");
	measure("sched_yield_alone", SAMPLES, 1, yield_once);
	measure_with("sched_yield_threads", SAME_SPACE, yield_for_ever, yield_once);
	measure_with("sched_yield_processes", OWN_SPACE, yield_for_ever, yield_once);
	must(sched_setscheduler(0, SCHED_OTHER, &ordinary), "sched_setscheduler SCHED_OTHER");
}

static void measure_futex(const char *name, enum space space)
{
	futex_kind = space == SAME_SPACE ? FUTEX_PRIVATE_FLAG : 0;
	*words = (struct words){ 0, 0 };
	measure_with(name, space, answer_futex, futex_once);
}

void measure_switches(void)
{
	measure_yields();
	must(pipe(there), "pipe");
	must(pipe(back), "pipe");
	measure_with("pipe_threads", SAME_SPACE, answer_pipe, pipe_once);
	measure_with("pipe_processes", OWN_SPACE, answer_pipe, pipe_once);
	words = map_shared(PAGE_BYTES);
	measure_futex("futex_threads", SAME_SPACE);
	measure_futex("futex_processes", OWN_SPACE);
}
