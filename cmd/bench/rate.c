/* SPDX-License-Identifier: Apache-2.0 */
/* Repeating work until its time is up. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "bench/bench.h"

#define ROUNDS 3

double bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

uint64_t bench_rand(uint64_t *state)
{
	uint64_t x = *state ? *state : 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

struct lane {
	bench_fn *fn;
	void *arg;
	unsigned t;
	double seconds, rate;
	pthread_barrier_t *start;
	pthread_t thread;
	bool failed;
};

static void *run(void *arg)
{
	struct lane *l = arg;
	uint64_t done = 0, n;
	double from, took;

	pthread_barrier_wait(l->start);
	from = bench_now();
	do {
		n = l->fn(l->arg, l->t);
		done += n;
		took = bench_now() - from;
	} while (n && took < l->seconds && !cmd_interrupted);
	l->failed = !n;
	l->rate = took > 0 ? (double)done / took : 0;
	return NULL;
}

static double round_of(struct lane *lane, unsigned threads)
{
	pthread_barrier_t start;
	unsigned n = 1;
	double sum = 0;

	pthread_barrier_init(&start, NULL, threads);
	for (unsigned i = 0; i < threads; i++)
		lane[i].start = &start;
	for (; n < threads; n++)
		if (pthread_create(&lane[n].thread, NULL, run, &lane[n]))
			cmd_usage("-j: no more than %u threads can be started", n);
	run(&lane[0]);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(lane[i].thread, NULL);
	for (unsigned i = 0; i < threads; i++)
		sum += lane[i].failed ? 0 : lane[i].rate;
	for (unsigned i = 0; i < threads; i++)
		if (lane[i].failed)
			sum = 0;
	pthread_barrier_destroy(&start);
	return sum;
}

double bench_rate(const struct bench *b, unsigned threads, bench_fn *fn, void *arg)
{
	struct lane *lane = cmd_realloc(NULL, threads, sizeof *lane);
	double best = 0;

	fn(arg, 0); /* once for the caches */
	for (unsigned i = 0; i < threads; i++)
		lane[i] = (struct lane){ .fn = fn, .arg = arg, .t = i, .seconds = b->seconds / ROUNDS };
	for (int r = 0; r < ROUNDS && !cmd_interrupted; r++) {
		double rate = round_of(lane, threads);

		if (rate > best)
			best = rate;
	}
	free(lane);
	return best;
}
