/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run a command and append one line to a file: wall seconds, user seconds, system seconds, peak memory in KiB, exit status;
 * separated by tabs. Peak memory is that of the largest process among the command and what it waited for.
 * A command that takes longer than MEASURE_SECS (600) is killed, with all that it started.
 * With MEASURE_TIMES=N it runs up to N times, a new process each, until MEASURE_ENOUGH (3) seconds are over: the line has the means.
 * Usage: measure FILE COMMAND [ARGUMENT ...]
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct figures { double wall, user, sys; long peak_kib; int code; };

static volatile pid_t child;

static void late(int sig)
{
	(void)sig;
	kill(-child, SIGKILL);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoul(s, NULL, 10) : otherwise;
}

/* Adds to `f` what this one run took. */
static int run(char *argv[], struct figures *f)
{
	struct rusage ru;
	int status;
	double start = now();

	child = fork();
	if (child < 0)
		return perror("measure: fork"), 1;
	if (!child) {
		setpgid(0, 0);
		execvp(argv[0], argv);
		fprintf(stderr, "measure: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	setpgid(child, child);
	signal(SIGALRM, late);
	alarm((unsigned)number("MEASURE_SECS", 600));
	while (wait4(child, &status, 0, &ru) < 0)
		if (errno != EINTR)
			return perror("measure: wait4"), 1;
	f->wall += now() - start;
	alarm(0);
	f->user += seconds(ru.ru_utime);
	f->sys += seconds(ru.ru_stime);
	if (ru.ru_maxrss > f->peak_kib)
		f->peak_kib = ru.ru_maxrss;
	f->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

int main(int argc, char *argv[])
{
	struct figures f = { 0 };
	unsigned long n = 0, times = number("MEASURE_TIMES", 1), enough = number("MEASURE_ENOUGH", 3);
	FILE *out;

	if (argc < 3) {
		fprintf(stderr, "usage: measure FILE COMMAND [ARGUMENT ...]\n");
		return 2;
	}
	do {
		if (run(argv + 2, &f))
			return 1;
		n++;
	} while (n < times && !f.code && f.wall < (double)enough);
	out = fopen(argv[1], "a");
	if (!out || fprintf(out, "%.5f\t%.5f\t%.5f\t%ld\t%d\n", f.wall / (double)n, f.user / (double)n, f.sys / (double)n, f.peak_kib, f.code) < 0 ||
	    fclose(out))
		return perror(argv[1]), 1;
	return f.code;
}
