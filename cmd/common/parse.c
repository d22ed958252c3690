/* SPDX-License-Identifier: Apache-2.0 */
/* Words of the command line: sizes, numbers, owners. */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include "common/cmd.h"

/* The power of two of a suffix ("", "B", "K", "KiB" ...), -1: none. */
static int suffix_shift(const char *s)
{
	static const char units[] = "KMGTPE";
	const char *u;

	if (!*s || !strcmp(s, "B"))
		return 0;
	u = strchr(units, toupper((unsigned char)*s));
	if (!u || (s[1] && strcmp(s + 1, "iB")))
		return -1;
	return 10 * (int)(u - units + 1);
}

bool cmd_size_parse(const char *text, uint64_t *out)
{
	uint64_t whole, frac = 0, scale = 1;
	char *end;
	int shift;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	whole = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end == '.') {
		end++;
		if (!isdigit((unsigned char)*end))
			return false;
		for (; isdigit((unsigned char)*end); end++)
			if (scale < 1000000) {
				frac = frac * 10 + (uint64_t)(*end - '0');
				scale *= 10;
			}
	}
	shift = suffix_shift(end);
	if (shift < 0 || (frac && !shift) || whole > UINT64_MAX >> shift)
		return false;
	*out = (whole << shift) + (uint64_t)(((__uint128_t)frac << shift) / scale);
	return true;
}

uint64_t cmd_size(const char *what, const char *text)
{
	uint64_t v;

	if (!cmd_size_parse(text, &v))
		cmd_usage("%s: '%s' is no size (write 4096, 64K, 1.5G)", what, text);
	return v;
}

uint64_t cmd_number(const char *what, const char *text, uint64_t min, uint64_t max)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || v < min || v > max)
		cmd_usage("%s: '%s' is no number from %llu to %llu", what, text, (unsigned long long)min, (unsigned long long)max);
	return v;
}

/* An id that is all digits, or -1. ~0 means "keep" in the library and is refused. */
static int64_t numeric_id(const char *s)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)*s))
		return -1;
	errno = 0;
	v = strtoull(s, &end, 10);
	return *end || errno || v >= UINT32_MAX ? -1 : (int64_t)v;
}

static uint32_t user_id(const char *what, const char *s)
{
	int64_t id = numeric_id(s);
	struct passwd *pw = id < 0 ? getpwnam(s) : NULL;

	if (id < 0 && !pw)
		cmd_usage("%s: no user '%s' on this host (a number works everywhere)", what, s);
	return id < 0 ? pw->pw_uid : (uint32_t)id;
}

static uint32_t group_id(const char *what, const char *s)
{
	int64_t id = numeric_id(s);
	struct group *gr = id < 0 ? getgrnam(s) : NULL;

	if (id < 0 && !gr)
		cmd_usage("%s: no group '%s' on this host (a number works everywhere)", what, s);
	return id < 0 ? gr->gr_gid : (uint32_t)id;
}

void cmd_owner(const char *what, const char *text, uint32_t *uid, uint32_t *gid)
{
	char *user = cmd_strdup(text);
	char *colon = strchr(user, ':');

	*uid = *gid = UINT32_MAX;
	if (colon)
		*colon++ = 0;
	if (*user)
		*uid = user_id(what, user);
	if (colon && *colon)
		*gid = group_id(what, colon);
	if (*uid == UINT32_MAX && *gid == UINT32_MAX)
		cmd_usage("%s: '%s' names neither user nor group", what, text);
	free(user);
}

/* The names met last: neighbours in a listing mostly belong to the same few users. */
struct id_name { uint32_t id; bool known; char name[59]; };

static struct id_name *name_slot(struct id_name *table, uint32_t id)
{
	struct id_name *n = &table[id % 64];

	if (n->id != id)
		n->known = false;
	n->id = id;
	return n;
}

const char *cmd_user_name(uint32_t uid)
{
	static struct id_name table[64];
	struct id_name *n = name_slot(table, uid);
	struct passwd *pw = n->known ? NULL : getpwuid(uid);

	if (pw)
		snprintf(n->name, sizeof n->name, "%s", pw->pw_name);
	else if (!n->known)
		snprintf(n->name, sizeof n->name, "%u", uid);
	n->known = true;
	return n->name;
}

const char *cmd_group_name(uint32_t gid)
{
	static struct id_name table[64];
	struct id_name *n = name_slot(table, gid);
	struct group *gr = n->known ? NULL : getgrgid(gid);

	if (gr)
		snprintf(n->name, sizeof n->name, "%s", gr->gr_name);
	else if (!n->known)
		snprintf(n->name, sizeof n->name, "%u", gid);
	n->known = true;
	return n->name;
}
