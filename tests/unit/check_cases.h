/* SPDX-License-Identifier: Apache-2.0 */
/* Damage with right checksums: changes to trees, each with the problem that it makes. */
#ifndef TESTS_CHECK_CASES_H
#define TESTS_CHECK_CASES_H
#include "check_pool.h"

/* ---- changes to trees ---- */

static struct dataset *ds;
static struct spa *spa;

static size_t key_of(uint8_t *key, uint8_t type, uint64_t id) { return item_key(key, type, id); }

static void tput(const uint8_t *key, size_t klen, const void *val, size_t vlen, unsigned flags)
{
	did(btree_put(ds->tree, key, klen, val, vlen, NULL, 0, flags, &err));
}

static void tdel(const uint8_t *key, size_t klen)
{
	is_int(btree_del(ds->tree, key, klen, 0, &err), 0);
}

static void pput(const uint8_t *key, size_t klen, const void *val, size_t vlen)
{
	did(btree_put(spa->pool_tree, key, klen, val, vlen, NULL, 0, 0, &err));
}

static struct inode *inode_of(const char *path)
{
	static struct inode i;

	memset(&i, 0, sizeof i);
	did(zpl_inode_get(ds, ino_of(root, path), &i, &err));
	return &i;
}

static void set_inode(const char *path, const struct inode *i)
{
	uint8_t key[9], raw[INODE_LEN];

	inode_encode(i, raw);
	tput(key, key_of(key, ITEM_INODE, ino_of(root, path)), raw, sizeof raw, 0);
}

static void set_slice(const char *path, const struct slice *s)
{
	uint8_t key[9], raw[SLICE_LEN];

	slice_encode(s, raw);
	tput(key, key_of(key, ITEM_SLICE, data_of(root, path)), raw, sizeof raw, 0);
}

static struct slice slice_of(const char *path)
{
	struct slice s = { 0 };

	did(zpl_slice_get(ds, data_of(root, path), &s, &err));
	return s;
}

static size_t dirent_key(uint8_t *key, const char *dir, const char *name)
{
	return item_key_str(key, ITEM_DIRENT, ino_of(root, dir), name, strlen(name));
}

static void dirent_put(const char *dir, const char *name, uint64_t ino, uint8_t type)
{
	uint8_t key[KEY_MAX], val[9];

	le_store(val, 8, ino);
	val[8] = type;
	tput(key, dirent_key(key, dir, name), val, sizeof val, 0);
}

static void set_info(void (*change)(struct dsinfo *))
{
	uint8_t key[9], raw[DSINFO_LEN];
	struct dsinfo i = ds->info;

	change(&i);
	dsinfo_encode(&i, raw);
	tput(key, key_of(key, ITEM_DSINFO, 0), raw, sizeof raw, 0);
}

static void set_rec(const char *name, void (*change)(struct dsrec *))
{
	struct dsrec r;

	did(dmu_lookup(spa, name, &r, &err));
	change(&r);
	did(dmu_rec_put(spa, &r, &err));
}

static uint64_t id_of(const char *name)
{
	struct dsrec r = { 0 };

	did(dmu_lookup(spa, name, &r, &err));
	return r.id;
}

static void pool_u64(uint8_t table, uint64_t a, const char *name, uint64_t v)
{
	uint8_t key[POOL_KEY_MAX], val[8];

	le_store(val, 8, v);
	pput(key, key_u64_str(key, table, a, name, strlen(name)), val, 8);
}

#define CASE(name) static void case_##name(void)

CASE(item_short) { tput((const uint8_t *)"\x20zz", 3, "x", 1, 0); }
CASE(item_type) { uint8_t k[9]; tput(k, key_of(k, 0x77, 5), "x", 1, 0); }
CASE(inode_garbage) { uint8_t k[9]; tput(k, key_of(k, ITEM_INODE, ino_of(root, "d/plain")), "xyz", 3, 0); }
CASE(info_missing) { uint8_t k[9]; tdel(k, key_of(k, ITEM_DSINFO, 0)); }
static void info_seq(struct dsinfo *i) { i->next_seq = SEQ_FIRST + 1; }
CASE(info_seq) { set_info(info_seq); }
static void info_files(struct dsinfo *i) { i->n_files++; }
CASE(info_files) { set_info(info_files); }

CASE(slice_gone) { uint8_t k[9]; tdel(k, key_of(k, ITEM_SLICE, data_of(root, "d/small"))); }
CASE(slice_pack) { struct slice s = slice_of("d/small"); s.pack_id += 1000; set_slice("d/small", &s); }
CASE(slice_range) { struct slice s = slice_of("d/small"); s.off += 1u << 20; set_slice("d/small", &s); }
CASE(slice_overlap) { struct slice s = slice_of("d/p1"), q = slice_of("d/p2"); q.off = s.off + 1; set_slice("d/p2", &q); }
CASE(slice_len) { struct slice s = slice_of("d/hl1"); s.len -= 5; set_slice("d/hl1", &s); }
CASE(slice_charge) { struct slice s = slice_of("d/small"); s.charge++; set_slice("d/small", &s); }
CASE(slice_orphan)
{
	struct slice s = slice_of("d/small");
	uint8_t k[9], raw[SLICE_LEN];

	slice_encode(&s, raw);
	tput(k, key_of(k, ITEM_SLICE, data_of(root, "d/small") + 100000), raw, sizeof raw, 0);
}
CASE(slice_shift) { struct slice s = slice_of("d/small"); s.off++; set_slice("d/small", &s); }
CASE(pack_count) { uint8_t k[9], v[8] = { 1 }; tput(k, key_of(k, ITEM_PACK, pack_of(root, "d/small")), v, 8, BT_KEEP_PTRS); }
CASE(pack_gone) { uint8_t k[9]; is_int(btree_del(ds->tree, k, key_of(k, ITEM_PACK, pack_of(root, "d/small")), BT_KEEP_PTRS, &err), 0); }

static void move_extent(uint64_t from, uint64_t to_id, uint64_t to)
{
	uint8_t k[17], val[4];
	struct bt_cursor c = { 0 };
	struct blkptr bp = { 0 };
	size_t n = item_key_u64(k, ITEM_EXTENT, data_of(root, "d/big"), from);

	is_int(btree_get(ds->tree, &c, k, n, &err), 0);
	memcpy(val, c.item.val, 4);
	did(ptr_decode(&bp, c.item.ptrs, &err));
	btree_cursor_close(&c);
	is_int(btree_del(ds->tree, k, n, BT_KEEP_PTRS, &err), 0);
	did(btree_put(ds->tree, k, item_key_u64(k, ITEM_EXTENT, to_id, to), val, 4, &bp, 1, 0, &err));
}
CASE(extent_overlap) { move_extent(32768, data_of(root, "d/big"), 32000 - 4096); }
CASE(extent_end) { move_extent(32768, data_of(root, "d/big"), 1u << 20); }
CASE(extent_orphan) { move_extent(32768, data_of(root, "d/big") + 70000, 0); }
CASE(extent_len) { uint8_t k[17], v[4] = { 9 }; tput(k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/big"), 0), v, 4, BT_KEEP_PTRS); }
CASE(extent_gone)
{
	uint8_t k[17];

	is_int(btree_del(ds->tree, k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/big"), 0), BT_KEEP_PTRS, &err), 0);
}
/* the same block by two keys */
CASE(extent_twice)
{
	uint8_t k[17], val[4];
	struct bt_cursor c = { 0 };
	struct blkptr bp = { 0 };

	is_int(btree_get(ds->tree, &c, k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/new"), 0), &err), 0);
	memcpy(val, c.item.val, 4);
	did(ptr_decode(&bp, c.item.ptrs, &err));
	btree_cursor_close(&c);
	bp.birth = spa->txg;
	did(btree_put(ds->tree, k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/new"), 1u << 20), val, 4, &bp, 1, 0, &err));
}
/* the place of another block, which is not what it expects there */
CASE(extent_clash)
{
	uint8_t k[17], val[4];
	struct bt_cursor c = { 0 };
	struct blkptr bp = { 0 }, other = { 0 };
	size_t n = item_key_u64(k, ITEM_EXTENT, data_of(root, "d/fresh"), 0);

	is_int(btree_get(ds->tree, &c, k, n, &err), 0);
	did(ptr_decode(&other, c.item.ptrs, &err));
	btree_cursor_close(&c);
	n = item_key_u64(k, ITEM_EXTENT, data_of(root, "d/big"), 16384);
	is_int(btree_get(ds->tree, &c, k, n, &err), 0);
	memcpy(val, c.item.val, 4);
	did(ptr_decode(&bp, c.item.ptrs, &err));
	btree_cursor_close(&c);
	bp.addr = other.addr;
	bp.birth = spa->txg;
	did(btree_put(ds->tree, k, n, val, 4, &bp, 1, 0, &err));
}
/* a pointer that leads nowhere */
CASE(extent_nowhere)
{
	struct blkptr bp = { .addr = ptr_addr(9, 64), .birth = spa->txg, .kind = PTR_DATA, .lsize = 512, .psize = 512, .csum = 1 };
	uint8_t k[17], val[4];

	le_store(val, 4, 512);
	did(btree_put(ds->tree, k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/new"), 1u << 20), val, 4, &bp, 1, 0, &err));
}
/* a block older than the snapshot, which lacks it */
CASE(extent_old)
{
	uint8_t k[17], val[4];
	struct bt_cursor c = { 0 };
	struct blkptr bp = { 0 };
	size_t n = item_key_u64(k, ITEM_EXTENT, data_of(root, "d/fresh"), 0);

	is_int(btree_get(ds->tree, &c, k, n, &err), 0);
	memcpy(val, c.item.val, 4);
	did(ptr_decode(&bp, c.item.ptrs, &err));
	btree_cursor_close(&c);
	bp.birth = 1;
	is_int(btree_del(ds->tree, k, n, BT_KEEP_PTRS, &err), 0);
	did(btree_put(ds->tree, k, n, val, 4, &bp, 1, 0, &err));
}

CASE(content_twice)
{
	uint64_t id = data_of(root, "d/new");
	struct slice sl = slice_of("d/p1");
	uint8_t k[9], raw[SLICE_LEN];

	slice_encode(&sl, raw);
	tput(k, key_of(k, ITEM_SLICE, id), raw, sizeof raw, 0);
}
CASE(pack_nowhere)
{
	struct blkptr bp = { .addr = ptr_addr(9, 64), .birth = spa->txg, .kind = PTR_DATA, .lsize = 512, .psize = 512, .csum = 1 };
	uint8_t k[9], v[8] = { 1, 0, 0, 0, 1 };

	did(btree_put(ds->tree, k, key_of(k, ITEM_PACK, pack_of(root, "d/p1")), v, 8, &bp, 1, 0, &err));
}
CASE(inode_size) { struct inode *i = inode_of("d/small"); i->size++; set_inode("d/small", i); }
CASE(inode_psize) { struct inode *i = inode_of("d/new"); i->psize += 512; set_inode("d/new", i); }
CASE(inode_sliced) { struct inode *i = inode_of("d/small"); i->flags = 0; set_inode("d/small", i); }
CASE(inode_nlink) { struct inode *i = inode_of("d/hl1"); i->nlink = 3; set_inode("d/hl1", i); }
CASE(inode_parent) { struct inode *i = inode_of("d/small"); i->parent = INO_ROOT; set_inode("d/small", i); }
CASE(inode_gone) { uint8_t k[9]; tdel(k, key_of(k, ITEM_INODE, ino_of(root, "d/plain"))); }
CASE(inode_orphan) { uint8_t k[KEY_MAX]; tdel(k, dirent_key(k, "d", "small")); }
CASE(dirent_type) { dirent_put("d", "small", ino_of(root, "d/small"), DT_FIFO); }
CASE(dirent_no_dir) { dirent_put("d/small", "x", ino_of(root, "d/small2"), DT_REG); }
CASE(dirent_slash) { dirent_put("d", "a/b", ino_of(root, "d/small2"), DT_REG); }
CASE(dir_twice) { dirent_put("d", "again", ino_of(root, "d/sub/deep"), DT_DIR); }
CASE(dir_nlink) { struct inode *i = inode_of("d"); i->nlink = 9; set_inode("d", i); }
/* d/sub goes into d/sub/deep */
CASE(dir_loop)
{
	uint64_t sub = ino_of(root, "d/sub");
	struct inode i = *inode_of("d/sub");
	uint8_t k[KEY_MAX];

	i.parent = ino_of(root, "d/sub/deep");
	set_inode("d/sub", &i);
	dirent_put("d/sub/deep", "sub", sub, DT_DIR);
	tdel(k, dirent_key(k, "d", "sub"));
}
CASE(root_named) { dirent_put("d", "up", INO_ROOT, DT_DIR); }
CASE(dir_self)
{
	uint64_t sub = ino_of(root, "d/sub");
	struct inode i = *inode_of("d/sub");
	uint8_t k[KEY_MAX], val[9];

	i.parent = sub;
	set_inode("d/sub", &i);
	tdel(k, dirent_key(k, "d", "sub"));
	le_store(val, 8, sub);
	val[8] = DT_DIR;
	tput(k, item_key_str(k, ITEM_DIRENT, sub, "me", 2), val, sizeof val, 0);
}
CASE(root_parent) { struct inode i = *inode_of(""); i.parent = 77; set_inode("", &i); }
CASE(links_gone)
{
	uint8_t k[KEY_MAX];

	tdel(k, item_key_link(k, ino_of(root, "d/hl1"), ino_of(root, "d"), "hl1", 3));
	tdel(k, item_key_link(k, ino_of(root, "d/hl1"), ino_of(root, "d/sub"), "hl2", 3));
}
CASE(root_gone) { uint8_t k[9]; tdel(k, key_of(k, ITEM_INODE, INO_ROOT)); }
CASE(link_gone)
{
	uint8_t k[KEY_MAX];

	tdel(k, item_key_link(k, ino_of(root, "d/hl1"), ino_of(root, "d"), "hl1", 3));
}
CASE(link_stray)
{
	uint8_t k[KEY_MAX];

	tput(k, item_key_link(k, ino_of(root, "d/small"), ino_of(root, "d"), "small", 5), "", 0, 0);
}
CASE(xattr_stray) { uint8_t k[KEY_MAX]; tput(k, item_key_xattr(k, 999999, XNS_USER, "q", 1), "\0v", 2, 0); }
CASE(xattr_count) { uint8_t k[KEY_MAX]; tdel(k, item_key_xattr(k, ino_of(root, "d/small"), XNS_USER, "a", 1)); }
CASE(xattr_data)
{
	uint8_t k[KEY_MAX], val[17] = { 1 };

	le_store(val + 1, 8, 7777777);
	le_store(val + 9, 8, 100);
	tput(k, item_key_xattr(k, ino_of(root, "d/small"), XNS_USER, "a", 1), val, 17, 0);
}
CASE(dataref) { uint8_t k[9], v[8] = { 3 }; tput(k, key_of(k, ITEM_DATAREF, data_of(root, "d/small")), v, 8, 0); }
CASE(shared) { struct inode *i = inode_of("d/small"); set_inode("d/plain", i); }
CASE(orphan) { uint8_t k[9]; tput(k, key_of(k, ITEM_ORPHAN, 888888), "", 0, 0); }

static void rec_counts(struct dsrec *r) { r->ref_blocks++; }
CASE(ref_counts) { ds->rec.ref_blocks++; }
CASE(snap_counts) { set_rec("@s1", rec_counts); }
static void rec_prev(struct dsrec *r) { r->prev_snap = 4444; }
CASE(ds_prev) { set_rec("@s2", rec_prev); }
static void rec_prev_txg(struct dsrec *r) { r->prev_snap_txg++; }
CASE(ds_prev_txg) { set_rec("@s2", rec_prev_txg); }
static void rec_children(struct dsrec *r) { r->n_children = 7; }
CASE(ds_children) { set_rec("@s1", rec_children); }
static void rec_height(struct dsrec *r) { r->height++; }
CASE(ds_height) { set_rec("@s1", rec_height); }
static void rec_parent(struct dsrec *r) { r->parent = 5555; }
CASE(ds_parent) { set_rec("c", rec_parent); }
CASE(ds_loop)
{
	struct dsrec r;

	did(dmu_lookup(spa, "c", &r, &err));
	r.parent = r.id;
	did(dmu_rec_put(spa, &r, &err));
	did(name_put(spa, r.id, "c", r.id, &err));
}
static uint64_t some_guid;
static void rec_guid(struct dsrec *r) { r->guid = some_guid; }
CASE(ds_guid) { some_guid = ds->rec.guid; set_rec("c", rec_guid); }
static void rec_young(struct dsrec *r) { r->created_txg = 1; }
CASE(snap_young) { set_rec("@s2", rec_young); }
CASE(ds_gone) { did(rec_del(spa, id_of("c"), &err)); }
CASE(name_gone) { did(name_del(spa, DS_ROOT_ID, "c", &err)); }
CASE(name_bad) { did(name_put(spa, DS_ROOT_ID, "a b", id_of("c"), &err)); }
CASE(snaptxg_gone) { struct dsrec r; did(dmu_lookup(spa, "@s1", &r, &err)); did(snaptxg_del(spa, DS_ROOT_ID, r.created_txg, &err)); }
CASE(snaptxg_bad) { did(snaptxg_put(spa, DS_ROOT_ID, 987654, id_of("@s1"), &err)); }
CASE(dead_stray)
{
	uint8_t k[17], v[16] = { 1 };

	key_u64_u64(k, TBL_DEAD, 3333, 3);
	pput(k, 17, v, 16);
}
CASE(dead_sum)
{
	uint8_t k[17], v[16] = { 1, 0, 0, 0, 0, 0, 0, 0, 0, 2 };
	struct dsrec r;

	did(dmu_lookup(spa, "@s1", &r, &err));
	key_u64_u64(k, TBL_DEAD, id_of("@s2"), r.created_txg);
	pput(k, 17, v, 16);
}
CASE(prop_stray) { pool_u64(TBL_PROP, 2222, "user:x", 1); }
CASE(pool_item) { uint8_t k[9]; pput(k, key_u64(k, 0x55, 1), "x", 1); }
CASE(rec_garbage) { uint8_t k[9]; pput(k, key_u64(k, TBL_DS, 77), "x", 1); }

/* used, and no longer; and the other way round */
CASE(space_leak)
{
	uint64_t addr;

	did(space_alloc(spa->space, SPACE_ANY, 16, true, &addr, &err));
}
CASE(space_free)
{
	struct bt_cursor c = { 0 };
	struct blkptr bp = { 0 };
	uint8_t k[17];

	is_int(btree_get(ds->tree, &c, k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/new"), 0), &err), 0);
	did(ptr_decode(&bp, c.item.ptrs, &err));
	btree_cursor_close(&c);
	did(spa_free(spa, &bp, &err));
}
CASE(space_page)
{
	uint8_t k[9];

	did(btree_put(spa->space_tree, k, key_page(k, 1, 900), "\0\0\0\0\1", 5, NULL, 0, 0, &err));
}
CASE(space_page_bad)
{
	uint8_t k[9];

	did(btree_put(spa->space_tree, k, key_page(k, 77, 0), "zz", 2, NULL, 0, 0, &err));
}
CASE(space_total) { space_set_used(spa->space, 17); }

static const struct { const char *name, *code; void (*fn)(void); } cases[] = {
#define C(n, code) { #n, code, case_##n }
	C(item_short, "item-bad"), C(item_type, "item-bad"), C(inode_garbage, "item-bad"), C(info_missing, "dsinfo-missing"),
	C(info_seq, "dsinfo-seq"), C(info_files, "dsinfo-files"), C(slice_gone, "inode-no-slice"), C(slice_pack, "slice-no-pack"),
	C(slice_range, "slice-range"), C(slice_overlap, "slice-overlap"), C(slice_len, "inode-size"), C(slice_charge, "inode-psize"),
	C(slice_orphan, "content-orphan"), C(slice_shift, "pack-table"), C(pack_count, "pack-count"), C(pack_gone, "slice-no-pack"),
	C(extent_overlap, "extent-overlap"), C(extent_end, "extent-end"), C(extent_orphan, "content-orphan"), C(extent_len, "item-bad"),
	C(extent_gone, "inode-psize"), C(extent_twice, "block-shared"), C(extent_nowhere, "block-addr"), C(extent_clash, "block-shared"), C(extent_old, "ptr-old"),
	C(inode_size, "inode-size"), C(inode_psize, "inode-psize"), C(inode_sliced, "inode-sliced"), C(inode_nlink, "inode-nlink"),
	C(inode_parent, "inode-parent"), C(inode_gone, "dirent-no-inode"), C(inode_orphan, "inode-orphan"), C(dirent_type, "dirent-type"),
	C(dirent_no_dir, "dirent-no-dir"), C(dirent_slash, "item-bad"), C(dir_twice, "dir-twice"), C(dir_nlink, "dir-nlink"),
	C(dir_loop, "dir-loop"), C(root_gone, "root-dir"), C(link_gone, "link-dirent"), C(link_stray, "link-stray"),
	C(xattr_stray, "xattr-no-inode"), C(xattr_count, "xattr-count"), C(xattr_data, "xattr-data"), C(dataref, "dataref-count"),
	C(shared, "dataref-count"), C(orphan, "orphan-stray"), C(ref_counts, "ref-counts"), C(snap_counts, "ref-counts"),
	C(ds_prev, "ds-prev"), C(ds_prev_txg, "ds-prev"), C(ds_children, "ds-children"), C(ds_height, "ds-height"),
	C(ds_parent, "ds-parent"), C(ds_loop, "ds-parent"), C(ds_guid, "ds-guid"), C(snap_young, "ptr-birth"), C(ds_gone, "name-dangling"),
	C(name_gone, "name-missing"), C(name_bad, "name-bad"), C(snaptxg_gone, "snaptxg-missing"), C(snaptxg_bad, "snaptxg-bad"),
	C(dead_stray, "dead-stray"), C(dead_sum, "dead-sum"), C(prop_stray, "prop-stray"), C(pool_item, "pool-item"),
	C(rec_garbage, "pool-item"), C(space_leak, "space-leak"), C(space_free, "space-free"), C(space_page, "space-page"),
	C(space_page_bad, "space-page"), C(space_total, "space-total"), C(root_named, "dir-twice"), C(dir_self, "dir-loop"), C(root_parent, "root-dir"), C(links_gone, "link-dirent"), C(content_twice, "content-twice"), C(pack_nowhere, "block-addr"),
};

/* ---- any change ---- */

/* The nth item of a tree, copied. */
static bool nth_item(struct btree *t, unsigned n, uint8_t *key, size_t *klen, uint8_t *val, size_t *vlen, bool *ptrs)
{
	struct bt_cursor c = { 0 };
	int rc = btree_seek(t, &c, "", 0, &err);

	for (; !rc && n; n--)
		rc = btree_next(&c, &err);
	if (!rc) {
		memcpy(key, c.item.key, *klen = c.item.klen);
		memcpy(val, c.item.val, *vlen = c.item.vlen);
		*ptrs = c.item.nptr;
	}
	btree_cursor_close(&c);
	return rc == 0;
}

static void mutate(struct btree *t, uint64_t *seed)
{
	static uint8_t val[VAL_MAX];
	uint8_t key[KEY_MAX];
	size_t klen, vlen;
	bool ptrs;

	if (!nth_item(t, (unsigned)(tap_rand(seed) % 60), key, &klen, val, &vlen, &ptrs))
		return;
	switch (tap_rand(seed) % 6) {
	case 0:
		btree_del(t, key, klen, BT_KEEP_PTRS, NULL);
		return;
	case 1:
		key[tap_rand(seed) % klen] ^= (uint8_t)tap_rand(seed);
		ptrs = false;
		break;
	case 2:
		vlen = vlen ? tap_rand(seed) % vlen : 3;
		break;
	default:
		for (int i = 0; vlen && i < 3; i++)
			val[tap_rand(seed) % vlen] ^= (uint8_t)(1u << tap_rand(seed) % 8);
	}
	btree_put(t, key, klen, val, vlen, NULL, 0, ptrs ? BT_KEEP_PTRS : 0, NULL);
}
#endif
