/* SPDX-License-Identifier: Apache-2.0 */
/* Public calls on properties and holds; the table of properties that the engine knows. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "zpl/handle.h"

static int size_in(const char *value, uint64_t min, uint64_t max, const char *what, struct lcpfs_error *err)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(value, &end, 10);
	if (errno || *end || !isdigit((unsigned char)*value) || !is_pow2(v) || v < min || v > max)
		return lcpfs_fail(err, LCPFS_EINVAL, "%s '%s': a power of two in bytes, %llu to %llu", what, value, (unsigned long long)min,
		    (unsigned long long)max);
	return 0;
}

static int check_compress(const char *value, struct lcpfs_error *err)
{
	struct codec_spec c;

	return codec_parse(value, &c, err);
}

static int check_record(const char *value, struct lcpfs_error *err) { return size_in(value, 4 * KiB, DATA_MAX, "record size", err); }
static int check_pack(const char *value, struct lcpfs_error *err) { return size_in(value, 4 * KiB, PACK_MAX, "pack size", err); }
static int check_slice(const char *value, struct lcpfs_error *err) { return size_in(value, 1, PACK_MAX, "slice size", err); }

static const struct known {
	const char *name, *def;
	int (*check)(const char *value, struct lcpfs_error *err);
} known[] = {
	{ "compress", "zstd:3", check_compress },
	{ "pack", "1048576", check_pack },
	{ "record", "1048576", check_record },
	{ "slice", "131072", check_slice },
};

static const struct known *find_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i].name, name) == 0)
			return &known[i];
	return NULL;
}

static int check_name(const char *prop, struct lcpfs_error *err)
{
	size_t n = strlen(prop);

	if (!find_known(prop) && (strncmp(prop, "user:", 5) != 0 || n < 6 || n > 255))
		return lcpfs_fail(err, LCPFS_EINVAL, "unknown property '%s': compress, pack, record, slice or user:NAME", prop);
	return 0;
}

int lcpfs_prop_set(struct lcpfs_pool *p, const char *ds, const char *prop, const char *value, struct lcpfs_error *err)
{
	const struct known *k = find_known(prop);
	struct dataset *open;
	struct dsrec r;
	int rc = check_name(prop, err);

	if (!rc)
		rc = dmu_lookup(p->spa, ds, &r, err);
	if (!rc && r.kind == DS_SNAPSHOT)
		rc = lcpfs_fail(err, LCPFS_EROFS, "'%s' is a snapshot: its properties are those of its dataset", ds);
	if (!rc && value && k)
		rc = k->check(value, err);
	if (!rc)
		rc = dmu_prop_set(p->spa, r.id, prop, value, err);
	if (rc)
		return rc;
	rc = dmu_open_id(p->spa, r.id, &open, err);
	if (rc)
		return rc;
	rc = zpl_configure(open, err);
	dmu_close(open);
	return rc;
}

static int show(struct spa *s, uint64_t id, const char *prop, lcpfs_prop_visit *visit, void *arg, struct lcpfs_error *err)
{
	const struct known *k = find_known(prop);
	char *value = NULL, *source = NULL;
	int rc = dmu_prop_get(s, id, prop, &value, &source, err);

	if (rc == -LCPFS_ENOENT && k)
		rc = visit(arg, prop, k->def, "default", err);
	else if (rc == -LCPFS_ENOENT)
		rc = lcpfs_fail(err, LCPFS_ENOENT, "no property '%s'", prop);
	else if (!rc)
		rc = visit(arg, prop, value, source, err);
	free(value);
	free(source);
	return rc;
}

/* Names that are set here or above, once each. */
struct prop_names { char **v; size_t n; bool holds; };

static int add_name(void *arg, const char *name, const char *value, struct lcpfs_error *err)
{
	struct prop_names *l = arg;
	bool hold = strncmp(name, "hold:", 5) == 0;
	char **v;

	(void)value;
	if (find_known(name) || hold != l->holds || name[0] == '.')
		return 0;
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], name) == 0)
			return 0;
	v = realloc(l->v, (l->n + 1) * sizeof *v);
	if (!v)
		return lcpfs_nomem(err);
	l->v = v;
	v[l->n] = strdup(name);
	return v[l->n] ? (l->n++, 0) : lcpfs_nomem(err);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int show_all(struct spa *s, uint64_t id, bool holds, lcpfs_prop_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct prop_names l = { .holds = holds };
	struct dsrec r;
	int rc = 0;

	for (uint64_t at = id, depth = 0; at && !rc && depth < 512; at = r.parent, depth++) {
		rc = dmu_prop_each(s, at, add_name, &l, err);
		if (!rc)
			rc = dmu_rec_get(s, at, &r, err);
		if (holds)
			break;
	}
	if (l.n)
		qsort(l.v, l.n, sizeof *l.v, by_text);
	for (size_t i = 0; i < l.n; i++) {
		if (!rc)
			rc = show(s, id, l.v[i], visit, arg, err);
		free(l.v[i]);
	}
	free(l.v);
	return rc;
}

int lcpfs_prop_get(struct lcpfs_pool *p, const char *ds, const char *prop, lcpfs_prop_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc = dmu_lookup(p->spa, ds, &r, err);

	if (rc)
		return rc;
	if (prop) {
		rc = strncmp(prop, "hold:", 5) == 0 ? 0 : check_name(prop, err);
		return rc ? rc : show(p->spa, r.id, prop, visit, arg, err);
	}
	for (size_t i = 0; i < ARRAY_LEN(known) && !rc; i++)
		rc = show(p->spa, r.id, known[i].name, visit, arg, err);
	if (!rc)
		rc = show_all(p->spa, r.id, false, visit, arg, err);
	return rc ? rc : show_all(p->spa, r.id, true, visit, arg, err);
}

static int hold_key(struct lcpfs_pool *p, const char *snap, const char *tag, struct dsrec *r, char *key, size_t len, struct lcpfs_error *err)
{
	int rc = dmu_lookup(p->spa, snap, r, err);

	if (!rc && r->kind != DS_SNAPSHOT)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no snapshot: only snapshots are held", snap);
	if (!rc && !config_name_ok(tag, strlen(tag), 200))
		rc = lcpfs_fail(err, LCPFS_EINVAL, "bad tag '%s': 1-200 bytes of A-Za-z0-9._-+", tag);
	if (!rc)
		snprintf(key, len, "hold:%s", tag);
	return rc;
}

static int has_prop(struct spa *s, uint64_t id, const char *key)
{
	char *value = NULL, *source = NULL;
	int rc = dmu_prop_get(s, id, key, &value, &source, NULL);
	bool local = !rc && strcmp(source, "local") == 0;

	free(value);
	free(source);
	return local;
}

int lcpfs_hold(struct lcpfs_pool *p, const char *snap, const char *tag, struct lcpfs_error *err)
{
	char key[256];
	struct dsrec r;
	int rc = hold_key(p, snap, tag, &r, key, sizeof key, err);

	if (!rc && has_prop(p->spa, r.id, key))
		rc = lcpfs_fail(err, LCPFS_EEXIST, "'%s' is already held by '%s'", snap, tag);
	return rc ? rc : dmu_prop_set(p->spa, r.id, key, "1", err);
}

int lcpfs_release(struct lcpfs_pool *p, const char *snap, const char *tag, struct lcpfs_error *err)
{
	char key[256];
	struct dsrec r;
	int rc = hold_key(p, snap, tag, &r, key, sizeof key, err);

	if (!rc && !has_prop(p->spa, r.id, key))
		rc = lcpfs_fail(err, LCPFS_ENOENT, "'%s' is not held by '%s'", snap, tag);
	return rc ? rc : dmu_prop_set(p->spa, r.id, key, NULL, err);
}
