/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-stat: everything known about a file. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "common/cmd.h"

static const struct option longs[] = {
	{ "dereference", no_argument, NULL, 'L' }, { "format", required_argument, NULL, 'c' }, { "printf", required_argument, NULL, 256 }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-stat",
	.synopsis = "lcpfs-stat [-L] [-c FORMAT | --printf FORMAT | --json] [--live] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_READ | CMD_O_JSON,
	.letters = "Lc:",
	.longs = longs,
};
static const char *format;
static bool escapes, follow;
static struct cmd_json json;

static void put_time(const struct lcpfs_time *t)
{
	char day[64], zone[64];

	cmd_time_local(day, t, "%Y-%m-%d %H:%M:%S");
	cmd_time_local(zone, t, "%z");
	printf("%s.%09u %s", day, t->nsec, zone);
}

static void put_times(char c, const struct lcpfs_stat *st)
{
	const struct lcpfs_time *t = strchr("xX", c) ? &st->atime : strchr("yY", c) ? &st->mtime : strchr("zZ", c) ? &st->ctime : &st->btime;

	if (strchr("XYZW", c))
		printf("%" PRId64, t->sec);
	else
		put_time(t);
}

static void put_field(char c, const struct cmd_target *t, const struct lcpfs_stat *st)
{
	char mode[11];

	switch (c) {
	case 'n': cmd_put_name(t->path); break;
	case 'N': cmd_put_name(t->text); break;
	case 's': printf("%" PRIu64, st->size); break;
	case 'b': printf("%" PRIu64, (st->stored + 511) / 512); break;
	case 'B': printf("512"); break;
	case 'i': printf("%" PRIu64, st->ino); break;
	case 'h': printf("%u", st->nlink); break;
	case 'u': printf("%u", st->uid); break;
	case 'g': printf("%u", st->gid); break;
	case 'U': fputs(cmd_user_name(st->uid), stdout); break;
	case 'G': fputs(cmd_group_name(st->gid), stdout); break;
	case 'a': printf("%o", st->mode & 07777); break;
	case 'f': printf("%x", st->mode); break;
	case 'A': cmd_mode_string(mode, st->mode); fputs(mode, stdout); break;
	case 'F': fputs(cmd_type_name(st->mode), stdout); break;
	case 't': printf("%x", st->rdev_major); break;
	case 'T': printf("%x", st->rdev_minor); break;
	case 'x': case 'X': case 'y': case 'Y': case 'z': case 'Z': case 'w': case 'W': put_times(c, st); break;
	case '%': putchar('%'); break;
	default: cmd_usage("format: unknown field '%%%c'", c);
	}
}

static void put_escape(const char **s)
{
	static const char from[] = "abefnrtv\\\"", to[] = "\a\b\033\f\n\r\t\v\\\"";
	const char *at = strchr(from, **s);
	int v = 0, n = 0;

	if (**s && at) {
		putchar(to[at - from]);
		++*s;
		return;
	}
	for (; n < 3 && **s >= '0' && **s <= '7'; n++, ++*s)
		v = v * 8 + (**s - '0');
	putchar(n ? v : '\\');
}

static void show_format(const struct cmd_target *t, const struct lcpfs_stat *st)
{
	for (const char *s = format; *s;) {
		if (*s == '%' && s[1]) {
			put_field(s[1], t, st);
			s += 2;
		} else if (*s == '\\' && escapes) {
			s++;
			put_escape(&s);
		} else {
			putchar(*s++);
		}
	}
	if (!escapes)
		putchar('\n');
}

static void show_times(const struct lcpfs_stat *st)
{
	static const char *const names[] = { "Access", "Modify", "Change", " Birth" };
	const struct lcpfs_time *times[] = { &st->atime, &st->mtime, &st->ctime, &st->btime };

	for (int i = 0; i < 4; i++) {
		printf("%s: ", names[i]);
		put_time(times[i]);
		putchar('\n');
	}
}

static void show_text(const struct cmd_target *t, const struct lcpfs_stat *st, const char *target)
{
	char mode[11];

	cmd_mode_string(mode, st->mode);
	fputs("  File: ", stdout);
	cmd_put_name(t->text);
	if (target) {
		fputs(" -> ", stdout);
		cmd_put_name(target);
	}
	printf("\n  Size: %-15" PRIu64 " Stored: %-13" PRIu64 " %s\n", st->size, st->stored, cmd_type_name(st->mode));
	printf(" Inode: %-15" PRIu64 " Links: %-14u Xattrs: %u", st->ino, st->nlink, st->n_xattr);
	if (S_ISCHR(st->mode) || S_ISBLK(st->mode))
		printf("   Device: %u, %u", st->rdev_major, st->rdev_minor);
	printf("\nAccess: (%04o/%s)  Uid: (%5u/%8s)", st->mode & 07777, mode, st->uid, cmd_user_name(st->uid));
	printf("   Gid: (%5u/%8s)\n", st->gid, cmd_group_name(st->gid));
	show_times(st);
}

static int json_xattr(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	(void)err;
	cmd_json_object(arg, NULL);
	cmd_json_name(arg, "name", name);
	cmd_json_b64(arg, "value_b64", value, len);
	cmd_json_end(arg);
	return 0;
}

static int show_json(struct lcpfs_dataset *ds, const struct cmd_target *t, const struct lcpfs_stat *st, const char *target, struct lcpfs_error *err)
{
	int rc = 0;

	cmd_json_object(&json, NULL);
	cmd_json_name(&json, "path", t->path);
	cmd_json_str(&json, "dataset", t->dataset);
	cmd_json_stat(&json, st);
	if (target)
		cmd_json_name(&json, "target", target);
	if (st->n_xattr) {
		cmd_json_array(&json, "xattr");
		rc = lcpfs_xattr_each(ds, t->path, follow ? LCPFS_FOLLOW : 0, json_xattr, &json, err);
		cmd_json_end(&json);
	}
	cmd_json_end(&json);
	return rc;
}

static int show(const char *text)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *ds;
	struct lcpfs_stat st;
	struct cmd_target t;
	char *target = NULL;
	int rc = 0, status = CMD_OK;

	cmd_target(&t, text);
	ds = cmd_dataset(&t, LCPFS_OPEN_RO, &status);
	if (ds)
		rc = lcpfs_stat(ds, t.path, follow ? LCPFS_FOLLOW : 0, &st, &err);
	if (ds && !rc && S_ISLNK(st.mode))
		rc = lcpfs_readlink(ds, t.path, &target, &err);
	if (ds && !rc && cmd.json)
		rc = show_json(ds, &t, &st, target, &err);
	else if (ds && !rc && format)
		show_format(&t, &st);
	else if (ds && !rc)
		show_text(&t, &st, target);
	if (rc)
		status = cmd_fail(&err, "cannot stat '%s'", text);
	free(target);
	cmd_target_fini(&t);
	return status;
}

int main(int argc, char *argv[])
{
	int ch, status = CMD_OK;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		if (ch == 'L') {
			follow = true;
		} else {
			format = optarg;
			escapes = ch == 256;
		}
	}
	if (optind == argc)
		cmd_usage("no TARGET given");
	if (cmd.json) {
		cmd_json_start(&json, stdout);
		cmd_json_array(&json, "entries");
	}
	for (; optind < argc; optind++)
		status = cmd_worse(status, show(argv[optind]));
	if (cmd.json)
		cmd_json_finish(&json);
	return cmd_finish(status);
}
