/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs_diff: what differs between two trees. */
#include "zpl/diff.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/error.h"
#include "base/util.h"

#define PIECE ((size_t)1 << 20)

int diff_add(struct diff *d, char kind, uint32_t mode, uint32_t changed, char *path, char *from, uint64_t old_size, uint64_t new_size,
             struct lcpfs_error *err)
{
	struct found *f;

	if (d->n == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 64;

		f = realloc(d->f, cap * sizeof *f);
		if (!f) {
			free(path);
			free(from);
			return lcpfs_nomem(err);
		}
		d->f = f;
		d->cap = cap;
	}
	f = &d->f[d->n++];
	*f = (struct found){ { kind, mode, changed, path, from, old_size, new_size }, path, from };
	return path ? 0 : lcpfs_nomem(err);
}

/* The extents of data_id in both trees are the same blocks by content; *same false says only that it is not known. */
static int same_extents(struct diff *d, uint64_t id_a, uint64_t id_b, bool *same, struct lcpfs_error *err)
{
	struct bt_cursor a = { 0 }, b = { 0 };
	uint8_t key_a[17], key_b[17];
	int ra = btree_seek(d->a->tree, &a, key_a, item_key_u64(key_a, ITEM_EXTENT, id_a, 0), err);
	int rb = ra < 0 ? ra : btree_seek(d->b->tree, &b, key_b, item_key_u64(key_b, ITEM_EXTENT, id_b, 0), err);

	*same = true;
	while (ra >= 0 && rb >= 0 && *same) {
		bool in_a = ra == 0 && a.item.klen == 17 && memcmp(a.item.key, key_a, 9) == 0;
		bool in_b = rb == 0 && b.item.klen == 17 && memcmp(b.item.key, key_b, 9) == 0;

		if (!in_a && !in_b)
			break;
		*same = in_a && in_b && memcmp(a.item.key + 9, b.item.key + 9, 8) == 0 && a.item.vlen == b.item.vlen &&
		    memcmp(a.item.val, b.item.val, a.item.vlen) == 0 && a.item.nptr == 1 && b.item.nptr == 1 &&
		    memcmp(a.item.ptrs + 16, b.item.ptrs + 16, 4) == 0 && memcmp(a.item.ptrs + 24, b.item.ptrs + 24, 3) == 0 &&
		    memcmp(a.item.ptrs + 32, b.item.ptrs + 32, 32) == 0;
		ra = btree_next(&a, err);
		rb = ra < 0 ? ra : btree_next(&b, err);
	}
	btree_cursor_close(&a);
	btree_cursor_close(&b);
	return ra < 0 ? ra : rb < 0 ? rb : 0;
}

static int compare_bytes(struct diff *d, uint64_t ino_a, uint64_t ino_b, uint64_t size, bool *equal, struct lcpfs_error *err)
{
	for (unsigned i = 0; i < 2; i++)
		if (!d->buf[i] && !(d->buf[i] = malloc(PIECE)))
			return lcpfs_nomem(err);
	for (uint64_t off = 0; off < size && *equal;) {
		uint64_t da = off, db = off, len;
		size_t n, got_a, got_b;
		int ra = zpl_next_data(d->a, ino_a, &da, &len, err);
		int rb = ra < 0 ? ra : zpl_next_data(d->b, ino_b, &db, &len, err);

		if (ra < 0 || rb < 0)
			return ra < 0 ? ra : rb;
		off = MIN(ra ? size : da, rb ? size : db); /* both have a hole until there */
		n = (size_t)MIN(PIECE, size - off);
		ra = n ? zpl_read(d->a, ino_a, off, d->buf[0], n, &got_a, err) : 0;
		if (!ra && n)
			ra = zpl_read(d->b, ino_b, off, d->buf[1], n, &got_b, err);
		if (ra)
			return ra;
		if (n && (got_a != got_b || memcmp(d->buf[0], d->buf[1], got_a) != 0))
			*equal = false;
		off += n;
	}
	return 0;
}

static int same_content(struct diff *d, uint64_t ino_a, const struct inode *ia, uint64_t ino_b, const struct inode *ib, bool *equal,
                        struct lcpfs_error *err)
{
	bool family = d->same_pool && d->a->rec.family == d->b->rec.family;
	int rc = 0;

	*equal = ia->size == ib->size;
	if (!*equal || !ia->size)
		return 0;
	if (family && ia->data_id == ib->data_id && (ia->flags & ib->flags & INODE_SLICED))
		return 0;
	if (!((ia->flags | ib->flags) & INODE_SLICED)) {
		bool same;

		rc = same_extents(d, ia->data_id, ib->data_id, &same, err);
		if (rc || same)
			return rc;
	}
	return compare_bytes(d, ino_a, ino_b, ia->size, equal, err);
}

struct xattr_cmp { struct dataset *other; uint64_t ino; bool equal; uint32_t n; };

static int check_xattr(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	struct xattr_cmp *x = arg;
	void *v = NULL;
	size_t n;
	int rc = zpl_xattr_get(x->other, x->ino, name, &v, &n, err);

	x->n++;
	x->equal = rc == 0 && n == len && memcmp(v, value, len) == 0;
	free(v);
	if (rc < 0 && rc != -LCPFS_ENODATA)
		return rc;
	return x->equal ? 0 : 1;
}

static int same_xattrs(struct diff *d, uint64_t ino_a, const struct inode *ia, uint64_t ino_b, const struct inode *ib, bool *equal,
                       struct lcpfs_error *err)
{
	struct xattr_cmp x = { d->b, ino_b, true, 0 };
	int rc;

	*equal = ia->n_xattr == ib->n_xattr;
	if (!*equal || !ia->n_xattr)
		return 0;
	rc = zpl_xattr_each(d->a, ino_a, check_xattr, &x, err);
	*equal = x.equal;
	return rc < 0 ? rc : 0;
}

static int same_target(struct diff *d, uint64_t ino_a, uint64_t ino_b, bool *equal, struct lcpfs_error *err)
{
	char *a = NULL, *b = NULL;
	int rc = zpl_readlink(d->a, ino_a, &a, err);

	if (!rc)
		rc = zpl_readlink(d->b, ino_b, &b, err);
	*equal = !rc && strcmp(a, b) == 0;
	free(a);
	free(b);
	return rc;
}

int diff_inodes(struct diff *d, uint64_t ino_a, const struct inode *ia, uint64_t ino_b, const struct inode *ib, uint32_t *changed,
                struct lcpfs_error *err)
{
	bool dir = S_ISDIR(ib->mode), equal = true;
	int rc = 0;

	*changed = 0;
	if ((ia->mode ^ ib->mode) & S_IFMT) {
		*changed = LCPFS_CHG_TYPE;
		return 0;
	}
	if (ia->mode != ib->mode)
		*changed |= LCPFS_CHG_MODE;
	if (ia->uid != ib->uid || ia->gid != ib->gid)
		*changed |= LCPFS_CHG_OWNER;
	if (!(d->flags & LCPFS_DIFF_IGNORE_TIMES) && (ia->mtime.sec != ib->mtime.sec || ia->mtime.nsec != ib->mtime.nsec))
		*changed |= LCPFS_CHG_TIME;
	if (!dir && ia->nlink != ib->nlink)
		*changed |= LCPFS_CHG_LINKS;
	if (ia->rdev != ib->rdev)
		*changed |= LCPFS_CHG_TARGET;
	if (S_ISREG(ib->mode))
		rc = same_content(d, ino_a, ia, ino_b, ib, &equal, err);
	if (!equal)
		*changed |= LCPFS_CHG_CONTENT;
	if (!rc && S_ISLNK(ib->mode))
		rc = same_target(d, ino_a, ino_b, &equal, err);
	if (S_ISLNK(ib->mode) && !equal)
		*changed |= LCPFS_CHG_TARGET;
	if (!rc)
		rc = same_xattrs(d, ino_a, ia, ino_b, ib, &equal, err);
	if (!rc && !equal)
		*changed |= LCPFS_CHG_XATTR;
	return rc;
}

/* '/' sorts before every other byte, so that what is in a directory follows it. */
static int path_cmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (!*a || !*b)
		return !!*a - !!*b;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int by_path(const void *x, const void *y)
{
	const struct found *a = x, *b = y;
	int c = path_cmp(a->path, b->path);

	return c ? c : a->d.kind == '-' ? -1 : b->d.kind == '-';
}

/* Numbers mean the same in both: one pool, or states of it. */
static bool one_history(const struct lcpfs_pool *a, const struct lcpfs_pool *b)
{
	return (a->of ? a->of : a) == (b->of ? b->of : b);
}

int lcpfs_diff(struct lcpfs_dataset *a, struct lcpfs_dataset *b, uint32_t flags, lcpfs_diff_visit *visit, void *arg, bool *differs,
               struct lcpfs_error *err)
{
	struct diff d = { .a = a->ds, .b = b->ds, .flags = flags, .same_pool = one_history(a->pool, b->pool) };
	bool family = d.same_pool && a->ds->rec.family == b->ds->rec.family;
	int rc = 0;

	if (flags & ~(uint32_t)LCPFS_DIFF_IGNORE_TIMES)
		return lcpfs_fail(err, LCPFS_EINVAL, "diff flags %#x", flags);
	if (a->ds->writable)
		rc = dmu_settle_head(a->ds, err);
	if (!rc && b->ds->writable)
		rc = dmu_settle_head(b->ds, err);
	if (!rc)
		rc = family ? diff_by_item(&d, err) : diff_by_path(&d, err);
	if (d.n)
		qsort(d.f, d.n, sizeof *d.f, by_path);
	if (differs)
		*differs = d.n > 0;
	for (size_t i = 0; i < d.n; i++) {
		if (!rc && visit)
			rc = visit(arg, &d.f[i].d, err);
		free(d.f[i].path);
		free(d.f[i].from);
	}
	free(d.f);
	free(d.buf[0]);
	free(d.buf[1]);
	return rc < 0 ? rc : 0;
}
