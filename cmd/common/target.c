/* SPDX-License-Identifier: Apache-2.0 */
/* Operands, and the pools they name. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "common/cmd.h"

/* ---- the grammar ---- */

static bool is_pool_file(const char *text, size_t len)
{
	char *s = cmd_printf("%.*s", (int)len, text);
	struct stat st;
	bool yes = !stat(s, &st) && !S_ISDIR(st.st_mode);

	free(s);
	return yes;
}

/* Length of POOL within text. */
static size_t pool_length(const char *text)
{
	size_t len = strlen(text);

	if (!strncmp(text, "ram:", 4))
		return 4 + strcspn(text + 4, ":@");
	if (!strncmp(text, "offset=", 7) && !is_pool_file(text, len) && strchr(text, ':')) {
		size_t skip = strcspn(text, ":") + 1;

		return skip + pool_length(text + skip);
	}
	if (is_pool_file(text, len))
		return len;
	for (size_t i = len; i-- > 1;)
		if ((text[i] == ':' || text[i] == '@') && is_pool_file(text, i))
			return i;
	return strcspn(text, ":@");
}

void cmd_target(struct cmd_target *t, const char *text)
{
	size_t n = pool_length(text);
	const char *rest = text + n, *colon;

	if (!n)
		cmd_usage("'%s' names no pool", text);
	memset(t, 0, sizeof *t);
	t->text = text;
	t->pool = cmd_printf("%.*s", (int)n, text);
	t->is_pool = *rest == ':' || *rest == '@'; /* POOL@SNAP is short for POOL:@SNAP */
	rest += *rest == ':';
	if (*rest == '/') {
		t->dataset = cmd_strdup("");
		t->path = cmd_strdup(rest);
		t->has_path = true;
		return;
	}
	colon = strchr(rest, ':');
	t->dataset = colon ? cmd_printf("%.*s", (int)(colon - rest), rest) : cmd_strdup(rest);
	t->path = cmd_strdup(colon ? colon + 1 : "");
	t->has_dataset = t->dataset[0];
	t->has_path = colon;
}

void cmd_target_fini(struct cmd_target *t)
{
	free(t->pool);
	free(t->dataset);
	free(t->path);
	memset(t, 0, sizeof *t);
}

void cmd_snap_split(const char *dataset, char **head, char **snap)
{
	const char *at = strchr(dataset, '@');

	*head = at ? cmd_printf("%.*s", (int)(at - dataset), dataset) : cmd_strdup(dataset);
	*snap = at ? cmd_strdup(at + 1) : NULL;
}

/* ---- one handle per pool and per dataset ---- */

struct open_ds { struct lcpfs_dataset *ds; struct open_ds *next; };
struct open_pool {
	struct lcpfs_pool *pool;
	char *name;
	dev_t dev;
	ino_t ino;
	uint32_t flags;
	struct open_ds *datasets;
	struct open_pool *next;
};
static struct open_pool *pools;

void cmd_open_opts(struct lcpfs_open_opts *o, uint32_t flags)
{
	memset(o, 0, sizeof *o);
	o->flags = flags;
	if (cmd.live && !(flags & LCPFS_OPEN_RW))
		o->flags |= LCPFS_OPEN_LIVE;
	o->threads = cmd.threads;
	o->memory_bytes = cmd.memory_bytes;
}

static struct open_pool *find_pool(const char *name)
{
	struct stat st;
	bool have = !stat(name, &st);

	for (struct open_pool *p = pools; p; p = p->next)
		if (!strcmp(p->name, name) || (have && p->ino && p->dev == st.st_dev && p->ino == st.st_ino))
			return p;
	return NULL;
}

static struct lcpfs_pool *pool_open(const char *name, uint32_t flags, struct lcpfs_error *err)
{
	struct open_pool *p = find_pool(name);
	struct lcpfs_open_opts oo;
	struct stat st;

	if (p && (flags & LCPFS_OPEN_RW) && !(p->flags & LCPFS_OPEN_RW)) {
		cmd_err(err, LCPFS_EBUSY, "this command already reads it");
		return NULL;
	}
	if (p)
		return p->pool;
	p = cmd_alloc(sizeof *p);
	cmd_open_opts(&oo, flags);
	if (lcpfs_pool_open(&p->pool, name, &oo, err)) {
		free(p);
		return NULL;
	}
	p->name = cmd_strdup(name);
	p->flags = flags;
	if (!stat(name, &st)) {
		p->dev = st.st_dev;
		p->ino = st.st_ino;
	}
	p->next = pools;
	pools = p;
	return p->pool;
}

struct lcpfs_pool *cmd_pool(const struct cmd_target *t, uint32_t flags, int *status)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool *p = pool_open(t->pool, flags, &err);
	int st;

	if (p)
		return p;
	/* messages of the library begin with the name of the device */
	st = strncmp(err.msg, t->pool, strlen(t->pool)) ? cmd_fail(&err, "cannot open '%s'", t->pool) : cmd_fail(&err, "cannot open");
	if (status)
		*status = cmd_worse(*status, st);
	return NULL;
}

int cmd_pool_info(struct lcpfs_pool *p, const char *path, struct lcpfs_pool_info *out, struct lcpfs_error *err)
{
	int rc = lcpfs_pool_info(p, out, err);
	struct statvfs vfs;

	if (rc || out->total_bytes < UINT64_MAX / 2)
		return rc;
	out->avail_bytes = statvfs(path, &vfs) ? 0 : (uint64_t)vfs.f_bavail * vfs.f_frsize;
	out->total_bytes = out->used_bytes + out->avail_bytes;
	return 0;
}

static struct open_pool *owner_of(struct lcpfs_pool *pool)
{
	struct open_pool *p = pools;

	while (p && p->pool != pool)
		p = p->next;
	return p;
}

struct lcpfs_dataset *cmd_dataset_of(struct lcpfs_pool *pool, const char *name, struct lcpfs_error *err)
{
	struct open_pool *p = owner_of(pool);
	struct lcpfs_dataset *ds;
	struct open_ds *o;

	for (o = p->datasets; o; o = o->next)
		if (!strcmp(lcpfs_dataset_name(o->ds), name))
			return o->ds;
	if (lcpfs_dataset_open(&ds, pool, name, err))
		return NULL;
	o = cmd_alloc(sizeof *o);
	o->ds = ds;
	o->next = p->datasets;
	p->datasets = o;
	return ds;
}

struct lcpfs_dataset *cmd_dataset(const struct cmd_target *t, uint32_t flags, int *status)
{
	struct lcpfs_pool *p = cmd_pool(t, flags, status);
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *ds;
	const char *hint = "";
	int st;

	if (!p)
		return NULL;
	ds = cmd_dataset_of(p, t->dataset, &err);
	if (ds)
		return ds;
	if (err.code == LCPFS_ENOENT && t->has_dataset && !t->has_path && !strchr(t->dataset, '@'))
		hint = " (a path in the root dataset begins with '/')";
	if (*hint && strlen(err.msg) + strlen(hint) < sizeof err.msg)
		memcpy(err.msg + strlen(err.msg), hint, strlen(hint) + 1);
	st = cmd_fail(&err, "cannot open '%s:%s'", t->pool, t->dataset);
	if (status)
		*status = cmd_worse(*status, st);
	return NULL;
}

void cmd_dataset_drop(struct lcpfs_pool *pool, const char *name)
{
	struct open_pool *p = owner_of(pool);

	if (!p)
		return;
	for (struct open_ds **at = &p->datasets; *at;) {
		struct open_ds *o = *at;
		if (name && strcmp(lcpfs_dataset_name(o->ds), name)) {
			at = &o->next;
			continue;
		}
		*at = o->next;
		lcpfs_dataset_close(o->ds);
		free(o);
	}
}

int cmd_commit(void)
{
	int status = CMD_OK;

	for (struct open_pool *p = pools; p && !cmd.dry_run; p = p->next) {
		struct lcpfs_error err = { 0 };
		if ((p->flags & LCPFS_OPEN_RW) && lcpfs_pool_commit(p->pool, &err))
			status = cmd_worse(status, cmd_fail(&err, "cannot write '%s'", p->name));
	}
	return status;
}

int cmd_close_all(void)
{
	int status = CMD_OK;

	while (pools) {
		struct open_pool *p = pools;
		struct lcpfs_error err = { 0 };
		cmd_dataset_drop(p->pool, NULL);
		if (lcpfs_pool_close(p->pool, &err))
			status = cmd_worse(status, cmd_fail(&err, "cannot close '%s'", p->name));
		pools = p->next;
		free(p->name);
		free(p);
	}
	return status;
}
