/* Faults that a program hears of: by a signal in the same process, and by userfaultfd in another. */

#define _GNU_SOURCE

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "peer.h"

/* Reads a byte, or goes on behind the reading if the handler says so. */
void read_byte(const volatile char *place);
extern char behind_reading[];

__asm__(".pushsection .text\n"
	".globl read_byte, behind_reading\n"
	"read_byte:\n"
#if defined(__x86_64__)
	"movb (%rdi), %al\n"
#else
	"ldrb w0, [x0]\n"
#endif
	"behind_reading:\n"
	"ret\n"
	".popsection");

static char *next;
static int fault_file;
static uint64_t handler_entry;

static void go_on_behind(int number, siginfo_t *information, void *context)
{
	ucontext_t *interrupted = context;

	handler_entry = counter();
	(void)number;
	(void)information;
#if defined(__x86_64__)
	interrupted->uc_mcontext.gregs[REG_RIP] = (greg_t)behind_reading;
#else
	interrupted->uc_mcontext.pc = (uintptr_t)behind_reading;
#endif
}

static uint64_t read_once(void)
{
	uint64_t begin = counter();
	read_byte(next);
	return counter() - begin;
}

static uint64_t read_to_handler(void)
{
	uint64_t begin = counter();

	read_byte(next);
	return handler_entry - begin;
}

static uint64_t read_next(void)
{
	uint64_t taken = read_once();

	next += PAGE_BYTES;
	return taken;
}

static void measure_signal(void)
{
	struct sigaction action = { .sa_sigaction = go_on_behind, .sa_flags = SA_SIGINFO };

	must(sigaction(SIGSEGV, &action, NULL), "sigaction");
	next = map_private(PAGE_BYTES);
	must(mprotect(next, PAGE_BYTES, PROT_NONE), "mprotect");
	measure("sigsegv_return", SAMPLES, 1, read_once);
	measure("sigsegv_entry", SAMPLES, 1, read_to_handler);
	must(munmap(next, PAGE_BYTES), "munmap");
	must(signal(SIGSEGV, SIG_DFL) == SIG_ERR ? -1 : 0, "signal");
}

/* The other process: hears of each fault, and has the page filled. */
static _Noreturn int answer_faults(void *unused)
{
	struct uffd_msg message;

	(void)unused;
	for (;;) {
		must(read(fault_file, &message, sizeof message), "read of a fault");
		struct uffdio_zeropage fill = {
			.range = { message.arg.pagefault.address & ~(PAGE_BYTES - 1ull), PAGE_BYTES },
		};
		must(ioctl(fault_file, UFFDIO_ZEROPAGE, &fill), "UFFDIO_ZEROPAGE");
	}
}

static void measure_userfaultfd(void)
{
	size_t bytes = 2 * SAMPLES * PAGE_BYTES;
	char *area = map_private(bytes);
	struct uffdio_api version = { .api = UFFD_API };
	struct uffdio_register all = {
		.range = { (uintptr_t)area, bytes }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	fault_file = must(syscall(SYS_userfaultfd, O_CLOEXEC), "userfaultfd");
	must(ioctl(fault_file, UFFDIO_API, &version), "UFFDIO_API");
	must(ioctl(fault_file, UFFDIO_REGISTER, &all), "UFFDIO_REGISTER");
	pid_t other = start(answer_faults, OWN_SPACE);
	next = area;
	measure("userfaultfd", SAMPLES, 1, read_next);
	stop(other);
	must(close(fault_file), "close");
	must(munmap(area, bytes), "munmap");
}

void measure_faults(void)
{
	measure_signal();
	measure_userfaultfd();
}
