/* Takes samples, and prints them as `bench NAME 95x200,97` and a last line `bench NAME end n=201`. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "peer.h"

#define LINE_BYTES 200
/* A loop of so many instructions, to see that the counter counts them. */
#define LOOP_INSTRUCTIONS 2000

static uint64_t overhead;

static uint64_t nothing(void)
{
	uint64_t begin = counter();
	return counter() - begin;
}

static uint64_t loop(void)
{
	unsigned long rounds = LOOP_INSTRUCTIONS / 2;
	uint64_t begin = counter();
#if defined(__x86_64__)
	__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(rounds) : : "cc");
#else
	__asm__ volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r"(rounds) : : "cc");
#endif
	return counter() - begin;
}

/* The least of several, as an interrupt may come in between. */
static uint64_t least(uint64_t (*once)(void))
{
	uint64_t found = UINT64_MAX;

	for (int i = 0; i < 100; i++) {
		uint64_t taken = once();
		if (taken < found)
			found = taken;
	}
	return found;
}

void find_overhead(void)
{
	overhead = least(nothing);
	uint64_t taken = least(loop) - overhead;
	errno = 0;
	/* Setting up the loop may be one more instruction between the readings, and its end one less. */
	ensure(taken >= LOOP_INSTRUCTIONS - 1 && taken <= LOOP_INSTRUCTIONS + 2, "the counter does not count instructions");
}

void measure(const char *name, unsigned count, unsigned parts, uint64_t (*once)(void))
{
	static uint64_t samples[SAMPLES];

	ensure(count <= SAMPLES, name);
	for (unsigned i = 0; i < count / 5; i++)
		once();
	for (unsigned i = 0; i < count; i++)
		samples[i] = (once() - overhead) / parts;
	print_samples(name, samples, count, NULL);
}

/* The number of samples from here on that are equal. */
static unsigned equal(const uint64_t *samples, unsigned count)
{
	unsigned found = 1;

	while (found < count && samples[found] == samples[0])
		found++;
	return found;
}

static int print_one(char *text, size_t bytes, uint64_t value, unsigned times)
{
	if (times == 1)
		return snprintf(text, bytes, "%llu", (unsigned long long)value);
	return snprintf(text, bytes, "%llux%u", (unsigned long long)value, times);
}

void print_samples(const char *name, const uint64_t *samples, unsigned count, const char *unit)
{
	char line[LINE_BYTES] = "", one[40];
	int begin = snprintf(line, sizeof line, "bench linux_%s ", name), used = begin;

	for (unsigned i = 0, times; i < count; i += times) {
		times = equal(samples + i, count - i);
		int length = print_one(one, sizeof one, samples[i], times);
		if (used > begin && used + 1 + length >= LINE_BYTES) {
			puts(line);
			used = begin;
		}
		used += snprintf(line + used, sizeof line - used, "%s%s", used > begin ? "," : "", one);
	}
	puts(line);
	printf("bench linux_%s end n=%u%s%s\n", name, count, unit ? " unit=" : "", unit ? unit : "");
}
