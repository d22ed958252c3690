/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the root that a pool was opened at is whole: one scan, which leaves out what an earlier one has seen to be whole. */
#include "check/verify.h"
#include "check/check_impl.h"
#include <stdio.h>
#include <string.h>

/* Open addressing; a node is known only if the scan that met it ended well, which `sound` of its turn says. */
struct known_slot { uint64_t key; uint32_t turn; };
struct verify_known {
	struct known_slot *slot;
	size_t cap, n;
	bool *sound;
	uint32_t turns;
};

struct verify_known *verify_known_create(size_t bytes)
{
	struct verify_known *k = calloc(1, sizeof *k);
	size_t cap = 1024;

	while (cap * 2 * sizeof *k->slot <= bytes)
		cap *= 2;
	if (k && !(k->slot = calloc(cap, sizeof *k->slot))) {
		free(k);
		return NULL;
	}
	if (k)
		k->cap = cap;
	return k;
}

void verify_known_destroy(struct verify_known *k)
{
	if (!k)
		return;
	free(k->slot);
	free(k->sound);
	free(k);
}

static bool known_turn(struct verify_known *k, struct lcpfs_error *err)
{
	bool *p = realloc(k->sound, (k->turns + 1) * sizeof *p);

	if (!p) {
		lcpfs_nomem(err);
		return false;
	}
	k->sound = p;
	p[k->turns++] = false;
	return true;
}

/* True: it is known to be whole. Else it is noted for this turn. */
static bool known_or_note(struct verify_known *k, const struct blkptr *bp)
{
	uint64_t key = (le_load(bp->hash, 8) ^ bp->addr * 0x9e3779b97f4a7c15u) | 1;
	size_t i = (size_t)(key >> 7) & (k->cap - 1);

	while (k->slot[i].key && k->slot[i].key != key)
		i = (i + 1) & (k->cap - 1);
	if (k->slot[i].key) {
		if (k->sound[k->slot[i].turn])
			return true;
		k->slot[i].turn = k->turns - 1;
	} else if (k->n < k->cap / 4 * 3) {
		k->slot[i] = (struct known_slot){ key, k->turns - 1 };
		k->n++;
	}
	return false;
}

static int claim_known(void *arg, const struct blkptr *bp, uint32_t ds, struct lcpfs_error *err)
{
	(void)ds, (void)err;
	return bp->kind == PTR_NODE && known_or_note(arg, bp) ? 1 : 0;
}

int verify_root(struct spa *s, bool data, struct verify_known *known, const struct lcpfs_check_opts *o, struct verify_result *out,
                struct lcpfs_error *err)
{
	struct check ck;
	struct scan sc = { .ck = &ck, .verify = true, .data = data, .claim = known ? claim_known : NULL, .arg = known };
	int rc = 0;

	ck_init(&ck, s, o);
	ck.phase = "verify";
	if (known && !known_turn(known, err))
		rc = -LCPFS_ENOMEM;
	if (!rc)
		rc = ck_load(&ck, false, err);
	if (!rc)
		rc = scan_run(&sc, false, err);
	*out = (struct verify_result){ .blocks = sc.blocks, .bytes = sc.bytes, .bad = sc.bad };
	for (size_t i = 0; i < sc.n_dmg; i++)
		out->bad_nodes += sc.dmg[i].bp.kind == PTR_NODE;
	if (sc.n_dmg)
		snprintf(out->why, sizeof out->why, "%s", sc.dmg[0].why);
	if (known && !rc)
		known->sound[known->turns - 1] = !sc.bad;
	scan_fini(&sc);
	ck_fini(&ck);
	return rc;
}

struct each { verify_ptr_fn *fn; void *arg; bool pool; };

static int claim_each(void *arg, const struct blkptr *bp, uint32_t ds, struct lcpfs_error *err)
{
	struct each *e = arg;

	return ds == CK_POOL && !e->pool ? 0 : e->fn(e->arg, bp, err);
}

int verify_each_ptr(struct spa *s, bool pool, bool space, verify_ptr_fn *fn, void *arg, struct lcpfs_error *err)
{
	struct check ck;
	struct each e = { fn, arg, pool };
	struct scan sc = { .ck = &ck, .claim = claim_each, .arg = &e };
	int rc;

	ck_init(&ck, s, NULL);
	rc = ck_load(&ck, false, err);
	if (!rc)
		rc = scan_run(&sc, space, err);
	scan_fini(&sc);
	ck_fini(&ck);
	return rc;
}
