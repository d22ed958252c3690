/* SPDX-License-Identifier: Apache-2.0 */
/* ls: sorting and printing. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ls/ls.h"

static size_t add_text(struct items *l, const char *s)
{
	size_t n = strlen(s) + 1, at;

	if (!l->len)
		l->len = 1; /* 0 means none */
	if (l->len + n > l->text_cap) {
		l->text_cap = 2 * (l->len + n) + 4096;
		l->text = cmd_realloc(l->text, l->text_cap, 1);
	}
	at = l->len;
	memcpy(l->text + at, s, n);
	l->len += n;
	return at;
}

void items_add(struct items *l, const char *name, const struct lcpfs_stat *st, const char *target)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->v = cmd_realloc(l->v, l->cap, sizeof *l->v);
	}
	l->v[l->n].name = add_text(l, name);
	l->v[l->n].target = target ? add_text(l, target) : 0;
	l->v[l->n++].st = *st;
}

void items_target(struct items *l, size_t i, const char *target)
{
	size_t at = add_text(l, target);

	l->v[i].target = at;
}

void items_clear(struct items *l)
{
	l->n = 0;
	l->len = 0;
}

void items_fini(struct items *l)
{
	free(l->v);
	free(l->text);
}

static int newer_first(const struct lcpfs_time *a, const struct lcpfs_time *b)
{
	if (a->sec != b->sec)
		return a->sec < b->sec ? 1 : -1;
	return a->nsec == b->nsec ? 0 : a->nsec < b->nsec ? 1 : -1;
}

static int compare(const void *pa, const void *pb, void *arg)
{
	const struct item *a = pa, *b = pb;
	const struct items *l = arg;
	int c = 0;

	if (ls.sort == 't')
		c = newer_first(&a->st.mtime, &b->st.mtime);
	else if (ls.sort == 'S' && a->st.size != b->st.size)
		c = a->st.size < b->st.size ? 1 : -1;
	if (!c)
		c = strcmp(item_name(l, a), item_name(l, b));
	return ls.reverse ? -c : c;
}

void items_sort(struct items *l)
{
	/* they come sorted by name */
	for (size_t i = 1; i < l->n; i++) {
		if (compare(&l->v[i - 1], &l->v[i], l) <= 0)
			continue;
		qsort_r(l->v, l->n, sizeof *l->v, compare, l);
		return;
	}
}

int show_targets(struct lcpfs_dataset *ds, const char *dir, struct items *l)
{
	int status = CMD_OK;

	for (size_t i = 0; i < l->n && (ls.longs || cmd.json); i++) {
		struct lcpfs_error err = { 0 };
		char *path, *target = NULL;
		if (!S_ISLNK(l->v[i].st.mode) || l->v[i].target)
			continue;
		path = cmd_path_join(dir, item_name(l, &l->v[i]));
		if (lcpfs_readlink(ds, path, &target, &err))
			status = cmd_worse(status, cmd_fail(&err, "cannot read the link '%s'", path));
		if (target)
			items_target(l, i, target);
		free(target);
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

static void put_item_name(const struct items *l, const struct item *it)
{
	cmd_put_name(item_name(l, it));
	if (it->target && ls.longs) {
		fputs(" -> ", stdout);
		cmd_put_name(item_target(l, it));
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

/* v in decimal at the end of a field `width` wide; returns behind it. */
static char *put_number(char *p, uint64_t v, int width)
{
	int n = digits(v);

	for (; width > n; width--)
		*p++ = ' ';
	for (int i = n; i-- > 0; v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + n;
}

/* At the begin of a field, and a space. */
static char *put_text(char *p, const char *s, int width)
{
	int n = (int)strlen(s);

	memcpy(p, s, (size_t)n);
	for (; n < width; n++)
		p[n] = ' ';
	p[n] = ' ';
	return p + n + 1;
}

/* Length of the text in `out`, which is not always needed: a plain size is just its digits. */
static int size_text(char out[32], const struct lcpfs_stat *st)
{
	if (S_ISCHR(st->mode) || S_ISBLK(st->mode))
		return snprintf(out, 32, "%u, %u", st->rdev_major, st->rdev_minor);
	if (ls.human)
		return (int)strlen(cmd_human(out, st->size));
	*put_number(out, st->size, 0) = 0;
	return digits(st->size);
}

static const char *id_text(uint32_t id, const char *(*name)(uint32_t), char buf[16])
{
	if (!ls.numeric)
		return name(id);
	*put_number(buf, id, 0) = 0;
	return buf;
}

static struct widths measure(const struct items *l)
{
	struct widths w = { 0 };
	char buf[32];

	for (size_t i = 0; i < l->n; i++) {
		const struct lcpfs_stat *st = &l->v[i].st;

		widen(&w.ino, digits(st->ino));
		widen(&w.links, digits(st->nlink));
		widen(&w.size, size_text(buf, st));
		widen(&w.user, (int)strlen(id_text(st->uid, cmd_user_name, buf)));
		widen(&w.group, (int)strlen(id_text(st->gid, cmd_group_name, buf)));
	}
	return w;
}

static void show_long(const struct items *l)
{
	struct widths w = measure(l);

	for (size_t i = 0; i < l->n; i++) {
		const struct lcpfs_stat *st = &l->v[i].st;
		char line[512], size[64], id[16], *p = line;

		if (ls.inode) {
			p = put_number(p, st->ino, w.ino);
			*p++ = ' ';
		}
		cmd_mode_string(p, st->mode);
		p[10] = ' ';
		p = put_number(p + 11, st->nlink, w.links);
		*p++ = ' ';
		p = put_text(p, id_text(st->uid, cmd_user_name, id), w.user);
		p = put_text(p, id_text(st->gid, cmd_group_name, id), w.group);
		for (int n = size_text(size, st); n < w.size; n++)
			*p++ = ' ';
		p = put_text(p, size, 0);
		cmd_time_local(size, &st->mtime, NULL);
		p = put_text(p, size, 0);
		fwrite_unlocked(line, 1, (size_t)(p - line), stdout);
		put_item_name(l, &l->v[i]);
		cmd_put_eol();
	}
}

static size_t item_width(const struct items *l, const struct item *it)
{
	size_t n = cmd_name_width(item_name(l, it));

	if (ls.inode)
		n += (size_t)digits(it->st.ino) + 1;
	if (ls.classify)
		n += strlen(class_mark(it->st.mode));
	return n;
}

static void put_short(const struct items *l, const struct item *it)
{
	if (ls.inode)
		printf("%" PRIu64 " ", it->st.ino);
	put_item_name(l, it);
}

/* Columns filled downwards, all as wide as the widest entry. */
static void show_columns(const struct items *l, size_t terminal)
{
	size_t width = 1, cols, rows;

	for (size_t i = 0; i < l->n; i++) {
		size_t n = item_width(l, &l->v[i]) + 2;
		width = n > width ? n : width;
	}
	cols = terminal / width ? terminal / width : 1;
	rows = (l->n + cols - 1) / cols;
	for (size_t r = 0; r < rows; r++) {
		for (size_t i = r; i < l->n; i += rows) {
			put_short(l, &l->v[i]);
			if (i + rows < l->n)
				printf("%*s", (int)(width - item_width(l, &l->v[i])), "");
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
		put_short(l, &l->v[i]);
		cmd_put_eol();
	}
}

void show_json(struct cmd_json *j, const char *dir, const struct items *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const char *name = item_name(l, &l->v[i]);
		char *path = dir ? cmd_path_join(dir, name) : cmd_strdup(name);
		cmd_json_object(j, NULL);
		cmd_json_name(j, "path", path);
		cmd_json_name(j, "name", cmd_basename(path));
		cmd_json_stat(j, &l->v[i].st);
		if (l->v[i].target)
			cmd_json_name(j, "target", item_target(l, &l->v[i]));
		cmd_json_end(j);
		free(path);
	}
}
