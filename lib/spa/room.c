/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for what is not divided, and what empty chunks give back
 * A block of data lies in one piece, so that bytes are free is not enough: there must be runs for it, in chunks that data may use, also after the
 * nodes of the same commit took theirs. What was admitted is kept in mind: nodes get no chunk of their own at its cost.
 */
#include "base/error.h"
#include "base/util.h"
#include "spa/spa_impl.h"

#define BLOCK_MAX (16 * MiB) /* no block decodes to more */
#define PIECES_SPARE (64 * MiB)

static uint64_t data_pieces(struct spa *s, uint64_t piece, uint64_t enough)
{
	uint64_t have = space_in_pieces(s->space, SPACE_DATA, (uint32_t)(piece / SECTOR), enough / SECTOR) * SECTOR, more;

	if (have >= enough)
		return have;
	more = vdev_growable_pieces(s->vdev, piece);
	return add_overflow(have, more, &have) ? UINT64_MAX : have;
}

/* What was counted last is good until half of what it had to spare was allocated. */
static bool known_to_fit(struct spa *s, uint64_t piece, uint64_t need)
{
	struct spa_private *p = s->priv;
	uint64_t sectors, used, busy, taken;

	space_totals(s->space, &sectors, &used, &busy);
	taken = busy > p->pieces_busy ? 2 * (busy - p->pieces_busy) * SECTOR : 0;
	return piece <= p->piece_counted && p->pieces >= taken && p->pieces - taken >= need;
}

static uint64_t power_above(uint64_t n)
{
	uint64_t p = 64 * KiB;

	while (p < n)
		p *= 2;
	return p;
}

/* Then it does not matter what begins where. */
static bool in_one_run(struct spa *s, uint64_t bytes)
{
	bytes = round_up(bytes + NODE_ROOM, (uint64_t)SECTOR);
	return bytes <= (uint64_t)UINT32_MAX && data_pieces(s, bytes, bytes) >= bytes;
}

/* Nodes that find no room among their own begin at the front of a run for data, and where that ends in another one. */
static uint64_t nodes_among_data(uint64_t nodes, uint64_t piece)
{
	if (!nodes)
		return 0;
	return piece < 8 * NODE_ROOM ? 2 * nodes + piece : round_up(nodes + NODE_ROOM, piece);
}

bool spa_data_fits(struct spa *s, uint64_t extra, uint64_t in_flight, uint64_t nodes, bool exactly)
{
	struct spa_private *p = s->priv;
	uint64_t piece = MIN(round_up(MAX(extra, in_flight ? p->promised_piece : 0), (uint64_t)SECTOR), BLOCK_MAX), need, meta, among, sectors, used;

	if (!extra || vdev_growable(s->vdev) == UINT64_MAX)
		return true;
	if (!exactly)
		piece = MIN(power_above(piece), BLOCK_MAX);
	need = round_up(extra + in_flight, piece);
	if (!known_to_fit(s, piece, need + nodes + piece)) {
		meta = space_in_pieces(s->space, SPACE_META, (uint32_t)(NODE_ROOM / SECTOR), nodes / SECTOR + 1) * SECTOR;
		among = nodes > meta ? nodes - meta : 0;
		nodes = nodes_among_data(among, piece);
		p->pieces = data_pieces(s, piece, need + nodes + PIECES_SPARE);
		p->piece_counted = piece;
		space_totals(s->space, &sectors, &used, &p->pieces_busy);
		if (p->pieces < need + nodes && !in_one_run(s, extra + in_flight + among))
			return false;
	}
	p->promised = need;
	p->promised_piece = MAX(p->promised_piece, piece);
	return true;
}

bool spa_keeps_promise(struct spa *s, uint64_t bytes)
{
	struct spa_private *p = s->priv;
	uint64_t need = p->promised + bytes + p->promised_piece;

	p->pieces = 0;
	return !p->promised || data_pieces(s, p->promised_piece, need) >= need;
}

/* ---- empty chunks ---- */

static int drop_chunk(struct spa *s, uint32_t id, struct lcpfs_error *err)
{
	/* what was written there and given up may still wait to be written */
	int rc = zio_push(s->zio, err);

	if (rc)
		return rc;
	space_drop_chunk(s->space, id);
	vdev_drop(s->vdev, id);
	s->priv->runs = s->priv->pieces = 0;
	return 0;
}

static bool may_drop(const struct spa *s)
{
	return vdev_has_classes(s->vdev) && !s->priv->pages.valid && !s->priv->prev_pages.valid && !s->priv->repair;
}

/* The last first, and none below `first`. */
static int drop_empty(struct spa *s, uint32_t first, bool only_meta, bool *any, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(s->vdev);

	*any = false;
	for (uint32_t i = c->n_chunks; i-- > first; ) {
		const struct cfg_chunk *k = &c->chunks[i];
		bool takes_part = k->state == CHUNK_ACTIVE && (k->cls == CLASS_META || (k->cls == CLASS_DATA && !only_meta));
		int rc = takes_part ? space_chunk_empty(s->space, k->id, err) : 0;

		if (rc == 1) {
			*any = true;
			rc = drop_chunk(s, k->id, err);
		}
		if (rc)
			return rc;
	}
	return 0;
}

static int stretch(struct spa *s, struct lcpfs_error *err)
{
	int rc = vdev_stretch(s->vdev, err);

	return rc ? rc : spa_sync_chunks(s, err);
}

int spa_reclaim(struct spa *s, bool *any, struct lcpfs_error *err)
{
	int rc = 0;

	*any = false;
	if (may_drop(s))
		rc = drop_empty(s, 0, false, any, err);
	return rc || !*any ? rc : stretch(s, err);
}

/* Of nodes' chunks the first empty one stays, for the next commit; the others go when that is worth a new config. */
int spa_reclaim_nodes(struct spa *s, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(s->vdev);
	uint64_t empty = 0, total = 0;
	uint32_t first = UINT32_MAX;
	bool any;
	int rc = 0;

	if (!may_drop(s))
		return 0;
	for (uint32_t i = 0; i < c->n_chunks; i++) {
		const struct cfg_chunk *k = &c->chunks[i];

		total += (uint64_t)k->col_units * k->width;
		rc = k->cls == CLASS_META && k->state == CHUNK_ACTIVE ? space_chunk_empty(s->space, k->id, err) : 0;
		if (rc < 0)
			return rc;
		if (rc && first != UINT32_MAX)
			empty += (uint64_t)k->col_units * k->width;
		first = rc ? MIN(first, i + 1) : first;
	}
	if (!empty || empty < total / 16)
		return 0;
	rc = drop_empty(s, first, true, &any, err);
	return rc ? rc : stretch(s, err);
}
