/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a target without a fuzzer, so with any compiler: each file given, or in a folder given, once; and from each, changed by the target's own
 * mutator, some more, the same ones every time.  Usage: fuzz_NAME [-n MUTATIONS] FILE|FOLDER...
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fuzz.h"

enum { INPUT_MAX = 1 << 20, MUTATED_MAX = 64 << 10 };

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);
__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static unsigned runs, mutations;
static uint64_t state = 1;

static unsigned rnd(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned)(state * 0x2545f4914f6cdd1du >> 33);
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
	(void)max;
	for (unsigned n = 1 + rnd() % 3; size && n; n--)
		data[rnd() % size] = rnd() % 4 ? (uint8_t)rnd() : rnd() % 2 ? 0 : 255;
	return size;
}

/* Exactly as long as it says, so that a read behind it is seen. */
static void one(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	runs++;
}

static void file(const char *path)
{
	static uint8_t data[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	size_t len = f ? fread(data, 1, sizeof data, f) : 0;

	if (!f || ferror(f)) {
		perror(path);
		exit(1);
	}
	fclose(f);
	one(data, len);
	for (unsigned i = 0; i < mutations && len && len < MUTATED_MAX; i++) {
		len = LLVMFuzzerCustomMutator ? LLVMFuzzerCustomMutator(data, len, MUTATED_MAX, rnd()) : LLVMFuzzerMutate(data, len, MUTATED_MAX);
		one(data, len);
	}
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void folder(const char *path)
{
	struct dirent **v;
	int n = scandir(path, &v, NULL, by_name);
	char name[4096];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%s/%s", path, v[i]->d_name);
		if (v[i]->d_name[0] != '.')
			file(name);
		free(v[i]);
	}
	if (n >= 0)
		free(v);
}

int main(int argc, char *argv[])
{
	struct stat st;
	int i = 1;

	if (argc > 2 && !strcmp(argv[1], "-n")) {
		mutations = (unsigned)atoi(argv[2]);
		i = 3;
	}
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (; i < argc; i++) {
		if (!stat(argv[i], &st) && S_ISDIR(st.st_mode))
			folder(argv[i]);
		else
			file(argv[i]);
	}
	fprintf(stderr, "%u runs\n", runs);
	return 0;
}
