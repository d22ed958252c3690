/* SPDX-License-Identifier: Apache-2.0 */
/* find: the tests. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "find/find.h"

bool find_and(const struct node *n, struct subject *s) { return n->a->eval(n->a, s) && n->b->eval(n->b, s); }
bool find_or(const struct node *n, struct subject *s) { return n->a->eval(n->a, s) || n->b->eval(n->b, s); }
bool find_not(const struct node *n, struct subject *s) { return !n->a->eval(n->a, s); }

bool find_true(const struct node *n, struct subject *s)
{
	(void)n;
	(void)s;
	return true;
}

bool find_false(const struct node *n, struct subject *s)
{
	(void)n;
	(void)s;
	return false;
}

bool find_prune(const struct node *n, struct subject *s)
{
	(void)n;
	return s->prune = true;
}

bool find_quit(const struct node *n, struct subject *s)
{
	(void)n;
	return s->quit = true;
}

static bool compare(const struct node *n, uint64_t v)
{
	return n->cmp == '+' ? v > n->num : n->cmp == '-' ? v < n->num : v == n->num;
}

static bool match_name(const struct node *n, const struct subject *s, int flags)
{
	return !fnmatch(n->text, *s->e->name ? s->e->name : "/", flags);
}

bool find_name(const struct node *n, struct subject *s) { return match_name(n, s, 0); }
bool find_iname(const struct node *n, struct subject *s) { return match_name(n, s, FNM_CASEFOLD); }

static bool match_path(const struct node *n, const struct subject *s, int flags)
{
	char *path = cmd_printf("/%s", s->e->path);
	bool yes = !fnmatch(n->text, path, flags);

	free(path);
	return yes;
}

bool find_path(const struct node *n, struct subject *s) { return match_path(n, s, 0); }
bool find_ipath(const struct node *n, struct subject *s) { return match_path(n, s, FNM_CASEFOLD); }
bool find_type(const struct node *n, struct subject *s) { return n->types >> ((s->e->st->mode & S_IFMT) >> 12) & 1; }

/* Sizes are rounded up to the unit, as find does: -size -1M is only true of empty files. */
bool find_size(const struct node *n, struct subject *s)
{
	return compare(n, s->e->st->size / n->unit + (s->e->st->size % n->unit != 0));
}

static const struct lcpfs_time *time_of(const struct node *n, const struct subject *s)
{
	const struct lcpfs_stat *st = s->e->st;

	return n->types == 'a' ? &st->atime : n->types == 'c' ? &st->ctime : n->types == 'B' ? &st->btime : &st->mtime;
}

static bool age(const struct node *n, struct subject *s, int64_t unit)
{
	int64_t sec;

	if (__builtin_sub_overflow(n->time.sec, time_of(n, s)->sec, &sec))
		return false;
	if (sec < 0)
		return n->cmp == '-';
	return compare(n, (uint64_t)(sec / unit));
}

bool find_days(const struct node *n, struct subject *s) { return age(n, s, 86400); }
bool find_minutes(const struct node *n, struct subject *s) { return age(n, s, 60); }

bool find_newer(const struct node *n, struct subject *s)
{
	const struct lcpfs_time *t = time_of(n, s);

	return t->sec > n->time.sec || (t->sec == n->time.sec && t->nsec > n->time.nsec);
}

bool find_perm(const struct node *n, struct subject *s)
{
	uint32_t mode = s->e->st->mode & 07777, want = (uint32_t)n->num;

	if (n->cmp == '-')
		return (mode & want) == want;
	if (n->cmp == '/')
		return !want || (mode & want);
	return mode == want;
}

bool find_uid(const struct node *n, struct subject *s) { return compare(n, s->e->st->uid); }
bool find_gid(const struct node *n, struct subject *s) { return compare(n, s->e->st->gid); }
bool find_links(const struct node *n, struct subject *s) { return compare(n, s->e->st->nlink); }
bool find_inum(const struct node *n, struct subject *s) { return compare(n, s->e->st->ino); }

static int one_is_enough(void *arg, const struct lcpfs_dirent *de, struct lcpfs_error *err)
{
	(void)de;
	(void)err;
	*(bool *)arg = true;
	return 1;
}

bool find_empty(const struct node *n, struct subject *s)
{
	struct lcpfs_error err = { 0 };
	bool any = false;

	(void)n;
	if (S_ISREG(s->e->st->mode))
		return !s->e->st->size;
	if (!S_ISDIR(s->e->st->mode))
		return false;
	if (lcpfs_readdir(s->ds, s->e->path, false, one_is_enough, &any, &err) < 0) {
		*s->status = cmd_worse(*s->status, cmd_fail(&err, "cannot list '%s'", s->e->path));
		return false;
	}
	return !any;
}
