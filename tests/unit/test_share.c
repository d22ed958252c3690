/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared contents: files that share with files of their own and of other datasets, of snapshots and clones, beside a model of plain arrays; what fsck
 * says of the counts of references, and puts right; streams of datasets that share.
 * LCPFS_STRESS lengthens it, LCPFS_SEED repeats one run.
 */
#include "poolstate.h"
#include <inttypes.h>
#include "base/error.h"
#include "check/refs.h"
#include "zpl/handle.h"

#define FILES 4
#define HEADS 5
#define SNAPS 12
#define SIZE_LIMIT 90000u

static struct lcpfs_error err;
static unsigned next_disk;
static char dev[32];
static struct lcpfs_pool *pool;
static const struct lcpfs_open_opts rw = { .flags = LCPFS_OPEN_RW, .threads = 2, .memory_bytes = 32u << 20 },
	ro = { .threads = 2, .memory_bytes = 32u << 20 };

static bool did_at(int rc, const char *file, int line)
{
	return rc == 0 || tap_ok_msg(false, file, line, "rc %d: %s", rc, err.msg);
}
#define did(rc) did_at(rc, __FILE__, __LINE__)

static void create(void)
{
	static const struct lcpfs_create_opts o = { .open = { .threads = 2, .memory_bytes = 32u << 20 }, .copies = 1, .record_bytes = 4096,
		.pack_bytes = 16384, .slice_max_bytes = 4096, .compress = "lz4" };

	snprintf(dev, sizeof dev, "ram:share%u", next_disk++);
	did(lcpfs_pool_create(&pool, dev, &o, &err));
}

static void shut(void)
{
	did(lcpfs_pool_commit(pool, &err));
	did(lcpfs_pool_close(pool, &err));
	pool = NULL;
}

static bool clean_at(int line)
{
	struct lcpfs_check_opts o = { .data = true, .problem = say_problem };
	uint64_t n = 0;
	int rc = lcpfs_fsck(dev, &ro, &o, &n, &err);

	return tap_ok_msg(rc == 0 && n == 0, __FILE__, line, "fsck: rc %d, %" PRIu64 " problems", rc, n);
}
#define clean() clean_at(__LINE__)

static bool again(void)
{
	shut();
	return clean() && did(lcpfs_pool_open(&pool, dev, &rw, &err));
}

static struct lcpfs_file *open_file(const char *ds_name, const char *path, uint32_t flags, struct lcpfs_dataset **ds)
{
	struct lcpfs_file *f = NULL;

	if (!did(lcpfs_dataset_open(ds, pool, ds_name, &err)))
		return NULL;
	if (!did(lcpfs_file_open(&f, *ds, path, flags, 0644, &err)))
		lcpfs_dataset_close(*ds);
	return f;
}

static void close_file(struct lcpfs_file *f, struct lcpfs_dataset *ds)
{
	did(lcpfs_file_close(f, &err));
	lcpfs_dataset_close(ds);
}

/* len 0: all of it. The two datasets by name. */
static int share(const char *from_ds, const char *from, uint64_t off, uint64_t len, const char *to_ds, const char *to, uint64_t at)
{
	struct lcpfs_dataset *a, *b;
	struct lcpfs_file *f = open_file(from_ds, from, LCPFS_O_READ, &a), *t;
	int rc;

	if (!f)
		return -LCPFS_EIO;
	t = open_file(to_ds, to, LCPFS_O_WRITE | LCPFS_O_CREATE, &b);
	rc = !t ? -LCPFS_EIO : len ? lcpfs_reflink_range(f, off, len, t, at, &err) : lcpfs_reflink(f, t, &err);
	if (t)
		close_file(t, b);
	close_file(f, a);
	return rc;
}

/* ---- the model ---- */

struct mfile { bool there; uint8_t *data; size_t size; };
struct mtree { bool used; char name[64]; unsigned owner; struct mfile f[FILES]; };
struct model {
	struct mtree head[HEADS], snap[SNAPS];
	uint64_t rng;
	unsigned names;
};

static unsigned pick(struct model *m, unsigned n) { return (unsigned)(tap_rand(&m->rng) >> 33) % n; }

static void file_drop(struct mfile *f)
{
	free(f->data);
	*f = (struct mfile){ 0 };
}

static void file_resize(struct mfile *f, size_t size)
{
	f->data = realloc(f->data, size + 1);
	if (size > f->size)
		memset(f->data + f->size, 0, size - f->size);
	f->size = size;
	f->there = true;
}

static void tree_copy(struct mtree *to, const struct mtree *from)
{
	for (unsigned i = 0; i < FILES; i++) {
		file_drop(&to->f[i]);
		if (!from->f[i].there)
			continue;
		file_resize(&to->f[i], from->f[i].size);
		memcpy(to->f[i].data, from->f[i].data, from->f[i].size);
	}
}

static void tree_drop(struct mtree *t)
{
	for (unsigned i = 0; i < FILES; i++)
		file_drop(&t->f[i]);
	t->used = false;
}

static struct mtree *any(struct model *m, struct mtree *v, unsigned n)
{
	unsigned k = 0;

	for (unsigned i = 0; i < n; i++)
		k += v[i].used;
	if (!k)
		return NULL;
	k = pick(m, k);
	for (unsigned i = 0; i < n; i++)
		if (v[i].used && !k--)
			return &v[i];
	return NULL;
}
static struct mtree *any_head(struct model *m) { return any(m, m->head, HEADS); }
static struct mtree *any_tree(struct model *m) { return pick(m, 3) ? any_head(m) : any(m, m->snap, SNAPS); }

static const char *path_of(unsigned i)
{
	static const char *const names[FILES] = { "f0", "f1", "f2", "f3" };

	return names[i];
}

static void op_write(struct model *m)
{
	struct mtree *t = any_head(m);
	unsigned i = pick(m, FILES);
	struct mfile *f = &t->f[i];
	size_t off = pick(m, 3) ? f->size : pick(m, (unsigned)f->size + 5000), len = pick(m, 2) ? pick(m, 3000) : pick(m, 40000);
	uint8_t *buf = malloc(len + 1);
	struct lcpfs_dataset *ds;
	struct lcpfs_file *h;
	unsigned kind = pick(m, 3);

	for (size_t k = 0; k < len; k++)
		buf[k] = kind ? (uint8_t)(tap_rand(&m->rng) >> 40) : 0;
	h = off + len > SIZE_LIMIT ? NULL : open_file(t->name, path_of(i), LCPFS_O_WRITE | LCPFS_O_CREATE, &ds);
	if (h) {
		did(lcpfs_file_pwrite(h, buf, len, off, &err));
		close_file(h, ds);
		file_resize(f, len ? MAX(f->size, off + len) : f->size);
		memcpy(f->data + (len ? off : 0), buf, len);
	}
	free(buf);
}

static void op_truncate(struct model *m)
{
	struct mtree *t = any_head(m);
	unsigned i = pick(m, FILES);
	size_t size = pick(m, 4) ? pick(m, (unsigned)t->f[i].size + 1) : pick(m, SIZE_LIMIT);
	struct lcpfs_dataset *ds;

	if (!t->f[i].there || !did(lcpfs_dataset_open(&ds, pool, t->name, &err)))
		return;
	did(pick(m, 5) ? lcpfs_truncate(ds, path_of(i), size, &err) : lcpfs_remove(ds, path_of(i), false, &err));
	if (lcpfs_stat(ds, path_of(i), 0, &(struct lcpfs_stat){ 0 }, NULL))
		file_drop(&t->f[i]);
	else
		file_resize(&t->f[i], size);
	lcpfs_dataset_close(ds);
}

static void op_share(struct model *m)
{
	struct mtree *a = any_tree(m), *b = any_head(m);
	unsigned i = pick(m, FILES), k = pick(m, FILES);
	struct mfile *from, *to = &b->f[k];
	size_t off, len, at;

	if (!a || !a->f[i].there || (a == b && i == k))
		return;
	from = &a->f[i];
	if (pick(m, 2) || !from->size) {
		did(share(a->name, path_of(i), 0, 0, b->name, path_of(k), 0));
		file_resize(to, from->size);
		memcpy(to->data, from->data, from->size);
		return;
	}
	off = pick(m, (unsigned)from->size);
	len = 1 + pick(m, (unsigned)(from->size - off));
	at = pick(m, 3) ? off : pick(m, (unsigned)to->size + 5000);
	if (at + len > SIZE_LIMIT)
		return;
	did(share(a->name, path_of(i), off, len, b->name, path_of(k), at));
	file_resize(to, MAX(to->size, at + len));
	memcpy(to->data + at, from->data + off, len);
}

static void op_snap(struct model *m)
{
	struct mtree *h = any_head(m), *s = NULL;
	const char *name;

	for (unsigned i = 0; i < SNAPS; i++)
		s = m->snap[i].used ? s : &m->snap[i];
	if (!s)
		return;
	snprintf(s->name, sizeof s->name, "%.30s@s%u", h->name, ++m->names);
	name = s->name;
	if (!did(lcpfs_snap_create(pool, &name, 1, false, &err)))
		return;
	s->used = true;
	s->owner = (unsigned)(h - m->head);
	tree_copy(s, h);
}

/* What clones or branches stand on is refused. */
static void op_unsnap(struct model *m)
{
	struct mtree *s = any(m, m->snap, SNAPS);
	const char *name;
	int rc;

	if (!s)
		return;
	name = s->name;
	rc = lcpfs_snap_destroy(pool, &name, 1, false, NULL, &err);
	ok_msg(!rc || rc == -LCPFS_EHELD, "destroy %s: %s", name, err.msg);
	if (!rc)
		tree_drop(s);
}

static void op_clone(struct model *m)
{
	struct mtree *s = any(m, m->snap, SNAPS), *h = NULL;

	for (unsigned i = 1; i < HEADS; i++)
		h = m->head[i].used ? h : &m->head[i];
	if (!h)
		return;
	snprintf(h->name, sizeof h->name, "d%u", ++m->names);
	if (!pick(m, 2))
		s = NULL;
	h->used = did(s ? lcpfs_clone(pool, s->name, h->name, &err) : lcpfs_dataset_create(pool, h->name, false, &err));
	if (h->used && s)
		tree_copy(h, s);
}

static void op_destroy(struct model *m)
{
	struct mtree *h = any_head(m);
	int rc = h == m->head ? 0 : lcpfs_dataset_destroy(pool, h->name, false, &err);

	if (h == m->head)
		return;
	ok_msg(!rc || rc == -LCPFS_EHELD, "destroy %s: %s", h->name, err.msg);
	if (!rc)
		tree_drop(h);
}

static void op_rollback(struct model *m)
{
	struct mtree *s = any(m, m->snap, SNAPS);

	if (s && did(lcpfs_rollback(pool, s->name, NULL, &err)))
		tree_copy(&m->head[s->owner], s);
}

static bool check_tree(const struct mtree *t)
{
	struct lcpfs_dataset *ds;
	bool good = true;

	if (!did(lcpfs_dataset_open(&ds, pool, t->name, &err)))
		return false;
	for (unsigned i = 0; good && i < FILES; i++) {
		const struct mfile *f = &t->f[i];
		uint8_t *buf = malloc(SIZE_LIMIT + 1);
		struct lcpfs_file *h = NULL;
		size_t got = 0;
		int rc = lcpfs_file_open(&h, ds, path_of(i), LCPFS_O_READ, 0, &err);

		if (!rc)
			rc = lcpfs_file_pread(h, buf, SIZE_LIMIT + 1, 0, &got, &err);
		good = f->there ? !rc && got == f->size && memcmp(buf, f->data, got) == 0 : rc == -LCPFS_ENOENT;
		ok_msg(good, "%s:%s: rc %d, %zu bytes of %zu: %s", t->name, path_of(i), rc, got, f->size, err.msg);
		lcpfs_file_close(h, NULL);
		free(buf);
	}
	lcpfs_dataset_close(ds);
	return good;
}

static bool check_model(const struct model *m)
{
	bool good = true;

	for (unsigned i = 0; good && i < HEADS; i++)
		good = !m->head[i].used || check_tree(&m->head[i]);
	for (unsigned i = 0; good && i < SNAPS; i++)
		good = !m->snap[i].used || check_tree(&m->snap[i]);
	return good;
}

static const struct { unsigned upto; void (*fn)(struct model *m); } ops[] = {
	{ 32, op_write }, { 42, op_truncate }, { 72, op_share }, { 80, op_snap }, { 87, op_unsnap }, { 92, op_clone }, { 96, op_destroy },
	{ 100, op_rollback },
};

/* In the end all but one empty root goes, and nothing of it stays in use. */
static void empty_all(struct model *m)
{
	struct lcpfs_pool_info info;
	struct lcpfs_dataset *ds;
	uint64_t used;

	for (unsigned round = 0; round < SNAPS + HEADS; round++) {
		for (unsigned i = 0; i < SNAPS; i++) {
			const char *name = m->snap[i].name;

			if (m->snap[i].used && !lcpfs_snap_destroy(pool, &name, 1, false, NULL, NULL))
				tree_drop(&m->snap[i]);
		}
		for (unsigned i = 1; i < HEADS; i++)
			if (m->head[i].used && !lcpfs_dataset_destroy(pool, m->head[i].name, false, NULL))
				tree_drop(&m->head[i]);
	}
	did(lcpfs_dataset_open(&ds, pool, "", &err));
	for (unsigned i = 0; i < FILES; i++)
		if (m->head[0].f[i].there)
			did(lcpfs_remove(ds, path_of(i), false, &err));
	lcpfs_dataset_close(ds);
	tree_drop(&m->head[0]);
	if (!again())
		return;
	did(lcpfs_pool_info(pool, &info, &err));
	used = info.used_bytes;
	ok_msg(used < 20000, "%" PRIu64 " bytes still in use", used);
	for (unsigned i = 0; i < SNAPS; i++)
		ok(!m->snap[i].used);
}

static void run_model(uint64_t seed, unsigned n)
{
	struct model *m = calloc(1, sizeof *m);
	bool good = true;

	printf("# seed %" PRIu64 "\n", seed);
	m->rng = seed * 0x9e3779b97f4a7c15u + 7;
	m->head[0].used = true;
	create();
	for (unsigned i = 0; good && i < n; i++) {
		unsigned r = pick(m, 100), k = 0;

		while (r >= ops[k].upto)
			k++;
		ops[k].fn(m);
		if (!pick(m, 5))
			did(lcpfs_pool_commit(pool, &err));
		if (!pick(m, 12))
			good = check_model(m) && again() && check_model(m);
		if (!good)
			printf("# seed %" PRIu64 ", operation %u\n", seed, i);
	}
	if (good)
		empty_all(m);
	for (unsigned i = 0; i < HEADS; i++)
		tree_drop(&m->head[i]);
	for (unsigned i = 0; i < SNAPS; i++)
		tree_drop(&m->snap[i]);
	if (pool)
		shut();
	free(m);
}

static unsigned env_number(const char *name, unsigned def)
{
	const char *v = getenv(name);

	return v ? (unsigned)strtoul(v, NULL, 10) : def;
}

TEST(random)
{
	unsigned first = env_number("LCPFS_SEED", 1), runs = 4 * env_number("LCPFS_STRESS", 1);

	for (unsigned i = 0; i < runs; i++)
		run_model(first + i, 150);
}

/* ---- cases ---- */

static uint64_t used(void)
{
	struct lcpfs_pool_info info = { 0 };

	did(lcpfs_pool_commit(pool, &err));
	did(lcpfs_pool_info(pool, &info, &err));
	return info.used_bytes;
}

/* "columns" every new pool has. */
static const char *feature(void)
{
	const char *f = lcpfs_pool_feature(pool, 0, 1);

	return f ? f : "none";
}

TEST(what_it_costs)
{
	uint64_t before, all;

	create();
	did(put_file(pool, "", "f0", 3000000, 1, &err));
	did(lcpfs_dataset_create(pool, "o", false, &err));
	all = used();
	did(share("", "f0", 0, 0, "", "f1", 0));
	ok(used() < all + 8192);
	is_str(feature(), "none");
	before = used();
	did(share("", "f0", 0, 0, "o", "f0", 0));
	ok(used() < before + 200000);
	is_str(feature(), "reflink");
	/* one byte of one of them: its record, and the items of all */
	did(put_file(pool, "", "f2", 10, 1, &err));
	did(share("", "f2", 0, 5, "", "f1", 100));
	ok(used() < before + 500000);
	again();
	shut();
}

/* Moved within one transaction nothing is shared in the end, and the pool stays readable to those who know nothing of sharing. */
TEST(moving)
{
	struct lcpfs_tree_opts o = { .flags = LCPFS_TREE_REFLINK, .as = "g" };
	struct lcpfs_dataset *a, *b;

	create();
	did(put_file(pool, "", "f0", 300000, 1, &err));
	did(lcpfs_dataset_create(pool, "o", false, &err));
	did(lcpfs_pool_commit(pool, &err));
	did(lcpfs_dataset_open(&a, pool, "", &err));
	did(lcpfs_dataset_open(&b, pool, "o", &err));
	did(lcpfs_tree_copy(a, "f0", b, "", &o, NULL, &err));
	did(lcpfs_remove(a, "f0", false, &err));
	lcpfs_dataset_close(a);
	lcpfs_dataset_close(b);
	again();
	is_str(feature(), "none");
	shut();
}

TEST(refusals)
{
	struct lcpfs_pool *other;
	struct lcpfs_blockdev *ram;
	struct lcpfs_dataset *a, *b;
	struct lcpfs_file *f, *t;

	create();
	did(put_file(pool, "", "f0", 30000, 1, &err));
	did(lcpfs_ramdisk_create(&ram, "other", 0, LCPFS_DEV_IMAGE, &err));
	did(lcpfs_pool_create_dev(&other, ram, NULL, &err));
	f = open_file("", "f0", LCPFS_O_READ | LCPFS_O_WRITE, &a);
	is_int(lcpfs_reflink_range(f, 100, 1000, f, 1099, &err), -LCPFS_EINVAL);
	is_int(lcpfs_reflink_range(f, 100, 29901, f, 50000, &err), -LCPFS_EINVAL);
	is_int(lcpfs_reflink_range(f, 0, 10, f, INT64_MAX, &err), -LCPFS_ELIMIT);
	is_int(lcpfs_reflink(f, f, &err), 0);
	did(lcpfs_dataset_open(&b, other, "", &err));
	did(lcpfs_file_open(&t, b, "x", LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, &err));
	is_int(lcpfs_reflink(f, t, &err), -LCPFS_EXDEV);
	is_int(lcpfs_reflink(t, f, &err), -LCPFS_EPERM);
	close_file(t, b);
	close_file(f, a);
	did(lcpfs_pool_close(other, &err));
	shut();
	clean();
}

/* With hardly any room a large file is not shared, and is then as if that had not been tried. */
TEST(no_room)
{
	struct lcpfs_create_opts o = { .open = { .threads = 2, .memory_bytes = 32u << 20 }, .copies = 1, .record_bytes = 4096, .compress = "off",
		.size_bytes = 8u << 20 };
	struct lcpfs_stat st;
	struct lcpfs_dataset *ds;
	int rc = 0;

	snprintf(dev, sizeof dev, "ram:share%u", next_disk++);
	did(lcpfs_pool_create(&pool, dev, &o, &err));
	did(put_file(pool, "", "f0", 4u << 20, 1, &err));
	did(lcpfs_dataset_create(pool, "o", false, &err));
	for (unsigned i = 0; !rc && i < 200; i++) {
		char name[16];

		did(lcpfs_pool_commit(pool, &err));
		snprintf(name, sizeof name, "g%u", i);
		rc = share("", "f0", 0, 0, "o", name, 0);
		if (rc) {
			did(lcpfs_dataset_open(&ds, pool, "o", &err));
			did(lcpfs_stat(ds, name, 0, &st, &err));
			is_int(st.size, 0);
			is_int(st.stored, 0);
			lcpfs_dataset_close(ds);
		}
	}
	is_int(rc, -LCPFS_ENOSPC);
	again();
	did(lcpfs_dataset_destroy(pool, "o", false, &err));
	again();
	shut();
}

/* ---- fsck ---- */

static void sharing_pool(void)
{
	create();
	did(lcpfs_dataset_create(pool, "o", false, &err));
	did(put_file(pool, "", "f0", 200000, 1, &err));
	did(put_file(pool, "", "f1", 3000, 2, &err));
	did(share("", "f0", 0, 0, "o", "f0", 0));
	did(share("", "f0", 5000, 100000, "o", "f1", 333));
	did(share("", "f1", 0, 0, "", "f2", 0));
	did(share("", "f0", 0, 0, "", "f3", 0));
	did(lcpfs_pool_commit(pool, &err));
}

/* The nth record of REF, 0: none. */
static uint64_t nth_ref(unsigned n, uint64_t *extra)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	uint64_t addr = 0;
	int rc = btree_seek(pool->spa->pool_tree, &c, key, key_u64(key, TBL_REF, 0), &err);

	for (; !rc && n; n--)
		rc = btree_next(&c, &err);
	if (!rc && c.item.key[0] == TBL_REF && !ref_decode(extra, c.item.key, c.item.klen, c.item.val, c.item.vlen, &err))
		addr = be64_load(c.item.key + 1);
	btree_cursor_close(&c);
	return addr;
}

static void set_ref(uint64_t addr, uint64_t extra)
{
	uint8_t key[9], val[REF_LEN];
	size_t n = key_u64(key, TBL_REF, addr);

	ref_encode(extra, val);
	if (extra)
		did(btree_put(pool->spa->pool_tree, key, n, val, sizeof val, NULL, 0, 0, &err));
	else
		btree_del(pool->spa->pool_tree, key, n, 0, &err);
}

static void set_dataref(uint64_t extra)
{
	struct lcpfs_dataset *ds;
	struct lcpfs_stat st;
	struct inode i;
	uint8_t key[9], val[8];

	did(lcpfs_dataset_open(&ds, pool, "", &err));
	did(lcpfs_stat(ds, "f1", 0, &st, &err));
	did(zpl_inode_get(ds->ds, st.ino, &i, &err));
	le_store(val, 8, extra);
	item_key(key, ITEM_DATAREF, i.data_id);
	if (extra)
		did(btree_put(ds->ds->tree, key, 9, val, 8, NULL, 0, 0, &err));
	else
		did(btree_del(ds->ds->tree, key, 9, 0, &err));
	dmu_dirty(ds->ds);
	lcpfs_dataset_close(ds);
}

struct codes { unsigned ref, dataref, other, repairable; };

static void count_code(void *arg, const struct lcpfs_problem *p)
{
	struct codes *c = arg;

	if (!strcmp(p->code, "ref-count"))
		c->ref++;
	else if (!strcmp(p->code, "dataref-count"))
		c->dataref++;
	else
		c->other++;
	c->repairable += p->repairable;
}

static void told_again(void *arg, uint64_t fixed)
{
	(void)arg;
	ok(fixed > 0);
}

/* The damage is found, put right as a whole, and then gone; the files are as before. */
static void expect_repair(unsigned refs, unsigned datarefs)
{
	struct codes c = { 0 };
	struct lcpfs_check_opts o = { .problem = count_code, .arg = &c };
	struct lcpfs_repair_stats st;
	uint8_t before[HASH_LEN], after[HASH_LEN];
	uint64_t n = 0;

	did(pool_digest(pool, before, &err));
	shut();
	did(lcpfs_fsck(dev, &ro, &o, &n, &err));
	is_int(n, refs + datarefs);
	is_int(c.ref, refs);
	is_int(c.dataref, datarefs);
	is_int(c.repairable, n);
	did(lcpfs_fsck_repair(dev, &ro, &o, told_again, &st, &err));
	is_int(st.found, refs + datarefs);
	is_int(st.fixed, refs + datarefs);
	is_int(st.left, 0);
	ok(!st.refused);
	clean();
	did(lcpfs_pool_open(&pool, dev, &rw, &err));
	did(pool_digest(pool, after, &err));
	is_mem(after, before, HASH_LEN);
}

TEST(repair)
{
	uint64_t extra, addr;

	sharing_pool();
	for (unsigned i = 0; i < 5; i++) {
		addr = nth_ref(i, &extra);
		ok(addr);
		set_ref(addr, i == 4 ? 0 : extra + 5 - i * 3);
	}
	set_ref(nth_ref(0, &extra) + 1, 4);
	expect_repair(6, 0);
	set_dataref(0);
	expect_repair(0, 1);
	set_dataref(77);
	expect_repair(0, 1);
	while ((addr = nth_ref(0, &extra)))
		set_ref(addr, 0);
	did(lcpfs_pool_commit(pool, &err));
	shut();
	{
		struct lcpfs_repair_stats st;

		did(lcpfs_fsck_repair(dev, &ro, NULL, NULL, &st, &err));
		ok(st.found > 20);
		is_int(st.fixed, st.found);
		is_int(st.left, 0);
	}
	clean();
	did(lcpfs_pool_open(&pool, dev, &rw, &err));
	did(lcpfs_dataset_destroy(pool, "o", false, &err));
	again();
	is_int(nth_ref(0, &extra), 0);
	shut();
}

/* Also where space is not what the bitmaps say: what is in use follows from what is reachable. */
TEST(repair_space_too)
{
	struct lcpfs_repair_stats st;
	uint64_t extra, addr;

	sharing_pool();
	addr = nth_ref(3, &extra);
	set_ref(nth_ref(0, &extra), 9);
	did(space_free(pool->spa->space, addr, 1, true, false, &err));
	did(lcpfs_pool_commit(pool, &err));
	shut();
	did(lcpfs_fsck_repair(dev, &ro, NULL, NULL, &st, &err));
	ok(!st.refused);
	ok(st.found >= 2);
	is_int(st.fixed, st.found);
	clean();
}

/* However few references are kept in memory, the same is found. */
TEST(small_memory)
{
	uint64_t extra, addr;

	create();
	did(lcpfs_dataset_create(pool, "o", false, &err));
	for (unsigned i = 0; i < 10; i++) {
		char name[8];

		snprintf(name, sizeof name, "f%02u", i);
		did(put_file(pool, "", name, 2500000, i, &err));
		did(share("", name, 0, 0, "o", name, 0));
		if (i % 3 == 0)
			did(share("", name, 0, 0, "o", "again", 0));
	}
	shut();
	refs_count_max = 100;
	clean();
	did(lcpfs_pool_open(&pool, dev, &rw, &err));
	for (unsigned i = 0; i < 6000; i += 2000) {
		addr = nth_ref(i, &extra);
		ok(addr);
		set_ref(addr, extra + 1);
	}
	expect_repair(3, 0);
	refs_count_max = SIZE_MAX;
	shut();
	clean();
}

/* ---- streams ---- */

struct mem { uint8_t *data; size_t len, cap, at; };

static int mem_write(void *arg, const void *data, size_t len, struct lcpfs_error *e)
{
	struct mem *m = arg;

	(void)e;
	if (m->len + len > m->cap)
		m->data = realloc(m->data, m->cap = 2 * (m->len + len));
	memcpy(m->data + m->len, data, len);
	m->len += len;
	return 0;
}

static int mem_read(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *e)
{
	struct mem *m = arg;

	(void)e;
	*got = MIN(len, m->len - m->at);
	memcpy(buf, m->data + m->at, *got);
	m->at += *got;
	return 0;
}

static void tree_digest(struct lcpfs_pool *p, const char *ds, uint8_t out[HASH_LEN])
{
	struct pool_digest d = { .p = p };

	blake3_init(&d.b);
	if (did(lcpfs_dataset_open(&d.ds, p, ds, &err)))
		did(lcpfs_walk(d.ds, "", 0, digest_file, &d, &err));
	lcpfs_dataset_close(d.ds);
	blake3_final(&d.b, 0, out, HASH_LEN);
}

static void send_to(struct lcpfs_pool *to, const char *snap, const char *base)
{
	struct lcpfs_send_opts so = { .base = base };
	struct lcpfs_recv_opts r = { .target = "in" };
	struct mem m = { 0 };
	uint8_t a[HASH_LEN], b[HASH_LEN];
	char there[32];

	did(lcpfs_send(pool, snap, &so, mem_write, &m, NULL, &err));
	did(lcpfs_recv(to, &r, mem_read, &m, NULL, &err));
	tree_digest(pool, snap, a);
	snprintf(there, sizeof there, "in@%s", strchr(snap, '@') + 1);
	tree_digest(to, there, b);
	is_mem(b, a, HASH_LEN);
	free(m.data);
}

TEST(streams)
{
	const char *one = "o@one", *two = "o@two";
	struct lcpfs_blockdev *ram;
	struct lcpfs_pool *to;
	struct lcpfs_dataset *ds;

	sharing_pool();
	did(lcpfs_ramdisk_create(&ram, "to", 0, LCPFS_DEV_IMAGE, &err));
	did(lcpfs_pool_create_dev(&to, ram, NULL, &err));
	did(lcpfs_snap_create(pool, &one, 1, false, &err));
	send_to(to, "o@one", NULL);
	did(share("", "f0", 70000, 50000, "o", "f0", 123));
	did(share("o", "f1", 0, 0, "o", "f2", 0));
	did(share("o@one", "f0", 0, 0, "o", "f3", 0));
	did(lcpfs_dataset_open(&ds, pool, "o", &err));
	did(lcpfs_truncate(ds, "f1", 4321, &err));
	lcpfs_dataset_close(ds);
	did(lcpfs_snap_create(pool, &two, 1, false, &err));
	send_to(to, "o@two", "@one");
	/* the received one shares within itself what is a whole file, and may be shared from */
	did(lcpfs_pool_commit(to, &err));
	did(lcpfs_pool_close(to, &err));
	shut();
	clean();
}

TAP_MAIN(T(what_it_costs), T(moving), T(refusals), T(no_room), T(repair), T(repair_space_too), T(small_memory), T(streams), T(random))
