/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a repair, and going back. A repair leaves an item in the history table, by the txg that was open: "repair of commit N: P problems". It is the
 * newest commit's own when its key is above the commit before; a second commit of the same repair names the same N. All that commit N uses is
 * whole until the commit after the next one begins, so N is published anew, above all that was seen.
 */
#include "base/log.h"
#include "check/check_impl.h"
#include "zpl/handle.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RECORD_TEXT "repair of commit %" PRIu64 ": %" PRIu64 " problems"

int history_put(struct spa *s, uint64_t base, uint64_t problems, struct lcpfs_error *err)
{
	uint8_t key[9], val[8 + 96];
	int64_t sec;
	uint32_t nsec;
	int n;

	now_get(&sec, &nsec);
	le_store(val, 8, (uint64_t)sec);
	n = snprintf((char *)val + 8, sizeof val - 8, RECORD_TEXT, base, problems);
	return btree_put(s->pool_tree, key, key_u64(key, TBL_HIST, s->txg), val, 8 + (size_t)n, NULL, 0, 0, err);
}

static bool parse(const struct bt_item *it, uint64_t *base, int64_t *time_s)
{
	char text[97] = { 0 };
	uint64_t problems;

	if (it->klen != 9 || it->key[0] != TBL_HIST || it->vlen < 8)
		return false;
	memcpy(text, it->val + 8, MIN(it->vlen - 8, (uint32_t)96));
	*time_s = (int64_t)le_load(it->val, 8);
	return sscanf(text, RECORD_TEXT, base, &problems) == 2;
}

int history_get(struct spa *s, uint64_t *base, int64_t *time_s, struct lcpfs_error *err)
{
	const struct uberblock *ub = vdev_current(s->vdev);
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_seek_le(s->pool_tree, &c, key, key_u64(key, TBL_HIST, UINT64_MAX), err);

	if (!rc && (!parse(&c.item, base, time_s) || be64_load(c.item.key + 1) <= ub->prev_txg[0] ||
	            (*base != ub->prev_txg[0] && *base != ub->prev_txg[1])))
		rc = 1;
	btree_cursor_close(&c);
	*base = rc ? 0 : *base;
	return rc;
}

/* Was there any repair at all? For the words that say why there is nothing to go back to. */
static bool any(struct spa *s)
{
	struct bt_cursor c = { 0 };
	uint64_t base;
	int64_t time_s;
	uint8_t key[9];
	bool yes = !btree_seek_le(s->pool_tree, &c, key, key_u64(key, TBL_HIST, UINT64_MAX), NULL) && parse(&c.item, &base, &time_s);

	btree_cursor_close(&c);
	return yes;
}

static int find(const char *path, const struct lcpfs_open_opts *oo, struct lcpfs_undo_stats *st, struct lcpfs_error *err)
{
	struct lcpfs_pool *p;
	int rc = lcpfs_pool_open(&p, path, oo, err);

	if (rc)
		return rc;
	rc = history_get(p->spa, &st->txg, &st->time_s, err);
	if (rc == 1)
		rc = lcpfs_fail(err, LCPFS_ENOENT, any(p->spa) ? "other commits followed the last repair: it cannot be undone" :
		    "the last commit is no repair: there is nothing to undo");
	lcpfs_pool_close(p, NULL);
	return rc;
}

int lcpfs_fsck_undo(const char *path, const struct lcpfs_open_opts *oo, struct lcpfs_undo_stats *st, struct lcpfs_error *err)
{
	struct lcpfs_open_opts ro = oo ? *oo : (struct lcpfs_open_opts){ 0 };
	struct lcpfs_blockdev *dev;
	int rc;

	*st = (struct lcpfs_undo_stats){ 0 };
	ro.flags = LCPFS_OPEN_RO;
	rc = find(path, &ro, st, err);
	if (!rc)
		rc = lcpfs_blockdev_open(&dev, path, LCPFS_DEV_OPEN_RW, err);
	return rc ? rc : spa_rewind(dev, st->txg, &ro, err);
}
