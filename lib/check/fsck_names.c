/* SPDX-License-Identifier: Apache-2.0 */
/* P5, names: inodes, directory entries, links, attributes. */
#include "check/fsck_tree.h"
#include "base/log.h"
#include "hash/hash.h"
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static size_t index_of(struct tree_check *t, uint64_t ino)
{
	return ck_find(t->ino, t->n_ino, sizeof *t->ino, ino, &t->near_ino);
}

static bool is_dir(const struct tree_check *t, size_t i)
{
	return (t->flags[i] & CI_TYPE) == DT_DIR;
}

static int keep_inode(struct tree_check *t, uint64_t ino, const struct inode *i, struct lcpfs_error *err)
{
	struct ck_inode *to = CK_PUSH(t->ino, t->n_ino, t->cap_ino);
	uint8_t *f = CK_PUSH(t->flags, t->n_flags, t->cap_flags);
	struct ck_xattrs *x;

	if (!to || !f)
		return lcpfs_nomem(err);
	*to = (struct ck_inode){ ino, i->parent, i->nlink, 0 };
	*f = (uint8_t)IFTODT(i->mode);
	if (!i->n_xattr)
		return 0;
	x = CK_PUSH(t->xattrs, t->n_xattrs, t->cap_xattrs);
	if (!x)
		return lcpfs_nomem(err);
	*x = (struct ck_xattrs){ ino, i->n_xattr, 0 };
	return 0;
}

int ck_names_inode(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err)
{
	uint64_t ino = be64_load(it->key + 1);
	struct lcpfs_error why = { 0 };
	const uint8_t *tlv, *target;
	size_t len, target_len = 0;
	struct inode i;
	int rc = 0;

	t->d->n_inodes++;
	if (it->klen != 9 || !ino || inode_decode(&i, it->val, it->vlen, &tlv, &len, &why)) {
		ck_tree_bad_item(t, it, why.msg);
		return 0;
	}
	ck_tree_number(t, ino);
	target = inode_symlink(tlv, len, &target_len);
	if (S_ISREG(i.mode)) {
		rc = ck_content_check_inode(t, ino, &i, err);
	} else if (i.data_id || (i.flags & INODE_SLICED)) {
		TREE_SET(t, P_INODE_SLICED, FI_FLAGS, ino, i.flags & ~(uint32_t)INODE_SLICED);
		TREE_SET(t, P_INODE_SLICED, FI_DATA, ino, 0);
		TREE_REPORT(t, P_INODE_SLICED, ino, "mode %#o with content %" PRIu64, i.mode, i.data_id);
	}
	if (!S_ISREG(i.mode) && i.psize) {
		TREE_SET(t, P_INODE_PSIZE, FI_PSIZE, ino, 0);
		TREE_REPORT(t, P_INODE_PSIZE, ino, "%" PRIu64 ", mode %#o", i.psize, i.mode);
	}
	if (i.flags & ~(uint32_t)INODE_FLAGS_ALL) {
		TREE_SET(t, P_INODE_FLAGS, FI_FLAGS, ino, i.flags & INODE_FLAGS_ALL);
		TREE_REPORT(t, P_INODE_FLAGS, ino, "%#x", i.flags);
	}
	if (target && i.size != target_len)
		TREE_SET(t, P_INODE_SIZE, FI_SIZE, ino, target_len);
	if (target && i.size != target_len)
		TREE_REPORT(t, P_INODE_SIZE, ino, "size %" PRIu64 ", its target has %zu bytes", i.size, target_len);
	if (!i.nlink)
		TREE_REPORT(t, P_INODE_NLINK, ino, "0");
	return rc ? rc : keep_inode(t, ino, &i, err);
}

/* A name in a directory as a number; the sum of those of a set does not depend on their order. */
static uint64_t name_hash(uint64_t dir, const uint8_t *name, size_t len)
{
	uint8_t raw[8 + NAME_MAX_BYTES], hash[HASH_LEN];

	le_store(raw, 8, dir);
	memcpy(raw + 8, name, len);
	blake3(raw, 8 + len, hash);
	return le_load(hash, 8);
}

static bool name_ok(const uint8_t *name, size_t len)
{
	return len && len <= NAME_MAX_BYTES && !memchr(name, '/', len) && !memchr(name, 0, len) && !(len == 1 && name[0] == '.') &&
	    !(len == 2 && name[0] == '.' && name[1] == '.');
}

int ck_names_link(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err)
{
	struct ck_linked *l = t->n_linked ? &t->linked[t->n_linked - 1] : NULL;
	uint64_t ino = be64_load(it->key + 1), parent;
	size_t i = index_of(t, ino);

	if (it->klen <= 17 || it->vlen || !name_ok(it->key + 17, it->klen - 17u)) {
		ck_tree_bad_item(t, it, "");
		return 0;
	}
	parent = be64_load(it->key + 9);
	if (i == SIZE_MAX || is_dir(t, i) || t->ino[i].nlink < 2) {
		bool stray = !t->partial && (i != SIZE_MAX || !t->holes);

		if (stray)
			TREE_DEL(t, P_LINK_STRAY, it);
		if (stray)
			TREE_REPORT(t, P_LINK_STRAY, ino, "in %" PRIu64 " '%.*s'", parent, it->klen - 17, it->key + 17);
		return 0;
	}
	if (!l || l->ino != ino) {
		l = CK_PUSH(t->linked, t->n_linked, t->cap_linked);
		if (!l)
			return lcpfs_nomem(err);
		*l = (struct ck_linked){ .ino = ino };
	}
	l->links += name_hash(parent, it->key + 17, it->klen - 17u);
	l->parent_seen |= parent == t->ino[i].parent;
	return 0;
}

static struct ck_xattrs *xattrs_of(const struct tree_check *t, uint64_t ino)
{
	size_t near = 0, i = ck_find(t->xattrs, t->n_xattrs, sizeof *t->xattrs, ino, &near);

	return i == SIZE_MAX ? NULL : &t->xattrs[i];
}

int ck_names_xattr(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err)
{
	uint64_t ino = be64_load(it->key + 1);
	struct ck_xattrs *x = xattrs_of(t, ino);
	bool by_ref = it->vlen == 17 && it->val[0] == 1;

	(void)err;
	if (it->klen <= 10 || !it->key[9] || memchr(it->key + 10, 0, it->klen - 10u) || !it->vlen || it->val[0] > 1 || (it->val[0] == 1 && !by_ref)) {
		ck_tree_bad_item(t, it, "");
		return 0;
	}
	if (by_ref)
		ck_content_check_xattr(t, it);
	if (x)
		x->seen++;
	else if (t->holes || t->partial)
		return 0;
	else if (index_of(t, ino) == SIZE_MAX) {
		TREE_DEL(t, P_XATTR_NO_INODE, it);
		TREE_REPORT(t, P_XATTR_NO_INODE, ino, "ns %u '%.*s'", it->key[9], it->klen - 10, it->key + 10);
	} else {
		t->bare_n = t->bare_ino == ino ? t->bare_n + 1 : 1;
		t->bare_ino = ino;
		TREE_SET(t, P_XATTR_COUNT, FI_XATTRS, ino, t->bare_n);
		TREE_REPORT(t, P_XATTR_COUNT, ino, "0, but there is one: ns %u '%.*s'", it->key[9], it->klen - 10, it->key + 10);
	}
	return 0;
}

static struct ck_linked *linked_of(const struct tree_check *t, uint64_t ino)
{
	size_t near = 0, i = ck_find(t->linked, t->n_linked, sizeof *t->linked, ino, &near);

	return i == SIZE_MAX ? NULL : &t->linked[i];
}

/* To be looked at again with all names at hand, when a plan is wanted. */
static void later(struct tree_check *t, enum problem_id id, uint64_t ino, uint64_t dir, enum ck_rename_what what)
{
	struct ck_rename *r = ck_plan_wants(t->ck, id, t->d) ? CK_PUSH(t->rename, t->n_rename, t->cap_rename) : NULL;

	if (r)
		*r = (struct ck_rename){ ino, dir, what };
}

/* A file says that it has several names, and its list has none of them. */
#define CI_UNLISTED CI_LOST

/* An entry that leads to inode i. */
static void named(struct tree_check *t, size_t i, size_t in, uint64_t dir, const uint8_t *name, size_t len)
{
	struct ck_inode *n = &t->ino[i];
	struct ck_linked *l;

	if (is_dir(t, i)) {
		bool twice = t->flags[i] & CI_NAMED || n->ino == INO_ROOT;

		if (twice)
			later(t, P_DIR_TWICE, n->ino, n->parent, n->ino == INO_ROOT ? NAME_NONE : NAME_ONE);
		if (twice)
			TREE_REPORT(t, P_DIR_TWICE, n->ino, "also in %" PRIu64 " as '%.*s'", dir, (int)len, name);
		if (in != SIZE_MAX && is_dir(t, in))
			t->ino[in].seen++;
	} else {
		n->seen += n->seen < UINT32_MAX;
	}
	t->flags[i] |= CI_NAMED;
	l = is_dir(t, i) || n->nlink < 2 ? NULL : linked_of(t, n->ino);
	if (l)
		l->dirents += name_hash(dir, name, len);
	else if (!is_dir(t, i) && n->nlink > 1)
		t->flags[i] |= CI_UNLISTED;
	else if (n->parent != dir && !t->partial) {
		later(t, P_INODE_PARENT, n->ino, dir, NAME_PARENT);
		TREE_REPORT(t, P_INODE_PARENT, n->ino, "%" PRIu64 ", it is in %" PRIu64 " as '%.*s'", n->parent, dir, (int)len, name);
	}
}

int ck_names_dirent(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err)
{
	uint64_t dir = be64_load(it->key + 1), ino;
	const uint8_t *name = it->key + 9;
	size_t len = it->klen - 9u, in = index_of(t, dir), i;
	int show = (int)MIN(len, (size_t)NAME_MAX_BYTES);
	bool bad;

	(void)err;
	if (it->vlen != 9 || !name_ok(name, len)) {
		ck_tree_bad_item(t, it, "");
		return 0;
	}
	ino = le_load(it->val, 8);
	i = index_of(t, ino);
	bad = in == SIZE_MAX ? !t->holes && !t->partial : !is_dir(t, in);
	if (bad)
		TREE_DEL(t, P_DIRENT_NO_DIR, it);
	if (bad)
		TREE_REPORT(t, P_DIRENT_NO_DIR, 0, "%" PRIu64 ": '%.*s' leads to %" PRIu64, dir, show, name, ino);
	if (i == SIZE_MAX) {
		bad = !t->holes && !t->partial;
		if (bad)
			TREE_DEL(t, P_DIRENT_NO_INODE, it);
		if (bad)
			TREE_REPORT(t, P_DIRENT_NO_INODE, dir, "'%.*s' leads to %" PRIu64, show, name, ino);
		return 0;
	}
	if ((t->flags[i] & CI_TYPE) != it->val[8]) {
		uint8_t val[9];

		memcpy(val, it->val, 8);
		val[8] = t->flags[i] & CI_TYPE;
		ck_plan_put(t->ck, P_DIRENT_TYPE, t->d, it->key, it->klen, val, sizeof val, 0);
		TREE_REPORT(t, P_DIRENT_TYPE, ino, "'%.*s' in %" PRIu64 ": %u, the inode %u", show, name, dir, it->val[8],
		    t->flags[i] & CI_TYPE);
	}
	named(t, i, in, dir, name, len);
	return 0;
}

int ck_names_orphan(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err)
{
	uint64_t ino = be64_load(it->key + 1), *to;

	if (index_of(t, ino) == SIZE_MAX) {
		if (!t->holes && !t->partial)
			TREE_DEL(t, P_ORPHAN_STRAY, it);
		if (!t->holes && !t->partial)
			TREE_REPORT(t, P_ORPHAN_STRAY, 0, "%" PRIu64, ino);
		return 0;
	}
	to = CK_PUSH(t->orphan, t->n_orphan, t->cap_orphan);
	if (!to)
		return lcpfs_nomem(err);
	*to = ino;
	return 0;
}

/* ---- at the end ---- */

static bool is_orphan(const struct tree_check *t, uint64_t ino)
{
	size_t near = 0;

	return ck_find(t->orphan, t->n_orphan, sizeof *t->orphan, ino, &near) != SIZE_MAX;
}

/* Give every directory from i upwards the mark, as far as those that are on the path. */
static void mark_path(struct tree_check *t, size_t i, uint8_t mark)
{
	while (i != SIZE_MAX && (t->flags[i] & CI_ON_PATH)) {
		t->flags[i] = (uint8_t)((t->flags[i] & ~CI_ON_PATH) | mark);
		i = index_of(t, t->ino[i].parent);
	}
}

/* Upwards until the root, or what is known, or a directory that was passed already. */
static bool below_root(struct tree_check *t, size_t start)
{
	size_t i = start;
	bool good;

	while (i != SIZE_MAX && is_dir(t, i) && t->ino[i].ino != INO_ROOT && !(t->flags[i] & (CI_GOOD | CI_LOST | CI_ON_PATH))) {
		t->flags[i] |= CI_ON_PATH;
		i = index_of(t, t->ino[i].parent);
	}
	good = i != SIZE_MAX && (t->ino[i].ino == INO_ROOT || (t->flags[i] & CI_GOOD));
	mark_path(t, start, good ? CI_GOOD : CI_LOST);
	return good;
}

/* Directory i is on a circle, or below one: one of those on it loses its name. */
static void cut_circle(struct tree_check *t, size_t start)
{
	size_t slow = start, fast = start, i;
	uint64_t least;

	for (size_t n = 0; n <= t->n_ino; n++) {
		slow = index_of(t, t->ino[slow].parent);
		fast = index_of(t, t->ino[fast].parent);
		fast = fast == SIZE_MAX ? fast : index_of(t, t->ino[fast].parent);
		if (slow == SIZE_MAX || fast == SIZE_MAX)
			return;
		if (slow == fast)
			break;
	}
	least = t->ino[slow].ino;
	for (i = index_of(t, t->ino[slow].parent); i != slow; i = index_of(t, t->ino[i].parent))
		least = MIN(least, t->ino[i].ino);
	later(t, P_DIR_LOOP, least, 0, NAME_NONE);
}

static void check_dir(struct tree_check *t, size_t i)
{
	const struct ck_inode *n = &t->ino[i];

	if (n->nlink != n->seen + 2u)
		TREE_SET(t, P_DIR_NLINK, FI_NLINK, n->ino, n->seen + 2u);
	if (n->nlink != n->seen + 2u)
		TREE_REPORT(t, P_DIR_NLINK, n->ino, "%u, counted %u", n->nlink, n->seen + 2u);
	if (n->ino == INO_ROOT)
		return;
	if (!(t->flags[i] & CI_NAMED)) {
		ck_plan_set(t->ck, P_INODE_ORPHAN, t->d, FIX_LOST, 0, n->ino, DT_DIR);
		TREE_REPORT(t, P_INODE_ORPHAN, n->ino, "directory %" PRIu64, n->ino);
	} else if (!below_root(t, i)) {
		cut_circle(t, i);
		TREE_REPORT(t, P_DIR_LOOP, n->ino, "directory %" PRIu64, n->ino);
	}
}

static void check_file(struct tree_check *t, size_t i)
{
	const struct ck_inode *n = &t->ino[i];

	if (!n->seen && !is_orphan(t, n->ino)) {
		ck_plan_set(t->ck, P_INODE_ORPHAN, t->d, FIX_LOST, 0, n->ino, t->flags[i] & CI_TYPE);
		TREE_REPORT(t, P_INODE_ORPHAN, n->ino, "inode %" PRIu64, n->ino);
	} else if (n->seen && n->seen != n->nlink) {
		TREE_SET(t, P_INODE_NLINK, FI_NLINK, n->ino, n->seen);
		TREE_REPORT(t, P_INODE_NLINK, n->ino, "%u, counted %u", n->nlink, n->seen);
	} else if (t->flags[i] & CI_UNLISTED) {
		later(t, P_LINK_DIRENT, n->ino, 0, NAME_LINKS);
		TREE_REPORT(t, P_LINK_DIRENT, n->ino, "inode %" PRIu64 ": the list is empty", n->ino);
	}
}

static void plan_root(struct tree_check *t)
{
	struct inode i = { .mode = S_IFDIR | 0755, .nlink = 2, .parent = INO_ROOT };
	uint8_t key[9], raw[INODE_LEN];

	now_get(&i.ctime.sec, &i.ctime.nsec);
	i.atime = i.mtime = i.btime = i.ctime;
	inode_encode(&i, raw);
	ck_plan_put(t->ck, P_ROOT_DIR, t->d, key, item_key(key, ITEM_INODE, INO_ROOT), raw, sizeof raw, 0);
}

static void check_root(struct tree_check *t)
{
	size_t i = index_of(t, INO_ROOT);

	if (i == SIZE_MAX || !is_dir(t, i)) {
		plan_root(t);
		TREE_REPORT(t, P_ROOT_DIR, 0, NULL);
	} else if (t->ino[i].parent != INO_ROOT) {
		TREE_SET(t, P_ROOT_DIR, FI_PARENT, INO_ROOT, INO_ROOT);
		TREE_REPORT(t, P_ROOT_DIR, 0, "its parent is %" PRIu64, t->ino[i].parent);
	}
}

int ck_names_end(struct tree_check *t, struct lcpfs_error *err)
{
	check_root(t);
	for (size_t i = 0; i < t->n_ino; i++) {
		if (is_dir(t, i))
			check_dir(t, i);
		else
			check_file(t, i);
	}
	for (size_t i = 0; i < t->n_linked; i++) {
		const struct ck_linked *l = &t->linked[i];

		if (l->links != l->dirents) {
			later(t, P_LINK_DIRENT, l->ino, 0, NAME_LINKS);
			TREE_REPORT(t, P_LINK_DIRENT, l->ino, "inode %" PRIu64, l->ino);
		} else if (!l->parent_seen) {
			later(t, P_INODE_PARENT, l->ino, 0, NAME_PARENT);
			TREE_REPORT(t, P_INODE_PARENT, l->ino, "none of its links is there");
		}
	}
	for (size_t i = 0; i < t->n_xattrs; i++) {
		const struct ck_xattrs *x = &t->xattrs[i];

		if (x->want == x->seen)
			continue;
		TREE_SET(t, P_XATTR_COUNT, FI_XATTRS, x->ino, x->seen);
		TREE_REPORT(t, P_XATTR_COUNT, x->ino, "%u, counted %u", x->want, x->seen);
	}
	return t->n_rename ? plan_names(t, err) : 0;
}
