/* SPDX-License-Identifier: Apache-2.0 */
/* A pool on a RAM disk: make it, write a file, commit, read the file back. */
#include <lcpfs/lcpfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "A pool needs neither a file nor a disk.\n";

/* Every call returns 0 or a negative code, and says in words what failed. */
static void must(int rc, const struct lcpfs_error *err)
{
	if (rc) {
		fprintf(stderr, "ram_pool: %s\n", err->msg);
		exit(1);
	}
}

static void write_file(struct lcpfs_pool *pool, const char *path)
{
	struct lcpfs_error err;
	struct lcpfs_dataset *ds;
	struct lcpfs_file *f;

	must(lcpfs_dataset_open(&ds, pool, "", &err), &err);
	must(lcpfs_mkdir(ds, "docs", 0755, false, &err), &err);
	must(lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, &err), &err);
	must(lcpfs_file_pwrite(f, text, strlen(text), 0, &err), &err);
	must(lcpfs_file_close(f, &err), &err);
	lcpfs_dataset_close(ds);
}

static void check_file(struct lcpfs_pool *pool, const char *path)
{
	char back[sizeof text + 1] = "";
	struct lcpfs_error err;
	struct lcpfs_dataset *ds;
	struct lcpfs_file *f;
	size_t got;

	must(lcpfs_dataset_open(&ds, pool, "", &err), &err);
	must(lcpfs_file_open(&f, ds, path, LCPFS_O_READ, 0, &err), &err);
	must(lcpfs_file_pread(f, back, sizeof back - 1, 0, &got, &err), &err);
	must(lcpfs_file_close(f, &err), &err);
	lcpfs_dataset_close(ds);
	if (got != strlen(text) || strcmp(back, text)) {
		fprintf(stderr, "ram_pool: read back '%s'\n", back);
		exit(1);
	}
}

int main(void)
{
	struct lcpfs_error err;
	struct lcpfs_blockdev *disk;
	struct lcpfs_pool_info info;
	struct lcpfs_pool *pool;

	must(lcpfs_ramdisk_create(&disk, "demo", 16 << 20, 0, &err), &err);
	/* the device belongs to the pool from here on; NULL: all defaults */
	must(lcpfs_pool_create_dev(&pool, disk, NULL, &err), &err);
	write_file(pool, "docs/hello.txt");
	/* until now nobody but this handle could see the file */
	must(lcpfs_pool_commit(pool, &err), &err);
	check_file(pool, "docs/hello.txt");
	must(lcpfs_pool_info(pool, &info, &err), &err);
	printf("ram_pool: commit %llu, %llu bytes used\n", (unsigned long long)info.txg, (unsigned long long)info.used_bytes);
	must(lcpfs_pool_close(pool, &err), &err);
	return 0;
}
