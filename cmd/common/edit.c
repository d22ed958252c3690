/* SPDX-License-Identifier: Apache-2.0 */
/* Changing files by path: operands, paths, the walk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/edit.h"

struct lcpfs_dataset *edit_dataset(const struct cmd_target *t, int *status)
{
	struct lcpfs_dataset *ds;
	mode_t mask = umask(0);

	umask(mask);
	if (strchr(t->dataset, '@')) {
		*status = cmd_worse(*status, cmd_fail_code(LCPFS_EROFS, "cannot change '%s': a snapshot never changes", t->text));
		return NULL;
	}
	ds = cmd_dataset(t, LCPFS_OPEN_RW, status);
	if (ds)
		lcpfs_dataset_set_ids(ds, geteuid(), getegid(), mask);
	return ds;
}

int edit_commit(int status)
{
	if (status == CMD_OK)
		return cmd_commit();
	cmd_note("nothing was changed");
	return status;
}

int edit_each(char *argv[], int n, edit_fn *fn, void *arg)
{
	int status = CMD_OK;

	for (int i = 0; i < n; i++) {
		struct lcpfs_dataset *ds;
		struct cmd_target t;

		cmd_target(&t, argv[i]);
		ds = edit_dataset(&t, &status);
		if (ds)
			status = cmd_worse(status, fn(arg, &t, ds));
		cmd_target_fini(&t);
	}
	return edit_commit(status);
}

/* ---- paths ---- */

bool edit_is_root(const char *path)
{
	for (; *path; path += *path == '/') {
		size_t n = strcspn(path, "/");
		if (n > 1 || (n == 1 && *path != '.'))
			return false;
		path += n;
	}
	return true;
}

void edit_split(const char *path, char **dir, char **name)
{
	size_t n = strlen(path), at;

	while (n && path[n - 1] == '/')
		n--;
	for (at = n; at && path[at - 1] != '/'; at--)
		;
	*name = cmd_printf("%.*s", (int)(n - at), path + at);
	*dir = cmd_printf("%.*s", (int)at, path);
}

int edit_need_name(const char *path, struct lcpfs_error *err)
{
	char *dir, *name;
	int rc = 0;

	edit_split(path, &dir, &name);
	if (edit_is_root(path))
		rc = cmd_err(err, LCPFS_EINVAL, "it is the root of a dataset");
	else if (!strcmp(name, ".") || !strcmp(name, ".."))
		rc = cmd_err(err, LCPFS_EINVAL, "'%s' is no name", name);
	free(dir);
	free(name);
	return rc;
}

uint32_t edit_mode_of(struct lcpfs_dataset *ds, const char *path, bool follow)
{
	struct lcpfs_stat st;

	return lcpfs_stat(ds, path, follow ? LCPFS_FOLLOW : 0, &st, NULL) ? 0 : st.mode;
}

static int host_stat(const char *path, struct lcpfs_stat *st)
{
	struct stat h;

	if (stat(path, &h))
		return cmd_fail_errno(errno, "cannot read '%s'", path);
	*st = (struct lcpfs_stat){ .mode = h.st_mode, .uid = h.st_uid, .gid = h.st_gid, .size = (uint64_t)h.st_size,
		.atime = { h.st_atim.tv_sec, (uint32_t)h.st_atim.tv_nsec }, .mtime = { h.st_mtim.tv_sec, (uint32_t)h.st_mtim.tv_nsec } };
	return CMD_OK;
}

int edit_reference(const char *text, const char *target, struct lcpfs_stat *st)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *ds;
	struct cmd_target t, to;
	int status = CMD_OK;

	memset(st, 0, sizeof *st);
	cmd_target(&t, text);
	cmd_target(&to, target);
	if (!t.is_pool) {
		status = host_stat(text, st);
	} else {
		/* a pool that is read cannot be opened for writing afterwards */
		if (!strcmp(t.pool, to.pool))
			cmd_pool(&to, LCPFS_OPEN_RW, &status);
		ds = status ? NULL : cmd_dataset(&t, LCPFS_OPEN_RO, &status);
		if (ds && lcpfs_stat(ds, t.path, LCPFS_FOLLOW, st, &err))
			status = cmd_fail(&err, "cannot read '%s'", text);
	}
	cmd_target_fini(&t);
	cmd_target_fini(&to);
	return status;
}

/* ---- the walk: one directory's names are read before anything in it is touched ---- */

struct names { char *text; uint32_t *type; size_t len, cap, n, n_cap; };
struct level { struct names names; size_t at, i, path_len; };
struct walk { struct lcpfs_dataset *ds; edit_visit *fn; void *arg; struct level *lv; size_t n, cap; char *path; size_t path_len, path_cap; };

static int add_name(void *arg, const struct lcpfs_dirent *de, struct lcpfs_error *err)
{
	struct names *l = arg;
	size_t len = strlen(de->name) + 1;

	(void)err;
	if (l->len + len > l->cap)
		l->text = cmd_realloc(l->text, l->cap = 2 * (l->len + len), 1);
	memcpy(l->text + l->len, de->name, len);
	l->len += len;
	if (l->n == l->n_cap)
		l->type = cmd_realloc(l->type, l->n_cap = l->n_cap ? 2 * l->n_cap : 16, sizeof *l->type);
	l->type[l->n++] = de->type & S_IFMT;
	return 0;
}

static void set_path(struct walk *w, size_t at, const char *name)
{
	size_t len = strlen(name);
	bool slash = at && w->path[at - 1] != '/';

	if (at + len + 2 > w->path_cap)
		w->path = cmd_realloc(w->path, w->path_cap = 2 * (at + len + 2), 1);
	if (slash)
		w->path[at] = '/';
	memcpy(w->path + at + slash, name, len + 1);
	w->path_len = at + slash + len;
}

static int enter(struct walk *w, struct lcpfs_error *err)
{
	struct level *l;

	if (w->n == w->cap)
		w->lv = cmd_realloc(w->lv, w->cap = w->cap ? 2 * w->cap : 16, sizeof *w->lv);
	l = &w->lv[w->n++];
	*l = (struct level){ .path_len = w->path_len };
	return lcpfs_readdir(w->ds, w->path, false, add_name, &l->names, err);
}

static void leave(struct walk *w)
{
	struct level *l = &w->lv[--w->n];

	free(l->names.text);
	free(l->names.type);
}

static int arrive(struct walk *w, uint32_t type, struct lcpfs_error *err)
{
	int rc = w->fn(w->arg, w->ds, w->path, type, err);

	return rc || !S_ISDIR(type) ? rc : enter(w, err);
}

int edit_walk(struct lcpfs_dataset *ds, const char *path, edit_visit *fn, void *arg, struct lcpfs_error *err)
{
	struct walk w = { .ds = ds, .fn = fn, .arg = arg };
	struct lcpfs_stat st;
	int rc = lcpfs_stat(ds, path, 0, &st, err);

	set_path(&w, 0, path);
	if (!rc)
		rc = arrive(&w, st.mode & S_IFMT, err);
	while (!rc && w.n) {
		struct level *l = &w.lv[w.n - 1];
		const char *name = l->names.text + l->at;

		if (l->i == l->names.n) {
			leave(&w);
			continue;
		}
		l->at += strlen(name) + 1;
		set_path(&w, l->path_len, name);
		rc = arrive(&w, l->names.type[l->i++], err);
	}
	while (w.n)
		leave(&w);
	free(w.lv);
	free(w.path);
	return rc;
}
