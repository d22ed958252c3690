/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive, of any kind that libarchive reads: listed, and imported into an empty pool in memory, which is clean afterwards. First byte: bit 0
 * makes the checksums of tar headers right, so that changes of them are not just refused.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/util.h"
#include "fuzz.h"
#include "sample.h"

enum { BLOCK = 512, SUM_AT = 148, SIZE_AT = 124 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	return 0;
}

static void tar_sum(uint8_t *h)
{
	unsigned sum = 0;
	char text[8];

	memset(h + SUM_AT, ' ', 8);
	for (int i = 0; i < BLOCK; i++)
		sum += h[i];
	snprintf(text, sizeof text, "%06o", sum & 0777777);
	memcpy(h + SUM_AT, text, 7);
}

static void fix_tar(uint8_t *p, size_t len)
{
	while (len >= BLOCK) {
		uint64_t size = 0;

		if (is_all_zero(p, BLOCK))
			return;
		for (int i = 0; i < 12 && p[SIZE_AT + i] >= '0' && p[SIZE_AT + i] <= '7'; i++)
			size = size * 8 + (p[SIZE_AT + i] - '0');
		tar_sum(p);
		size = BLOCK + round_up(MIN(size, (uint64_t)len), BLOCK);
		if (size > len)
			return;
		p += size;
		len -= size;
	}
}

/* A header's field, or any byte. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	static const struct { uint16_t at, len; } fields[] = { { 0, 100 }, { 100, 8 }, { 108, 8 }, { 124, 12 }, { 136, 12 }, { 156, 1 }, { 157, 100 },
		{ 257, 8 }, { 265, 64 }, { 329, 16 }, { 345, 155 } };
	size_t blocks = size > 1 ? (size - 1) / BLOCK : 0, at, f = (seed >> 4) % ARRAY_LEN(fields);

	if (!blocks || seed % 4 == 0)
		return LLVMFuzzerMutate(data, size, max);
	at = 1 + (seed >> 8) % blocks * BLOCK;
	if (seed % 4 == 1 && size + BLOCK <= max) {
		memmove(data + at + BLOCK, data + at, size - at);
		return size + BLOCK;
	}
	LLVMFuzzerMutate(data + at + fields[f].at, fields[f].len, fields[f].len);
	return size;
}

static int no_entry(void *arg, const char *path, const struct lcpfs_stat *st, const char *target, bool hardlink, struct lcpfs_error *err)
{
	(void)err, (void)hardlink, (void)target;
	if (!path || !st)
		abort();
	return ++*(unsigned *)arg > 2000;
}

static bool ask(void *arg, const struct lcpfs_progress *p)
{
	(void)arg;
	return p->bytes > 64u << 20;
}

static void import(int fd)
{
	struct lcpfs_create_opts co = { .open = { .threads = 1, .memory_bytes = 32 << 20 }, .reproducible = true, .compress = "lz4" };
	struct lcpfs_tree_opts to = { .progress = ask };
	struct lcpfs_check_opts ck = { .data = true };
	struct memory m = { 0 };
	struct lcpfs_dataset *ds;
	struct lcpfs_pool *p;
	uint64_t problems = 0;

	must(lcpfs_pool_create_dev(&p, memory_dev(&m, true), &co, NULL));
	must(lcpfs_dataset_open(&ds, p, "", NULL));
	lcpfs_tree_import_fd(ds, "", fd, "fuzz.tar", &to, NULL, NULL);
	lcpfs_dataset_close(ds);
	if (!lcpfs_pool_commit(p, NULL)) {
		must(lcpfs_pool_close(p, NULL));
		must(lcpfs_fsck_dev(memory_dev(&m, false), &co.open, &ck, &problems, NULL));
		if (problems)
			abort();
	} else {
		lcpfs_pool_close(p, NULL);
	}
	free(m.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int fd = memfd_create("fuzz", 0);
	uint8_t *copy = malloc(len + 1);
	unsigned n = 0;

	if (fd < 0 || !copy)
		abort();
	if (len)
		memcpy(copy, data + 1, len - 1);
	if (len && data[0] & 1)
		fix_tar(copy, len - 1);
	if (len && write(fd, copy, len - 1) == (ssize_t)(len - 1)) {
		lseek(fd, 0, SEEK_SET);
		lcpfs_archive_list(fd, "fuzz.tar", no_entry, &n, NULL);
		lseek(fd, 0, SEEK_SET);
		import(fd);
	}
	close(fd);
	free(copy);
	return 0;
}
