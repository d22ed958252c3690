/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that hash. The caller's thread reads, piece by piece; each file is hashed by one thread, which may begin while the file is
 * still being read. Results leave in the order in which files came.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "sums.h"

#define PIECE ((size_t)1 << 20)

struct piece { struct piece *next; size_t len; unsigned char data[]; };
struct file {
	struct file *next;
	struct piece *first, **last;
	bool whole, done, dropped; /* whole: all pieces are there; dropped: it could not be read */
	uint64_t size;
	struct sums sums;
	char path[];
};
struct crew {
	pthread_mutex_t lock;
	pthread_cond_t work, room;
	struct file *head, **tail, *untaken;
	size_t bytes, window;
	bool stop;
	const char *const *algos;
	unsigned n_algos, n_threads;
	struct thread { pthread_t id; struct crew *c; struct lcpfs_hasher *h[ALGOS_MAX]; } *threads;
	crew_done *done;
	void *arg;
};

static void hex(char *out, const unsigned char *raw, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[raw[i] >> 4];
		*out++ = digits[raw[i] & 15];
	}
	*out = 0;
}

/* With the lock held: a file that nobody hashes yet. */
static struct file *take(struct crew *c)
{
	struct file *f = c->untaken;

	if (f)
		c->untaken = f->next;
	return f;
}

/* With the lock held, which is let go of while hashing. */
static void hash_file(struct thread *t, struct file *f)
{
	struct crew *c = t->c;
	unsigned char raw[LCPFS_HASH_MAX];

	for (;;) {
		struct piece *p = f->first;

		if (!p && (f->whole || c->stop))
			break;
		if (!p) {
			pthread_cond_wait(&c->work, &c->lock);
			continue;
		}
		f->first = p->next;
		if (!f->first)
			f->last = &f->first;
		pthread_mutex_unlock(&c->lock);
		for (unsigned i = 0; i < c->n_algos; i++)
			lcpfs_hasher_update(t->h[i], p->data, p->len);
		pthread_mutex_lock(&c->lock);
		c->bytes -= PIECE;
		free(p);
		pthread_cond_signal(&c->room);
	}
	for (unsigned i = 0; i < c->n_algos; i++)
		hex(f->sums.hex[i], raw, lcpfs_hasher_final(t->h[i], raw));
	f->done = true;
	pthread_cond_signal(&c->room);
}

static void *worker(void *arg)
{
	struct thread *t = arg;
	struct file *f;

	pthread_mutex_lock(&t->c->lock);
	while (!t->c->stop) {
		f = take(t->c);
		if (f)
			hash_file(t, f);
		else
			pthread_cond_wait(&t->c->work, &t->c->lock);
	}
	pthread_mutex_unlock(&t->c->lock);
	return NULL;
}

/* With the lock held: results of the oldest files leave. all: wait for every one. */
static int deliver(struct crew *c, bool all, struct lcpfs_error *err)
{
	int rc = 0;

	while (!rc && c->head && (all || c->head->done)) {
		struct file *f = c->head;

		if (!f->done) {
			pthread_cond_wait(&c->room, &c->lock);
			continue;
		}
		c->head = f->next;
		if (!c->head)
			c->tail = &c->head;
		pthread_mutex_unlock(&c->lock);
		if (!f->dropped)
			rc = c->done(c->arg, f->path, f->size, &f->sums, err);
		free(f);
		pthread_mutex_lock(&c->lock);
	}
	return rc;
}

static int add_piece(struct crew *c, struct file *f, struct piece *p, struct lcpfs_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	while (!rc && c->bytes + PIECE > c->window) {
		rc = deliver(c, false, err);
		if (!rc && c->bytes + PIECE > c->window)
			pthread_cond_wait(&c->room, &c->lock);
	}
	c->bytes += PIECE;
	p->next = NULL;
	*f->last = p;
	f->last = &p->next;
	f->size += p->len;
	pthread_cond_broadcast(&c->work);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* rc: of reading it. */
static int close_file(struct crew *c, struct file *f, int rc, struct lcpfs_error *err)
{
	pthread_mutex_lock(&c->lock);
	f->whole = true;
	f->dropped = rc != 0;
	pthread_cond_broadcast(&c->work);
	if (!rc)
		rc = deliver(c, false, err);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static struct file *new_file(struct crew *c, const char *path)
{
	struct file *f = cmd_alloc(sizeof *f + strlen(path) + 1);

	memcpy(f->path, path, strlen(path) + 1);
	f->last = &f->first;
	pthread_mutex_lock(&c->lock);
	*c->tail = f;
	c->tail = &f->next;
	if (!c->untaken)
		c->untaken = f;
	pthread_mutex_unlock(&c->lock);
	return f;
}

int crew_file(struct crew *c, struct lcpfs_dataset *ds, uint64_t ino, const char *path, struct lcpfs_error *err)
{
	struct file *f = new_file(c, path);
	struct lcpfs_file *in = NULL;
	size_t want = PIECE;
	uint64_t off = 0;
	int rc = lcpfs_file_open_ino(&in, ds, ino, err);

	for (bool more = !rc; more && !rc; off += PIECE) {
		struct piece *p;

		want = lcpfs_file_size(in) - off < PIECE ? (size_t)(lcpfs_file_size(in) - off) : PIECE;
		p = cmd_alloc(sizeof *p + want);
		rc = want ? lcpfs_file_pread(in, p->data, want, off, &p->len, err) : 0;
		more = p->len == PIECE;
		if (!rc && p->len)
			rc = add_piece(c, f, p, err);
		else
			free(p);
	}
	lcpfs_file_close(in, NULL);
	return close_file(c, f, rc, err);
}

int crew_wait(struct crew *c, struct lcpfs_error *err)
{
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = deliver(c, true, err);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int crew_create(struct crew **out, const char *const *algos, unsigned n, unsigned threads, size_t window, crew_done *done, void *arg,
                struct lcpfs_error *err)
{
	struct crew *c = cmd_alloc(sizeof *c);
	int rc = 0;

	*c = (struct crew){ .tail = &c->head, .window = window, .algos = algos, .n_algos = n, .done = done, .arg = arg };
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, NULL);
	pthread_cond_init(&c->room, NULL);
	c->threads = cmd_alloc(threads * sizeof *c->threads);
	*out = c;
	for (; !rc && c->n_threads < threads; c->n_threads++) {
		struct thread *t = &c->threads[c->n_threads];

		t->c = c;
		for (unsigned i = 0; i < n && !rc; i++)
			rc = lcpfs_hasher_create(&t->h[i], algos[i], err);
		if (!rc && pthread_create(&t->id, NULL, worker, t))
			rc = cmd_err(err, LCPFS_ENOMEM, "no more threads can be started");
		if (rc)
			break;
	}
	return rc;
}

void crew_destroy(struct crew *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->work);
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->n_threads; i++)
		pthread_join(c->threads[i].id, NULL);
	for (unsigned i = 0; i < c->n_threads; i++)
		for (unsigned k = 0; k < c->n_algos; k++)
			lcpfs_hasher_destroy(c->threads[i].h[k]);
	while (c->head) {
		struct file *f = c->head;

		c->head = f->next;
		while (f->first) {
			struct piece *p = f->first;
			f->first = p->next;
			free(p);
		}
		free(f);
	}
	free(c->threads);
	free(c);
}
