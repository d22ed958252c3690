/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole image. The input is a list of edits to a small valid one: of items, pointers, headers, uberblocks, the config and bare bytes. Then
 * every hash on the way up is made right (rig.h), so that edits reach what lies behind the hashes. The image is opened, walked, read and
 * checked; whatever it holds, nothing may crash, hang or take much memory.
 * First byte: bit 0 leaves the hashes as they are, bit 1 repairs it too. Then edits of EDIT bytes: what, where, how and with what.
 */
#include "fuzz.h"
#include "rig.h"

enum what { ITEM_VALUE, ITEM_KEY, ITEM_GONE, ITEM_TWICE, POINTER, NODE_HEADER, BODY, UBERBLOCK, LABEL, CONFIG, BYTES, WHATS };
enum { EDIT = 16, ENTRIES_MAX = 500, READ_MAX = 256 << 10 };
/* where: which block, or header; item: of it; at: in that; n: bytes of data, 1..7 */
struct edit { uint8_t what, n; uint16_t where, item, at; uint8_t data[8]; };
_Static_assert(sizeof(struct edit) == EDIT, "an edit is 16 bytes");

static struct rig rig;
static struct rig_items items;
static unsigned leaves[512], nodes[512], n_leaves, n_nodes;
static uint64_t *used; /* offsets of sectors that are not all zero */
static size_t n_used;

static int open_rig(struct lcpfs_blockdev **out, const char *rest, uint32_t flags, void *arg, struct lcpfs_error *err)
{
	(void)rest, (void)arg, (void)err;
	*out = memory_dev(&rig.work, flags & LCPFS_DEV_OPEN_RW);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct memory m = { 0 };

	(void)argc, (void)argv;
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	must(lcpfs_blockdev_register("rig", open_rig, NULL, NULL));
	sample_pool(&m, NULL);
	rig_init(&rig, &m);
	for (unsigned i = 0; i < rig.n_blocks; i++) {
		if (rig_items(&rig, i, &items) && n_leaves < ARRAY_LEN(leaves))
			leaves[n_leaves++] = i;
		if (rig.blocks[i].head && n_nodes < ARRAY_LEN(nodes))
			nodes[n_nodes++] = i;
	}
	used = calloc(m.len / SECTOR, sizeof *used);
	for (uint64_t s = 0; s < m.len; s += SECTOR)
		if (!is_all_zero(rig.whole.p + s, SECTOR))
			used[n_used++] = s;
	return 0;
}

/* ---- edits ---- */

/* Of an item. The block is looked at as it was: of several edits of items of one leaf the last counts. */
static void edit_item(const struct edit *e)
{
	unsigned block = leaves[e->where % n_leaves];
	static uint8_t bytes[VAL_MAX + KEY_MAX];
	struct node_item *it;
	uint32_t i;

	if (!rig_items(&rig, block, &items) || !items.n)
		return;
	i = e->item % items.n;
	it = &items.v[i];
	if (e->what == ITEM_GONE && !it->nptr) {
		memmove(it, it + 1, (items.n - i - 1) * sizeof *it);
		items.n--;
	} else if (e->what == ITEM_VALUE && it->vlen) {
		memcpy(bytes, it->val, it->vlen);
		memcpy(bytes + e->at % it->vlen, e->data, MIN((uint32_t)e->n, it->vlen - e->at % it->vlen));
		it->val = bytes;
	} else if (e->what == ITEM_KEY) {
		memcpy(bytes, it->key, it->klen);
		bytes[e->at % it->klen] = e->data[0];
		it->key = bytes;
	} else if (e->what == ITEM_TWICE && items.n < ARRAY_LEN(items.v) && it->klen < KEY_MAX && !it->nptr) {
		/* the same, of a longer key */
		memmove(it + 1, it, (items.n - i) * sizeof *it);
		memcpy(bytes, it->key, it->klen);
		bytes[it[1].klen++] = e->data[0];
		it[1].key = bytes;
		items.n++;
	} else {
		return;
	}
	rig_put_items(&rig, block, &items);
}

static void edit_node(const struct edit *e)
{
	unsigned i = nodes[e->where % n_nodes];
	const struct rig_block *b = &rig.blocks[i];
	uint32_t n_ptrs = (b->head - NODE_HDR) / PTR_LEN;

	if (e->what == POINTER && n_ptrs)
		rig_poke(&rig, i, NODE_HDR + e->item % n_ptrs * PTR_LEN + e->at % PTR_LEN, e->data, MIN((unsigned)e->n, PTR_LEN - e->at % PTR_LEN), 3);
	else if (e->what == NODE_HEADER)
		rig_poke(&rig, i, e->at % NODE_HDR, e->data, MIN((unsigned)e->n, NODE_HDR - e->at % NODE_HDR), 3);
}

static void edit_config(const struct edit *e)
{
	static uint8_t plain[65536];
	uint32_t at = e->at % rig.plain_len;

	memcpy(plain, rig.plain, rig.plain_len);
	memcpy(plain + at, e->data, MIN((uint32_t)e->n, rig.plain_len - at));
	rig_set_config(&rig, plain, rig.plain_len);
}

static void edit_header(const struct edit *e)
{
	bool uber = e->what == UBERBLOCK;

	for (unsigned k = 0, i = e->where; k < rig.n_headers; k++, i++) {
		uint8_t *p = rig.work.p + rig.headers[i % rig.n_headers];

		if ((memcmp(p, "LCPFSUBR", 8) == 0) == uber) {
			memcpy(p + e->at % 480, e->data, e->n);
			return;
		}
	}
}

static void apply(const struct edit *e)
{
	uint64_t off;
	unsigned i;

	switch (e->what) {
	case ITEM_VALUE: case ITEM_KEY: case ITEM_GONE: case ITEM_TWICE: edit_item(e); break;
	case POINTER: case NODE_HEADER: edit_node(e); break;
	case UBERBLOCK: case LABEL: edit_header(e); break;
	case CONFIG: edit_config(e); break;
	case BODY:
		i = e->where % rig.n_blocks;
		memcpy(rig_edit(&rig, i) + e->at % rig.blocks[i].body_len, e->data, MIN((uint32_t)e->n, rig.blocks[i].body_len - e->at % rig.blocks[i].body_len));
		break;
	default:
		off = used[e->where % n_used] + e->at % SECTOR;
		memcpy(rig.work.p + off, e->data, MIN((uint64_t)e->n, rig.work.len - off));
	}
}

/* One edit is changed, added or taken away. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	size_t n = size > 1 ? (size - 1) / EDIT : 0, at;
	unsigned what = seed % 8;
	struct edit e;

	if (max < 1 + EDIT)
		return size;
	if (!size)
		data[0] = 0;
	if (what == 0)
		data[0] = (uint8_t)(seed >> 8);
	if ((!n || what < 3) && 1 + (n + 1) * EDIT <= max)
		n++;
	else if (what == 3 && n > 1)
		return 1 + (n - 1) * EDIT;
	at = 1 + (what < 3 ? n - 1 : (seed >> 3) % n) * EDIT;
	if (at + EDIT > size)
		memset(data + at, 0, EDIT);
	LLVMFuzzerMutate(data + at, EDIT, EDIT);
	memcpy(&e, data + at, EDIT);
	e.what %= WHATS;
	e.n = (uint8_t)(1 + e.n % 8);
	memcpy(data + at, &e, EDIT);
	return 1 + n * EDIT;
}

/* ---- use ---- */

struct use { struct lcpfs_pool *p; struct lcpfs_dataset *ds; unsigned n; char *names[8]; unsigned n_names; };

static int ignore_xattr(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	(void)arg, (void)err;
	return strlen(name) > 512 || (len && !value) ? abort(), 0 : 0;
}
static int ignore_prop(void *arg, const char *prop, const char *value, const char *source, struct lcpfs_error *err)
{
	(void)arg, (void)prop, (void)value, (void)source, (void)err;
	return 0;
}
static int ignore_diff(void *arg, const struct lcpfs_diff *d, struct lcpfs_error *err)
{
	(void)d, (void)err;
	return ++*(unsigned *)arg > ENTRIES_MAX;
}
static int ignore_line(void *arg, const char *text, struct lcpfs_error *err)
{
	(void)text, (void)err;
	return ++*(unsigned *)arg > ENTRIES_MAX;
}

static void read_file(struct use *u, uint64_t ino)
{
	static uint8_t buf[65536];
	struct lcpfs_file *f;
	uint64_t off = 0, n = 0;

	if (lcpfs_file_open_ino(&f, u->ds, ino, NULL))
		return;
	for (uint64_t total = 0; total < READ_MAX && !lcpfs_file_next_data(f, &off, &n, NULL) && n; total += n, off += n) {
		size_t got = 0;

		n = MIN(n, sizeof buf);
		if (lcpfs_file_pread(f, buf, n, off, &got, NULL) || got > n)
			break;
	}
	lcpfs_file_close(f, NULL);
}

static int visit(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *err)
{
	struct use *u = arg;
	char *target = NULL;

	(void)err;
	if ((e->st->mode & 0170000) == 0100000)
		read_file(u, e->st->ino);
	else if ((e->st->mode & 0170000) == 0120000 && !lcpfs_readlink(u->ds, e->path, &target, NULL))
		free(target);
	lcpfs_xattr_each(u->ds, e->path, 0, ignore_xattr, NULL, NULL);
	return ++u->n > ENTRIES_MAX;
}

static int dataset(void *arg, const struct lcpfs_ds_info *info, struct lcpfs_error *err)
{
	struct use *u = arg;

	(void)err;
	if (u->n_names < 8)
		u->names[u->n_names++] = strdup(info->name);
	return 0;
}

static void use_datasets(struct use *u)
{
	struct lcpfs_dataset *before = NULL;
	unsigned n = 0;
	bool differs;

	for (unsigned i = 0; i < u->n_names; i++) {
		if (lcpfs_dataset_open(&u->ds, u->p, u->names[i], NULL))
			continue;
		u->n = 0;
		lcpfs_walk(u->ds, "", 0, visit, u, NULL);
		lcpfs_prop_get(u->p, u->names[i], NULL, ignore_prop, NULL, NULL);
		if (before)
			lcpfs_diff(before, u->ds, 0, ignore_diff, &n, &differs, NULL);
		lcpfs_dataset_close(before);
		before = u->ds;
	}
	lcpfs_dataset_close(before);
}

static void use_pool(struct lcpfs_pool *p)
{
	static const char *const what[] = { "labels", "uberblocks", "config", "pool", "space", "tree:" };
	struct use u = { .p = p };
	struct lcpfs_scrub_stats st;
	struct lcpfs_check_opts co = { .data = true, .decode = true };
	struct lcpfs_pool_info info;
	unsigned n = 0;

	lcpfs_pool_info(p, &info, NULL);
	lcpfs_dataset_each(p, "", true, true, dataset, &u, NULL);
	use_datasets(&u);
	for (unsigned i = 0; i < u.n_names; i++)
		free(u.names[i]);
	for (size_t i = 0; i < ARRAY_LEN(what); i++)
		lcpfs_dump(p, what[i], ignore_line, &n, NULL);
	lcpfs_scrub(p, &co, &st, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct lcpfs_open_opts o = { .threads = 1, .memory_bytes = 32 << 20 };
	struct lcpfs_check_opts co = { .data = true, .repair = LCPFS_REPAIR_LOSSY };
	struct lcpfs_repair_stats rs;
	struct lcpfs_pool *p;
	uint64_t problems;

	if (!len)
		return 0;
	rig_reset(&rig);
	for (size_t at = 1; at + EDIT <= len; at += EDIT) {
		struct edit e;

		memcpy(&e, data + at, EDIT);
		e.n = (uint8_t)MIN(e.n, 8);
		apply(&e);
	}
	if (!(data[0] & 1))
		rig_fix(&rig);
	if (!lcpfs_pool_open_dev(&p, memory_dev(&rig.work, false), &o, NULL)) {
		use_pool(p);
		lcpfs_pool_close(p, NULL);
	}
	lcpfs_fsck_dev(memory_dev(&rig.work, false), &o, &co, &problems, NULL);
	if (data[0] & 2)
		lcpfs_fsck_repair("rig:x", &o, &co, NULL, &rs, NULL);
	return 0;
}
