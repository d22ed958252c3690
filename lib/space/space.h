/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space: which allocation units of each chunk are used, in memory, and choosing where a block goes.
 *
 * Two bits per unit: `used` is what the bitmap pages say (blocks, but never nodes of the space tree), `busy` is what may not be
 * allocated: used now, used in one of the last K space trees, or holding a node of one of those trees.
 * Pages (2^15 units) are loaded on demand through a hook; spa loads and saves them in the space tree.
 *
 * Invariants
 *  (1) used implies busy.  (2) Only units with busy clear are allocated.
 *  (3) What commit t freed stays busy until commit t+1 is published (K = 2), and while a root older than t is pinned.
 *  (4) Units allocated and freed between two commits are free again when space_release_fresh is called: nothing published names
 *      them. Not at once: threads may be placing blocks just then, and where those go must not depend on who was first.
 * Any thread; one lock.
 */
#ifndef SPACE_H
#define SPACE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "lcpfs/error.h"

#define SPACE_PAGE_UNITS 32768u
#define SPACE_PAGE_BYTES (SPACE_PAGE_UNITS / 8)

struct space;
/* Fill used[] of a page as the newest space tree has it, and busy_extra[] as older kept trees have it (zeroed before). */
typedef int space_load_fn(void *arg, uint32_t chunk, uint32_t page, uint8_t used[SPACE_PAGE_BYTES],
                          uint8_t busy_extra[SPACE_PAGE_BYTES], struct lcpfs_error *err);
/* Free units of a page as the newest space tree has it, without loading it. */
typedef int space_peek_fn(void *arg, uint32_t chunk, uint32_t page, uint32_t *n_free, struct lcpfs_error *err);
struct space *space_create(space_load_fn *load, space_peek_fn *peek, void *arg);
void space_destroy(struct space *s);

/* What a chunk is there for, and what room is looked for. */
enum { SPACE_NONE = 0, SPACE_DATA = 1, SPACE_META = 2, SPACE_ANY = SPACE_DATA | SPACE_META };
/* Chunks known: `sectors` long now, unit 2^ashift bytes. A later call may lengthen it, or cut off what is not busy. */
int space_set_chunk(struct space *s, uint32_t chunk, uint32_t sectors, unsigned ashift, unsigned kinds, struct lcpfs_error *err);

/*
 * Find room for `sectors` in a chunk for one of `kinds` and mark it used (counted) or only busy (a node of the space tree). First
 * fit, ascending over chunks. LCPFS_ENOSPC when there is no run: the caller grows the pool and tries again.
 */
int space_alloc(struct space *s, unsigned kinds, uint32_t sectors, bool counted, uint64_t *addr, struct lcpfs_error *err);
/*
 * Sectors that are free for things of `piece` sectors each that are not divided, in chunks only for nodes (SPACE_META) or in those for data;
 * stops at `enough`. Loads pages; what cannot be read counts as full.
 */
uint64_t space_in_pieces(struct space *s, unsigned kinds, uint32_t piece, uint64_t enough);
/* 1: nothing is used in the last K space trees, nor holds a node of them, nor was freed and is not settled; loads its pages. */
int space_chunk_empty(struct space *s, uint32_t chunk, struct lcpfs_error *err);
/* An empty chunk is no more; nothing is being placed. */
void space_drop_chunk(struct space *s, uint32_t chunk);
/*
 * Sectors that are free in runs of at least `run` sectors, counted in whole runs; stops at `enough`. Loads pages, the last first. What cannot
 * be read counts as full.
 */
uint64_t space_in_runs(struct space *s, uint32_t run, uint64_t enough);
/*
 * Give up a block. `fresh`: allocated since the last commit, allocatable when released; else when settled. Freeing what is not used is
 * LCPFS_ECORRUPT (a double free), nothing changes.
 */
int space_free(struct space *s, uint64_t addr, uint32_t sectors, bool counted, bool fresh, struct lcpfs_error *err);
/* Nothing is being placed: what was freed as fresh joins the free units. */
void space_release_fresh(struct space *s);
/*
 * At open: this range holds a node of a kept space tree (busy, not used). One of the newest tree is freed by
 * space_free(counted = false); old_only: the newest tree lacks it, so it settles with the next commit.
 */
int space_overlay(struct space *s, uint64_t addr, uint32_t sectors, bool old_only, struct lcpfs_error *err);

/* Whether the page is in memory; and its used units become those of `used`, and with `keep` stay those that were: what is not any more settles like what is freed. */
bool space_page_loaded(struct space *s, uint32_t chunk, uint32_t page);
int space_set_page(struct space *s, uint32_t chunk, uint32_t page, const uint8_t used[SPACE_PAGE_BYTES], bool keep,
                   struct lcpfs_error *err);
/*
 * What of this range may be allocated now may not any more, as long as the handle lives: an older root that is being read has it. What lies in
 * no chunk is left out. Units that the newest commit freed need no protection before the next one.
 */
int space_protect(struct space *s, uint64_t addr, uint32_t sectors, struct lcpfs_error *err);

/* Pages changed since the last call, ascending: free units and the encoded page value (9.1); absent data = all free: delete the item. */
typedef int space_page_fn(void *arg, uint32_t chunk, uint32_t page, const uint8_t *value, size_t len, struct lcpfs_error *err);
int space_dirty_pages(struct space *s, space_page_fn *fn, void *arg, struct lcpfs_error *err);
/* The commit is published: what the commit before it freed joins the free units. fn (may be NULL) sees each settled range. */
void space_settle(struct space *s, void (*fn)(void *arg, uint64_t addr, uint32_t sectors), void *arg);

/* Sectors that the chunks have, that are used, and that cannot be allocated now (as far as pages were loaded). */
void space_totals(struct space *s, uint64_t *total_sectors, uint64_t *used_sectors, uint64_t *busy_sectors);
/* Sectors that were freed and cannot be allocated before a later commit. */
uint64_t space_unsettled(struct space *s);
void space_set_used(struct space *s, uint64_t used_sectors); /* at open, from the uberblock */
/* First sector of `chunk` beyond everything used or busy (for trimming the last column); loads its pages. */
int space_high_water(struct space *s, uint32_t chunk, uint32_t *sector, struct lcpfs_error *err);

/* Page values: { u32 free, u8 enc, data }. */
enum { PAGE_ALL_FREE = 0, PAGE_ALL_USED = 1, PAGE_RLE = 2, PAGE_RAW = 3 };
void space_page_encode(const uint8_t used[SPACE_PAGE_BYTES], struct buf *out);
int space_page_decode(uint8_t used[SPACE_PAGE_BYTES], const uint8_t *val, size_t len, struct lcpfs_error *err);
#endif
