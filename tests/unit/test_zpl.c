/* SPDX-License-Identifier: Apache-2.0 */
/* Files in a pool on a RAM disk: cases by name, then random changes beside a simple model, with commits and reopening in between. */
#include "tap.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/util.h"
#include "format/inode.h"
#include "zpl/handle.h"

static struct lcpfs_error err;
static unsigned next_disk;

struct fixture {
	char dev[32];
	struct lcpfs_pool *p;
	struct lcpfs_dataset *ds;
};

static const struct lcpfs_create_opts tiny = { .open = { .threads = 2, .memory_bytes = 32u << 20 }, .record_bytes = 4096, .pack_bytes = 16384,
	.slice_max_bytes = 4096, .compress = "lz4" };

static bool did_at(int rc, const char *file, int line)
{
	return rc == 0 || tap_ok_msg(false, file, line, "rc %d: %s", rc, err.msg);
}

#define did(rc) did_at(rc, __FILE__, __LINE__)

static bool fix_open(struct fixture *f, const struct lcpfs_create_opts *o)
{
	snprintf(f->dev, sizeof f->dev, "ram:zpl%u", next_disk++);
	return did(lcpfs_pool_create(&f->p, f->dev, o, &err)) && did(lcpfs_dataset_open(&f->ds, f->p, "", &err));
}

static void fix_close(struct fixture *f)
{
	did(lcpfs_pool_commit(f->p, &err));
	lcpfs_dataset_close(f->ds);
	did(lcpfs_pool_close(f->p, &err));
}

static bool fix_reopen(struct fixture *f)
{
	struct lcpfs_open_opts o = { .flags = LCPFS_OPEN_RW, .threads = 2, .memory_bytes = 32u << 20 };

	fix_close(f);
	return did(lcpfs_pool_open(&f->p, f->dev, &o, &err)) && did(lcpfs_dataset_open(&f->ds, f->p, "", &err));
}

static int put(struct fixture *f, const char *path, const void *data, size_t len, uint64_t off)
{
	struct lcpfs_file *h;
	int rc = lcpfs_file_open(&h, f->ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, &err);

	if (rc)
		return rc;
	rc = lcpfs_file_pwrite(h, data, len, off, &err);
	lcpfs_file_close(h, NULL);
	return rc;
}

/* Reads in pieces of n. */
static uint8_t *get(struct fixture *f, const char *path, size_t piece, size_t *len)
{
	struct lcpfs_file *h;
	uint8_t *buf;
	size_t got = 1;

	*len = 0;
	if (!did(lcpfs_file_open(&h, f->ds, path, LCPFS_O_READ, 0, &err)))
		return NULL;
	buf = calloc(1, lcpfs_file_size(h) + 1);
	while (got && *len < lcpfs_file_size(h)) {
		if (!did(lcpfs_file_pread(h, buf + *len, MIN(piece, lcpfs_file_size(h) - *len), *len, &got, &err)))
			break;
		*len += got;
	}
	lcpfs_file_close(h, NULL);
	return buf;
}

/* The tree by itself: every counter that can be derived, derived. */
struct sums {
	uint64_t psize, lsize, blocks, inodes, slices, live_n, live_bytes, slice_bytes;
};

static void sum_item(struct sums *s, const struct bt_item *it)
{
	struct blkptr bp;
	struct slice sl;

	for (unsigned i = 0; i < it->nptr; i++) {
		is_int(ptr_decode(&bp, it->ptrs + i * PTR_LEN, &err), 0);
		s->psize += ptr_charge(&bp);
		s->lsize += bp.lsize;
		s->blocks++;
	}
	switch (it->key[0]) {
	case ITEM_INODE:
		s->inodes++;
		break;
	case ITEM_SLICE:
		is_int(slice_decode(&sl, it->val, it->vlen, &err), 0);
		s->slices++;
		s->slice_bytes += sl.len;
		break;
	case ITEM_PACK:
		s->live_bytes += le_load(it->val, 4);
		s->live_n += le_load(it->val + 4, 4);
		break;
	}
}

/* psize of an inode is what its content's items charge. */
static uint64_t charge_of(struct dataset *ds, uint64_t data_id)
{
	struct bt_cursor c = { 0 };
	struct blkptr bp;
	struct slice sl;
	uint64_t sum = 0;
	uint8_t key[9];
	size_t n = item_key(key, ITEM_SLICE, data_id);

	if (btree_get(ds->tree, &c, key, n, NULL) == 0 && !slice_decode(&sl, c.item.val, c.item.vlen, NULL))
		sum += sl.charge;
	key[0] = ITEM_EXTENT;
	for (int rc = btree_seek(ds->tree, &c, key, n, NULL); !rc && memcmp(c.item.key, key, n) == 0; rc = btree_next(&c, NULL))
		if (!ptr_decode(&bp, c.item.ptrs, NULL))
			sum += ptr_charge(&bp);
	btree_cursor_close(&c);
	return sum;
}

static void check_tree(struct fixture *f)
{
	struct dataset *ds = f->ds->ds;
	struct bt_cursor c = { 0 };
	struct sums s = { 0 };
	struct inode i;
	uint8_t key[9];
	int rc;

	did(zpl_flush(ds, &err));
	for (rc = btree_seek(ds->tree, &c, key, item_key(key, 0, 0), &err); !rc; rc = btree_next(&c, &err)) {
		sum_item(&s, &c.item);
		if (c.item.key[0] != ITEM_INODE)
			continue;
		is_int(inode_decode(&i, c.item.val, c.item.vlen, NULL, NULL, &err), 0);
		if (S_ISREG(i.mode) && i.data_id)
			is_int(i.psize, charge_of(ds, i.data_id));
	}
	is_int(rc, 1);
	btree_cursor_close(&c);
	is_int(s.slices, s.live_n);
	is_int(s.slice_bytes, s.live_bytes);
	is_int(ds->rec.ref_psize, s.psize);
	is_int(ds->rec.ref_lsize, s.lsize);
	is_int(ds->rec.ref_blocks, s.blocks);
	is_int(ds->rec.n_inodes, s.inodes);
	is_int(ds->info.n_files, s.inodes);
}

TEST(small_and_large)
{
	struct fixture f;
	struct lcpfs_stat st;
	uint8_t *big = malloc(3 << 20), *back;
	size_t len;

	if (!fix_open(&f, NULL))
		return;
	for (size_t i = 0; i < 3 << 20; i++)
		big[i] = (uint8_t)(i * 2654435761u >> 13);
	did(lcpfs_mkdir(f.ds, "a/b/c", 0755, true, &err));
	did(put(&f, "a/small", "hello", 5, 0));
	did(put(&f, "a/b/big", big, 3 << 20, 0));
	did(put(&f, "a/b/empty", "", 0, 0));
	for (int round = 0; round < 2; round++) {
		back = get(&f, "a/small", 100, &len);
		is_int(len, 5);
		is_mem(back, "hello", 5);
		free(back);
		back = get(&f, "/a//b/./big", 100000, &len);
		if (is_int(len, 3 << 20))
			is_mem(back, big, len);
		free(back);
		did(lcpfs_stat(f.ds, "a/b/empty", 0, &st, &err));
		is_int(st.size, 0);
		did(lcpfs_stat(f.ds, "a", 0, &st, &err));
		is_int(st.nlink, 3);
		check_tree(&f);
		if (!fix_reopen(&f))
			return;
	}
	did(lcpfs_remove(f.ds, "a", true, &err));
	did(lcpfs_stat(f.ds, "", 0, &st, &err));
	is_int(st.nlink, 2);
	check_tree(&f);
	is_int(f.ds->ds->rec.ref_blocks, 0);
	is_int(f.ds->ds->rec.n_inodes, 1);
	free(big);
	fix_close(&f);
}

TEST(appending)
{
	struct fixture f;
	struct lcpfs_file *h;
	uint8_t *back, line[100];
	size_t len;
	bool same = true;

	if (!fix_open(&f, &tiny) || !did(lcpfs_file_open(&h, f.ds, "log", LCPFS_O_WRITE | LCPFS_O_CREATE | LCPFS_O_READ, 0600, &err)))
		return;
	for (unsigned i = 0; i < 3000; i++) {
		memset(line, 'a' + i % 26, sizeof line);
		if (lcpfs_file_pwrite(h, line, sizeof line, i * sizeof line, &err))
			break;
	}
	is_int(lcpfs_file_size(h), 300000);
	lcpfs_file_close(h, NULL);
	back = get(&f, "log", 1000, &len);
	is_int(len, 300000);
	for (size_t i = 0; i < len; i++)
		same = same && back[i] == 'a' + i / 100 % 26;
	ok(same);
	free(back);
	check_tree(&f);
	/* one block per record and hardly more: appending rewrites nothing */
	did(zpl_flush(f.ds->ds, &err));
	ok(f.ds->ds->rec.ref_blocks <= 300000 / 4096 + 1);
	fix_close(&f);
}

TEST(names)
{
	struct fixture f;
	struct lcpfs_stat st, st2;
	char *s, longname[300];

	if (!fix_open(&f, NULL))
		return;
	did(lcpfs_mkdir(f.ds, "d", 0755, false, &err));
	is_int(lcpfs_mkdir(f.ds, "d", 0755, false, &err), -LCPFS_EEXIST);
	did(lcpfs_mkdir(f.ds, "d", 0755, true, &err));
	is_int(lcpfs_mkdir(f.ds, "x/y", 0755, false, &err), -LCPFS_ENOENT);
	memset(longname, 'x', sizeof longname);
	longname[256] = 0;
	is_int(lcpfs_mkdir(f.ds, longname, 0755, false, &err), -LCPFS_ENAMETOOLONG);
	longname[255] = 0;
	did(lcpfs_mkdir(f.ds, longname, 0755, false, &err));
	is_int(lcpfs_mkdir(f.ds, "d/..", 0755, false, &err), -LCPFS_EINVAL);
	did(put(&f, "d/f", "1", 1, 0));
	is_int(lcpfs_mkdir(f.ds, "d/f/g", 0755, false, &err), -LCPFS_ENOTDIR);
	is_int(lcpfs_remove(f.ds, "d", false, &err), -LCPFS_ENOTEMPTY);
	did(lcpfs_symlink(f.ds, "../d/./f", "d/l", &err));
	did(lcpfs_symlink(f.ds, "/d", "abs", &err));
	did(lcpfs_symlink(f.ds, "loop2", "loop1", &err));
	did(lcpfs_symlink(f.ds, "loop1", "loop2", &err));
	did(lcpfs_stat(f.ds, "abs/l", LCPFS_FOLLOW, &st, &err));
	ok(S_ISREG(st.mode));
	did(lcpfs_stat(f.ds, "../../abs/../d/f", 0, &st2, &err));
	is_int(st.ino, st2.ino);
	is_int(lcpfs_stat(f.ds, "loop1/x", 0, &st, &err), -LCPFS_ELOOP);
	did(lcpfs_stat(f.ds, "loop1", 0, &st, &err));
	ok(S_ISLNK(st.mode));
	is_int(st.size, 5);
	did(lcpfs_readlink(f.ds, "d/l", &s, &err));
	is_str(s, "../d/./f");
	free(s);
	/* links */
	did(lcpfs_link(f.ds, "d/f", "second", &err));
	did(lcpfs_link(f.ds, "second", "third", &err));
	is_int(lcpfs_link(f.ds, "d", "dirlink", &err), -LCPFS_EPERM);
	is_int(lcpfs_link(f.ds, "d/l", "second", &err), -LCPFS_EEXIST);
	did(lcpfs_stat(f.ds, "third", 0, &st, &err));
	is_int(st.nlink, 3);
	did(lcpfs_remove(f.ds, "d/f", false, &err));
	did(lcpfs_remove(f.ds, "second", false, &err));
	did(lcpfs_stat(f.ds, "third", 0, &st, &err));
	is_int(st.nlink, 1);
	is_int(st.parent, INO_ROOT);
	did(lcpfs_path_of(f.ds, st.ino, &s, &err));
	is_str(s, "third");
	free(s);
	/* rename */
	did(lcpfs_mkdir(f.ds, "d/e/f/g", 0755, true, &err));
	is_int(lcpfs_rename(f.ds, "d", "d/e/f/h", 0, &err), -LCPFS_EINVAL);
	is_int(lcpfs_rename(f.ds, "third", "d", 0, &err), -LCPFS_EISDIR);
	is_int(lcpfs_rename(f.ds, "d/e", "third", 0, &err), -LCPFS_ENOTDIR);
	is_int(lcpfs_rename(f.ds, "abs", "third", LCPFS_RENAME_NOREPLACE, &err), -LCPFS_EEXIST);
	is_int(lcpfs_rename(f.ds, "d/e/f", "d/e", 0, &err), -LCPFS_ENOTEMPTY);
	is_int(lcpfs_rename(f.ds, "nix", "d/e", 0, &err), -LCPFS_ENOENT);
	did(lcpfs_rename(f.ds, "d/e/f", "moved", 0, &err));
	did(lcpfs_rename(f.ds, "d/e", "moved/g", 0, &err));
	did(lcpfs_stat(f.ds, "moved", 0, &st, &err));
	is_int(st.nlink, 3);
	did(lcpfs_stat(f.ds, "d", 0, &st, &err));
	is_int(st.nlink, 2);
	did(lcpfs_stat(f.ds, "moved/g", 0, &st, &err));
	did(lcpfs_path_of(f.ds, st.ino, &s, &err));
	is_str(s, "moved/g");
	free(s);
	check_tree(&f);
	fix_close(&f);
}

TEST(attributes)
{
	struct fixture f;
	struct lcpfs_stat st;
	struct lcpfs_time t = { -5, 999999999 };
	char *big = malloc(200000);
	void *v;
	size_t n;

	if (!fix_open(&f, &tiny))
		return;
	memset(big, 'q', 200000);
	did(put(&f, "f", "x", 1, 0));
	did(lcpfs_chmod(f.ds, "f", 0, 06755, &err));
	did(lcpfs_chown(f.ds, "f", 0, 7, UINT32_MAX, &err));
	did(lcpfs_utimens(f.ds, "f", 0, NULL, &t, &err));
	did(lcpfs_xattr_set(f.ds, "f", 0, "user.a", "1", 1, &err));
	did(lcpfs_xattr_set(f.ds, "f", 0, "user.big", big, 200000, &err));
	did(lcpfs_xattr_set(f.ds, "f", 0, "weird", "", 0, &err));
	did(lcpfs_xattr_set(f.ds, "f", 0, "security.mid", big, 9000, &err));
	is_int(lcpfs_xattr_set(f.ds, "f", LCPFS_XATTR_CREATE, "user.a", "2", 1, &err), -LCPFS_EEXIST);
	is_int(lcpfs_xattr_set(f.ds, "f", LCPFS_XATTR_REPLACE, "user.b", "2", 1, &err), -LCPFS_ENODATA);
	did(lcpfs_xattr_set(f.ds, "f", LCPFS_XATTR_REPLACE, "user.a", "22", 2, &err));
	is_int(lcpfs_xattr_get(f.ds, "f", 0, "user.zz", &v, &n, &err), -LCPFS_ENODATA);
	if (!fix_reopen(&f))
		return;
	did(lcpfs_stat(f.ds, "f", 0, &st, &err));
	is_int(st.mode, S_IFREG | 0755);
	is_int(st.uid, 7);
	is_int(st.mtime.sec, -5);
	is_int(st.mtime.nsec, 999999999);
	is_int(st.n_xattr, 4);
	if (did(lcpfs_xattr_get(f.ds, "f", 0, "user.big", &v, &n, &err))) {
		is_int(n, 200000);
		is_mem(v, big, n);
		free(v);
	}
	if (did(lcpfs_xattr_get(f.ds, "f", 0, "user.a", &v, &n, &err))) {
		is_int(n, 2);
		free(v);
	}
	check_tree(&f);
	did(lcpfs_xattr_remove(f.ds, "f", 0, "user.big", &err));
	is_int(lcpfs_xattr_remove(f.ds, "f", 0, "user.big", &err), -LCPFS_ENODATA);
	did(lcpfs_remove(f.ds, "f", false, &err));
	check_tree(&f);
	is_int(f.ds->ds->rec.ref_blocks, 0);
	free(big);
	fix_close(&f);
}

TEST(sharing)
{
	struct fixture f;
	struct lcpfs_stat a, b;
	uint8_t *big = malloc(50000), *back;
	size_t len;

	if (!fix_open(&f, &tiny))
		return;
	memset(big, 's', 50000);
	for (size_t i = 0; i < 50000; i += 100)
		big[i] = (uint8_t)i;
	for (size_t size = 1000; size <= 50000; size += 49000) {
		did(put(&f, "a", big, size, 0));
		did(put(&f, "b", "", 0, 0));
		did(lcpfs_stat(f.ds, "a", 0, &a, &err));
		did(lcpfs_stat(f.ds, "b", 0, &b, &err));
		did(zpl_share(f.ds->ds, a.ino, f.ds->ds, b.ino, &err));
		did(put(&f, "b", "changed", 7, 500));
		back = get(&f, "a", 777, &len);
		is_int(len, size);
		is_mem(back, big, len);
		free(back);
		back = get(&f, "b", 777, &len);
		is_int(len, size);
		is_mem(back, big, 500);
		is_mem(back + 500, "changed", 7);
		is_mem(back + 507, big + 507, len - 507);
		free(back);
		check_tree(&f);
		did(lcpfs_truncate(f.ds, "b", 0, &err));
		did(zpl_share(f.ds->ds, a.ino, f.ds->ds, b.ino, &err));
		did(lcpfs_truncate(f.ds, "b", 600, &err));
		did(lcpfs_remove(f.ds, "a", false, &err));
		back = get(&f, "b", 777, &len);
		is_int(len, 600);
		is_mem(back, big, 600);
		free(back);
		did(lcpfs_remove(f.ds, "b", false, &err));
		check_tree(&f);
		is_int(f.ds->ds->rec.ref_blocks, 0);
	}
	free(big);
	fix_close(&f);
}

static int count_visit(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *e2)
{
	struct buf *b = arg;

	(void)e2;
	buf_printf(b, "%u:%s ", e->depth, e->path);
	if (strcmp(e->name, "skip") == 0)
		*e->descend = false;
	return strcmp(e->name, "stop") == 0;
}

TEST(walking)
{
	struct fixture f;
	struct buf b = { 0 };

	if (!fix_open(&f, NULL))
		return;
	did(lcpfs_mkdir(f.ds, "a/b", 0755, true, &err));
	did(lcpfs_mkdir(f.ds, "skip/in", 0755, true, &err));
	did(put(&f, "a/x", "1", 1, 0));
	did(put(&f, "z", "1", 1, 0));
	did(lcpfs_walk(f.ds, "", 0, count_visit, &b, &err));
	is_str((char *)b.data, "0: 1:a 2:a/b 2:a/x 1:skip 1:z ");
	buf_reset(&b);
	did(lcpfs_walk(f.ds, "/a/", LCPFS_WALK_POST, count_visit, &b, &err));
	is_str((char *)b.data, "1:a/b 1:a/x 0:a ");
	buf_reset(&b);
	did(put(&f, "a/stop", "1", 1, 0));
	did(lcpfs_walk(f.ds, "", 0, count_visit, &b, &err));
	is_str((char *)b.data, "0: 1:a 2:a/b 2:a/stop ");
	buf_fini(&b);
	fix_close(&f);
}

/* Changes after a snapshot leave it as it was. */
TEST(snapshots)
{
	const char *snap = "@s";
	struct fixture f;
	struct lcpfs_dataset *head;
	uint8_t *big = malloc(50000), *back;
	size_t len;

	if (!fix_open(&f, &tiny))
		return;
	for (size_t i = 0; i < 50000; i++)
		big[i] = (uint8_t)(i >> 4);
	did(put(&f, "big", big, 50000, 0));
	did(put(&f, "small", big, 50, 0));
	did(put(&f, "gone", big, 50, 0));
	did(lcpfs_snap_create(f.p, &snap, 1, false, &err));
	did(put(&f, "big", "xyz", 3, 9000));
	did(put(&f, "small", "xyz", 3, 10));
	did(lcpfs_remove(f.ds, "gone", false, &err));
	did(lcpfs_truncate(f.ds, "big", 20000, &err));
	check_tree(&f);
	for (int round = 0; round < 2; round++) {
		back = get(&f, "small", 100, &len);
		is_mem(back + 10, "xyz", 3);
		free(back);
		head = f.ds;
		if (!did(lcpfs_dataset_open(&f.ds, f.p, snap, &err)))
			return;
		back = get(&f, "big", 5000, &len);
		if (is_int(len, 50000))
			is_mem(back, big, len);
		free(back);
		back = get(&f, "gone", 5000, &len);
		is_int(len, 50);
		free(back);
		is_int(lcpfs_mkdir(f.ds, "no", 0755, false, &err), -LCPFS_EROFS);
		is_int(put(&f, "big", "1", 1, 0), -LCPFS_EROFS);
		is_int(lcpfs_chmod(f.ds, "big", 0, 0, &err), -LCPFS_EROFS);
		lcpfs_dataset_close(f.ds);
		f.ds = head;
		if (!round && !fix_reopen(&f))
			return;
	}
	free(big);
	fix_close(&f);
}

/* Nothing fits any more, but removing always works, and what was full is empty after. */
TEST(full)
{
	struct fixture f = { .dev = "full" };
	struct lcpfs_blockdev *dev;
	uint64_t rnd = 5;
	static const size_t sizes[] = { 100000, 3000 };
	uint8_t *buf = malloc(200000);
	char path[32];
	unsigned n;
	int rc = 0;

	for (size_t i = 0; i < 200000; i++)
		buf[i] = (uint8_t)tap_rand(&rnd);
	did(lcpfs_ramdisk_create(&dev, "full", 20u << 20, 0, &err));
	if (!did(lcpfs_pool_create_dev(&f.p, dev, &tiny, &err)) || !did(lcpfs_dataset_open(&f.ds, f.p, "", &err)))
		return;
	did(lcpfs_pool_commit(f.p, &err));
	for (int round = 0; round < 2; round++) {
		for (n = 0; n < 100000; n++) {
			snprintf(path, sizeof path, "f%u", n);
			rc = put(&f, path, buf + n * 7 % 90000, sizes[round], 0);
			if (!rc && n % 200 == 199)
				rc = lcpfs_pool_commit(f.p, &err);
			if (rc)
				break;
		}
		ok_msg(rc == -LCPFS_ENOSPC, "round %d: %u files, then rc %d %s", round, n, rc, err.msg);
		did(lcpfs_pool_commit(f.p, &err));
		check_tree(&f);
		for (unsigned i = 0; i <= n; i++) {
			snprintf(path, sizeof path, "f%u", i);
			rc = lcpfs_remove(f.ds, path, false, &err);
			/* much at once needs room for the tree's new nodes: in shares it always goes */
			if (rc == -LCPFS_ENOSPC && did(lcpfs_pool_commit(f.p, &err)) && did(lcpfs_chmod(f.ds, "", 0, 0700, &err)) &&
			    did(lcpfs_pool_commit(f.p, &err)))
				rc = lcpfs_remove(f.ds, path, false, &err);
			if (rc && (rc != -LCPFS_ENOENT || i < n))
				did(rc);
		}
		did(lcpfs_pool_commit(f.p, &err));
		check_tree(&f);
		is_int(f.ds->ds->rec.ref_blocks, 0);
		/* what a commit frees may be used again after the next */
		for (int i = 0; i < 2; i++) {
			did(lcpfs_chmod(f.ds, "", 0, 0700, &err));
			did(lcpfs_pool_commit(f.p, &err));
		}
	}
	free(buf);
	fix_close(&f);
}

/* ---- the model ---- */

#define NODES 48
#define NAMES 96
#define XATTRS 3
struct node { bool used, dir; uint8_t *data; size_t size; unsigned nlink; uint8_t *x[XATTRS]; size_t xlen[XATTRS]; };
struct mname { bool used; int dir, node; char name[12]; };
struct model { struct node n[NODES]; struct mname m[NAMES]; uint64_t rnd; size_t big; };

static unsigned pick(struct model *m, unsigned n) { return (unsigned)(tap_rand(&m->rnd) >> 33) % n; }

static int new_node(struct model *m, bool dir)
{
	for (int i = 1; i < NODES; i++)
		if (!m->n[i].used) {
			m->n[i] = (struct node){ .used = true, .dir = dir, .nlink = 1 };
			return i;
		}
	return -1;
}

static void node_unref(struct model *m, int i)
{
	struct node *n = &m->n[i];

	if (--n->nlink)
		return;
	free(n->data);
	for (int k = 0; k < XATTRS; k++)
		free(n->x[k]);
	*n = (struct node){ 0 };
}

static struct mname *lookup(struct model *m, int dir, const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (m->m[i].used && m->m[i].dir == dir && strcmp(m->m[i].name, name) == 0)
			return &m->m[i];
	return NULL;
}

static struct mname *add_name(struct model *m, int dir, const char *name, int node)
{
	for (int i = 0; i < NAMES; i++)
		if (!m->m[i].used) {
			m->m[i] = (struct mname){ .used = true, .dir = dir, .node = node };
			snprintf(m->m[i].name, sizeof m->m[i].name, "%s", name);
			return &m->m[i];
		}
	return NULL;
}

/* Written from the end of out. */
static void path_of(const struct model *m, int dir, const char *name, char *out, size_t len)
{
	char *p = out + len - 1 - strlen(name);

	memcpy(p, name, strlen(name) + 1);
	while (dir)
		for (int i = 0; i < NAMES; i++)
			if (m->m[i].used && m->m[i].node == dir) {
				*--p = '/';
				p -= strlen(m->m[i].name);
				memcpy(p, m->m[i].name, strlen(m->m[i].name));
				dir = m->m[i].dir;
				break;
			}
	memmove(out, p, strlen(p) + 1);
}

static bool below(const struct model *m, int dir, int top)
{
	while (dir && dir != top)
		for (int i = 0; i < NAMES; i++)
			if (m->m[i].used && m->m[i].node == dir) {
				dir = m->m[i].dir;
				break;
			}
	return dir == top;
}

static int any_dir(struct model *m)
{
	int d = (int)pick(m, NODES);

	return m->n[d].used && m->n[d].dir ? d : 0;
}

static struct mname *any_name(struct model *m)
{
	for (int tries = 0; tries < 50; tries++) {
		struct mname *n = &m->m[pick(m, NAMES)];

		if (n->used)
			return n;
	}
	return NULL;
}

static struct mname *any_file(struct model *m)
{
	for (int tries = 0; tries < 20; tries++) {
		struct mname *n = any_name(m);

		if (n && !m->n[n->node].dir)
			return n;
	}
	return NULL;
}

static void resize(struct node *n, size_t size)
{
	n->data = realloc(n->data, size + 1);
	if (size > n->size)
		memset(n->data + n->size, 0, size - n->size);
	n->size = size;
}

static size_t some_size(struct model *m)
{
	static const size_t sizes[] = { 0, 1, 100, 4095, 4096, 4097, 8192, 12000, 16384, 40000 };

	return pick(m, 2) ? sizes[pick(m, ARRAY_LEN(sizes))] * m->big : pick(m, 30000u * (unsigned)m->big);
}

static void fill(struct model *m, uint8_t *p, size_t len)
{
	unsigned kind = pick(m, 4);

	for (size_t i = 0; i < len; i++)
		p[i] = kind == 0 ? 0 : kind == 1 ? (uint8_t)tap_rand(&m->rnd) : (uint8_t)(i / 50 + kind);
}

static void op_create(struct model *m, struct fixture *f, bool dir)
{
	char name[12], path[1024];
	int d = any_dir(m), node;
	bool there;

	snprintf(name, sizeof name, "%c%u", dir ? 'd' : 'f', pick(m, 40));
	path_of(m, d, name, path, sizeof path);
	there = lookup(m, d, name);
	if (there) {
		if (dir)
			is_int(lcpfs_mkdir(f->ds, path, 0755, false, &err), -LCPFS_EEXIST);
		return;
	}
	node = new_node(m, dir);
	if (node < 0)
		return;
	if (!add_name(m, d, name, node)) {
		node_unref(m, node);
		return;
	}
	did(dir ? lcpfs_mkdir(f->ds, path, 0755, false, &err) : put(f, path, "", 0, 0));
}

static void op_write(struct model *m, struct fixture *f)
{
	struct mname *n = any_file(m);
	char path[1024];
	uint8_t *buf;
	size_t off, len;
	struct node *nd;
	struct lcpfs_file *h;

	if (!n)
		return;
	nd = &m->n[n->node];
	path_of(m, n->dir, n->name, path, sizeof path);
	if (!did(lcpfs_file_open(&h, f->ds, path, LCPFS_O_WRITE, 0, &err)))
		return;
	for (unsigned i = 0, times = 1 + pick(m, 6); i < times; i++) {
		off = pick(m, 3) ? nd->size : pick(m, 3) ? pick(m, (unsigned)nd->size + 1) : some_size(m);
		len = pick(m, 3) ? pick(m, 500) : some_size(m);
		if (off + len > 120000 * m->big)
			continue;
		buf = malloc(len + 1);
		fill(m, buf, len);
		did(lcpfs_file_pwrite(h, buf, len, off, &err));
		if (len && off + len > nd->size)
			resize(nd, off + len);
		if (len)
			memcpy(nd->data + off, buf, len);
		free(buf);
	}
	lcpfs_file_close(h, NULL);
}

static void op_truncate(struct model *m, struct fixture *f)
{
	struct mname *n = any_file(m);
	char path[1024];
	size_t size;

	if (!n)
		return;
	size = pick(m, 3) ? pick(m, (unsigned)m->n[n->node].size + 1) : some_size(m);
	path_of(m, n->dir, n->name, path, sizeof path);
	did(lcpfs_truncate(f->ds, path, size, &err));
	resize(&m->n[n->node], size);
}

static void op_writer(struct model *m, struct fixture *f)
{
	struct mname *n = any_file(m);
	struct zpl_writer *w;
	struct lcpfs_stat st;
	char path[1024];
	uint8_t *buf;
	size_t size = some_size(m), pos = 0;
	bool abort = !pick(m, 6);

	if (!n)
		return;
	path_of(m, n->dir, n->name, path, sizeof path);
	if (!did(lcpfs_stat(f->ds, path, 0, &st, &err)) ||
	    !did(zpl_writer_open(&w, f->ds->ds, st.ino, pick(m, 2) ? size : 0, &err)))
		return;
	buf = calloc(1, size + 1);
	while (pos < size) {
		size_t k = 1 + pick(m, 9000);

		k = MIN(k, size - pos);
		if (pick(m, 4)) {
			fill(m, buf + pos, k);
			did(zpl_writer_write(w, pos, buf + pos, k, &err));
		}
		pos += k;
	}
	if (abort) {
		zpl_writer_abort(w);
	} else {
		did(zpl_writer_finish(w, size, &err));
		resize(&m->n[n->node], size);
		memcpy(m->n[n->node].data, buf, size);
	}
	free(buf);
}

static void op_share(struct model *m, struct fixture *f, bool whole)
{
	struct mname *n = any_file(m), *t = any_file(m);
	struct node *from, *to;
	struct lcpfs_file *a, *b;
	size_t off, len, at;
	char path[1024];

	if (!n)
		return;
	from = &m->n[n->node];
	to = &m->n[t->node];
	path_of(m, n->dir, n->name, path, sizeof path);
	did(lcpfs_file_open(&a, f->ds, path, LCPFS_O_READ, 0, &err));
	path_of(m, t->dir, t->name, path, sizeof path);
	did(lcpfs_file_open(&b, f->ds, path, LCPFS_O_WRITE, 0, &err));
	off = pick(m, (unsigned)from->size + 1);
	len = pick(m, (unsigned)(from->size - off) + 1);
	at = pick(m, (unsigned)to->size + 5000);
	if (!pick(m, 3))
		at = off;
	if (whole) {
		did(lcpfs_reflink(a, b, &err));
		if (from != to) {
			resize(to, from->size);
			if (from->size)
				memcpy(to->data, from->data, from->size);
		}
	} else if (from == to && off < at + len && at < off + len) {
		is_int(lcpfs_reflink_range(a, off, len, b, at, &err), len ? -LCPFS_EINVAL : 0);
	} else {
		did(lcpfs_reflink_range(a, off, len, b, at, &err));
		if (len && at + len > to->size)
			resize(to, at + len);
		if (len)
			memcpy(to->data + at, from->data + off, len);
	}
	lcpfs_file_close(a, NULL);
	lcpfs_file_close(b, NULL);
}

static bool dir_has(const struct model *m, int dir)
{
	for (int i = 0; i < NAMES; i++)
		if (m->m[i].used && m->m[i].dir == dir)
			return true;
	return false;
}

static void drop_below(struct model *m, struct mname *n)
{
	if (m->n[n->node].dir)
		for (int i = 0; i < NAMES; i++)
			if (m->m[i].used && m->m[i].dir == n->node)
				drop_below(m, &m->m[i]);
	n->used = false;
	node_unref(m, n->node);
}

static void op_remove(struct model *m, struct fixture *f)
{
	struct mname *n = any_name(m);
	char path[1024];
	bool full, recursive = !pick(m, 8);

	if (!n)
		return;
	path_of(m, n->dir, n->name, path, sizeof path);
	full = m->n[n->node].dir && dir_has(m, n->node);
	if (full && !recursive) {
		is_int(lcpfs_remove(f->ds, path, false, &err), -LCPFS_ENOTEMPTY);
		return;
	}
	did(lcpfs_remove(f->ds, path, recursive, &err));
	drop_below(m, n);
}

static void op_link(struct model *m, struct fixture *f)
{
	struct mname *n = any_file(m);
	char path[1024], to[1024], name[12];
	int d = any_dir(m);

	if (!n)
		return;
	snprintf(name, sizeof name, "l%u", pick(m, 40));
	path_of(m, n->dir, n->name, path, sizeof path);
	path_of(m, d, name, to, sizeof to);
	if (lookup(m, d, name)) {
		is_int(lcpfs_link(f->ds, path, to, &err), -LCPFS_EEXIST);
		return;
	}
	if (!add_name(m, d, name, n->node))
		return;
	did(lcpfs_link(f->ds, path, to, &err));
	m->n[n->node].nlink++;
}

static int rename_wanted(struct model *m, const struct mname *n, int d, const struct mname *t)
{
	if (t && t->node == n->node)
		return 0;
	if (m->n[n->node].dir && below(m, d, n->node))
		return -LCPFS_EINVAL;
	if (!t)
		return 0;
	if (m->n[n->node].dir && !m->n[t->node].dir)
		return -LCPFS_ENOTDIR;
	if (!m->n[n->node].dir && m->n[t->node].dir)
		return -LCPFS_EISDIR;
	return m->n[t->node].dir && dir_has(m, t->node) ? -LCPFS_ENOTEMPTY : 0;
}

static void op_rename(struct model *m, struct fixture *f)
{
	struct mname *n = any_name(m), *t;
	char path[1024], to[1024], name[12];
	int d = any_dir(m), want;

	if (!n)
		return;
	snprintf(name, sizeof name, "%c%u", m->n[n->node].dir ? 'd' : 'f', pick(m, 40));
	path_of(m, n->dir, n->name, path, sizeof path);
	path_of(m, d, name, to, sizeof to);
	t = lookup(m, d, name);
	want = rename_wanted(m, n, d, t);
	if (!ok_msg(lcpfs_rename(f->ds, path, to, 0, &err) == want, "rename %s %s: %s", path, to, err.msg) || want ||
	    (t && t->node == n->node))
		return;
	if (t) {
		t->used = false;
		node_unref(m, t->node);
	}
	n->dir = d;
	snprintf(n->name, sizeof n->name, "%s", name);
}

static const char *const xnames[XATTRS] = { "user.one", "trusted.two", "three" };

static void op_xattr(struct model *m, struct fixture *f)
{
	static const size_t lens[] = { 0, 10, 300, 8191, 8192, 9000, 30000 };
	struct mname *n = any_name(m);
	unsigned k = pick(m, XATTRS);
	char path[1024];
	struct node *nd;

	if (!n)
		return;
	nd = &m->n[n->node];
	path_of(m, n->dir, n->name, path, sizeof path);
	if (!pick(m, 3)) {
		is_int(lcpfs_xattr_remove(f->ds, path, 0, xnames[k], &err), nd->x[k] ? 0 : -LCPFS_ENODATA);
		free(nd->x[k]);
		nd->x[k] = NULL;
		return;
	}
	free(nd->x[k]);
	nd->xlen[k] = lens[pick(m, ARRAY_LEN(lens))];
	nd->x[k] = malloc(nd->xlen[k] + 1);
	fill(m, nd->x[k], nd->xlen[k]);
	did(lcpfs_xattr_set(f->ds, path, 0, xnames[k], nd->x[k], nd->xlen[k], &err));
}

static void op_read(struct model *m, struct fixture *f)
{
	struct mname *n = any_file(m);
	struct lcpfs_file *h;
	char path[1024];
	uint8_t *buf;
	size_t off, len, got, want;

	if (!n)
		return;
	path_of(m, n->dir, n->name, path, sizeof path);
	off = pick(m, (unsigned)m->n[n->node].size + 10);
	len = some_size(m);
	want = off < m->n[n->node].size ? MIN(len, m->n[n->node].size - off) : 0;
	if (!did(lcpfs_file_open(&h, f->ds, path, LCPFS_O_READ, 0, &err)))
		return;
	buf = malloc(len + 1);
	did(lcpfs_file_pread(h, buf, len, off, &got, &err));
	if (is_int(got, want) && want)
		is_mem(buf, m->n[n->node].data + off, want);
	free(buf);
	lcpfs_file_close(h, NULL);
}

/* Everything outside of the stretches of data is zero. */
static void check_holes(struct fixture *f, const char *path, const struct node *n)
{
	struct lcpfs_file *h;
	uint64_t off = 0, len, pos = 0;
	int rc;

	if (!did(lcpfs_file_open(&h, f->ds, path, LCPFS_O_READ, 0, &err)))
		return;
	while (!(rc = lcpfs_file_next_data(h, &off, &len, &err))) {
		ok(off >= pos && len && off + len <= n->size);
		ok(is_all_zero(n->data + pos, off - pos));
		pos = off += len;
	}
	is_int(rc, 1);
	ok(!n->size || is_all_zero(n->data + pos, n->size - pos));
	lcpfs_file_close(h, NULL);
}

static void check_node(struct model *m, struct fixture *f, const struct mname *n)
{
	struct node *nd = &m->n[n->node];
	struct lcpfs_stat st;
	char path[1024];
	uint8_t *back;
	size_t len;
	unsigned n_xattr = 0;
	void *v;

	path_of(m, n->dir, n->name, path, sizeof path);
	if (!did(lcpfs_stat(f->ds, path, 0, &st, &err)))
		return;
	for (int k = 0; k < XATTRS; k++)
		if (nd->x[k] && did(lcpfs_xattr_get(f->ds, path, 0, xnames[k], &v, &len, &err))) {
			if (is_int(len, nd->xlen[k]))
				is_mem(v, nd->x[k], len);
			free(v);
			n_xattr++;
		}
	is_int(st.n_xattr, n_xattr);
	if (nd->dir)
		return;
	is_int(st.nlink, nd->nlink);
	back = get(f, path, 5000 * m->big, &len);
	if (is_int(len, nd->size) && len)
		is_mem(back, nd->data, len);
	free(back);
	check_holes(f, path, nd);
}

static int seen_visit(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *e2)
{
	(void)e, (void)e2;
	++*(unsigned *)arg;
	return 0;
}

static void check_model(struct model *m, struct fixture *f)
{
	unsigned names = 1, seen = 0;

	for (int i = 0; i < NAMES; i++)
		if (m->m[i].used) {
			check_node(m, f, &m->m[i]);
			names++;
		}
	did(lcpfs_walk(f->ds, "", 0, seen_visit, &seen, &err));
	is_int(seen, names);
	check_tree(f);
}

static void one_op(struct model *m, struct fixture *f)
{
	switch (pick(m, 20)) {
	case 0: case 1: op_create(m, f, false); break;
	case 2: op_create(m, f, true); break;
	case 3: case 4: case 5: op_write(m, f); break;
	case 6: op_truncate(m, f); break;
	case 7: case 8: op_writer(m, f); break;
	case 9: op_remove(m, f); break;
	case 10: op_link(m, f); break;
	case 11: op_rename(m, f); break;
	case 12: op_xattr(m, f); break;
	case 13: case 14: op_read(m, f); break;
	case 15: op_share(m, f, true); break;
	case 16: case 17: op_share(m, f, false); break;
	default: break;
	}
}

static void run_model(uint64_t seed, unsigned ops, const struct lcpfs_create_opts *o, size_t big)
{
	struct model *m = calloc(1, sizeof *m);
	struct fixture f;

	printf("# seed %" PRIu64 "\n", seed);
	m->rnd = seed;
	m->big = big;
	m->n[0] = (struct node){ .used = true, .dir = true, .nlink = 1 };
	if (!fix_open(&f, o))
		return;
	for (unsigned i = 0; i < ops; i++) {
		one_op(m, &f);
		if (!pick(m, 60))
			did(lcpfs_pool_commit(f.p, &err));
		if (!pick(m, 200)) {
			check_model(m, &f);
			if (!fix_reopen(&f))
				return;
			check_model(m, &f);
		}
	}
	check_model(m, &f);
	for (int i = 0; i < NAMES; i++)
		if (m->m[i].used && m->m[i].dir == 0) {
			did(lcpfs_remove(f.ds, m->m[i].name, true, &err));
			drop_below(m, &m->m[i]);
		}
	check_tree(&f);
	is_int(f.ds->ds->rec.ref_blocks, 0);
	is_int(f.ds->ds->rec.n_inodes, 1);
	fix_close(&f);
	free(m);
}

static unsigned scale(void)
{
	const char *s = getenv("LCPFS_STRESS");

	return s ? (unsigned)strtoul(s, NULL, 10) : 1;
}

TEST(random_tiny_blocks)
{
	for (uint64_t seed = 1; seed <= 4 * scale(); seed++)
		run_model(seed, 1500, &tiny, 1);
}

TEST(random_defaults)
{
	const struct lcpfs_create_opts o = { .open = { .threads = 1, .memory_bytes = 32u << 20 } };

	for (uint64_t seed = 100; seed < 100 + scale(); seed++)
		run_model(seed, 600, &o, 10);
}

TAP_MAIN(T(small_and_large), T(appending), T(names), T(attributes), T(sharing), T(walking), T(snapshots), T(full),
         T(random_tiny_blocks), T(random_defaults))
