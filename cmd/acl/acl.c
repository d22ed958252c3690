/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-acl: access control lists, in the text form of getfacl and setfacl. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "acl/acl.h"

enum { MAX_TEXT = 1 << 20 };
static const struct option longs[] = {
	{ "default", no_argument, NULL, 'd' }, { "recursive", no_argument, NULL, 'R' }, { "from", required_argument, NULL, 'F' },
	{ "numeric", no_argument, NULL, 'N' }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-acl",
	.synopsis = "lcpfs-acl get [-R] [--numeric] [--json] [--live] [-j N] [--memory SIZE] TARGET ...\n"
	            "lcpfs-acl set [-nqRv] [-j N] [--memory SIZE] ACL TARGET ...\n"
	            "lcpfs-acl set [-nqRv] [-j N] [--memory SIZE] --from FILE TARGET ...\n"
	            "lcpfs-acl add [-nqRv] [-j N] [--memory SIZE] ACL TARGET ...\n"
	            "lcpfs-acl rm [-dnqRv] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_WRITE | CMD_O_LIVE | CMD_O_JSON,
	.letters = "dR",
	.longs = longs,
};
static bool recursive, only_default, numeric;
static const char *from_file;

/* ---- get ---- */

struct shown { const char *prefix; };

static void show_json(const char *name, const struct acl_pair *p, const struct lcpfs_stat *st)
{
	struct cmd_json j;

	cmd_json_start(&j, stdout);
	cmd_json_name(&j, "path", name);
	cmd_json_u64(&j, "uid", st->uid);
	cmd_json_u64(&j, "gid", st->gid);
	for (int i = 0; i < 2; i++) {
		acl_t acl = i ? p->def : p->access;
		char *text = acl ? acl_to_any_text(acl, NULL, '\n', numeric ? TEXT_NUMERIC_IDS : 0) : NULL;
		cmd_json_array(&j, i ? "default" : "access");
		for (char *s = text, *end; s && *s; s = end) {
			end = s + strcspn(s, "\n");
			if (*end)
				*end++ = 0;
			cmd_json_str(&j, NULL, s);
		}
		cmd_json_end(&j);
		if (text)
			acl_free(text);
	}
	cmd_json_finish(&j);
}

static void show_text(const char *name, const struct acl_pair *p, const struct lcpfs_stat *st)
{
	int options = TEXT_SOME_EFFECTIVE | TEXT_SMART_INDENT | (numeric ? TEXT_NUMERIC_IDS : 0);

	fputs("# file: ", stdout);
	cmd_put_name(name);
	if (numeric)
		printf("\n# owner: %u\n# group: %u\n", st->uid, st->gid);
	else
		printf("\n# owner: %s\n# group: %s\n", cmd_user_name(st->uid), cmd_group_name(st->gid));
	if (st->mode & 07000)
		printf("# flags: %c%c%c\n", st->mode & S_ISUID ? 's' : '-', st->mode & S_ISGID ? 's' : '-', st->mode & S_ISVTX ? 't' : '-');
	for (int i = 0; i < 2; i++) {
		acl_t acl = i ? p->def : p->access;
		char *text = acl ? acl_to_any_text(acl, i ? "default:" : NULL, '\n', options) : NULL;
		if (text)
			printf("%s\n", text);
		if (text)
			acl_free(text);
	}
	putchar('\n');
}

static int get_one(void *arg, struct lcpfs_dataset *ds, const char *path, uint32_t type, struct lcpfs_error *err)
{
	const struct shown *s = arg;
	struct lcpfs_stat st;
	struct acl_pair p;
	char *name;
	int rc;

	if (S_ISLNK(type))
		return 0;
	rc = acl_load(ds, path, &p, err);
	if (!rc)
		rc = lcpfs_stat(ds, path, LCPFS_FOLLOW, &st, err);
	name = cmd_printf("%s%s", s->prefix, path);
	if (!rc && cmd.json)
		show_json(name, &p, &st);
	else if (!rc)
		show_text(name, &p, &st);
	free(name);
	acl_pair_fini(&p);
	return rc;
}

static int get(char *argv[], int n)
{
	int status = CMD_OK;

	for (int i = 0; i < n; i++) {
		struct lcpfs_error err = { 0 };
		struct lcpfs_dataset *ds;
		struct cmd_target t;
		struct shown s;
		char *prefix;

		cmd_target(&t, argv[i]);
		prefix = t.has_dataset ? cmd_printf("%s:%s:", t.pool, t.dataset) : cmd_printf("%s:", t.pool);
		s.prefix = prefix;
		ds = cmd_dataset(&t, LCPFS_OPEN_RO, &status);
		if (ds && (recursive ? edit_walk(ds, t.path, get_one, &s, &err) : get_one(&s, ds, t.path, 0, &err)))
			status = cmd_worse(status, cmd_fail(&err, "cannot read the list of '%s'", argv[i]));
		free(prefix);
		cmd_target_fini(&t);
	}
	return status;
}

/* ---- set, add, rm ---- */

struct change { struct acl_text text; bool keep, drop; };

/* The list as it is to be: from nothing or from what is there. */
static int combine(acl_t *acl, acl_t text, acl_t base, bool keep, struct lcpfs_error *err)
{
	acl_t old = *acl;
	int rc;

	if (!text)
		return 0;
	*acl = keep && old ? acl_dup(old) : NULL;
	rc = acl_merge(acl, text, old ? old : base, err);
	if (old)
		acl_free(old);
	return rc;
}

static void minimal(struct acl_pair *p, uint32_t mode)
{
	acl_t acl = NULL;
	acl_entry_t e;
	acl_tag_t tag;

	/* without the list the group's permissions are those of its entry, as setfacl -b leaves them */
	for (int rc = acl_get_entry(p->access, ACL_FIRST_ENTRY, &e); rc == 1; rc = acl_get_entry(p->access, ACL_NEXT_ENTRY, &e)) {
		acl_permset_t perms;
		if (acl_get_tag_type(e, &tag) || tag != ACL_GROUP_OBJ || acl_get_permset(e, &perms))
			continue;
		mode &= ~070u;
		mode |= acl_get_perm(perms, ACL_READ) ? 040 : 0;
		mode |= acl_get_perm(perms, ACL_WRITE) ? 020 : 0;
		mode |= acl_get_perm(perms, ACL_EXECUTE) ? 010 : 0;
	}
	acl = acl_from_mode(mode & 0777);
	if (!acl)
		return;
	acl_free(p->access);
	p->access = acl;
}

static int change_one(void *arg, struct lcpfs_dataset *ds, const char *path, uint32_t type, struct lcpfs_error *err)
{
	const struct change *c = arg;
	struct acl_pair p;
	acl_t def = c->text.def;
	int rc;

	if (S_ISLNK(type))
		return 0;
	rc = acl_load(ds, path, &p, err);
	if (!rc && !S_ISDIR(p.mode) && (def || only_default)) {
		if (!type)
			rc = cmd_err(err, LCPFS_ENOTDIR, "only directories have default entries");
		def = NULL;
	}
	if (!rc && c->drop) {
		if (p.def)
			acl_free(p.def);
		p.def = NULL;
		if (!only_default)
			minimal(&p, p.mode);
	}
	if (!rc && !c->drop)
		rc = combine(&p.access, c->text.access, p.access, c->keep, err);
	if (!rc && def)
		rc = combine(&p.def, def, p.access, c->keep, err);
	if (!rc)
		rc = acl_store(ds, path, &p, err);
	if (!rc)
		cmd_did("%schanged the list of '%s'", cmd.dry_run ? "would have " : "", path);
	acl_pair_fini(&p);
	return rc;
}

static int change(void *arg, const struct cmd_target *t, struct lcpfs_dataset *ds)
{
	struct lcpfs_error err = { 0 };
	int rc = recursive ? edit_walk(ds, t->path, change_one, arg, &err) : change_one(arg, ds, t->path, 0, &err);

	return rc ? cmd_fail(&err, "cannot change the list of '%s'", t->text) : CMD_OK;
}

static char *read_text(const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "r") : stdin;
	char *text = cmd_alloc(MAX_TEXT + 1);
	size_t n;

	if (!f)
		cmd_usage("--from: '%s': %s", path, strerror(errno));
	n = fread(text, 1, MAX_TEXT, f);
	text[n] = 0;
	if (ferror(f) || n == MAX_TEXT)
		cmd_usage("--from: '%s' cannot be read", path);
	if (f != stdin)
		fclose(f);
	return text;
}

static int put(char *argv[], int n, bool keep)
{
	struct change c = { .keep = keep };
	int first = !from_file, status;

	if (n <= first)
		cmd_usage("no TARGET given");
	if (from_file) {
		char *text = read_text(from_file);
		acl_text_parse(&c.text, text);
		free(text);
	} else {
		acl_text_parse(&c.text, argv[0]);
	}
	if (!c.text.access && !c.text.def)
		cmd_usage("the access control list is empty");
	status = edit_each(argv + first, n - first, change, &c);
	acl_text_fini(&c.text);
	return status;
}

static int set(char *argv[], int n) { return put(argv, n, false); }
static int add(char *argv[], int n) { return put(argv, n, true); }

static int rm(char *argv[], int n)
{
	struct change c = { .drop = true };

	return edit_each(argv, n, change, &c);
}

int main(int argc, char *argv[])
{
	static const struct cmd_sub subs[] = {
		{ "get", "RN", 1, -1, get }, { "set", "RF", 1, -1, set }, { "add", "RF", 1, -1, add }, { "rm", "Rd", 1, -1, rm },
	};
	char used[32] = "";
	int ch;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		cmd_sub_used(used, ch);
		switch (ch) {
		case 'd': only_default = true; break;
		case 'R': recursive = true; break;
		case 'F': from_file = optarg; break;
		case 'N': numeric = true; break;
		}
	}
	return cmd_finish(cmd_sub(subs, sizeof subs / sizeof *subs, used, argc, argv));
}
