/* SPDX-License-Identifier: Apache-2.0 */
/* ls: sorting and printing. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ls/ls.h"

void items_add(struct items *l, const char *name, const struct lcpfs_stat *st)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->v = cmd_realloc(l->v, l->cap, sizeof *l->v);
	}
	l->v[l->n++] = (struct item){ .name = cmd_strdup(name), .st = *st };
}

void items_fini(struct items *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].name);
		free(l->v[i].target);
	}
	free(l->v);
}

static int newer_first(const struct lcpfs_time *a, const struct lcpfs_time *b)
{
	if (a->sec != b->sec)
		return a->sec < b->sec ? 1 : -1;
	return a->nsec == b->nsec ? 0 : a->nsec < b->nsec ? 1 : -1;
}

static int compare(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;
	int c = 0;

	if (ls.sort == 't')
		c = newer_first(&a->st.mtime, &b->st.mtime);
	else if (ls.sort == 'S' && a->st.size != b->st.size)
		c = a->st.size < b->st.size ? 1 : -1;
	if (!c)
		c = strcmp(a->name, b->name);
	return ls.reverse ? -c : c;
}

void items_sort(struct items *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof *l->v, compare);
}

int show_targets(struct lcpfs_dataset *ds, const char *dir, struct items *l)
{
	int status = CMD_OK;

	for (size_t i = 0; i < l->n && (ls.longs || cmd.json); i++) {
		struct lcpfs_error err = { 0 };
		char *path;
		if (!S_ISLNK(l->v[i].st.mode))
			continue;
		path = cmd_path_join(dir, l->v[i].name);
		if (lcpfs_readlink(ds, path, &l->v[i].target, &err))
			status = cmd_worse(status, cmd_fail(&err, "cannot read the link '%s'", path));
		free(path);
	}
	return status;
}

static const char *class_mark(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR: return "/";
	case S_IFLNK: return "@";
	case S_IFIFO: return "|";
	case S_IFSOCK: return "=";
	case S_IFREG: return mode & 0111 ? "*" : "";
	default: return "";
	}
}

static void put_item_name(const struct item *it)
{
	cmd_put_name(it->name);
	if (it->target && ls.longs) {
		fputs(" -> ", stdout);
		cmd_put_name(it->target);
	} else if (ls.classify) {
		fputs(class_mark(it->st.mode), stdout);
	}
}

/* Widths of the columns of -l. */
struct widths { int ino, links, user, group, size; };

static int digits(uint64_t v)
{
	int n = 1;

	while (v > 9) {
		v /= 10;
		n++;
	}
	return n;
}

static void widen(int *w, int n)
{
	if (n > *w)
		*w = n;
}

static void size_text(char out[32], const struct lcpfs_stat *st)
{
	if (S_ISCHR(st->mode) || S_ISBLK(st->mode))
		snprintf(out, 32, "%u, %u", st->rdev_major, st->rdev_minor);
	else if (ls.human)
		cmd_human(out, st->size);
	else
		snprintf(out, 32, "%" PRIu64, st->size);
}

static const char *user_text(uint32_t uid)
{
	static char buf[16];

	if (!ls.numeric)
		return cmd_user_name(uid);
	snprintf(buf, sizeof buf, "%u", uid);
	return buf;
}

static const char *group_text(uint32_t gid)
{
	static char buf[16];

	if (!ls.numeric)
		return cmd_group_name(gid);
	snprintf(buf, sizeof buf, "%u", gid);
	return buf;
}

static struct widths measure(const struct items *l)
{
	struct widths w = { 0 };
	char buf[32];

	for (size_t i = 0; i < l->n; i++) {
		const struct lcpfs_stat *st = &l->v[i].st;
		size_text(buf, st);
		widen(&w.ino, digits(st->ino));
		widen(&w.links, digits(st->nlink));
		widen(&w.user, (int)strlen(user_text(st->uid)));
		widen(&w.group, (int)strlen(group_text(st->gid)));
		widen(&w.size, (int)strlen(buf));
	}
	return w;
}

static void show_long(const struct items *l)
{
	struct widths w = measure(l);

	for (size_t i = 0; i < l->n; i++) {
		const struct lcpfs_stat *st = &l->v[i].st;
		char mode[11], size[32], when[64];
		cmd_mode_string(mode, st->mode);
		size_text(size, st);
		cmd_time_local(when, &st->mtime, NULL);
		if (ls.inode)
			printf("%*" PRIu64 " ", w.ino, st->ino);
		printf("%s %*u %-*s ", mode, w.links, st->nlink, w.user, user_text(st->uid));
		printf("%-*s %*s %s ", w.group, group_text(st->gid), w.size, size, when);
		put_item_name(&l->v[i]);
		cmd_put_eol();
	}
}

static size_t item_width(const struct item *it)
{
	size_t n = cmd_name_width(it->name);

	if (ls.inode)
		n += (size_t)digits(it->st.ino) + 1;
	if (ls.classify)
		n += strlen(class_mark(it->st.mode));
	return n;
}

static void put_short(const struct item *it)
{
	if (ls.inode)
		printf("%" PRIu64 " ", it->st.ino);
	put_item_name(it);
}

/* Columns filled downwards, all as wide as the widest entry. */
static void show_columns(const struct items *l, size_t terminal)
{
	size_t width = 1, cols, rows;

	for (size_t i = 0; i < l->n; i++) {
		size_t n = item_width(&l->v[i]) + 2;
		width = n > width ? n : width;
	}
	cols = terminal / width ? terminal / width : 1;
	rows = (l->n + cols - 1) / cols;
	for (size_t r = 0; r < rows; r++) {
		for (size_t i = r; i < l->n; i += rows) {
			put_short(&l->v[i]);
			if (i + rows < l->n)
				printf("%*s", (int)(width - item_width(&l->v[i])), "");
		}
		putchar('\n');
	}
}

void show_items(const struct items *l)
{
	struct winsize ws = { .ws_col = 80 };

	if (ls.longs) {
		show_long(l);
		return;
	}
	if (!ls.one && !cmd.nul && isatty(STDOUT_FILENO)) {
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws);
		show_columns(l, ws.ws_col ? ws.ws_col : 80);
		return;
	}
	for (size_t i = 0; i < l->n; i++) {
		put_short(&l->v[i]);
		cmd_put_eol();
	}
}

void show_json(struct cmd_json *j, const char *dir, const struct items *l)
{
	for (size_t i = 0; i < l->n; i++) {
		char *path = dir ? cmd_path_join(dir, l->v[i].name) : cmd_strdup(l->v[i].name);
		cmd_json_object(j, NULL);
		cmd_json_name(j, "path", path);
		cmd_json_name(j, "name", cmd_basename(path));
		cmd_json_stat(j, &l->v[i].st);
		if (l->v[i].target)
			cmd_json_name(j, "target", l->v[i].target);
		cmd_json_end(j);
		free(path);
	}
}
