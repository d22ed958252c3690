/* SPDX-License-Identifier: Apache-2.0 */
/* Send and receive between pools on RAM disks: what arrives is what was sent, and nothing else ever shows. */
#include "tap.h"
#include "base/util.h"
#include "format/frame.h"
#include "hash/hash.h"
#include "lcpfs/lcpfs.h"
#include "zpl/handle.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- streams in memory ---- */

struct mem { struct buf b; size_t at, limit; };

static int mem_write(void *arg, const void *data, size_t len, struct lcpfs_error *err)
{
	struct mem *m = arg;

	(void)err;
	buf_add(&m->b, data, len);
	return 0;
}

static int mem_read(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *err)
{
	struct mem *m = arg;
	size_t end = MIN(m->limit, m->b.len);

	(void)err;
	*got = MIN(len, end - m->at);
	if (*got)
		memcpy(buf, m->b.data + m->at, *got);
	m->at += *got;
	return 0;
}

static void mem_rewind(struct mem *m)
{
	m->at = 0;
	m->limit = SIZE_MAX;
}

static void mem_fini(struct mem *m) { buf_fini(&m->b); *m = (struct mem){ 0 }; }

/* ---- pools ---- */

static struct lcpfs_error err;

static bool good(int rc, const char *what)
{
	return ok_msg(rc == 0, "%s: %d: %s", what, rc, err.msg);
}

static struct lcpfs_pool *new_pool(const char *name, uint64_t size)
{
	struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 2, .memory_bytes = 32 * MiB }, .name = name,
		.record_bytes = 16 << 10, .pack_bytes = 16 << 10, .slice_max_bytes = 4 << 10, .labels = 1, .reproducible = true };
	struct lcpfs_blockdev *dev;
	struct lcpfs_pool *p = NULL;

	if (good(lcpfs_ramdisk_create(&dev, name, size, LCPFS_DEV_IMAGE, &err), "ramdisk"))
		good(lcpfs_pool_create_dev(&p, dev, &o, &err), "create");
	if (p)
		good(lcpfs_pool_commit(p, &err), "commit");
	return p;
}

static void snap(struct lcpfs_pool *p, const char *name, bool recursive)
{
	good(lcpfs_snap_create(p, &name, 1, recursive, &err), name);
	good(lcpfs_pool_commit(p, &err), "commit");
}

static int send(struct lcpfs_pool *p, const char *name, const char *base, struct mem *m, uint64_t ckpt)
{
	struct lcpfs_send_opts o = { .base = base, .ckpt_bytes = ckpt };
	uint64_t bytes = 0, counted = 0;
	int rc = lcpfs_send(p, name, &o, mem_write, m, &bytes, &err);

	if (rc)
		return rc;
	is_int(bytes, m->b.len);
	good(lcpfs_send(p, name, &o, NULL, NULL, &counted, &err), "count");
	is_int(counted, bytes);
	mem_rewind(m);
	return 0;
}

static int recv(struct lcpfs_pool *p, const char *target, struct mem *m)
{
	struct lcpfs_recv_opts o = { .target = target };

	return lcpfs_recv(p, &o, mem_read, m, NULL, &err);
}

/* ---- random changes ---- */

static uint64_t seed;
static uint64_t rnd(uint64_t n) { return tap_rand(&seed) % n; }

static void fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(rnd(4) ? i / 7 : tap_rand(&seed) >> 20);
}

static int write_file(struct dataset *ds, uint64_t ino, size_t len)
{
	uint8_t *data = malloc(len + 1);
	struct zpl_writer *w;
	int rc = zpl_writer_open(&w, ds, ino, len, &err);

	fill(data, len);
	if (!rc)
		rc = zpl_writer_write(w, 0, data, len, &err);
	if (!rc)
		rc = zpl_writer_finish(w, len, &err);
	free(data);
	return rc;
}

static size_t any_len(void)
{
	return rnd(4) ? rnd(4 << 10) : rnd(150 << 10);
}

struct name_of { char name[64]; uint64_t ino, nth; uint8_t type; };

static int nth_name(void *arg, const char *name, size_t len, uint64_t ino, uint8_t type, struct lcpfs_error *e)
{
	struct name_of *n = arg;

	(void)e;
	if (n->nth--)
		return 0;
	snprintf(n->name, sizeof n->name, "%.*s", (int)len, name);
	n->ino = ino;
	n->type = type;
	return 1;
}

static bool pick(struct dataset *ds, uint64_t dir, struct name_of *n)
{
	*n = (struct name_of){ .nth = rnd(20) };
	return zpl_dir_each(ds, dir, NULL, 0, nth_name, n, &err) >= 0 && n->ino;
}

static uint64_t any_dir(struct dataset *ds)
{
	uint64_t dir = INO_ROOT, ino;
	char name[16];

	for (unsigned depth = 0; depth < 2; depth++) {
		int n = snprintf(name, sizeof name, "d%u", (unsigned)rnd(4));
		struct inode attr = { .mode = S_IFDIR | 0755 };
		struct itime now = { 1000 + (int64_t)rnd(1000), 0 };

		if (zpl_lookup(ds, dir, name, (size_t)n, &ino, NULL, NULL)) {
			if (zpl_create(ds, dir, name, (size_t)n, &attr, NULL, &now, &ino, &err))
				return dir;
		}
		dir = ino;
		if (rnd(2))
			break;
	}
	return dir;
}

static int change_one(struct dataset *ds)
{
	struct itime now = { 1000 + (int64_t)rnd(100000), (uint32_t)rnd(1000) };
	struct inode attr = { .mode = S_IFREG | 0644, .uid = (uint32_t)rnd(5) };
	uint64_t dir = any_dir(ds), to = any_dir(ds), ino;
	struct name_of n;
	char name[32], value[64];
	size_t len = (size_t)snprintf(name, sizeof name, "f%u", (unsigned)rnd(30));
	int rc;

	switch (rnd(11)) {
	default:
		rc = zpl_create(ds, dir, name, len, &attr, NULL, &now, &ino, &err);
		return rc == -LCPFS_EEXIST ? 0 : rc ? rc : write_file(ds, ino, any_len());
	case 4:
		return pick(ds, dir, &n) && n.type == 8 ? zpl_unlink(ds, dir, n.name, strlen(n.name), &now, &err) : 0;
	case 5:
		rc = pick(ds, dir, &n) && n.type == 8 ? zpl_rename(ds, dir, n.name, strlen(n.name), to, name, len, false, &now, &err) : 0;
		return rc == -LCPFS_EISDIR || rc == -LCPFS_EINVAL ? 0 : rc;
	case 6:
		rc = pick(ds, dir, &n) && n.type == 8 ? zpl_link(ds, n.ino, to, name, len, &now, &err) : 0;
		return rc == -LCPFS_EEXIST ? 0 : rc;
	case 7:
		return pick(ds, dir, &n) && n.type == 8 ? zpl_truncate(ds, n.ino, any_len(), &err) : 0;
	case 8:
		return pick(ds, dir, &n) && n.type == 8 ? write_file(ds, n.ino, any_len()) : 0;
	case 9:
		memset(value, 'x', sizeof value);
		return pick(ds, dir, &n) && n.type == 8 ? zpl_write(ds, n.ino, rnd(100 << 10), value, sizeof value, &err) : 0;
	case 10:
		return pick(ds, dir, &n) ? zpl_xattr_set(ds, n.ino, "user.test", name, rnd(len), &err) : 0;
	case 3:
		rc = zpl_create(ds, dir, name, len, &(struct inode){ .mode = S_IFLNK | 0777 }, "../target", &now, &ino, &err);
		return rc == -LCPFS_EEXIST ? 0 : rc;
	}
}

static void change(struct lcpfs_pool *p, const char *name, unsigned n)
{
	struct dataset *ds;
	int rc = dmu_open(p->spa, name, &ds, &err);

	for (unsigned i = 0; i < n && !rc; i++)
		rc = change_one(ds);
	good(rc, "random changes");
	dmu_close(ds);
	good(lcpfs_pool_commit(p, &err), "commit");
}

/* ---- comparing ---- */

/* The next item whose form does not depend on the pool; 1: none. */
static int next_item(struct bt_cursor *c, int rc)
{
	while (!rc && c->item.key[0] == ITEM_PACK)
		rc = btree_next(c, &err);
	return rc;
}

static bool item_equal(const struct bt_item *a, const struct bt_item *b)
{
	if (a->klen != b->klen || memcmp(a->key, b->key, a->klen) || a->vlen != b->vlen || a->nptr != b->nptr)
		return false;
	if (a->key[0] == ITEM_SLICE) /* len, charge */
		return memcmp(a->val + 12, b->val + 12, 8) == 0;
	if (memcmp(a->val, b->val, a->vlen))
		return false;
	return !a->nptr || memcmp(a->ptrs + 32, b->ptrs + 32, 32) == 0; /* hash */
}

static bool same_items(struct dataset *a, struct dataset *b)
{
	struct bt_cursor ca = { 0 }, cb = { 0 };
	int ra = next_item(&ca, btree_seek(a->tree, &ca, "", 0, &err)), rb = next_item(&cb, btree_seek(b->tree, &cb, "", 0, &err));
	bool same = true;

	while (!ra && !rb && same) {
		same = item_equal(&ca.item, &cb.item);
		if (!same) {
			struct buf t = { 0 };

			item_print(ca.item.key, ca.item.klen, ca.item.val, ca.item.vlen, ca.item.ptrs, ca.item.nptr, &t);
			buf_printf(&t, "\n#   ");
			item_print(cb.item.key, cb.item.klen, cb.item.val, cb.item.vlen, cb.item.ptrs, cb.item.nptr, &t);
			printf("# items differ:\n#   %s\n", t.data);
			buf_fini(&t);
			break;
		}
		ra = next_item(&ca, btree_next(&ca, &err));
		rb = next_item(&cb, btree_next(&cb, &err));
	}
	btree_cursor_close(&ca);
	btree_cursor_close(&cb);
	return same && ra == 1 && rb == 1;
}

/* live_n and live_bytes are those of the slices; the blocks counted are those there. */
static bool packs_true(struct dataset *ds)
{
	struct { uint64_t id; uint32_t n, bytes; } *p = calloc(4096, sizeof *p);
	struct bt_cursor c = { 0 };
	size_t n = 0;
	uint64_t blocks = 0, psize = 0;
	bool fine = true;
	int rc;

	for (rc = btree_seek(ds->tree, &c, "", 0, &err); !rc; rc = btree_next(&c, &err)) {
		struct slice s;
		struct blkptr bp;
		size_t i = 0;

		for (unsigned k = 0; k < c.item.nptr; k++) {
			fine = fine && !ptr_decode(&bp, c.item.ptrs + k * PTR_LEN, &err);
			blocks++;
			psize += ptr_charge(&bp);
		}
		if (c.item.key[0] == ITEM_SLICE) {
			fine = fine && !slice_decode(&s, c.item.val, c.item.vlen, &err);
			while (i < n && p[i].id != s.pack_id)
				i++;
			n = MAX(n, i + 1);
			p[i].id = s.pack_id;
			p[i].n++;
			p[i].bytes += s.len;
		} else if (c.item.key[0] == ITEM_PACK) {
			while (i < n && p[i].id != be64_load(c.item.key + 1))
				i++;
			fine = fine && i < n && p[i].bytes == le_load(c.item.val, 4) && p[i].n == le_load(c.item.val + 4, 4);
			p[i].n = 0;
		}
	}
	for (size_t i = 0; i < n; i++)
		fine = fine && !p[i].n;
	btree_cursor_close(&c);
	free(p);
	return fine && rc == 1 && blocks == ds->rec.ref_blocks && psize == ds->rec.ref_psize;
}

static int no_diff(void *arg, const struct lcpfs_diff *d, struct lcpfs_error *e)
{
	(void)arg;
	(void)e;
	printf("# differs: %c %s\n", d->kind, d->path);
	return 0;
}

static void same(struct lcpfs_pool *pa, const char *a, struct lcpfs_pool *pb, const char *b)
{
	struct lcpfs_dataset *da = NULL, *db = NULL;
	bool differs = true;

	if (!good(lcpfs_dataset_open(&da, pa, a, &err), a) || !good(lcpfs_dataset_open(&db, pb, b, &err), b))
		return;
	ok_msg(same_items(da->ds, db->ds), "items of %s and %s differ", a, b);
	ok_msg(packs_true(da->ds), "packs of the sender's %s", a);
	ok_msg(packs_true(db->ds), "packs of %s", b);
	is_int(db->ds->rec.n_inodes, da->ds->rec.n_inodes);
	good(lcpfs_diff(da, db, 0, no_diff, NULL, &differs, &err), "diff");
	ok_msg(!differs, "%s and %s differ", a, b);
	lcpfs_dataset_close(da);
	lcpfs_dataset_close(db);
}

static int count_ds(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *e)
{
	(void)e;
	(void)i;
	++*(unsigned *)arg;
	return 0;
}

/* Datasets and snapshots that show. */
static unsigned visible(struct lcpfs_pool *p)
{
	unsigned n = 0;

	lcpfs_dataset_each(p, "", true, true, count_ds, &n, &err);
	return n;
}

/* Records of datasets and receives, hidden ones too. */
static unsigned records(struct lcpfs_pool *p, uint8_t table)
{
	struct bt_cursor c = { 0 };
	uint8_t key[POOL_KEY_MAX];
	unsigned n = 0;
	int rc = btree_seek(p->spa->pool_tree, &c, key, key_u64(key, table, 0), &err);

	for (; !rc && c.item.key[0] == table; rc = btree_next(&c, &err))
		n++;
	btree_cursor_close(&c);
	return n;
}

/* Everything in the directories goes, with it whole packs. */
static void empty(struct lcpfs_pool *p)
{
	struct itime now = { 5000, 0 };
	struct dataset *ds;
	int rc = dmu_open(p->spa, "", &ds, &err);

	for (char name[3] = "d0"; name[1] < '4' && !rc; name[1]++)
		rc = zpl_remove_tree(ds, INO_ROOT, name, 2, &now, &err);
	good(rc == -LCPFS_ENOENT ? 0 : rc, "remove");
	dmu_close(ds);
	good(lcpfs_pool_commit(p, &err), "commit");
}

#define N_SNAPS 4
static struct lcpfs_pool *history(const char *name, unsigned changes)
{
	struct lcpfs_pool *p = new_pool(name, 256 * MiB);
	char at[8];

	for (unsigned i = 0; i < N_SNAPS; i++) {
		if (i == 3)
			empty(p);
		change(p, "", i ? changes / 4 : changes);
		snprintf(at, sizeof at, "@%u", i);
		snap(p, at, false);
	}
	return p;
}

/* ---- tests ---- */

TEST(all_pairs)
{
	struct lcpfs_pool *a;
	char from[8], to[8], name[16], full[32];

	seed = 1;
	a = history("a", 400);
	for (unsigned i = 0; i < N_SNAPS; i++) {
		struct lcpfs_pool *b = new_pool("b", 256 * MiB);
		struct mem m = { 0 };

		snprintf(from, sizeof from, "@%u", i);
		good(send(a, from, NULL, &m, 0), "send full");
		for (unsigned k = i + 1; k < N_SNAPS; k++) {
			struct mem inc = { 0 };

			snprintf(name, sizeof name, "r%u", k);
			snprintf(to, sizeof to, "@%u", k);
			snprintf(full, sizeof full, "%s@%u", name, i);
			mem_rewind(&m);
			good(recv(b, name, &m), "recv full");
			same(a, from, b, full);
			good(send(a, to, from, &inc, 0), "send incremental");
			good(recv(b, name, &inc), "recv incremental");
			snprintf(full, sizeof full, "%s@%u", name, k);
			same(a, to, b, full);
			same(a, to, b, name);
			mem_fini(&inc);
		}
		is_int(records(b, TBL_RECV), 0);
		mem_fini(&m);
		good(lcpfs_pool_close(b, &err), "close");
	}
	good(lcpfs_pool_close(a, &err), "close");
}

TEST(into_the_root)
{
	struct lcpfs_pool *a, *b = new_pool("b", 64 * MiB);
	struct lcpfs_recv_opts o = { 0 };
	struct lcpfs_dataset *ds;
	struct mem m = { 0 };
	struct dsrec ra, rb;
	char *name = NULL;

	seed = 2;
	a = history("a", 100);
	good(send(a, "@0", NULL, &m, 0), "send");
	good(lcpfs_dataset_open(&ds, b, "", &err), "open");
	is_int(lcpfs_recv(b, &o, mem_read, &m, &name, &err), -LCPFS_EBUSY);
	lcpfs_dataset_close(ds);
	mem_rewind(&m);
	good(lcpfs_recv(b, &o, mem_read, &m, &name, &err), "recv");
	is_str(name, "@0");
	good(dmu_lookup(a->spa, "@0", &ra, &err), "record");
	good(dmu_lookup(b->spa, "@0", &rb, &err), "record");
	ok(ra.guid == rb.guid && ra.created_s == rb.created_s && ra.created_ns == rb.created_ns);
	free(name);
	same(a, "@0", b, "");
	mem_rewind(&m);
	is_int(recv(b, NULL, &m), -LCPFS_EEXIST);
	mem_fini(&m);
	/* what moved on is not thrown away unasked */
	change(b, "", 5);
	good(send(a, "@1", "@0", &m, 0), "send");
	is_int(recv(b, NULL, &m), -LCPFS_EEXIST);
	mem_rewind(&m);
	o.keep = "mine";
	good(lcpfs_recv(b, &o, mem_read, &m, NULL, &err), "recv keep");
	same(a, "@1", b, "");
	is_int(visible(b), 4);
	/* numbers made here do not collide with those that come */
	change(b, "", 50);
	snap(b, "@here", false);
	mem_fini(&m);
	is_int(send(b, "@here", "@mine", &m, 0), -LCPFS_EINVAL);
	mem_fini(&m);
	good(send(b, "@here", "@1", &m, 0), "send back");
	o.force = true;
	good(lcpfs_recv(a, &(struct lcpfs_recv_opts){ .force = true }, mem_read, &m, NULL, &err), "recv back");
	same(b, "@here", a, "");
	good(lcpfs_common_snapshot(b, "", a, "", &name, &err), "common");
	is_str(name, "@here");
	free(name);
	mem_fini(&m);
	good(lcpfs_pool_close(a, &err), "close");
	good(lcpfs_pool_close(b, &err), "close");
}

TEST(follows_the_change)
{
	struct lcpfs_pool *a;
	struct mem full = { 0 }, inc = { 0 }, again = { 0 };

	seed = 3;
	a = history("a", 600);
	change(a, "", 1);
	snap(a, "@small", false);
	good(send(a, "@3", NULL, &full, 0), "full");
	good(send(a, "@small", "@3", &inc, 0), "incremental");
	ok(inc.b.len * 10 < full.b.len);
	good(send(a, "@3", NULL, &again, 0), "again");
	ok(again.b.len == full.b.len && memcmp(again.b.data, full.b.data, full.b.len) == 0);
	mem_fini(&full);
	mem_fini(&inc);
	mem_fini(&again);
	good(lcpfs_pool_close(a, &err), "close");
}

/* A new content that lies in a pack full of old ones, as compaction leaves them. */
static int place_in_old_pack(struct dataset *ds)
{
	struct inode attr = { .mode = S_IFREG | 0644 };
	struct itime now = { 9000, 0 };
	uint8_t key[KEY_MAX], val[SLICE_LEN], pack[8];
	struct bt_cursor c = { 0 };
	struct slice s;
	uint64_t ino;
	size_t klen;
	int rc = zpl_create(ds, INO_ROOT, "moved", 5, &attr, NULL, &now, &ino, &err);

	if (!rc)
		rc = zpl_flush(ds, &err);
	if (!rc)
		rc = zpl_inode_get(ds, ino, &attr, &err);
	if (!rc)
		rc = btree_seek(ds->tree, &c, key, item_key(key, ITEM_SLICE, 0), &err);
	if (!rc)
		rc = slice_decode(&s, c.item.val, c.item.vlen, &err);
	klen = item_key(key, ITEM_PACK, s.pack_id);
	if (!rc)
		rc = btree_get(ds->tree, &c, key, klen, &err);
	if (rc)
		return rc;
	le_store(pack, 4, le_load(c.item.val, 4) + s.len);
	le_store(pack + 4, 4, le_load(c.item.val + 4, 4) + 1);
	btree_cursor_close(&c);
	rc = btree_put(ds->tree, key, klen, pack, sizeof pack, NULL, 0, BT_KEEP_PTRS, &err);
	slice_encode(&s, val);
	if (!rc)
		rc = btree_put(ds->tree, key, item_key(key, ITEM_SLICE, attr.data_id), val, sizeof val, NULL, 0, 0, &err);
	attr.size = s.len;
	attr.flags |= INODE_SLICED;
	return rc ? rc : zpl_inode_put(ds, ino, &attr, &err);
}

TEST(made_packs)
{
	struct lcpfs_pool *a, *b = new_pool("b", 64 * MiB);
	struct dataset *ds;
	struct mem full = { 0 }, inc = { 0 };

	seed = 10;
	a = history("a", 100);
	change(a, "", 40);
	snap(a, "@old", false);
	good(send(a, "@old", NULL, &full, 0), "send");
	good(recv(b, NULL, &full), "recv");
	good(dmu_open(a->spa, "", &ds, &err), "open");
	good(place_in_old_pack(ds), "place");
	dmu_close(ds);
	snap(a, "@new", false);
	good(send(a, "@new", "@old", &inc, 0), "send");
	ok_msg(inc.b.len < 8192, "%zu bytes for one small file", inc.b.len);
	good(recv(b, NULL, &inc), "recv");
	same(a, "@new", b, "");
	mem_fini(&full);
	mem_fini(&inc);
	good(lcpfs_pool_close(a, &err), "close");
	good(lcpfs_pool_close(b, &err), "close");
}

/* Packs whose table is longer than what is decoded of them at first, and packs stored as they are; compressed and not. */
TEST(tables)
{
	struct itime now = { 1, 0 };
	struct mem m = { 0 };
	struct lcpfs_pool *a = new_pool("a", 64 * MiB), *b = new_pool("b", 64 * MiB);
	struct dataset *ds = NULL;
	char name[16];
	uint64_t ino;

	good(dmu_open(a->spa, "", &ds, &err), "open");
	for (unsigned i = 0; i < 3000; i++) {
		struct inode attr = { .mode = S_IFREG | 0644 };
		size_t len = (size_t)snprintf(name, sizeof name, "%05u", i);

		good(zpl_create(ds, INO_ROOT, name, len, &attr, NULL, &now, &ino, &err), "create a file");
		good(zpl_write(ds, ino, 0, name, 1 + i % 5, &err), "write it");
		if (i == 1500)
			zpl_set_codec(ds, (struct codec_spec){ .id = CODEC_NONE, .level = 0 });
		if (i % 1000 == 500)
			good(zpl_flush(ds, &err), "flush");
	}
	dmu_close(ds);
	snap(a, "@s", false);
	good(send(a, "@s", NULL, &m, 0), "send");
	good(recv(b, NULL, &m), "receive");
	same(a, "@s", b, "");
	mem_fini(&m);
	good(lcpfs_pool_close(a, &err), "close");
	good(lcpfs_pool_close(b, &err), "close");
}

/* Positions of frame ends in a stream. */
static size_t frame_ends(const struct mem *m, size_t *ends, size_t max)
{
	struct frame_hdr h;
	size_t n = 0;

	for (size_t at = 0; at + FRAME_HDR <= m->b.len && n < max;) {
		if (frame_hdr_decode(&h, m->b.data + at, NULL))
			break;
		at += frame_stored_len(h.len);
		ends[n++] = at;
	}
	return n;
}

TEST(damage_is_refused)
{
	static size_t ends[1024];
	struct lcpfs_pool *a, *b = new_pool("b", 128 * MiB);
	struct lcpfs_stream_info info;
	struct mem m = { 0 };
	size_t n;

	seed = 4;
	a = history("a", 60);
	good(send(a, "@1", NULL, &m, 64 << 10), "send");
	good(lcpfs_stream_verify(mem_read, &m, &info, &err), "verify");
	ok(info.complete && !info.incremental && info.bytes == m.b.len);
	n = frame_ends(&m, ends, ARRAY_LEN(ends));
	is_int(info.frames, n);
	for (size_t i = 0; i < n; i++) {
		mem_rewind(&m);
		m.limit = i ? ends[i - 1] : 0;
		is_int(recv(b, "x", &m), -LCPFS_ETRUNC);
		mem_rewind(&m);
		m.limit = ends[i] - 3;
		is_int(recv(b, "x", &m), -LCPFS_ETRUNC);
		is_int(visible(b), 1);
		is_int(records(b, TBL_DS), 1);
		is_int(records(b, TBL_RECV), 0);
	}
	for (unsigned i = 0; i < 300; i++) {
		size_t at = rnd(m.b.len);
		uint8_t bit = (uint8_t)(1 << rnd(8));

		m.b.data[at] ^= bit;
		mem_rewind(&m);
		if (i % 8 == 0)
			ok(recv(b, "x", &m) < 0);
		else
			ok(lcpfs_stream_verify(mem_read, &m, &info, &err) < 0);
		m.b.data[at] ^= bit;
	}
	/* a frame left out, and two changed places */
	for (size_t i = 1; i + 1 < n; i++) {
		struct mem cut = { 0 };

		buf_add(&cut.b, m.b.data, ends[i - 1]);
		buf_add(&cut.b, m.b.data + ends[i], m.b.len - ends[i]);
		mem_rewind(&cut);
		ok(lcpfs_stream_verify(mem_read, &cut, &info, &err) < 0);
		mem_fini(&cut);
	}
	is_int(visible(b), 1);
	is_int(records(b, TBL_DS), 1);
	mem_rewind(&m);
	good(recv(b, "x", &m), "recv");
	same(a, "@1", b, "x@1");
	mem_fini(&m);
	good(lcpfs_pool_close(a, &err), "close");
	good(lcpfs_pool_close(b, &err), "close");
}

/* Cut the stream after every checkpoint (and a bit), resume it into the pool. */
static void resume_into_pool(struct lcpfs_pool *a, const char *name, const char *base, const struct mem *whole, const struct mem *first)
{
	static size_t ends[4096];
	size_t n = frame_ends(whole, ends, ARRAY_LEN(ends));
	struct frame_hdr h;

	for (size_t i = 1; i < n; i++) {
		struct lcpfs_recv_opts o = { .target = "x", .resumable = true };
		struct lcpfs_send_opts so = { .base = base };
		struct lcpfs_pool *b;
		struct mem m = { .b = whole->b, .limit = MIN(ends[i] + 1000, whole->b.len - 1) }, rest = { 0 };
		char *token = NULL, full[16];

		frame_hdr_decode(&h, whole->b.data + ends[i - 1], NULL);
		if (h.type != FRAME_CKPT)
			continue;
		b = new_pool("b", 128 * MiB);
		if (first) {
			struct mem f = { .b = first->b, .limit = SIZE_MAX };

			good(lcpfs_recv(b, &o, mem_read, &f, NULL, &err), "recv base");
		}
		is_int(lcpfs_recv(b, &o, mem_read, &m, NULL, &err), -LCPFS_ETRUNC);
		is_int(visible(b), first ? 3 : 1);
		mem_rewind(&m);
		is_int(lcpfs_recv(b, &o, mem_read, &m, NULL, &err), -LCPFS_EBUSY);
		good(lcpfs_recv_token(b, "x", &token, &err), "token");
		so.resume = token;
		if (good(lcpfs_send(a, name, &so, mem_write, &rest, NULL, &err), "resume")) {
			mem_rewind(&rest);
			good(lcpfs_recv(b, &o, mem_read, &rest, NULL, &err), "recv rest");
			snprintf(full, sizeof full, "x%s", name);
			same(a, name, b, full);
		}
		is_int(records(b, TBL_RECV), 0);
		free(token);
		mem_fini(&rest);
		good(lcpfs_pool_close(b, &err), "close");
	}
}

TEST(resume_pool)
{
	struct lcpfs_pool *a;
	struct mem full = { 0 }, inc = { 0 };

	seed = 5;
	a = history("a", 120);
	good(send(a, "@0", NULL, &full, 100 << 10), "send");
	resume_into_pool(a, "@0", NULL, &full, NULL);
	good(send(a, "@3", "@0", &inc, 64 << 10), "send");
	resume_into_pool(a, "@3", "@0", &inc, &full);
	mem_fini(&full);
	mem_fini(&inc);
	good(lcpfs_pool_close(a, &err), "close");
}

TEST(resume_file)
{
	struct lcpfs_pool *a;
	struct mem m = { 0 };
	unsigned resumed = 0;

	seed = 6;
	a = history("a", 80);
	good(send(a, "@2", "@0", &m, 32 << 10), "send");
	for (size_t cut = 1; cut < m.b.len; cut += 1 + m.b.len / 61) {
		struct mem part = { .b = m.b, .limit = cut }, rest = { 0 };
		struct lcpfs_send_opts so = { .base = "@0" };
		uint64_t where = 0;
		char *token = NULL;
		int rc = lcpfs_stream_resume_point(mem_read, &part, &where, &token, &err);

		if (!token) {
			ok(!where && (cut < 4096 || !rc));
			continue;
		}
		good(rc, "resume point");
		ok(where <= cut);
		so.resume = token;
		good(lcpfs_send(a, "@2", &so, mem_write, &rest, NULL, &err), "resume");
		ok(where + rest.b.len == m.b.len && memcmp(m.b.data + where, rest.b.data, rest.b.len) == 0);
		resumed++;
		free(token);
		mem_fini(&rest);
	}
	ok(resumed > 10);
	mem_fini(&m);
	good(lcpfs_pool_close(a, &err), "close");
}

static void make_family(struct lcpfs_pool *a)
{
	const char *const names[] = { "home", "home/ann", "home/bob" };

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		good(lcpfs_dataset_create(a, names[i], true, &err), names[i]);
		change(a, names[i], 40);
	}
	good(lcpfs_prop_set(a, "home", "user:color", "blue", &err), "prop");
}

TEST(package)
{
	struct lcpfs_pool *a = new_pool("a", 128 * MiB), *b = new_pool("b", 128 * MiB);
	struct lcpfs_send_opts so = { .recursive = true, .ckpt_bytes = 32 << 10 };
	struct lcpfs_recv_opts ro = { .target = "backup" };
	struct lcpfs_stream_info info;
	struct mem m = { 0 }, rest = { 0 };
	unsigned n_props;
	char *token = NULL, *value = NULL;
	struct dsrec r;

	seed = 7;
	make_family(a);
	snap(a, "home@1", true);
	good(lcpfs_send(a, "home@1", &so, mem_write, &m, NULL, &err), "send");
	mem_rewind(&m);
	good(lcpfs_stream_verify(mem_read, &m, &info, &err), "verify");
	/* broken off for good: nothing is left */
	mem_rewind(&m);
	m.limit = m.b.len - 10;
	n_props = records(b, TBL_PROP);
	ro.resumable = false;
	is_int(lcpfs_recv(b, &ro, mem_read, &m, NULL, &err), -LCPFS_ETRUNC);
	is_int(records(b, TBL_DS), 1);
	is_int(records(b, TBL_RECV), 0);
	is_int(records(b, TBL_PROP), n_props);
	/* broken off in the last dataset: nothing shows, then all of it */
	ro.resumable = true;
	mem_rewind(&m);
	m.limit = m.b.len - 10;
	is_int(lcpfs_recv(b, &ro, mem_read, &m, NULL, &err), -LCPFS_ETRUNC);
	is_int(visible(b), 1);
	good(lcpfs_recv_token(b, "backup", &token, &err), "token");
	so.resume = token;
	good(lcpfs_send(a, "home@1", &so, mem_write, &rest, NULL, &err), "resume");
	ok(rest.b.len < m.b.len / 2);
	mem_rewind(&rest);
	good(lcpfs_recv(b, &ro, mem_read, &rest, NULL, &err), "recv rest");
	same(a, "home@1", b, "backup@1");
	same(a, "home/ann@1", b, "backup/ann@1");
	same(a, "home/bob@1", b, "backup/bob");
	good(dmu_lookup(b->spa, "backup", &r, &err), "lookup");
	good(dmu_prop_get(b->spa, r.id, "user:color", &value, NULL, &err), "prop");
	is_str(value, "blue");
	free(value);
	free(token);
	mem_fini(&m);
	mem_fini(&rest);
	/* incremental, with a new dataset in it */
	change(a, "home/ann", 20);
	good(lcpfs_dataset_create(a, "home/eve", true, &err), "eve");
	change(a, "home/eve", 10);
	snap(a, "home@2", true);
	so.resume = NULL;
	so.base = "@1";
	good(lcpfs_send(a, "home@2", &so, mem_write, &m, NULL, &err), "send");
	mem_rewind(&m);
	ro.dry_run = true;
	good(lcpfs_recv(b, &ro, mem_read, &m, &value, &err), "dry run");
	is_str(value, "backup@2");
	free(value);
	is_int(visible(b), 7);
	ro.dry_run = false;
	mem_rewind(&m);
	good(lcpfs_recv(b, &ro, mem_read, &m, NULL, &err), "recv");
	same(a, "home/ann@2", b, "backup/ann@2");
	same(a, "home/eve@2", b, "backup/eve@2");
	mem_fini(&m);
	good(lcpfs_pool_close(a, &err), "close");
	good(lcpfs_pool_close(b, &err), "close");
}

TEST(abort_frees)
{
	struct lcpfs_pool *a, *b = new_pool("b", 64 * MiB);
	struct lcpfs_recv_opts o = { .target = "x", .resumable = true };
	struct lcpfs_pool_info before, after;
	struct mem m = { 0 };
	char *token;

	seed = 8;
	a = history("a", 60);
	good(send(a, "@0", NULL, &m, 32 << 10), "send");
	lcpfs_pool_info(b, &before, &err);
	m.limit = m.b.len - 1;
	is_int(lcpfs_recv(b, &o, mem_read, &m, NULL, &err), -LCPFS_ETRUNC);
	good(lcpfs_recv_abort(b, "x", &err), "abort");
	is_int(lcpfs_recv_token(b, "x", &token, &err), -LCPFS_ENOENT);
	is_int(lcpfs_recv_abort(b, "x", &err), -LCPFS_ENOENT);
	is_int(records(b, TBL_DS), 1);
	for (unsigned i = 0; i < 4; i++) { /* what was freed settles */
		lcpfs_prop_set(b, "", "user:n", i % 2 ? "1" : "2", &err);
		good(lcpfs_pool_commit(b, &err), "commit");
	}
	lcpfs_pool_info(b, &after, &err);
	ok_msg(after.used_bytes <= before.used_bytes + (128 << 10), "%" PRIu64 " bytes used, before %" PRIu64,
	    after.used_bytes, before.used_bytes);
	mem_fini(&m);
	good(lcpfs_pool_close(a, &err), "close");
	good(lcpfs_pool_close(b, &err), "close");
}

TEST(no_room)
{
	struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .memory_bytes = 32 * MiB }, .name = "b" };
	struct inode attr = { .mode = S_IFREG | 0644 };
	struct itime now = { 9000, 0 };
	struct lcpfs_pool *a, *b = NULL;
	struct lcpfs_blockdev *dev;
	struct dataset *ds;
	struct mem m = { 0 };
	uint64_t ino;

	seed = 11;
	a = new_pool("a", 256 * MiB);
	change(a, "", 20);
	good(dmu_open(a->spa, "", &ds, &err), "open");
	good(zpl_create(ds, INO_ROOT, "big", 3, &attr, NULL, &now, &ino, &err), "create");
	good(write_file(ds, ino, 24 * MiB), "write");
	dmu_close(ds);
	snap(a, "@1", false);
	good(send(a, "@1", NULL, &m, 256 << 10), "send");
	good(lcpfs_ramdisk_create(&dev, "b", 16 * MiB, 0, &err), "ramdisk");
	if (good(lcpfs_pool_create_dev(&b, dev, &o, &err), "create")) {
		good(lcpfs_pool_commit(b, &err), "commit");
		is_int(recv(b, "x", &m), -LCPFS_ENOSPC);
		is_int(visible(b), 1);
		is_int(records(b, TBL_DS), 1);
		change(b, "", 5);
		good(lcpfs_pool_close(b, &err), "close");
	}
	mem_fini(&m);
	good(lcpfs_pool_close(a, &err), "close");
}

static int count_line(void *arg, const char *line, struct lcpfs_error *e)
{
	(void)e;
	ok(line && *line && !strstr(line, "does not decode"));
	++*(unsigned *)arg;
	return 0;
}

static int count_name(void *arg, const char *name, size_t len, uint64_t ino, uint8_t type, struct lcpfs_error *e)
{
	(void)name, (void)len, (void)ino, (void)type, (void)e;
	++*(unsigned *)arg;
	return 0;
}

TEST(stored)
{
	static size_t ends[1024];
	struct lcpfs_pool *a, *p = NULL;
	struct lcpfs_stream_info info;
	struct mem m = { 0 };
	struct dataset *ds;
	unsigned lines = 0, names = 0;

	seed = 9;
	a = history("a", 60);
	good(send(a, "@2", NULL, &m, 64 << 10), "send");
	good(lcpfs_stream_dump(mem_read, &m, count_line, &lines, &err), "dump");
	is_int(lines, frame_ends(&m, ends, ARRAY_LEN(ends)));
	mem_rewind(&m);
	if (good(lcpfs_stream_load(mem_read, &m, &p, &info, &err), "load"))
		same(a, "@2", p, "@2");
	ok(!info.incremental && info.complete);
	lcpfs_pool_close(p, NULL);
	mem_fini(&m);
	good(send(a, "@3", "@2", &m, 0), "send");
	if (good(lcpfs_stream_load(mem_read, &m, &p, &info, &err), "load incremental")) {
		ok(info.incremental && info.complete);
		good(dmu_open(p->spa, "", &ds, &err), "open");
		good(zpl_dir_each(ds, INO_ROOT, NULL, 0, count_name, &names, &err), "list");
		ok(names > 0);
		dmu_close(ds);
		lcpfs_pool_close(p, NULL);
	}
	mem_fini(&m);
	good(lcpfs_pool_close(a, &err), "close");
}

/* ---- hostile streams, hashes in order ---- */

static void put_frame(struct mem *m, uint16_t type, uint16_t flags, uint64_t seq, const void *payload, size_t len)
{
	struct frame_hdr h = { .type = type, .flags = flags, .seq = seq, .len = len };
	uint8_t raw[FRAME_HDR], pad[8] = { 0 };
	struct blake3 b;

	frame_hdr_encode(&h, raw);
	blake3_init(&b);
	blake3_update(&b, raw, 24);
	blake3_update(&b, payload, len);
	blake3_final(&b, 0, h.hash, 16);
	frame_hdr_encode(&h, raw);
	buf_add(&m->b, raw, sizeof raw);
	buf_add(&m->b, payload, len);
	buf_add(&m->b, pad, (8 - len % 8) % 8);
}

static void put_begin(struct mem *m, const char *snap_name, const char *rel)
{
	struct frame_begin b = { .major = FRAME_MAJOR, .minor = FRAME_MINOR, .kind = FRAME_KIND_LOGICAL, .to = 77, .count = 1, .ckpt_bytes = 65536,
		.dataset = (char *)(uintptr_t)"x", .rel = (char *)(uintptr_t)rel, .from_snap = (char *)(uintptr_t)"",
		.to_snap = (char *)(uintptr_t)snap_name };
	struct buf out = { 0 };

	frame_begin_encode(&b, &out);
	put_frame(m, FRAME_BEGIN, FRAME_F_CRITICAL, 0, out.data, out.len);
	buf_fini(&out);
}

/* One item after BEGIN. */
static int try_item(struct lcpfs_pool *p, uint8_t op, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct frame_item i = { .op = op, .klen = (uint16_t)klen, .vlen = (uint16_t)vlen, .key = key, .val = val };
	struct frame_items f = { .n = 1 };
	struct buf raw = { 0 }, payload = { 0 };
	struct mem m = { 0 };
	uint8_t hdr[ITEMS_HDR];
	int rc;

	frame_item_encode(&i, &raw);
	f.raw_len = (uint32_t)raw.len;
	frame_items_encode(&f, hdr);
	buf_add(&payload, hdr, sizeof hdr);
	buf_add(&payload, raw.data, raw.len);
	put_begin(&m, "s", "");
	put_frame(&m, FRAME_ITEMS, FRAME_F_CRITICAL, 1, payload.data, payload.len);
	mem_rewind(&m);
	rc = recv(p, "x", &m);
	buf_fini(&raw);
	buf_fini(&payload);
	mem_fini(&m);
	return rc;
}

TEST(hostile)
{
	struct lcpfs_pool *p = new_pool("p", 32 * MiB);
	uint8_t key[KEY_MAX], val[128] = { 0 };
	struct mem m = { 0 };
	size_t klen;

	klen = item_key_str(key, ITEM_DIRENT, 1, "..", 2);
	le_store(val, 8, 1);
	val[8] = 4;
	is_int(try_item(p, ITEM_PUT, key, klen, val, 9), -LCPFS_ECORRUPT);
	klen = item_key_str(key, ITEM_DIRENT, 1, "a/b", 3);
	is_int(try_item(p, ITEM_PUT, key, klen, val, 9), -LCPFS_ECORRUPT);
	klen = item_key_str(key, ITEM_DIRENT, 1, "ok", 2);
	is_int(try_item(p, ITEM_PUT, key, klen, val, 9), -LCPFS_ETRUNC); /* a good item: only the end is missing */
	klen = item_key(key, ITEM_INODE, 1);
	is_int(try_item(p, ITEM_PUT, key, klen, val, 128), -LCPFS_ECORRUPT);
	klen = item_key(key, ITEM_SLICE, 20);
	is_int(try_item(p, ITEM_PUT, key, klen, val, 8), -LCPFS_ECORRUPT);
	klen = item_key(key, ITEM_PACK, 20);
	is_int(try_item(p, ITEM_PUT, key, klen, val, 8), -LCPFS_EUNSUP);
	klen = item_key_u64(key, ITEM_EXTENT, 20, 0);
	is_int(try_item(p, ITEM_PUT, key, klen, val, 4), -LCPFS_ECORRUPT);
	klen = item_key(key, ITEM_DSINFO, 0);
	is_int(try_item(p, ITEM_DEL, key, klen, NULL, 0), -LCPFS_ECORRUPT);
	put_begin(&m, "a/b", "");
	mem_rewind(&m);
	is_int(recv(p, "x", &m), -LCPFS_ECORRUPT);
	mem_fini(&m);
	put_begin(&m, "s", "../x");
	mem_rewind(&m);
	is_int(recv(p, "x", &m), -LCPFS_EINVAL);
	mem_fini(&m);
	put_begin(&m, "s", "");
	put_frame(&m, 99, FRAME_F_CRITICAL, 1, "", 0);
	mem_rewind(&m);
	is_int(recv(p, "x", &m), -LCPFS_EUNSUP);
	mem_fini(&m);
	put_begin(&m, "s", "");
	put_frame(&m, 99, 0, 1, "new", 3);
	mem_rewind(&m);
	is_int(recv(p, "x", &m), -LCPFS_ETRUNC); /* skipped */
	mem_fini(&m);
	put_begin(&m, "s", "");
	put_frame(&m, FRAME_NODE, FRAME_F_CRITICAL, 1, "", 0);
	mem_rewind(&m);
	is_int(recv(p, "x", &m), -LCPFS_EUNSUP);
	mem_fini(&m);
	is_int(visible(p), 1);
	is_int(records(p, TBL_DS), 1);
	good(lcpfs_pool_close(p, &err), "close");
}

TAP_MAIN(T(all_pairs), T(into_the_root), T(follows_the_change), T(made_packs), T(tables), T(damage_is_refused), T(resume_pool), T(resume_file), T(package),
         T(abort_frees), T(no_room), T(stored), T(hostile))
