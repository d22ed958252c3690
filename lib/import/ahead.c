/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ahead: a source whose entries and contents are there before they are asked for. Threads take turns: one walks on through the source
 * behind, the others decode what was found; whoever reads takes everything in order.
 *
 * Contents of a group, and each piece of a longer file, are a block: decoded by one thread into memory of its own, where it stays until
 * the reader is through with it. The memory goes round.
 *
 * Invariants
 *  (1) The list has everything in the order of the source, warnings too, so what the reader sees does not depend on the threads.
 *  (2) Blocks are begun in order, so the one the reader waits for is done or under way.
 *  (3) The pieces of an entry follow it at once: they are put into the list together.
 */
#include "import/import.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define THREADS_MAX 64u
#define WALK_ENTRIES 256u   /* put into the list at a time, if no block is cut by it, */
#define WALK_MAX 4096u      /* or else */
#define WALK_BYTES (1u << 20)
#define ITEMS_MAX 16384u

struct memory { struct memory *next; struct entry_scratch s; };
struct block {
	struct block *next;
	struct item *item, **tail;
	size_t n, bytes;
	uint64_t group;
	struct memory *m;
	bool done;           /* under the lock */
};
struct item {
	struct item *next, *next_in_block;
	bool is_entry;       /* e; and its first piece, if it has one */
	struct entry e;
	struct entry_content *c;
	bool owns;           /* c: the last piece */
	size_t piece;
	struct block *block; /* NULL: no piece */
	struct lcpfs_error *why; /* of a warning: e.path and this; of a piece: rc != 0 */
	int rc;
	uint64_t off;
	const void *data;
	size_t len;
};
struct list { struct item *head, **tail; struct block *blocks, **blocks_tail; size_t n, bytes; };

struct ahead {
	struct entry_source src;
	struct entry_source *from;
	unsigned threads, n_started;
	struct thread *thread[THREADS_MAX];
	entry_warn_fn *warn;
	void *warn_arg;
	size_t window;
	struct list *found;  /* by the walk that is under way */
	struct entry kept;   /* found, but for the next walk */
	struct entry_content *kept_c;
	/* the reader's */
	struct entry *e;
	struct item *cur;    /* whose piece was given out, or comes next (not `given`) */
	bool given, told;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t work, ready;
	struct list list;     /* blocks: those not begun */
	struct memory *spare;
	bool walking, stop;
	int end;              /* what the source said in the end, 0: not yet */
	struct lcpfs_error why;
};

static void list_init(struct list *l)
{
	*l = (struct list){ .tail = &l->head, .blocks_tail = &l->blocks };
}

static struct item *item_new(struct list *l)
{
	struct item *it = calloc(1, sizeof *it);

	if (it) {
		*l->tail = it;
		l->tail = &it->next;
		l->n++;
	}
	return it;
}

/* ---- walking ---- */

/* Into the block, or a new one. */
static int join(struct list *l, struct block **open, struct item *it, size_t bytes, struct lcpfs_error *err)
{
	struct block *b = *open;

	if (!b || !it->c->group || b->group != it->c->group) {
		b = calloc(1, sizeof *b);
		if (!b)
			return lcpfs_nomem(err);
		b->group = it->c->group;
		b->tail = &b->item;
		*l->blocks_tail = b;
		l->blocks_tail = &b->next;
		*open = b;
	}
	*b->tail = it;
	b->tail = &it->next_in_block;
	it->block = b;
	b->n++;
	b->bytes += bytes;
	l->bytes += bytes;
	return 0;
}

static int add_entry(struct list *l, struct block **open, struct entry *e, struct entry_content *c, struct lcpfs_error *err)
{
	struct item *it = item_new(l);
	int rc = 0;

	if (!it) {
		if (c)
			c->ops->free(c);
		return lcpfs_nomem(err);
	}
	it->is_entry = true;
	it->e = *e;
	*e = (struct entry){ 0 };
	it->c = c;
	for (size_t i = 0; !rc && c && i < c->n; i++) {
		struct item *next = i ? item_new(l) : it;

		if (!next) {
			it->owns = true;
			return lcpfs_nomem(err);
		}
		it = next;
		it->c = c;
		it->piece = i;
		rc = join(l, open, it, (size_t)(c->bytes / c->n), err);
	}
	it->owns = c != NULL;
	return rc;
}

/* From the source until there is enough for now. Not under the lock: `walking` keeps others away. */
static int walk(struct ahead *a, struct list *l, struct lcpfs_error *err)
{
	struct block *open = NULL;

	while (l->n < WALK_MAX && (open || l->n < WALK_ENTRIES)) {
		struct entry_content *c = a->kept_c;
		struct entry e = a->kept;
		int rc = 0;

		a->kept = (struct entry){ 0 };
		a->kept_c = NULL;
		if (!e.path) {
			rc = a->from->ops->next(a->from, &e, err);
			if (!rc && S_ISREG(e.mode) && !(e.flags & ENTRY_HARDLINK))
				rc = a->from->ops->detach(a->from, &c, err);
		}
		if (!rc && c && open && l->bytes >= WALK_BYTES && (!c->group || c->group != open->group)) {
			a->kept = e; /* it begins another block, which must not be cut */
			a->kept_c = c;
			return 0;
		}
		if (!rc)
			rc = add_entry(l, &open, &e, c, err);
		entry_fini(&e);
		if (rc)
			return rc;
	}
	return 0;
}

static void append(struct ahead *a, struct list *l)
{
	if (l->head) {
		*a->list.tail = l->head;
		a->list.tail = l->tail;
	}
	if (l->blocks) {
		*a->list.blocks_tail = l->blocks;
		a->list.blocks_tail = l->blocks_tail;
	}
	a->list.n += l->n;
	a->list.bytes += l->bytes;
}

void ahead_tell(struct entry_source *src, const char *path, const struct lcpfs_error *why)
{
	struct item *it = item_new(((struct ahead *)src)->found);

	if (!it)
		return;
	it->e.path = strdup(path);
	it->why = malloc(sizeof *why);
	if (it->why)
		*it->why = *why;
}

/* With the lock, given up meanwhile. */
static void walk_on(struct ahead *a)
{
	struct lcpfs_error why = { 0 };
	struct list l;
	int rc;

	list_init(&l);
	a->walking = true;
	a->found = &l;
	pthread_mutex_unlock(&a->lock);
	rc = walk(a, &l, &why);
	pthread_mutex_lock(&a->lock);
	a->walking = false;
	append(a, &l);
	if (rc) {
		a->end = rc;
		a->why = why;
	}
	pthread_cond_broadcast(&a->work);
	pthread_cond_signal(&a->ready);
}

/* ---- decoding ---- */

static void read_item(struct item *it, struct entry_scratch *s)
{
	struct lcpfs_error why = { 0 };

	it->rc = it->c->ops->read(it->c, it->piece, s, &it->off, &it->data, &it->len, &why);
	if (it->rc && (it->why = malloc(sizeof why)))
		*it->why = why;
}

/* With the lock, given up meanwhile: the first block that is not begun. */
static void decode_next(struct ahead *a)
{
	struct block *b = a->list.blocks;
	struct memory *m = a->spare;

	a->list.blocks = b->next;
	if (!b->next)
		a->list.blocks_tail = &a->list.blocks;
	if (m)
		a->spare = m->next;
	pthread_mutex_unlock(&a->lock);
	if (!m)
		m = calloc(1, sizeof *m);
	for (struct item *it = b->item; it; it = it->next_in_block) {
		if (m)
			read_item(it, &m->s);
		else
			it->rc = -LCPFS_ENOMEM;
	}
	pthread_mutex_lock(&a->lock);
	b->m = m;
	b->done = true;
	pthread_cond_signal(&a->ready);
}

static bool may_walk(const struct ahead *a)
{
	return !a->walking && !a->end && a->list.bytes < a->window && a->list.n < ITEMS_MAX;
}

/* With the lock: do something useful. false: there is nothing. */
static bool step(struct ahead *a)
{
	/* what is found is decoded first, unless that is soon all */
	if (may_walk(a) && (!a->list.blocks || a->list.bytes < a->window / 2))
		walk_on(a);
	else if (a->list.blocks)
		decode_next(a);
	else
		return false;
	return true;
}

static void worker(void *arg)
{
	struct ahead *a = arg;

	pthread_mutex_lock(&a->lock);
	while (!a->stop)
		if (!step(a))
			pthread_cond_wait(&a->work, &a->lock);
	pthread_mutex_unlock(&a->lock);
}

/* ---- the reader ---- */

/* With the lock: until b is done. */
static void await(struct ahead *a, const struct block *b)
{
	while (!b->done) {
		if (a->list.blocks)
			decode_next(a);
		else
			pthread_cond_wait(&a->ready, &a->lock);
	}
}

static void item_free(struct item *it)
{
	entry_fini(&it->e);
	free(it->why);
	if (it->owns)
		it->c->ops->free(it->c);
	free(it);
}

/* The reader is through with it. With the lock. */
static void let_go(struct ahead *a, struct item *it)
{
	struct block *b = it ? it->block : NULL;

	if (b) {
		await(a, b);
		if (!--b->n) {
			if (b->m) {
				entry_scratch_release(&b->m->s);
				b->m->next = a->spare;
				a->spare = b->m;
			}
			a->list.bytes -= b->bytes;
			free(b);
			pthread_cond_signal(&a->work);
		}
	}
	if (it)
		item_free(it);
}

/* The first of the list, which it leaves; NULL at the end. With the lock. */
static struct item *take(struct ahead *a)
{
	struct item *it;

	while (!a->list.head && (!a->end || a->walking)) {
		if (!may_walk(a))
			pthread_cond_wait(&a->ready, &a->lock);
		else
			walk_on(a);
	}
	it = a->list.head;
	if (!it)
		return NULL;
	a->list.head = it->next;
	if (!it->next)
		a->list.tail = &a->list.head;
	if (a->list.n-- == ITEMS_MAX / 2)
		pthread_cond_signal(&a->work);
	return it;
}

static int start_threads(struct ahead *a, struct lcpfs_error *err)
{
	while (a->n_started + 1 < a->threads) {
		int rc = thread_start(&a->thread[a->n_started], worker, a, err);

		if (rc)
			return rc;
		a->n_started++;
	}
	return 0;
}

static int ahead_next(struct entry_source *src, struct entry *e, struct lcpfs_error *err)
{
	struct ahead *a = (struct ahead *)src;
	struct item *it;
	int rc = start_threads(a, err);

	*e = (struct entry){ 0 };
	if (rc)
		return rc;
	pthread_mutex_lock(&a->lock);
	let_go(a, a->cur);
	a->cur = NULL;
	while ((it = take(a)) && (!it->is_entry)) {
		pthread_mutex_unlock(&a->lock);
		if (!it->c && it->why && it->e.path)
			a->warn(a->warn_arg, it->e.path, it->why);
		pthread_mutex_lock(&a->lock);
		let_go(a, it);
	}
	pthread_mutex_unlock(&a->lock);
	if (!it) {
		if (err && a->end < 0)
			*err = a->why;
		return a->end;
	}
	*e = it->e;
	it->e = (struct entry){ 0 };
	a->e = e;
	a->cur = it;
	a->given = a->told = false;
	return 0;
}

/* The next piece of the entry as a->cur. 1: there is none. */
static int next_piece(struct ahead *a)
{
	bool more = a->cur && a->cur->block;

	pthread_mutex_lock(&a->lock);
	if (more && a->given) {
		more = !a->cur->owns;
		if (more) {
			struct item *it = take(a);

			let_go(a, a->cur);
			a->cur = it;
		}
	}
	if (more)
		await(a, a->cur->block);
	pthread_mutex_unlock(&a->lock);
	a->given = true;
	return !more;
}

static int ahead_view(struct entry_source *src, const void **data, uint64_t *off, size_t *got, struct lcpfs_error *err)
{
	struct ahead *a = (struct ahead *)src;

	*got = 0;
	while (!next_piece(a)) {
		const struct item *it = a->cur;

		if (it->rc < 0) {
			if (it->why && err)
				*err = *it->why;
			return it->why ? it->rc : lcpfs_nomem(err);
		}
		if (!it->rc) {
			*data = it->data;
			*off = it->off;
			*got = it->len;
			return 0;
		}
		if (!a->told && it->why)
			a->warn(a->warn_arg, a->e->path, it->why);
		a->told = true;
		a->e->flags |= ENTRY_DATA_UNREAD;
	}
	return 0;
}

static void ahead_close(struct entry_source *src)
{
	struct ahead *a = (struct ahead *)src;

	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_broadcast(&a->work);
	pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < a->n_started; i++)
		thread_join(a->thread[i]);
	for (struct block *b = a->list.blocks; b; b = b->next)
		b->done = true;
	let_go(a, a->cur);
	while (a->list.head) {
		struct item *it = a->list.head;

		a->list.head = it->next;
		let_go(a, it);
	}
	while (a->spare) {
		struct memory *m = a->spare;

		a->spare = m->next;
		entry_scratch_fini(&m->s);
		free(m);
	}
	entry_fini(&a->kept);
	if (a->kept_c)
		a->kept_c->ops->free(a->kept_c);
	a->from->ops->close(a->from);
	pthread_cond_destroy(&a->work);
	pthread_cond_destroy(&a->ready);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static const struct entry_source_ops ahead_ops = { .next = ahead_next, .view = ahead_view, .close = ahead_close };

int ahead_open(struct entry_source **out, struct entry_source *from, const struct ahead_opts *o, struct lcpfs_error *err)
{
	struct ahead *a = calloc(1, sizeof *a);

	if (!a)
		return lcpfs_nomem(err);
	a->src.ops = &ahead_ops;
	a->from = from;
	a->threads = MIN(MAX(o->threads, 1), THREADS_MAX);
	a->window = MAX(o->window_bytes, 2 * WALK_BYTES);
	a->warn = o->warn;
	a->warn_arg = o->warn_arg;
	list_init(&a->list);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, NULL);
	pthread_cond_init(&a->ready, NULL);
	*out = &a->src;
	return 0;
}
