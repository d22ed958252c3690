/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast BLAKE3 goes here when nothing but memory is read: every thread hashes blocks of its own buffer, as scrub hashes records.
 * Prints the bytes hashed and the seconds it took, separated by a tab.
 * Usage: hashrate THREADS SECONDS [BLOCK]     BLOCK: bytes in one digest (131072)
 */
#include <hash/hash.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUFFER ((size_t)64 << 20) /* larger than the caches near a core */
#define THREADS_MAX 1024u

static _Atomic bool stop;
static size_t block = 131072;

struct worker { pthread_t id; uint8_t *data; uint64_t bytes; };

static void *work(void *arg)
{
	struct worker *w = arg;
	uint8_t out[HASH_LEN];
	size_t at = 0;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		blake3(w->data + at, block, out);
		w->bytes += block;
		at = at + 2 * block > BUFFER ? 0 : at + block;
	}
	return NULL;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char *argv[])
{
	static struct worker w[THREADS_MAX];
	unsigned long n = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 0, start;
	uint64_t bytes = 0;

	if (argc > 3)
		block = strtoul(argv[3], NULL, 10);
	if (!n || n > THREADS_MAX || seconds <= 0 || !block || block > BUFFER) {
		fprintf(stderr, "usage: hashrate THREADS SECONDS [BLOCK]\n");
		return 2;
	}
	for (unsigned long i = 0; i < n; i++) {
		w[i].data = malloc(BUFFER);
		if (!w[i].data)
			return fail("hashrate");
		memset(w[i].data, (int)i + 1, BUFFER);
	}
	start = now();
	for (unsigned long i = 0; i < n; i++)
		if (pthread_create(&w[i].id, NULL, work, &w[i]))
			return fail("hashrate: thread");
	nanosleep(&(struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) }, NULL);
	atomic_store(&stop, true);
	for (unsigned long i = 0; i < n; i++) {
		pthread_join(w[i].id, NULL);
		bytes += w[i].bytes;
		free(w[i].data);
	}
	printf("%llu\t%.5f\n", (unsigned long long)bytes, now() - start);
	return 0;
}
