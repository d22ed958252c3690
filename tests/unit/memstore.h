/* SPDX-License-Identifier: Apache-2.0 */
/* A store for tree tests: nodes in an array, kills checked; a killed node cannot be read. Data pointers are numbers that are alive or not. */
#ifndef MEMSTORE_H
#define MEMSTORE_H
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "btree/btree.h"
#include "tap.h"

struct mem_node {
	uint8_t *mem;
	uint32_t nptr, body_len;
	uint64_t birth;
	uint8_t level;
	bool live;
};
struct memstore {
	struct btree_store s;
	struct mem_node *v;
	size_t n, cap, n_live, n_data, data_live, reads, data_cap;
	uint8_t *data;        /* alive? by number */
	uint64_t txg, keep;   /* kills of births up to `keep` are a snapshot's: ignored */
	uint64_t bad_addr;    /* reads of it fail */
	bool wrong_kill;
	uint64_t submits, fail_every;
};

static inline struct mem_node *mem_at(struct memstore *m, uint64_t addr)
{
	uint32_t i = (uint32_t)addr - 1;

	return addr >> 32 == 1 && i < m->n ? &m->v[i] : NULL;
}

static inline int mem_read(struct btree_store *s, const struct blkptr *bp, uint8_t **out, uint32_t *nptr, struct lcpfs_error *err)
{
	struct memstore *m = (struct memstore *)s;
	struct mem_node *n = mem_at(m, bp->addr);
	size_t len;

	m->reads++;
	if (!n || !n->live || bp->addr == m->bad_addr || n->birth != bp->birth || n->level != bp->level || n->body_len != bp->lsize)
		return lcpfs_fail(err, LCPFS_ECSUM, "bad node");
	len = (size_t)n->nptr * PTR_LEN + n->body_len;
	*out = malloc(len);
	memcpy(*out, n->mem, len);
	*nptr = n->nptr;
	return 0;
}

static inline int mem_write(struct btree_store *s, unsigned level, uint64_t guid, const uint8_t *ptrs, uint32_t nptr,
                            const uint8_t *body, uint32_t body_len, struct blkptr *bp, struct lcpfs_error *err)
{
	struct memstore *m = (struct memstore *)s;
	struct mem_node *n;
	size_t plen = (size_t)nptr * PTR_LEN;

	(void)guid, (void)err;
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 64;
		m->v = realloc(m->v, m->cap * sizeof *m->v);
	}
	n = &m->v[m->n++];
	*n = (struct mem_node){ malloc(plen + body_len), nptr, body_len, m->txg, (uint8_t)level, true };
	if (plen)
		memcpy(n->mem, ptrs, plen);
	memcpy(n->mem + plen, body, body_len);
	m->n_live++;
	*bp = (struct blkptr){ .addr = ptr_addr(1, (uint32_t)m->n), .birth = m->txg, .kind = PTR_NODE, .level = (uint8_t)level,
		.flags = nptr ? 0 : PTR_NOPTR, .csum = 1, .lsize = body_len, .psize = (uint32_t)(NODE_HDR + plen + body_len) };
	return 0;
}

static inline int mem_kill(struct btree_store *s, void *owner, const struct blkptr *bp, bool is_node, struct lcpfs_error *err)
{
	struct memstore *m = (struct memstore *)s;

	(void)owner, (void)err;
	if (bp->birth <= m->keep)
		return 0;
	if (is_node) {
		struct mem_node *n = mem_at(m, bp->addr);

		if (!n || !n->live || n->birth != bp->birth || n->level != bp->level)
			m->wrong_kill = true;
		else
			n->live = false, m->n_live--, free(n->mem), n->mem = NULL;
	} else {
		uint32_t i = (uint32_t)bp->addr - 1;

		if (i >= m->n_data || !m->data[i])
			m->wrong_kill = true;
		else
			m->data[i] = 0, m->data_live--;
	}
	return 0;
}

/* Done at once; every `fail_every`th fails. */
static inline int mem_submit(struct btree_store *s, unsigned level, uint64_t guid, const uint8_t *ptrs_body, uint32_t nptr, uint32_t body_len,
                             void (*done)(void *arg, int rc, const struct blkptr *bp, const struct lcpfs_error *why), void *arg,
                             struct lcpfs_error *err)
{
	struct memstore *m = (struct memstore *)s;
	struct lcpfs_error why = { 0 };
	struct blkptr bp;
	int rc;

	(void)err;
	m->submits++;
	if (m->fail_every && m->submits % m->fail_every == 0)
		rc = lcpfs_fail(&why, LCPFS_ENOSPC, "no room");
	else
		rc = mem_write(s, level, guid, ptrs_body, nptr, ptrs_body + (size_t)nptr * PTR_LEN, body_len, &bp, &why);
	done(arg, rc, rc ? NULL : &bp, rc ? &why : NULL);
	return 0;
}

static const struct btree_store_ops mem_ops = { mem_read, mem_write, mem_kill, mem_submit };

static inline void mem_init(struct memstore *m, size_t arc_cap)
{
	*m = (struct memstore){ .s = { &mem_ops, arc_cap ? arc_create(arc_cap) : NULL }, .txg = 1 };
}

static inline void mem_fini(struct memstore *m)
{
	arc_destroy(m->s.arc);
	for (size_t i = 0; i < m->n; i++)
		free(m->v[i].mem);
	free(m->v);
	free(m->data);
}

/* A new data pointer, alive. */
static inline struct blkptr mem_data(struct memstore *m)
{
	if (m->n_data == m->data_cap) {
		m->data_cap = m->data_cap ? m->data_cap * 2 : 64;
		m->data = realloc(m->data, m->data_cap);
	}
	m->data[m->n_data++] = 1;
	m->data_live++;
	return (struct blkptr){ .addr = ptr_addr(2, (uint32_t)m->n_data), .birth = m->txg, .kind = PTR_DATA, .csum = 1,
		.lsize = 4096, .psize = 4096 };
}

struct mem_count { struct memstore *m; size_t nodes, data; bool dead; };

static inline int mem_count_visit(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct mem_count *c = arg;

	(void)err;
	if (bp->kind == PTR_NODE) {
		c->nodes++;
		c->dead |= !mem_at(c->m, bp->addr)->live;
	} else {
		c->data++;
		c->dead |= !c->m->data[(uint32_t)bp->addr - 1];
	}
	return 0;
}

/* What a walk reaches is what is alive; for a store that holds this one tree and no snapshots. */
static inline bool mem_exact(struct memstore *m, const struct blkptr *root)
{
	struct mem_count c = { .m = m };
	struct btree_walk w = { .visit = mem_count_visit, .arg = &c };

	return !btree_walk_ptrs(&m->s, root, &w, NULL) && !c.dead && !m->wrong_kill && c.nodes == m->n_live &&
	    c.data == m->data_live;
}
#endif
