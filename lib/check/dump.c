/* SPDX-License-Identifier: Apache-2.0 */
/* Structures as lines of text. */
#include "check/check_impl.h"
#include "zpl/handle.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

struct dump {
	struct check ck;
	int (*line)(void *arg, const char *text, struct lcpfs_error *err);
	void *arg;
	struct buf b;
	bool pool;  /* items are of the pool or space tree */
	bool past, stopped; /* beyond the wanted items; the caller has had enough */
	struct ck_key only; /* print items whose keys begin with this */
};

/* What is in the buffer, line by line; empties it. */
static int out(struct dump *d, struct lcpfs_error *err)
{
	char *s, *next;
	int rc = 0;

	buf_u8(&d->b, 0);
	if (d->b.failed)
		return lcpfs_nomem(err);
	for (s = (char *)d->b.data; !rc && *s; s = next) {
		size_t n = strcspn(s, "\n");

		next = s + n + (s[n] == '\n');
		s[n] = 0;
		rc = d->line(d->arg, s, err);
	}
	buf_reset(&d->b);
	d->stopped = rc > 0;
	return d->stopped ? -LCPFS_ECANCEL : rc;
}

static int dump_labels(struct dump *d, struct lcpfs_error *err)
{
	struct lcpfs_blockdev *dev = vdev_dev(d->ck.spa->vdev);
	uint64_t at[] = { LABEL_LEN, vdev_label(d->ck.spa->vdev)->dev_size - LABEL_LEN };
	int rc = 0;

	for (unsigned i = 0; !rc && i < vdev_label(d->ck.spa->vdev)->label_count && i < ARRAY_LEN(at); i++) {
		struct lcpfs_error why = { 0 };
		uint8_t raw[LABEL_LEN];
		struct label l;

		buf_printf(&d->b, "%s label, header at %" PRIu64 "\n", i ? "back" : "front", at[i]);
		if (blockdev_read(dev, at[i], raw, sizeof raw, &why) || label_decode(&l, raw, &why))
			buf_printf(&d->b, "damaged: %s\n", why.msg);
		else
			label_print(&l, &d->b);
		rc = out(d, err);
	}
	return rc;
}

static int dump_ubers(struct dump *d, struct lcpfs_error *err)
{
	size_t n;
	const struct vdev_uber *u = vdev_ubers(d->ck.spa->vdev, &n);
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++) {
		buf_printf(&d->b, "uberblock %" PRIu64 "%s%s\n", u[i].ub.txg, u[i].ub.txg == d->ck.ub.txg ? ", in force" : "",
		    u[i].back_only ? ", only in the back label" : "");
		uberblock_print(&u[i].ub, &d->b);
		buf_u8(&d->b, '\n');
		rc = out(d, err);
	}
	return rc;
}

static int dump_config(struct dump *d, struct lcpfs_error *err)
{
	config_print(vdev_config(d->ck.spa->vdev), &d->b);
	return out(d, err);
}

static int print_item(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	struct dump *d = arg;

	if (d->only.p && (it->klen < d->only.len || memcmp(it->key, d->only.p, d->only.len) != 0)) {
		d->past = ck_key_cmp(it->key, it->klen, d->only.p, d->only.len) > 0;
		return d->past;
	}
	if (d->pool)
		record_print(it->key, it->klen, it->val, it->vlen, it->ptrs, it->nptr, &d->b);
	else
		item_print(it->key, it->klen, it->val, it->vlen, it->ptrs, it->nptr, &d->b);
	return out(d, err);
}

static int print_bad(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                     const struct lcpfs_error *why, struct lcpfs_error *err)
{
	struct dump *d = arg;
	char range[200];

	(void)rc;
	ck_range_text(low, high, d->pool, range, sizeof range);
	buf_printf(&d->b, "damaged node %u:%u level %u, %s: %s", ptr_chunk(bp), ptr_sector(bp), bp->level, range, why->msg);
	return out(d, err);
}

static int print_node(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, struct lcpfs_error *err)
{
	struct dump *d = arg;

	(void)low, (void)high;
	buf_printf(&d->b, "%*s", bp->level < TREE_DEPTH_MAX ? 2 * (int)(TREE_DEPTH_MAX - bp->level - 1) : 0, "");
	ptr_print(bp, &d->b);
	return out(d, err);
}

static int walk(struct dump *d, const struct blkptr *root, bool nodes, struct lcpfs_error *err)
{
	struct ck_walk w = { .item = nodes ? NULL : print_item, .node = nodes ? print_node : NULL, .bad = print_bad, .arg = d };

	if (d->only.p)
		w.from = d->only;
	return ck_walk(&d->ck, root, &w, err);
}

static int dump_root(struct dump *d, const struct blkptr *root, struct lcpfs_error *err)
{
	d->pool = true;
	return walk(d, root, false, err);
}

static int find_ds(struct dump *d, const char *name, size_t len, const struct ck_ds **ds, struct lcpfs_error *err)
{
	int rc = ck_load(&d->ck, false, err);

	for (size_t i = 0; !rc && i < d->ck.n_ds; i++)
		if (strlen(d->ck.ds[i].name) == len && memcmp(d->ck.ds[i].name, name, len) == 0) {
			*ds = &d->ck.ds[i];
			return 0;
		}
	return rc ? rc : lcpfs_fail(err, LCPFS_ENOENT, "no dataset '%.*s'", (int)MIN(len, (size_t)200), name);
}

static int dump_tree(struct dump *d, const char *name, bool nodes, struct lcpfs_error *err)
{
	const struct ck_ds *ds;
	int rc = find_ds(d, name, strlen(name), &ds, err);

	return rc ? rc : walk(d, &ds->rec.root, nodes, err);
}

/* "DATASET:REST"; both parts may be empty. */
static int split(struct dump *d, const char *s, const struct ck_ds **ds, const char **rest, struct lcpfs_error *err)
{
	const char *colon = strchr(s, ':');

	if (!colon)
		return lcpfs_fail(err, LCPFS_EINVAL, "'%s': DATASET:WHAT is wanted", s);
	*rest = colon + 1;
	return find_ds(d, s, (size_t)(colon - s), ds, err);
}

static int items_of(struct dump *d, const struct ck_ds *ds, const uint8_t *prefix, size_t len, struct lcpfs_error *err)
{
	int rc;

	d->only = (struct ck_key){ prefix, len };
	d->past = false;
	rc = walk(d, &ds->rec.root, false, err);
	return d->past ? MIN(rc, 0) : rc;
}

static int dump_key(struct dump *d, const char *arg, struct lcpfs_error *err)
{
	uint8_t key[KEY_MAX];
	const struct ck_ds *ds;
	const char *hex;
	size_t n = 0;
	int rc = split(d, arg, &ds, &hex, err);

	for (; !rc && hex[2 * n]; n++) {
		char two[3] = { hex[2 * n], hex[2 * n + 1], 0 };

		if (n == KEY_MAX || !isxdigit((unsigned char)two[0]) || !isxdigit((unsigned char)two[1]))
			return lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no key in hex", hex);
		key[n] = (uint8_t)strtoul(two, NULL, 16);
	}
	return rc ? rc : items_of(d, ds, key, n, err);
}

/* ---- a file ---- */

static int get(struct btree *t, struct bt_cursor *c, const uint8_t *key, size_t klen, const char *what, struct lcpfs_error *err)
{
	int rc = btree_get(t, c, key, klen, err);

	return rc == 1 ? lcpfs_fail(err, LCPFS_ENOENT, "%s", what) : rc;
}

static int resolve(struct btree *t, const char *path, uint64_t *ino, uint64_t *dir, const char **name, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[KEY_MAX];
	int rc = 0;

	*ino = *dir = INO_ROOT;
	*name = NULL;
	while (!rc && *(path += strspn(path, "/"))) {
		size_t n = strcspn(path, "/");

		if (n > NAME_MAX_BYTES)
			return lcpfs_fail(err, LCPFS_ENAMETOOLONG, "a name of %zu bytes", n);
		*dir = *ino;
		*name = path;
		rc = get(t, &c, key, item_key_str(key, ITEM_DIRENT, *dir, path, n), "no such file or directory", err);
		if (!rc && c.item.vlen < 9)
			rc = lcpfs_fail(err, LCPFS_ECORRUPT, "directory entry of %u bytes", c.item.vlen);
		if (!rc)
			*ino = le_load(c.item.val, 8);
		btree_cursor_close(&c);
		path += n;
	}
	return rc;
}

static int content_of(struct btree *t, uint64_t ino, uint64_t *data_id, uint64_t *pack_id)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	struct inode i = { 0 };
	struct slice s = { 0 };

	if (btree_get(t, &c, key, item_key(key, ITEM_INODE, ino), NULL) == 0)
		inode_decode(&i, c.item.val, c.item.vlen, NULL, NULL, NULL);
	btree_cursor_close(&c);
	if (i.data_id && btree_get(t, &c, key, item_key(key, ITEM_SLICE, i.data_id), NULL) == 0)
		slice_decode(&s, c.item.val, c.item.vlen, NULL);
	btree_cursor_close(&c);
	*data_id = i.data_id;
	*pack_id = s.pack_id;
	return 0;
}

static int file_items(struct dump *d, const struct ck_ds *ds, struct btree *t, const char *path, struct lcpfs_error *err)
{
	static const struct { uint8_t type, of; } all[] = { { ITEM_INODE, 0 }, { ITEM_LINK, 0 }, { ITEM_XATTR, 0 }, { ITEM_SLICE, 1 },
		{ ITEM_EXTENT, 1 }, { ITEM_DATAREF, 1 }, { ITEM_PACK, 2 }, { ITEM_DIRENT, 0 }, { ITEM_ORPHAN, 0 } };
	uint64_t id[3] = { 0 }, dir;
	uint8_t key[KEY_MAX];
	const char *name;
	int rc = resolve(t, path, &id[0], &dir, &name, err);

	if (!rc && name)
		rc = items_of(d, ds, key, item_key_str(key, ITEM_DIRENT, dir, name, strcspn(name, "/")), err);
	if (!rc)
		rc = content_of(t, id[0], &id[1], &id[2]);
	for (size_t i = 0; !rc && i < ARRAY_LEN(all); i++)
		if (id[all[i].of])
			rc = items_of(d, ds, key, item_key(key, all[i].type, id[all[i].of]), err);
	return rc;
}

static int dump_path(struct dump *d, const char *arg, struct lcpfs_error *err)
{
	const struct ck_ds *ds;
	const char *path;
	struct btree *t = NULL;
	int rc = split(d, arg, &ds, &path, err);

	if (!rc)
		rc = btree_open(&t, &d->ck.store, &ds->rec.root, 0, NULL, err);
	if (!rc)
		rc = file_items(d, ds, t, path, err);
	btree_close(t);
	return rc;
}

/* ---- a block ---- */

static int hex_lines(struct dump *d, const uint8_t *p, size_t len, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t at = 0; !rc && at < len; at += 32) {
		size_t n = MIN(len - at, (size_t)32);

		buf_printf(&d->b, "%08zx ", at);
		for (size_t i = 0; i < n; i++)
			buf_printf(&d->b, "%s%02x", i % 4 ? "" : " ", p[at + i]);
		rc = out(d, err);
	}
	return rc;
}

static int body_lines(struct dump *d, const struct node_hdr *h, const uint8_t *ptrs, const uint8_t *body, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	struct node_body b;
	int rc = 0;

	if (node_body_decode(&b, body, h->body_len, h->level == 0, h->nptr, &why)) {
		buf_printf(&d->b, "damaged body: %s", why.msg);
		return out(d, err);
	}
	for (uint32_t i = 0; !rc && i < b.nitems; i++) {
		uint8_t key[KEY_MAX] = { 0 };
		struct node_item n;
		size_t klen;

		node_body_item(&b, i, &n);
		klen = (size_t)b.prefix_len + n.klen;
		if (b.prefix_len)
			memcpy(key, b.prefix, b.prefix_len);
		if (n.klen)
			memcpy(key + b.prefix_len, n.key, n.klen);
		if (b.leaf && d->pool)
			record_print(key, klen, n.val, n.vlen, ptrs, n.nptr, &d->b);
		else if (b.leaf)
			item_print(key, klen, n.val, n.vlen, ptrs, n.nptr, &d->b);
		else
			buf_printf(&d->b, "child %u from key %s", i, klen ? "" : "(first)");
		for (size_t k = 0; !b.leaf && k < klen; k++)
			buf_printf(&d->b, "%02x", key[k]);
		ptrs += (size_t)n.nptr * PTR_LEN;
		rc = out(d, err);
	}
	return rc;
}

static int node_lines(struct dump *d, const uint8_t *p, uint32_t psize, struct lcpfs_error *err)
{
	struct codec_ctx *ctx = NULL;
	struct lcpfs_error why = { 0 };
	const uint8_t *stored;
	struct node_hdr h;
	uint8_t *body;
	int rc;

	if (node_hdr_decode(&h, p, psize, NULL))
		return 0;
	d->pool = h.tree_guid == 1 || h.tree_guid == 2;
	node_hdr_print(&h, &d->b);
	rc = out(d, err);
	stored = p + NODE_HDR + (size_t)h.nptr * PTR_LEN;
	body = rc ? NULL : malloc(MAX(h.body_len, 1u));
	if (!rc && (!body || !(ctx = codec_ctx_create())))
		rc = lcpfs_nomem(err);
	if (!rc && zio_node_body(ctx, &h, stored, body, &why)) {
		buf_printf(&d->b, "the body does not decode: %s", why.msg);
		rc = out(d, err);
		goto end;
	}
	if (!rc)
		rc = body_lines(d, &h, p + NODE_HDR, body, err);
end:
	codec_ctx_destroy(ctx);
	free(body);
	return rc;
}

static bool number(const char **s, uint64_t max, char end, uint64_t *v)
{
	char *e;

	if (!isdigit((unsigned char)**s))
		return false;
	*v = strtoull(*s, &e, 10);
	if (*e != end || *v > max)
		return false;
	*s = e + (end != 0);
	return true;
}

static int dump_block(struct dump *d, const char *arg, struct lcpfs_error *err)
{
	uint64_t chunk, sector, psize;
	const char *s = arg;
	uint8_t *p;
	int rc;

	if (!number(&s, UINT32_MAX, ':', &chunk) || !number(&s, UINT32_MAX, ':', &sector) || !number(&s, STORED_MAX, 0, &psize) || !psize)
		return lcpfs_fail(err, LCPFS_EINVAL, "'%s': CHUNK:SECTOR:BYTES is wanted", arg);
	p = malloc(round_up(psize, SECTOR));
	rc = p ? vdev_read(d->ck.spa->vdev, ptr_addr((uint32_t)chunk, (uint32_t)sector), p, round_up(psize, SECTOR), err) : lcpfs_nomem(err);
	if (!rc)
		rc = hex_lines(d, p, psize, err);
	if (!rc)
		rc = node_lines(d, p, (uint32_t)psize, err);
	free(p);
	return rc;
}

static const char *after(const char *s, const char *word)
{
	size_t n = strlen(word);

	return strncmp(s, word, n) == 0 ? s + n : NULL;
}

static int dump(struct dump *d, const char *what, struct lcpfs_error *err)
{
	const char *arg;

	if (strcmp(what, "labels") == 0)
		return dump_labels(d, err);
	if (strcmp(what, "uberblocks") == 0)
		return dump_ubers(d, err);
	if (strcmp(what, "config") == 0)
		return dump_config(d, err);
	if (strcmp(what, "pool") == 0)
		return dump_root(d, &d->ck.ub.pool_root, err);
	if (strcmp(what, "space") == 0)
		return dump_root(d, &d->ck.ub.space_root, err);
	if ((arg = after(what, "tree:")))
		return dump_tree(d, arg, false, err);
	if ((arg = after(what, "nodes:")))
		return dump_tree(d, arg, true, err);
	if ((arg = after(what, "block:")))
		return dump_block(d, arg, err);
	if ((arg = after(what, "path:")))
		return dump_path(d, arg, err);
	if ((arg = after(what, "key:")))
		return dump_key(d, arg, err);
	return lcpfs_fail(err, LCPFS_EINVAL, "'%s' is not one of labels, uberblocks, config, pool, space, tree:, nodes:, block:, path:, key:",
	    what);
}

int lcpfs_dump(struct lcpfs_pool *p, const char *what, int (*line)(void *arg, const char *text, struct lcpfs_error *err), void *arg,
               struct lcpfs_error *err)
{
	struct dump *d = calloc(1, sizeof *d);
	int rc;

	if (!d)
		return lcpfs_nomem(err);
	ck_init(&d->ck, p->spa, NULL);
	d->line = line;
	d->arg = arg;
	rc = dump(d, what, err);
	if (d->stopped)
		rc = 0;
	buf_fini(&d->b);
	ck_fini(&d->ck);
	free(d);
	return rc;
}
