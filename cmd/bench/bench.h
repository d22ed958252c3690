/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcpfs-bench: how fast the parts of the library are on this machine.
 *
 * A test measures and calls bench_result for each figure. Rates are the best of three stretches of `seconds`/3 each, of work that is
 * repeated until the time is up; the pools move a given amount once or twice.
 */
#ifndef CMD_BENCH_BENCH_H
#define CMD_BENCH_BENCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cmd.h"

struct bench {
	unsigned threads;      /* of what is measured with several */
	uint64_t memory_bytes; /* of pools */
	uint64_t size_bytes;   /* data of a pool, the buffer of memcpy */
	double seconds;        /* of one measurement */
	const char *corpus;    /* NULL: the built-in ones */
	const char *dir;       /* where the file pool is made; NULL: no such test */
	double memcpy_rate;    /* what sums and copies are compared with; one thread */
};

enum bench_unit { BENCH_BYTES, BENCH_OPS };
struct result {
	const char *test;        /* "hash" */
	char name[64];           /* "blake3 avx512" */
	enum bench_unit unit;    /* per second */
	unsigned threads;
	double rate;
	double size_ratio;       /* of compression: plain to stored; 0: none */
	double beside;           /* the rate of what it is compared with; 0: nothing */
	const char *beside_name; /* "memcpy" */
};
void bench_result(const struct result *r);

/* One piece of work of thread t; returns the bytes or operations done, 0: failed. */
typedef uint64_t bench_fn(void *arg, unsigned t);
/* Per second, all threads together; 0: a piece failed. */
double bench_rate(const struct bench *b, unsigned threads, bench_fn *fn, void *arg);
double bench_now(void); /* seconds */
uint64_t bench_rand(uint64_t *state);

/* Deterministic data of `len` bytes. */
struct corpus { const char *name; void (*fill)(uint8_t *p, size_t len); };
extern const struct corpus bench_corpora[4];

/* The tests; 0 or a failure that err describes. */
int bench_memory(struct bench *b, struct lcpfs_error *err);
int bench_hash(struct bench *b, struct lcpfs_error *err);
int bench_codec(struct bench *b, struct lcpfs_error *err);
int bench_kdf(struct bench *b, struct lcpfs_error *err);
int bench_arc(struct bench *b, struct lcpfs_error *err);
int bench_ram(struct bench *b, struct lcpfs_error *err);
int bench_file(struct bench *b, struct lcpfs_error *err);
#endif
