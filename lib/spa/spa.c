/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, creating and closing a pool. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "spa/spa_impl.h"

#define MEMORY_DEFAULT (256 * MiB)
#define MEMORY_MIN (32 * MiB)

static int node_write(struct spa *s, bool counted, unsigned level, uint64_t guid, const uint8_t *ptrs, uint32_t nptr,
                      const uint8_t *body, uint32_t body_len, struct blkptr *bp, struct lcpfs_error *err)
{
	return zio_write_node(s->zio, counted, level, guid, ptrs, nptr, body, body_len, bp, err);
}

int spa_node_read(struct spa *s, const struct blkptr *bp, uint8_t **ptrs_body, uint32_t *nptr, struct lcpfs_error *err)
{
	return zio_read_node(s->zio, bp, ptrs_body, nptr, err);
}

static int pool_read(struct btree_store *st, const struct blkptr *bp, uint8_t **pb, uint32_t *n, struct lcpfs_error *err)
{
	return spa_node_read(container_of(st, struct spa, pool_store), bp, pb, n, err);
}

static int pool_write(struct btree_store *st, unsigned level, uint64_t guid, const uint8_t *ptrs, uint32_t nptr, const uint8_t *body,
                      uint32_t len, struct blkptr *bp, struct lcpfs_error *err)
{
	return node_write(container_of(st, struct spa, pool_store), true, level, guid, ptrs, nptr, body, len, bp, err);
}

/* Pointers of pool-tree items belong to their datasets, which decide about them; only nodes are freed here. */
static int pool_kill(struct btree_store *st, void *owner, const struct blkptr *bp, bool is_node, struct lcpfs_error *err)
{
	(void)owner;
	return is_node ? spa_free(container_of(st, struct spa, pool_store), bp, err) : 0;
}

static int space_read(struct btree_store *st, const struct blkptr *bp, uint8_t **pb, uint32_t *n, struct lcpfs_error *err)
{
	return spa_node_read(container_of(st, struct spa, space_store), bp, pb, n, err);
}

static int space_write(struct btree_store *st, unsigned level, uint64_t guid, const uint8_t *ptrs, uint32_t nptr, const uint8_t *body,
                       uint32_t len, struct blkptr *bp, struct lcpfs_error *err)
{
	return node_write(container_of(st, struct spa, space_store), false, level, guid, ptrs, nptr, body, len, bp, err);
}

static int space_kill(struct btree_store *st, void *owner, const struct blkptr *bp, bool is_node, struct lcpfs_error *err)
{
	struct spa *s = container_of(st, struct spa, space_store);

	(void)owner;
	(void)is_node;
	arc_forget(s->arc, bp->addr, bp->birth);
	return space_free(s->space, bp->addr, (uint32_t)div_up(bp->psize, SECTOR), false, bp->birth > s->published, err);
}

static const struct btree_store_ops pool_ops = { pool_read, pool_write, pool_kill, NULL };
static const struct btree_store_ops space_ops = { space_read, space_write, space_kill, NULL };

static int spa_new(struct spa **out, const char *name, const struct lcpfs_open_opts *o, struct lcpfs_error *err)
{
	struct spa *s = calloc(1, sizeof *s);

	if (s)
		s->priv = calloc(1, sizeof *s->priv);
	if (!s || !s->priv || !(s->name = strdup(name))) {
		if (s)
			free(s->priv);
		free(s);
		return lcpfs_nomem(err);
	}
	s->memory = o && o->memory_bytes ? MAX(o->memory_bytes, MEMORY_MIN) : MEMORY_DEFAULT;
	s->threads = o && o->threads ? o->threads : cpu_count();
	s->writable = o && (o->flags & LCPFS_OPEN_RW);
	s->priv->want_txg = o ? o->txg : 0;
	s->priv->repair = o && (o->flags & SPA_OPEN_REPAIR);
	s->arc = arc_create(s->memory / 2);
	s->pool_store = (struct btree_store){ &pool_ops, s->arc };
	s->space_store = (struct btree_store){ &space_ops, NULL };
	*out = s;
	return s->arc ? 0 : lcpfs_nomem(err);
}

static void spa_destroy(struct spa *s)
{
	if (!s)
		return;
	while (s->clients) {
		struct spa_client *c = s->clients;

		s->clients = c->next;
		c->close(c);
	}
	btree_close(s->pool_tree);
	btree_close(s->space_tree);
	btree_close(s->priv->space_read);
	btree_close(s->priv->space_prev);
	zio_destroy(s->zio);
	space_destroy(s->space);
	arc_destroy(s->arc);
	vdev_close(s->vdev);
	free(s->name);
	spa_pages_drop(&s->priv->pages);
	spa_pages_drop(&s->priv->prev_pages);
	free(s->priv->ref);
	free(s->priv);
	free(s);
}

bool spa_columns(const struct spa *s)
{
	return config_has_feature(&vdev_config(s->vdev)->incompat, FEATURE_COLUMNS);
}

int spa_columns_need(struct spa *s, struct lcpfs_error *err)
{
	return spa_columns(s) ? 0 : config_add_feature(&vdev_config_edit(s->vdev)->incompat, FEATURE_COLUMNS, err);
}

static int open_zio(struct spa *s, struct lcpfs_error *err)
{
	struct zio_opts o = { .threads = s->threads, .window_bytes = s->memory / 4, .csum = vdev_config(s->vdev)->csum, .columns = spa_columns(s),
		.map = s->priv->still };
	int rc = zio_create(&s->zio, s->vdev, s->space, &o, err);

	if (rc)
		return rc;
	zio_set_txg(s->zio, s->txg);
	zio_set_grow(s->zio, spa_grow, s);
	return 0;
}

static void derive(uint8_t out[16], const uint8_t uuid[16], const char *purpose)
{
	struct blake3 b;

	blake3_init(&b);
	blake3_update(&b, uuid, 16);
	blake3_update(&b, purpose, strlen(purpose));
	blake3_final(&b, 0, out, 16);
}

static int fill_create(struct vdev_create *c, const struct lcpfs_create_opts *o, struct lcpfs_error *err)
{
	static const uint8_t fixed[16] = "lcpfs";
	const struct hash_algo *h = hash_by_name(o->checksum ? o->checksum : "blake3");
	int rc = 0;

	c->name = o->name ? o->name : "pool";
	if (!config_name_ok(c->name, strlen(c->name), CONFIG_NAME_MAX))
		return lcpfs_fail(err, LCPFS_EINVAL, "bad pool name '%s': 1-63 bytes of A-Za-z0-9._-+", c->name);
	if (!h)
		return lcpfs_fail(err, LCPFS_EINVAL, "unknown checksum '%s': blake3 or sha256", o->checksum);
	if (o->labels > 2)
		return lcpfs_fail(err, LCPFS_EINVAL, "%u labels: 1 or 2", o->labels);
	c->csum = h->id;
	if (o->copies > 2)
		return lcpfs_fail(err, LCPFS_EINVAL, "%u copies: 1 or 2", o->copies);
	c->label_count = o->labels ? (uint8_t)o->labels : 2;
	c->copies = o->copies ? (uint8_t)o->copies : 2;
	c->size = o->size_bytes;
	if (o->uuid)
		memcpy(c->uuid, o->uuid, 16);
	else if (o->reproducible)
		derive(c->uuid, fixed, c->name);
	else
		rc = random_bytes(c->uuid, 16, err);
	c->uuid[6] = (uint8_t)((c->uuid[6] & 15) | 64);
	c->uuid[8] = (uint8_t)((c->uuid[8] & 63) | 128);
	if (o->uuid)
		memcpy(c->uuid, o->uuid, 16);
	derive(c->dev_uuid, c->uuid, "device 0");
	derive(c->epoch_id, c->uuid, "epoch 0");
	now_get(&c->created_s, &c->created_ns);
	return rc;
}

static int create_trees(struct spa *s, struct lcpfs_error *err)
{
	int rc = spa_space_open(s, NULL, NULL, err);

	if (!rc)
		rc = open_zio(s, err);
	if (!rc)
		rc = btree_open(&s->pool_tree, &s->pool_store, NULL, 1, s, err);
	if (!rc)
		rc = btree_open(&s->space_tree, &s->space_store, NULL, 2, s, err);
	return rc;
}

int spa_create(struct spa **out, struct lcpfs_blockdev *dev, const struct lcpfs_create_opts *o, struct lcpfs_error *err)
{
	struct vdev_create c = { 0 };
	struct spa *s = NULL;
	int rc = spa_new(&s, dev->name, &o->open, err);

	if (!rc)
		rc = fill_create(&c, o, err);
	if (rc) {
		lcpfs_blockdev_close(dev);
		spa_destroy(s);
		return rc;
	}
	s->writable = s->changed = true;
	s->txg = 1;
	s->next_guid = 16;
	rc = blockdev_lock(dev, true, err);
	if (rc)
		lcpfs_blockdev_close(dev);
	else
		rc = vdev_create(&s->vdev, dev, &c, err);
	if (!rc) {
		memcpy(s->priv->epoch_id, c.epoch_id, 16);
		s->image = vdev_is_image(s->vdev);
		rc = create_trees(s, err);
	}
	if (rc) {
		spa_destroy(s);
		return lcpfs_within(err, rc, "%s", c.name);
	}
	*out = s;
	return 0;
}

/* The pool root node must be readable; deeper damage is found when it is met. */
static int try_uber(struct spa *s, const struct uberblock *ub, struct lcpfs_error *err)
{
	uint8_t *pb = NULL;
	uint32_t n;
	int rc = vdev_select(s->vdev, ub, err);

	if (rc)
		return rc;
	space_destroy(s->space);
	zio_destroy(s->zio);
	s->space = NULL;
	s->zio = NULL;
	s->txg = ub->txg + 1;
	btree_close(s->priv->space_read);
	btree_close(s->priv->space_prev);
	s->priv->space_read = s->priv->space_prev = NULL;
	rc = spa_space_open(s, NULL, NULL, err);
	if (!rc)
		rc = open_zio(s, err);
	if (!rc && !ptr_is_null(&ub->pool_root))
		rc = spa_node_read(s, &ub->pool_root, &pb, &n, err);
	free(pb);
	return rc;
}

/* The one that was asked for, or none. */
static int choose_older(struct spa *s, const struct vdev_uber *u, size_t n, const struct uberblock **chosen, struct lcpfs_error *err)
{
	for (size_t i = 0; i < n; i++) {
		int rc;

		if (u[i].ub.txg != s->priv->want_txg)
			continue;
		rc = try_uber(s, &u[i].ub, err);
		*chosen = &u[i].ub;
		return rc ? lcpfs_within(err, rc, "commit %" PRIu64, s->priv->want_txg) : 0;
	}
	return lcpfs_fail(err, LCPFS_ENOENT, "the root of commit %" PRIu64 " is not there any more", s->priv->want_txg);
}

/* The highest uberblock that opens; lower ones only down to the rewind floor, and never over a version we do not know. */
static int choose_uber(struct spa *s, const struct uberblock **chosen, struct lcpfs_error *err)
{
	size_t n;
	const struct vdev_uber *u = vdev_ubers(s->vdev, &n);
	struct lcpfs_error first = { 0 };
	int rc = lcpfs_fail(&first, LCPFS_ECORRUPT, "no valid uberblock");

	s->priv->high_txg = n ? u[0].ub.txg : 0;
	if (s->priv->want_txg)
		return choose_older(s, u, n, chosen, err);
	for (size_t i = 0; i < n; i++) {
		struct lcpfs_error why = { 0 };

		if (i && u[i].ub.txg < u[0].ub.rewind_floor_txg)
			break;
		rc = try_uber(s, &u[i].ub, &why);
		if (!i || !rc)
			first = i ? first : why;
		if (rc == -LCPFS_EUNSUP || rc == -LCPFS_ENOMEM)
			break;
		if (!rc) {
			s->priv->rewound = i != 0;
			if (i)
				log_msg(LCPFS_LOG_WARN, "spa", "%s: commit %" PRIu64 " does not open (%s): taking commit %" PRIu64,
				    s->name, u[0].ub.txg, first.msg, u[i].ub.txg);
			*chosen = &u[i].ub;
			return 0;
		}
	}
	if (err)
		*err = first;
	return -first.code;
}

int spa_open_trees(struct spa *s, const struct uberblock *ub, struct lcpfs_error *err)
{
	int rc;

	btree_close(s->pool_tree);
	btree_close(s->space_tree);
	s->pool_tree = s->space_tree = NULL;
	rc = btree_open(&s->pool_tree, &s->pool_store, &ub->pool_root, 1, s, err);
	if (!rc)
		rc = btree_open(&s->space_tree, &s->space_store, &ub->space_root, 2, s, err);
	return rc;
}

static const struct uberblock *uber_of_txg(struct spa *s, uint64_t txg)
{
	size_t n;
	const struct vdev_uber *u = vdev_ubers(s->vdev, &n);

	for (size_t i = 0; i < n; i++)
		if (u[i].ub.txg == txg)
			return &u[i].ub;
	return NULL;
}

/*
 * A future that was abandoned must not come back, and blocks of it must not be reused while it could: name the chosen roots
 * anew, above every txg seen, before anything is allocated.
 */
static int new_epoch(struct spa *s, const uint8_t id[16], uint64_t first_txg, struct lcpfs_error *err)
{
	struct config *c = vdev_config_edit(s->vdev);
	struct cfg_epoch *e;

	if (c->n_epochs == CONFIG_EPOCHS_MAX)
		memmove(c->epochs, c->epochs + 1, --c->n_epochs * sizeof *c->epochs);
	e = realloc(c->epochs, (c->n_epochs + 1) * sizeof *e);
	if (!e)
		return lcpfs_nomem(err);
	c->epochs = e;
	e += c->n_epochs++;
	memcpy(e->id, id, 16);
	e->first_txg = first_txg;
	return 0;
}

static int publish_rewind(struct spa *s, const struct uberblock *chosen, struct lcpfs_error *err)
{
	struct uberblock ub = *chosen;
	uint8_t seed[16 + 8 + 16];
	uint8_t hash[HASH_LEN];
	bool published = false;
	int rc = random_bytes(seed + 24, 16, err);

	if (rc)
		return rc;
	memcpy(seed, chosen->epoch_id, 16);
	le_store(seed + 16, 8, s->priv->high_txg);
	blake3(seed, sizeof seed, hash);
	memcpy(ub.epoch_id, hash, 16);
	ub.txg = vdev_next_txg(s->vdev, s->priv->high_txg + 1);
	ub.rewind_floor_txg = ub.txg;
	rc = new_epoch(s, ub.epoch_id, ub.txg, err);
	if (!rc)
		rc = vdev_publish(s->vdev, &ub, &published, err);
	/* a back label that still offered the abandoned future would do so with blocks that are overwritten from now on */
	if (!rc && s->image)
		rc = vdev_finish_image(s->vdev, err);
	if (rc)
		return rc;
	memcpy(s->priv->epoch_id, ub.epoch_id, 16);
	s->priv->rewind_floor = ub.txg;
	s->priv->committed = true;
	s->txg = ub.txg + 1;
	zio_set_txg(s->zio, s->txg);
	return 0;
}

/* Free space by the K rule: of the chosen tree and of the one before (NULL: there is none that counts). */
static int load_space(struct spa *s, const struct uberblock *ub, const struct uberblock *prev, struct lcpfs_error *err)
{
	const struct blkptr *before = prev ? &prev->space_root : NULL;
	uint8_t *root = NULL;
	uint32_t n;
	int rc;

	zio_destroy(s->zio);
	space_destroy(s->space);
	s->zio = NULL;
	s->space = NULL;
	spa_pages_drop(&s->priv->prev_pages);
	rc = spa_space_open(s, &ub->space_root, before, err);
	if (!rc)
		rc = open_zio(s, err);
	/* comparing does not read a leaf, which the root of a small tree is */
	if (!rc && before && !ptr_is_null(before))
		rc = spa_node_read(s, before, &root, &n, err);
	free(root);
	return rc ? rc : spa_space_overlay(s, &ub->space_root, before, err);
}

static bool is_damage(int rc)
{
	return rc == -LCPFS_EIO || rc == -LCPFS_ECSUM || rc == -LCPFS_ECORRUPT;
}

/* The free space of the commit before cannot be read: what it uses is what it reaches, and its space tree needs no protection. */
static int load_without(struct spa *s, const struct uberblock *ub, const struct uberblock *prev, struct lcpfs_error *err)
{
	struct spa_pages pages = { 0 };
	int rc = load_space(s, ub, NULL, err);

	if (!rc)
		rc = spa_pages_scan(s, &prev->pool_root, s->priv->repair, &pages, err);
	s->priv->prev_pages = pages;
	return rc;
}

static int load_both(struct spa *s, const struct uberblock *ub, const struct uberblock *prev, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	int rc = load_space(s, ub, prev, &why);

	if (is_damage(rc)) {
		log_msg(LCPFS_LOG_WARN, "spa", "%s: the free space of commit %" PRIu64 " cannot be read: %s", s->name, prev->txg, why.msg);
		rc = load_without(s, ub, prev, &why);
	}
	if (rc && err)
		*err = why;
	return rc;
}

/* Where what the commit before used cannot be found out, the chosen one is published anew, as the only one that counts. */
static int open_space(struct spa *s, const struct uberblock *ub, struct lcpfs_error *err)
{
	const struct uberblock *found = ub->prev_txg[0] ? uber_of_txg(s, ub->prev_txg[0]) : NULL, *prev = NULL;
	struct uberblock before;
	int rc;

	/* an image that grows overwrites the back label: the front one must be whole before */
	if (vdev_front_lost(s->vdev))
		s->priv->rewound = true;
	if (found && !s->priv->rewound) {
		before = *found;
		prev = &before;
	}
	rc = prev ? load_both(s, ub, prev, err) : 0;
	if (prev && is_damage(rc))
		prev = NULL;
	if (!prev) {
		rc = s->priv->rewound || ub->prev_txg[0] ? publish_rewind(s, ub, err) : 0;
		if (!rc)
			rc = load_space(s, ub, NULL, err);
	}
	if (rc)
		return rc;
	space_set_used(s->space, s->priv->pages.valid ? s->priv->pages.used_sectors :
	    ub->total_sectors - MIN(ub->free_sectors, ub->total_sectors));
	if (prev && ub->free_sectors > prev->free_sectors)
		s->priv->freed_before = ub->free_sectors - prev->free_sectors;
	return 0;
}

static int open_pool(struct spa *s, struct lcpfs_error *err)
{
	const struct uberblock *ub = NULL;
	int rc = choose_uber(s, &ub, err);
	struct uberblock copy;

	if (rc)
		return rc;
	copy = *ub;
	s->image = vdev_is_image(s->vdev);
	if (s->writable && config_unknown_ro_compat(vdev_config(s->vdev)))
		return lcpfs_fail(err, LCPFS_EUNSUP, "its feature '%s' is not known here: it can only be opened read-only",
		    config_unknown_ro_compat(vdev_config(s->vdev)));
	s->published = copy.txg;
	s->next_guid = copy.next_guid;
	memcpy(s->priv->epoch_id, copy.epoch_id, 16);
	s->priv->rewind_floor = copy.rewind_floor_txg;
	if (s->writable)
		rc = open_space(s, &copy, err);
	else
		space_set_used(s->space, copy.total_sectors - MIN(copy.free_sectors, copy.total_sectors));
	if (!rc && s->priv->committed)
		s->published = s->txg - 1;
	return rc ? rc : spa_open_trees(s, &copy, err);
}

int spa_open(struct spa **out, struct lcpfs_blockdev *dev, const struct lcpfs_open_opts *o, struct lcpfs_error *err)
{
	struct spa *s = NULL;
	bool live = o && (o->flags & LCPFS_OPEN_LIVE);
	int rc = spa_new(&s, dev->name, o, err);

	if (!rc && !live)
		rc = blockdev_lock(dev, s->writable, err);
	if (rc) {
		lcpfs_blockdev_close(dev);
		spa_destroy(s);
		return rc;
	}
	s->priv->still = !s->writable && !live;
	rc = vdev_open(&s->vdev, dev, s->writable, err);
	if (!rc) {
		s->priv->open_size = blockdev_size(vdev_dev(s->vdev));
		rc = open_pool(s, err);
	}
	if (rc) {
		rc = lcpfs_within(err, rc, "%s", s->name);
		spa_destroy(s);
		return rc;
	}
	*out = s;
	return 0;
}

static int rewind_to(struct spa *s, uint64_t txg, struct lcpfs_error *err)
{
	const struct uberblock *u = uber_of_txg(s, txg);
	struct uberblock chosen;
	size_t n;
	int rc;

	s->priv->high_txg = vdev_ubers(s->vdev, &n)[0].ub.txg;
	if (!u)
		return lcpfs_fail(err, LCPFS_ENOENT, "the root of commit %" PRIu64 " is not there any more", txg);
	chosen = *u;
	rc = try_uber(s, &chosen, err);
	s->image = vdev_is_image(s->vdev);
	return rc ? rc : publish_rewind(s, &chosen, err);
}

int spa_rewind(struct lcpfs_blockdev *dev, uint64_t txg, const struct lcpfs_open_opts *o, struct lcpfs_error *err)
{
	struct lcpfs_open_opts rw = o ? *o : (struct lcpfs_open_opts){ 0 };
	struct spa *s = NULL;
	int rc;

	rw.flags = LCPFS_OPEN_RW;
	rc = spa_new(&s, dev->name, &rw, err);
	if (!rc)
		rc = blockdev_lock(dev, true, err);
	if (rc)
		lcpfs_blockdev_close(dev);
	else
		rc = vdev_open(&s->vdev, dev, true, err);
	if (!rc)
		rc = rewind_to(s, txg, err);
	if (rc && s)
		rc = lcpfs_within(err, rc, "%s", s->name);
	spa_destroy(s);
	return rc;
}

/* An image's back label and length follow its last commit, also where changes that were dropped had made it longer. */
static bool end_is_stale(const struct spa *s)
{
	if (!s->vdev || !s->image || !s->writable || s->dead || !vdev_current(s->vdev))
		return false;
	return s->priv->committed || blockdev_size(vdev_dev(s->vdev)) != s->priv->open_size;
}

int spa_close(struct spa *s, struct lcpfs_error *err)
{
	int rc = 0;

	if (!s)
		return 0;
	if (end_is_stale(s)) {
		/* a config that was changed since the last commit goes with the other changes */
		struct uberblock last = *vdev_current(s->vdev);

		rc = vdev_select(s->vdev, &last, err);
		if (!rc)
			rc = vdev_finish_image(s->vdev, err);
	}
	spa_destroy(s);
	return rc;
}

int spa_may_write(struct spa *s, struct lcpfs_error *err)
{
	if (s->dead) {
		if (err)
			*err = s->dead_err;
		return s->dead;
	}
	return s->writable ? 0 : lcpfs_fail(err, LCPFS_EROFS, "%s is open read-only", s->name);
}

uint64_t spa_new_id(struct spa *s)
{
	s->changed = true;
	return s->next_guid++;
}

uint64_t spa_guid(struct spa *s, const char *purpose, uint64_t n)
{
	struct blake3 b;
	uint8_t raw[8], out[8];

	le_store(raw, 8, n);
	blake3_init(&b);
	blake3_update(&b, vdev_config(s->vdev)->uuid, 16);
	blake3_update(&b, purpose, strlen(purpose));
	blake3_update(&b, raw, 8);
	blake3_final(&b, 0, out, 8);
	return le_load(out, 8);
}
