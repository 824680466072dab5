/* The first and only program of a Linux that stands beside Tessera: does the same operations, and prints what each takes
   in the lines that Tessera's own benchmarks print (qemu/README.md). */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

#include "peer.h"

static _Noreturn void power_off(void)
{
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	reboot(RB_POWER_OFF);
	/* The kernel panics when its first program ends, and resets the machine. */
	_exit(1);
}

_Noreturn void fail(const char *what)
{
	printf("peer error: %s: %s\n", what, strerror(errno));
	power_off();
}

static void prepare(void)
{
	struct utsname name;

	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	must(uname(&name), "uname");
	printf("peer kernel: %s %s\n", name.sysname, name.release);
	must(mkdir("/proc", 0755), "mkdir /proc");
	must(mount("proc", "/proc", "proc", 0, NULL), "mount /proc");
	/* Pages of 4 KiB, as Tessera's benchmarks have. */
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), "prctl PR_SET_THP_DISABLE");
	find_overhead();
}

int main(void)
{
	prepare();
	measure_calls();
	measure_switches();
	measure_mappings();
	measure_faults();
	measure_processes();
	measure_sharers();
	puts("peer complete");
	power_off();
}
