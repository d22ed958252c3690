/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run a command and append one line to a file: wall seconds, user seconds, system seconds, peak memory in KiB, exit status;
 * separated by tabs. Peak memory is that of the largest process among the command and what it waited for.
 * A command that takes longer than MEASURE_SECS (600) is killed, with all that it started.
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

int main(int argc, char *argv[])
{
	struct rusage ru;
	int status, code;
	double start, wall;
	const char *limit = getenv("MEASURE_SECS");
	FILE *f;

	if (argc < 3) {
		fprintf(stderr, "usage: measure FILE COMMAND [ARGUMENT ...]\n");
		return 2;
	}
	start = now();
	child = fork();
	if (child < 0)
		return perror("measure: fork"), 1;
	if (!child) {
		setpgid(0, 0);
		execvp(argv[2], argv + 2);
		fprintf(stderr, "measure: %s: %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	setpgid(child, child);
	signal(SIGALRM, late);
	alarm(limit ? (unsigned)strtoul(limit, NULL, 10) : 600);
	while (wait4(child, &status, 0, &ru) < 0)
		if (errno != EINTR)
			return perror("measure: wait4"), 1;
	wall = now() - start;
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	f = fopen(argv[1], "a");
	if (!f || fprintf(f, "%.3f\t%.3f\t%.3f\t%ld\t%d\n", wall, seconds(ru.ru_utime), seconds(ru.ru_stime), ru.ru_maxrss, code) < 0 || fclose(f))
		return perror(argv[1]), 1;
	return code;
}
