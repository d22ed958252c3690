/* SPDX-License-Identifier: Apache-2.0 */
/* find: the actions. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "find/find.h"

/* As an operand that every command takes. */
char *find_shown_path(const struct subject *s)
{
	const char *ds = s->t->dataset;

	return cmd_printf("%s:%s%s/%s", s->t->pool, ds, *ds ? ":" : "", s->e->path);
}

static bool print(const struct subject *s, bool nul)
{
	char *path = find_shown_path(s);

	if (nul) {
		fputs(path, stdout);
		putchar(0);
	} else {
		cmd_put_name(path);
		cmd_put_eol();
	}
	free(path);
	return true;
}

bool find_print(const struct node *n, struct subject *s)
{
	(void)n;
	return print(s, cmd.nul);
}

bool find_print0(const struct node *n, struct subject *s)
{
	(void)n;
	return print(s, true);
}

static char *target_of(const struct subject *s)
{
	struct lcpfs_error err = { 0 };
	char *target = NULL;

	if (S_ISLNK(s->e->st->mode) && lcpfs_readlink(s->ds, s->e->path, &target, &err))
		*s->status = cmd_worse(*s->status, cmd_fail(&err, "cannot read the link '%s'", s->e->path));
	return target;
}

bool find_json(const struct node *n, struct subject *s)
{
	char *path = find_shown_path(s), *target = target_of(s);
	struct cmd_json j;

	(void)n;
	cmd_json_start(&j, stdout);
	cmd_json_name(&j, "target", path);
	cmd_json_name(&j, "path", s->e->path);
	cmd_json_stat(&j, s->e->st);
	if (target)
		cmd_json_name(&j, "symlink", target);
	cmd_json_finish(&j);
	free(target);
	free(path);
	return true;
}

bool find_ls(const struct node *n, struct subject *s)
{
	const struct lcpfs_stat *st = s->e->st;
	char mode[11], when[64], *path = find_shown_path(s), *target = target_of(s);

	(void)n;
	cmd_mode_string(mode, st->mode);
	cmd_time_local(when, &st->mtime, NULL);
	printf("%9" PRIu64 " %6" PRIu64 " %s %3u ", st->ino, (st->stored + 1023) / 1024, mode, st->nlink);
	printf("%-8s ", cmd_user_name(st->uid));
	printf("%-8s %8" PRIu64 " %s ", cmd_group_name(st->gid), st->size, when);
	cmd_put_name(path);
	if (target) {
		fputs(" -> ", stdout);
		cmd_put_name(target);
	}
	cmd_put_eol();
	free(target);
	free(path);
	return true;
}

/* ---- -printf ---- */

static const char escape_from[] = "abfnrtv0\\", escape_to[] = "\a\b\f\n\r\t\v\0\\";

void find_check_format(const char *format)
{
	for (const char *s = format; *s; s++) {
		if (*s == '\\') {
			if (!s[1] || !strchr(escape_from, s[1]))
				cmd_usage("-printf: unknown escape '\\%c'", s[1] ? s[1] : ' ');
			s++;
		} else if (*s == '%') {
			s++;
			if (!*s || !strchr("%pPfhHsbkmMuUgGinyldTAC", *s))
				cmd_usage("-printf: unknown field '%%%c'", *s ? *s : ' ');
			if (strchr("TAC", *s) && !*++s)
				cmd_usage("-printf: a time field ends too early");
		}
	}
}

/* The path below the operand: its last `depth` components. */
static const char *below(const struct subject *s)
{
	const char *p = s->e->path, *cut = p + strlen(p);

	for (unsigned left = s->e->depth; left && cut > p; left--)
		do
			cut--;
		while (cut > p && *cut != '/');
	return *cut == '/' && s->e->depth ? cut + 1 : cut;
}

static void put_dir(const struct subject *s)
{
	char *path = find_shown_path(s);
	char *slash = strrchr(path, '/');

	if (slash[1] && slash > path && slash[-1] != ':')
		*slash = 0;
	else
		slash[1] = 0;
	cmd_put_name(path);
	free(path);
}

static void put_time(const struct lcpfs_time *t, char c)
{
	char fmt[3] = { '%', c, 0 }, buf[64];

	if (c == '@') {
		printf("%" PRId64 ".%09u", t->sec, t->nsec);
	} else if (c == '+') {
		cmd_time_local(buf, t, "%Y-%m-%d+%H:%M:%S");
		printf("%s.%09u", buf, t->nsec);
	} else {
		cmd_time_local(buf, t, fmt);
		fputs(buf, stdout);
	}
}

static void put_path_field(char c, const struct subject *s)
{
	char *path;

	switch (c) {
	case 'f': cmd_put_name(*s->e->name ? s->e->name : "/"); break;
	case 'P': cmd_put_name(below(s)); break;
	case 'H': cmd_put_name(s->t->text); break;
	case 'h': put_dir(s); break;
	case 'l':
		path = target_of(s);
		cmd_put_name(path ? path : "");
		free(path);
		break;
	default:
		path = find_shown_path(s);
		cmd_put_name(path);
		free(path);
	}
}

static char type_letter(uint32_t mode)
{
	char text[11];

	cmd_mode_string(text, mode);
	return text[0] == '-' ? 'f' : text[0];
}

static void put_field(char c, const struct subject *s)
{
	const struct lcpfs_stat *st = s->e->st;
	char mode[11];

	switch (c) {
	case '%': putchar('%'); break;
	case 's': printf("%" PRIu64, st->size); break;
	case 'b': printf("%" PRIu64, (st->stored + 511) / 512); break;
	case 'k': printf("%" PRIu64, (st->stored + 1023) / 1024); break;
	case 'm': printf("%o", st->mode & 07777); break;
	case 'M': cmd_mode_string(mode, st->mode); fputs(mode, stdout); break;
	case 'u': fputs(cmd_user_name(st->uid), stdout); break;
	case 'U': printf("%u", st->uid); break;
	case 'g': fputs(cmd_group_name(st->gid), stdout); break;
	case 'G': printf("%u", st->gid); break;
	case 'i': printf("%" PRIu64, st->ino); break;
	case 'n': printf("%u", st->nlink); break;
	case 'y': putchar(type_letter(st->mode)); break;
	case 'd': printf("%u", s->e->depth); break;
	default: put_path_field(c, s);
	}
}

bool find_printf(const struct node *n, struct subject *s)
{
	const struct lcpfs_stat *st = s->e->st;

	for (const char *p = n->text; *p; p++) {
		if (*p == '\\') {
			p++;
			putchar(escape_to[strchr(escape_from, *p) - escape_from]);
		} else if (*p != '%') {
			putchar(*p);
		} else if (strchr("TAC", p[1])) {
			put_time(p[1] == 'T' ? &st->mtime : p[1] == 'A' ? &st->atime : &st->ctime, p[2]);
			p += 2;
		} else {
			put_field(*++p, s);
		}
	}
	return true;
}
