/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crew: files made on several threads. What is added becomes jobs, runs of entries in the order they came, cut where the content's
 * group changes, so that whoever does a job decodes what its files share once. The calling thread works too while the queue is full and
 * in the end, so one thread does everything in order.
 *
 * Invariants
 *  (1) Jobs are begun in order and retired in order, by the calling thread. Warnings are told and failures returned at retirement: which
 *      ones, and their order, does not depend on the number of threads.
 *  (2) The directories that entries are in were made before the entries were added.
 *  (3) A file of many pieces is opened when it is added and completed when the job with its last piece is retired.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "host/host_impl.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOB_BYTES (1u << 20) /* a job is at least so much content, if it is one group's, */
#define JOB_ENTRIES 512u     /* or so many entries */
#define BIG_BYTES (4u << 20) /* files beyond this are worked on piece by piece */
#define THREADS_MAX 64u

struct told {
	struct told *next;
	char *path;
	struct lcpfs_error why;
};
/* A file of many pieces. */
struct big {
	struct entry e;
	struct entry_content *c;
	int fd;               /* -1: complete, or could not be made */
	unsigned refs;        /* the caller's thread only */
	bool has_mode;
	pthread_mutex_t lock; /* for what follows */
	uint64_t end;
	size_t bad;           /* the lowest piece that could not be read, and why */
	struct lcpfs_error why;
};
struct item {
	struct entry e;
	struct entry_content *c;
	struct told *told;    /* this and nothing else */
	struct big *big;      /* pieces from..to of this; */
	size_t from, to;
};
enum job_state { QUEUED, RUNNING, DONE };
struct job {
	struct job *next, *next_todo;
	struct item *item;
	size_t n, cap;
	uint64_t bytes, group;
	bool strip_acl, left_out;
	enum job_state state; /* under the crew's lock */
	int rc;
	struct lcpfs_error err;
	struct told *told, **told_tail;
};
struct hand {
	struct maker mk;
	struct entry_scratch scratch;
	struct job *job;
};
struct crew {
	struct warner *w;
	unsigned threads, n_started;
	struct thread *thread[THREADS_MAX];
	struct hand *hand;     /* [0] is the caller's */
	struct job *open;      /* being filled */
	bool left_out;         /* something was, in what is retired */
	bool strip_acl;
	int dead;              /* the failure that was told, and its words */
	struct lcpfs_error why;

	pthread_mutex_t lock;  /* for what follows */
	pthread_cond_t work, done;
	struct job *head, **tail, *todo, **todo_tail;
	unsigned n_jobs, next_hand;
	bool stop, failed;
};

static void told_free(struct told *t)
{
	if (t)
		free(t->path);
	free(t);
}

static void content_free(struct entry_content *c)
{
	if (c)
		c->ops->free(c);
}

/* One that is not complete disappears. */
static void big_drop(struct crew *w, struct big *b)
{
	struct maker *m = &w->hand[0].mk;
	const char *slash = strrchr(b->e.path, '/');

	if (b->fd >= 0 && !host_go(&m->at, b->e.path, slash ? (size_t)(slash - b->e.path) : 0, NULL, NULL, NULL)) {
		host_maker_name(m, &b->e);
		m->fd = b->fd;
		host_maker_drop(m);
	} else if (b->fd >= 0) {
		close(b->fd);
	}
	b->fd = -1;
}

static void big_put(struct crew *w, struct big *b)
{
	if (!b || --b->refs)
		return;
	big_drop(w, b);
	content_free(b->c);
	entry_fini(&b->e);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static void job_free(struct crew *w, struct job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		struct item *it = &j->item[i];

		entry_fini(&it->e);
		content_free(it->c);
		told_free(it->told);
		big_put(w, it->big);
	}
	while (j->told) {
		struct told *t = j->told;

		j->told = t->next;
		told_free(t);
	}
	free(j->item);
	free(j);
}

/* ---- a job, on any thread ---- */

static struct told *told_new(const char *path, const struct lcpfs_error *why)
{
	struct told *t = calloc(1, sizeof *t);

	if (t && !(t->path = strdup(path))) {
		free(t);
		t = NULL;
	}
	if (t)
		t->why = *why;
	return t;
}

static void job_told(struct job *j, struct told *t)
{
	if (!t)
		return;
	t->next = NULL;
	*j->told_tail = t;
	j->told_tail = &t->next;
}

static void warn_job(void *arg, const char *path, const struct lcpfs_error *why)
{
	struct hand *h = arg;

	job_told(h->job, told_new(path, why));
}

static int do_pieces(struct hand *h, struct entry_content *c, const struct entry *e, struct lcpfs_error *err)
{
	bool told = false;

	for (size_t i = 0; c && i < c->n; i++) {
		struct lcpfs_error why;
		const void *data;
		uint64_t off;
		size_t len;
		int rc;

		error_none(&why);
		rc = c->ops->read(c, i, &h->scratch, &off, &data, &len, &why);
		if (rc == 1 && !told) {
			warner_tell(&h->mk.w, e->path, &why);
			told = true;
		} else if (rc < 0) {
			*err = why;
		}
		if (!rc)
			rc = host_maker_write(&h->mk, off, data, len, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int go_and_begin(struct maker *m, const struct entry *e, struct lcpfs_error *err)
{
	const char *slash = strrchr(e->path, '/');
	int rc;

	host_maker_name(m, e);
	rc = host_go(&m->at, e->path, slash ? (size_t)(slash - e->path) : 0, NULL, NULL, err);
	if (!rc)
		rc = host_maker_begin(m, e, err);
	if (rc)
		m->skip = true;
	return rc ? lcpfs_within(err, rc, PATH_SHOWN, e->path) : 0;
}

static int do_entry(struct hand *h, struct item *it, struct lcpfs_error *err)
{
	int rc = go_and_begin(&h->mk, &it->e, err);

	if (!rc && !h->mk.skip)
		rc = do_pieces(h, it->c, &it->e, err);
	if (rc)
		host_maker_drop(&h->mk);
	return rc ? rc : host_maker_end(&h->mk, err);
}

static int do_big(struct hand *h, struct item *it, struct lcpfs_error *err)
{
	struct big *b = it->big;

	for (size_t i = it->from; i < it->to; i++) {
		struct lcpfs_error why = { 0 };
		const void *data;
		uint64_t off, end = 0;
		size_t len;
		int rc = b->c->ops->read(b->c, i, &h->scratch, &off, &data, &len, &why);

		if (!rc)
			rc = host_write_data(b->fd, &b->e, off, data, len, &end, &why);
		pthread_mutex_lock(&b->lock);
		b->end = MAX(b->end, end);
		if (rc == 1 && i < b->bad) {
			b->bad = i;
			b->why = why;
		}
		pthread_mutex_unlock(&b->lock);
		if (rc < 0) {
			*err = why;
			return rc;
		}
	}
	return 0;
}

static void do_job(struct hand *h, struct job *j)
{
	h->job = j;
	h->mk.w = (struct warner){ .fn = warn_job, .arg = h };
	h->mk.left_out = false;
	h->mk.restore.strip_acl = j->strip_acl;
	for (size_t i = 0; !j->rc && i < j->n; i++) {
		struct item *it = &j->item[i];

		if (it->told) {
			job_told(j, it->told);
			it->told = NULL;
		} else {
			j->rc = it->big ? do_big(h, it, &j->err) : do_entry(h, it, &j->err);
		}
	}
	j->left_out = h->mk.left_out;
}

/* With the lock, which is given up meanwhile: the next job is done, or passed over after a failure. */
static void run_next(struct crew *w, struct hand *h)
{
	struct job *j = w->todo;
	bool skip = w->failed;

	w->todo = j->next_todo;
	if (!w->todo)
		w->todo_tail = &w->todo;
	j->state = RUNNING;
	pthread_mutex_unlock(&w->lock);
	if (!skip)
		do_job(h, j);
	pthread_mutex_lock(&w->lock);
	j->state = DONE;
	if (j->rc)
		w->failed = true;
	pthread_cond_signal(&w->done);
}

static void worker(void *arg)
{
	struct crew *w = arg;
	struct hand *h;

	pthread_mutex_lock(&w->lock);
	h = &w->hand[w->next_hand++];
	while (!w->stop) {
		if (w->todo)
			run_next(w, h);
		else
			pthread_cond_wait(&w->work, &w->lock);
	}
	pthread_mutex_unlock(&w->lock);
}

/* ---- the caller's side ---- */

static int big_end(struct crew *w, struct big *b, struct lcpfs_error *err)
{
	struct maker *m = &w->hand[0].mk;
	const char *slash = strrchr(b->e.path, '/');
	int rc;

	if (b->bad < b->c->n)
		warner_tell(w->w, b->e.path, &b->why);
	rc = host_go(&m->at, b->e.path, slash ? (size_t)(slash - b->e.path) : 0, NULL, NULL, err);
	if (rc)
		return lcpfs_within(err, rc, PATH_SHOWN, b->e.path);
	host_maker_name(m, &b->e);
	m->w = *w->w;
	m->fd = b->fd;
	m->end = b->end;
	m->has_mode = b->has_mode;
	b->fd = -1;
	rc = host_maker_end(m, err);
	*w->w = m->w;
	return rc;
}

static int retire(struct crew *w, struct job *j, struct lcpfs_error *err)
{
	int rc = 0;

	for (struct told *t = j->told; t; t = t->next)
		warner_tell(w->w, t->path, &t->why);
	w->left_out |= j->left_out;
	for (size_t i = 0; !rc && !j->rc && i < j->n; i++)
		if (j->item[i].big && j->item[i].to == j->item[i].big->c->n)
			rc = big_end(w, j->item[i].big, err);
	if (j->rc && err)
		*err = j->err;
	return rc ? rc : j->rc;
}

/* With the lock: retire what is done, in order, until at most `keep` jobs are left. */
static int reduce(struct crew *w, unsigned keep, struct lcpfs_error *err)
{
	while (w->n_jobs > keep || (w->head && w->head->state == DONE)) {
		struct job *j = w->head;

		if (j->state == DONE) {
			w->head = j->next;
			if (!w->head)
				w->tail = &w->head;
			w->n_jobs--;
			pthread_mutex_unlock(&w->lock);
			if (!w->dead)
				w->dead = retire(w, j, &w->why);
			job_free(w, j);
			pthread_mutex_lock(&w->lock);
			if (w->dead)
				w->failed = true;
		} else if (w->todo) {
			run_next(w, &w->hand[0]);
		} else {
			pthread_cond_wait(&w->done, &w->lock);
		}
	}
	if (w->dead && err)
		*err = w->why;
	return w->dead;
}

static int start_threads(struct crew *w, struct lcpfs_error *err)
{
	while (w->n_started + 1 < w->threads) {
		int rc = thread_start(&w->thread[w->n_started], worker, w, err);

		if (rc)
			return rc;
		w->n_started++;
	}
	return 0;
}

static int submit(struct crew *w, unsigned keep, struct lcpfs_error *err)
{
	struct job *j = w->open;
	int rc = j && keep ? start_threads(w, err) : 0;

	if (rc)
		return rc;
	w->open = NULL;
	pthread_mutex_lock(&w->lock);
	if (j) {
		*w->tail = *w->todo_tail = j;
		w->tail = &j->next;
		w->todo_tail = &j->next_todo;
		w->n_jobs++;
		pthread_cond_signal(&w->work);
	}
	rc = reduce(w, keep, err);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* Room for one more item in the open job. */
static struct item *item_new(struct crew *w, struct lcpfs_error *err)
{
	struct job *j = w->open;

	if (!j) {
		j = calloc(1, sizeof *j);
		if (!j) {
			lcpfs_nomem(err);
			return NULL;
		}
		j->told_tail = &j->told;
		j->strip_acl = w->strip_acl;
		w->open = j;
	}
	if (j->n == j->cap) {
		size_t cap = j->cap ? j->cap * 2 : 16;
		struct item *p = realloc(j->item, cap * sizeof *p);

		if (!p) {
			lcpfs_nomem(err);
			return NULL;
		}
		j->item = p;
		j->cap = cap;
	}
	j->item[j->n] = (struct item){ 0 };
	return &j->item[j->n++];
}

/* The open job goes out when the next entry would not belong to it. */
static int make_room(struct crew *w, const struct entry_content *c, struct lcpfs_error *err)
{
	const struct job *j = w->open;
	bool other = j && c && c->group && c->group != j->group;

	if (!j || (j->n < JOB_ENTRIES && j->bytes < 4 * JOB_BYTES && !(other && j->bytes >= JOB_BYTES / 4) && j->strip_acl == w->strip_acl))
		return 0;
	return submit(w, w->threads * 4, err);
}

/* Pieces from..to as a job of their own. */
static int add_pieces(struct crew *w, struct big *b, size_t from, size_t to, struct lcpfs_error *err)
{
	struct item *it = item_new(w, err);

	if (!it)
		return -LCPFS_ENOMEM;
	it->big = b;
	it->from = from;
	it->to = to;
	b->refs++;
	return submit(w, w->threads * 4, err);
}

static int add_big(struct crew *w, struct entry *e, struct entry_content *c, struct lcpfs_error *err)
{
	size_t per = (size_t)MAX(c->n / MAX(c->bytes / JOB_BYTES, 1), 1);
	struct maker *m = &w->hand[0].mk;
	struct big *b = calloc(1, sizeof *b);
	int rc;

	if (!b)
		return lcpfs_nomem(err);
	*b = (struct big){ .e = *e, .c = c, .fd = -1, .bad = SIZE_MAX, .refs = 1 };
	*e = (struct entry){ 0 };
	pthread_mutex_init(&b->lock, NULL);
	rc = submit(w, w->threads * 4, err);
	m->w = *w->w;
	m->restore.strip_acl = w->strip_acl;
	if (!rc && (rc = go_and_begin(m, &b->e, err)) == 0)
		b->fd = m->fd;
	b->has_mode = m->has_mode;
	m->fd = -1;
	for (size_t at = 0; !rc && at < c->n; at += per)
		rc = add_pieces(w, b, at, MIN(at + per, c->n), err);
	big_put(w, b);
	return rc;
}

int host_crew_add(struct crew *w, struct entry *e, struct entry_content *c, bool strip_acl, struct lcpfs_error *err)
{
	struct item *it;
	int rc;

	w->strip_acl = strip_acl;
	if (c && c->bytes > BIG_BYTES && c->n > 1) {
		return add_big(w, e, c, err);
	}
	rc = make_room(w, c, err);
	it = rc ? NULL : item_new(w, err);
	if (!it) {
		content_free(c);
		return rc ? rc : -LCPFS_ENOMEM;
	}
	it->e = *e;
	it->c = c;
	*e = (struct entry){ 0 };
	if (c) {
		w->open->bytes += c->bytes;
		w->open->group = c->group;
	}
	return 0;
}

void host_crew_tell(struct crew *w, const char *path, const struct lcpfs_error *why)
{
	struct told *t = told_new(path, why);
	struct item *it = t ? item_new(w, NULL) : NULL;

	if (it)
		it->told = t;
	else
		told_free(t);
}

int host_crew_drain(struct crew *w, bool *left_out, struct lcpfs_error *err)
{
	int rc = submit(w, 0, err);

	*left_out |= w->left_out;
	return rc;
}

int host_crew_create(struct crew **out, int root_fd, uint32_t flags, unsigned threads, struct warner *told, struct lcpfs_error *err)
{
	struct crew *w = calloc(1, sizeof *w);
	int rc = w ? 0 : lcpfs_nomem(err);

	if (rc)
		return rc;
	w->w = told;
	w->threads = MIN(MAX(threads, 1), THREADS_MAX);
	w->next_hand = 1;
	w->tail = &w->head;
	w->todo_tail = &w->todo;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	pthread_cond_init(&w->done, NULL);
	w->hand = calloc(w->threads, sizeof *w->hand);
	if (!w->hand)
		rc = lcpfs_nomem(err);
	for (unsigned i = 0; !rc && i < w->threads; i++)
		rc = host_maker_init(&w->hand[i].mk, root_fd, flags, MAX(DIRSTACK_WINDOW / w->threads, 2), err);
	if (rc) {
		host_crew_destroy(w);
		return rc;
	}
	*out = w;
	return 0;
}

void host_crew_destroy(struct crew *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->work);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->n_started; i++)
		thread_join(w->thread[i]);
	if (w->open)
		job_free(w, w->open);
	while (w->head) {
		struct job *j = w->head;

		w->head = j->next;
		job_free(w, j);
	}
	for (unsigned i = 0; w->hand && i < w->threads; i++) {
		host_maker_fini(&w->hand[i].mk);
		entry_scratch_fini(&w->hand[i].scratch);
	}
	free(w->hand);
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->done);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
