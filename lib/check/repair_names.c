/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be done about names, where one name alone does not tell: another look at all of them, for the inodes in question. */
#include "check/fsck_tree.h"
#include <string.h>

static int by_ino(const void *a, const void *b)
{
	const struct ck_rename *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (x->what < y->what) - (x->what > y->what);
}

/* What is the most thorough for each inode comes first, and is all that is done. */
static void sort(struct tree_check *t)
{
	size_t k = 0;

	qsort(t->rename, t->n_rename, sizeof *t->rename, by_ino);
	for (size_t i = 0; i < t->n_rename; i++)
		if (!k || t->rename[k - 1].ino != t->rename[i].ino)
			t->rename[k++] = t->rename[i];
	t->n_rename = k;
}

static struct ck_rename *find(struct tree_check *t, uint64_t ino)
{
	size_t near = 0, i = ck_find(t->rename, t->n_rename, sizeof *t->rename, ino, &near);

	return i == SIZE_MAX ? NULL : &t->rename[i];
}

static int on_link(struct tree_check *t, const struct bt_item *it)
{
	const struct ck_rename *r = find(t, be64_load(it->key + 1));

	if (r && r->what == NAME_LINKS)
		TREE_DEL(t, P_LINK_DIRENT, it);
	return 0;
}

static void add_link(struct tree_check *t, struct ck_rename *r, uint64_t dir, const uint8_t *name, size_t len)
{
	uint8_t key[KEY_MAX];

	ck_plan_put(t->ck, P_LINK_DIRENT, t->d, key, item_key_link(key, r->ino, dir, name, len), "", 0, 0);
	if (!r->dir)
		TREE_SET(t, P_LINK_DIRENT, FI_PARENT, r->ino, dir);
	r->dir = dir;
}

/* Of a directory with several names that which it knows stays; without one it goes to lost+found. */
static void keep_one(struct tree_check *t, struct ck_rename *r, uint64_t dir, const struct bt_item *it)
{
	if (r->dir && r->dir == dir)
		r->dir = 0;
	else
		TREE_DEL(t, P_DIR_TWICE, it);
}

static int on_name(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	struct tree_check *t = arg;
	struct ck_rename *r;
	uint64_t dir;

	(void)err;
	if (it->key[0] == ITEM_LINK && it->klen > 17)
		return on_link(t, it);
	if (it->key[0] != ITEM_DIRENT || it->klen < 10 || it->klen > 9 + NAME_MAX_BYTES || it->vlen != 9)
		return 0;
	r = find(t, le_load(it->val, 8));
	dir = be64_load(it->key + 1);
	if (!r)
		return 0;
	switch (r->what) {
	case NAME_PARENT:
		TREE_SET(t, P_INODE_PARENT, FI_PARENT, r->ino, dir);
		break;
	case NAME_ONE:
		keep_one(t, r, dir, it);
		break;
	case NAME_NONE:
		TREE_DEL(t, r->dir ? P_DIR_TWICE : P_DIR_LOOP, it);
		break;
	case NAME_LINKS:
		add_link(t, r, dir, it->key + 9, it->klen - 9u);
		break;
	}
	return 0;
}

static int pass_over(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                     const struct lcpfs_error *why, struct lcpfs_error *err)
{
	(void)arg, (void)bp, (void)low, (void)high, (void)rc, (void)why, (void)err;
	return 0;
}

int plan_names(struct tree_check *t, struct lcpfs_error *err)
{
	struct ck_walk w = { .item = on_name, .bad = pass_over, .arg = t };
	uint8_t range[2];

	sort(t);
	ck_walk_types(&w, ITEM_LINK, ITEM_DIRENT, range);
	return ck_walk(t->ck, &t->d->rec.root, &w, err);
}
