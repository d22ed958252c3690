/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole image. The input is a list of edits to a small valid one: of bytes, and of the decoded bodies of nodes, which are compressed again. Then
 * every hash on the way up is made right (pointers, uberblocks, label headers, config), so that edits reach what lies behind the hashes.
 * The image is opened, walked, read and checked; whatever it holds, nothing may crash, hang or take much memory.
 * First byte: bit 0 leaves the hashes as they are. An edit: one byte, its low 2 bits the kind and the next 3 the number of bytes less one; where; the bytes.
 */
#include "base/util.h"
#include "codec/codec.h"
#include "format/label.h"
#include "format/node.h"
#include "hash/hash.h"
#include "sample.h"
#include "zio/zio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { EDIT_BODY, EDIT_BODY_TOO, EDIT_BYTES, EDIT_HEADER };
enum { NODES_MAX = 256, REFS_MAX = 2048, READ_MAX = 256 << 10, ENTRIES_MAX = 500 };

/* A stored node: where it is, its decoded body, and in `refs` the pointers to it. Children stand before their parents. */
struct stored { uint64_t off; uint32_t psize, nptr, body_len; uint8_t comp, cols, *body, *edited; bool dirty; };
struct ref { uint64_t at; int node, owner; }; /* offset of the pointer in the image; owner -1: an uberblock */

static struct memory whole, work;
static struct stored nodes[NODES_MAX];
static struct ref refs[REFS_MAX];
static int n_nodes, n_refs;
static uint64_t base; /* image offset of sector 0 of the only chunk */
static uint64_t *used; /* offsets of sectors that are not all zero */
static size_t n_used;
static uint64_t headers[64];
static int n_headers;
static struct codec_ctx *codec;

static int walk_tree(const uint8_t *raw, uint64_t at, int owner);

static int add_node(const struct blkptr *bp, uint64_t off)
{
	struct stored *s = &nodes[n_nodes];
	struct node_hdr h;
	uint8_t *p = whole.p + off;
	int first = n_refs, me;

	if (n_nodes == NODES_MAX || node_hdr_decode(&h, p, bp->psize, NULL))
		abort();
	for (uint32_t i = 0; i < h.nptr; i++) {
		struct blkptr child;
		uint64_t at = off + NODE_HDR + (uint64_t)i * PTR_LEN;

		if (!ptr_decode(&child, whole.p + at, NULL) && !ptr_is_null(&child) && child.kind == PTR_NODE)
			walk_tree(whole.p + at, at, -2);
	}
	me = n_nodes++;
	for (int i = first; i < n_refs; i++)
		if (refs[i].owner == -2 && refs[i].at >= off && refs[i].at < off + bp->psize)
			refs[i].owner = me;
	s = &nodes[me];
	*s = (struct stored){ .off = off, .psize = bp->psize, .nptr = h.nptr, .body_len = h.body_len, .comp = h.comp, .cols = h.cols };
	s->body = malloc(h.body_len + 1);
	s->edited = malloc(h.body_len + 1);
	p += NODE_HDR + (size_t)h.nptr * PTR_LEN;
	must(zio_node_body(codec, &h, p, s->body, NULL));
	return me;
}

/* The node that the pointer at `at` names, and all below it. */
static int walk_tree(const uint8_t *raw, uint64_t at, int owner)
{
	struct blkptr bp;
	uint64_t off;
	int node = -1;

	must(ptr_decode(&bp, raw, NULL));
	off = base + (uint64_t)ptr_sector(&bp) * SECTOR;
	for (int i = 0; i < n_nodes; i++)
		if (nodes[i].off == off)
			node = i;
	if (node < 0)
		node = add_node(&bp, off);
	if (n_refs == REFS_MAX)
		abort();
	refs[n_refs++] = (struct ref){ at, node, owner };
	return node;
}

/* Where the chunk begins: the only place whose bytes have the hash. */
static void find_base(const struct blkptr *bp)
{
	uint8_t hash[HASH_LEN];

	for (uint64_t off = 0; off + bp->psize <= whole.len; off += SECTOR) {
		if (le_load(whole.p + off, 4) != NODE_MAGIC)
			continue;
		blake3(whole.p + off, bp->psize, hash);
		if (!memcmp(hash, bp->hash, sizeof hash)) {
			base = off - (uint64_t)ptr_sector(bp) * SECTOR;
			return;
		}
	}
	abort();
}

static bool is_header(const uint8_t *p) { return !memcmp(p, "LCPFSDEV", 8) || !memcmp(p, "LCPFSUBR", 8); }

static void find_all(void)
{
	struct uberblock u, newest = { 0 };

	used = calloc(whole.len / SECTOR, sizeof *used);
	for (uint64_t off = 0; off + 4096 <= whole.len; off += 4096) {
		if (is_header(whole.p + off) && n_headers < 64)
			headers[n_headers++] = off;
		if (!uberblock_decode(&u, whole.p + off, NULL) && u.txg > newest.txg)
			newest = u;
		for (uint64_t s = off; s < off + 4096; s += SECTOR)
			for (unsigned i = 0; i < SECTOR; i++)
				if (whole.p[s + i]) {
					used[n_used++] = s;
					break;
				}
	}
	find_base(&newest.pool_root);
	for (int i = 0; i < n_headers; i++) {
		uint64_t off = headers[i];

		if (uberblock_decode(&u, whole.p + off, NULL) || u.txg != newest.txg)
			continue;
		walk_tree(whole.p + off + 120, off + 120, -1);
		walk_tree(whole.p + off + 216, off + 216, -1);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	codec = codec_ctx_create();
	sample_pool(&whole, NULL);
	find_all();
	work.len = whole.len;
	work.p = malloc(whole.len);
	memcpy(work.p, whole.p, whole.len);
	return 0;
}

/* ---- edits ---- */

static void touch(uint64_t off, const uint8_t *data, size_t n)
{
	n = MIN(n, work.len - off);
	memcpy(work.p + off, data, n);
	for (int i = 0; i < n_nodes; i++)
		if (off < nodes[i].off + nodes[i].psize && off + n > nodes[i].off)
			nodes[i].dirty = true;
}

static void edit(unsigned kind, uint64_t where, const uint8_t *data, size_t n)
{
	struct stored *s = &nodes[(where >> 16) % (uint64_t)n_nodes];

	if (kind == EDIT_BYTES) {
		touch(used[(where >> 8) % n_used] + (where & 255) * 2, data, n);
	} else if (kind == EDIT_HEADER) {
		touch(headers[(where >> 16) % (uint64_t)n_headers] + where % 512, data, n);
	} else if (s->body_len) {
		uint64_t at = (where & 0xffff) % s->body_len;

		s->dirty = true;
		memcpy(s->edited + at, data, MIN(n, s->body_len - at));
	}
}

/* Put the edited body back; false when it no longer fits where the node lies. */
static bool repack(struct stored *s, uint32_t *psize)
{
	uint32_t head = NODE_HDR + s->nptr * PTR_LEN, room = (uint32_t)round_up(s->psize, SECTOR) - head;
	uint8_t *p = work.p + s->off;
	size_t n;

	if (!memcmp(s->edited, s->body, s->body_len))
		return true;
	if (s->comp) {
		static uint8_t arranged[NODE_LIMIT + NODE_COLS_MAX];
		unsigned cols = s->cols ? node_cols_encode(s->edited, s->body_len, arranged) : 0;

		n = codec_compress(codec, (struct codec_spec){ .id = s->comp, .level = 3 }, cols ? arranged : s->edited, s->body_len + cols, p + head, room);
		p[48] = (uint8_t)cols;
		if (!n)
			return false;
	} else {
		n = s->body_len;
		memcpy(p + head, s->edited, n);
	}
	le_store(p + 12, 4, n);
	*psize = head + (uint32_t)n;
	return true;
}

static void fix_nodes(void)
{
	for (int i = 0; i < n_nodes; i++) {
		struct stored *s = &nodes[i];
		uint32_t psize = s->psize;

		if (!s->dirty || !repack(s, &psize))
			continue;
		for (int r = 0; r < n_refs; r++) {
			if (refs[r].node != i)
				continue;
			le_store(work.p + refs[r].at + 20, 4, psize);
			blake3(work.p + s->off, psize, work.p + refs[r].at + 32);
			if (refs[r].owner >= 0)
				nodes[refs[r].owner].dirty = true;
		}
	}
}

static void fix_headers(void)
{
	for (int i = 0; i < n_headers; i++) {
		uint8_t *p = work.p + headers[i];
		uint64_t len = le_load(p + 80, 4), at = 64 * 1024 + 16 * 4096 + (uint64_t)p[84] * 65536;

		if (!memcmp(p, "LCPFSUBR", 8) && p[84] < CONFIG_SLOTS && len <= 65536 && at + len <= work.len)
			blake3(work.p + at, len, p + 88);
		blake3(p, 4096 - HASH_LEN, p + 4096 - HASH_LEN);
	}
}

static void apply(const uint8_t *data, size_t len)
{
	for (int i = 0; i < n_nodes; i++) {
		memcpy(nodes[i].edited, nodes[i].body, nodes[i].body_len);
		nodes[i].dirty = false;
	}
	for (size_t at = 1; at + 5 <= len;) {
		unsigned kind = data[at] & 3;
		size_t n = 1 + (data[at] >> 2 & 7);
		uint64_t where = le_load(data + at + 1, 3);

		at += 4;
		n = MIN(n, len - at);
		edit(kind, where, data + at, n);
		at += n;
	}
	if (!(data[0] & 1)) {
		fix_nodes();
		fix_headers();
	}
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
	struct lcpfs_check_opts co = { .data = true };
	struct lcpfs_pool_info info;
	unsigned n = 0;

	lcpfs_pool_info(p, &info, NULL);
	lcpfs_dataset_each(p, "", true, true, dataset, &u, NULL);
	use_datasets(&u);
	for (unsigned i = 0; i < u.n_names; i++)
		free(u.names[i]);
	for (size_t i = 0; i < sizeof what / sizeof *what; i++)
		lcpfs_dump(p, what[i], ignore_line, &n, NULL);
	lcpfs_scrub(p, &co, &st, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct lcpfs_open_opts o = { .threads = 1, .memory_bytes = 32 << 20 };
	struct lcpfs_check_opts co = { .data = true };
	struct lcpfs_pool *p;
	uint64_t problems;

	if (!len)
		return 0;
	memcpy(work.p, whole.p, whole.len);
	apply(data, len);
	if (!lcpfs_pool_open_dev(&p, memory_dev(&work, false), &o, NULL)) {
		use_pool(p);
		lcpfs_pool_close(p, NULL);
	}
	lcpfs_fsck_dev(memory_dev(&work, false), &o, &co, &problems, NULL);
	return 0;
}
