/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/archive_impl.h"
#include "base/error.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static locale_t plain, utf8;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_locales(void)
{
	plain = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
	utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (!utf8)
		utf8 = newlocale(LC_CTYPE_MASK, "en_US.UTF-8", (locale_t)0);
}

locale_t arch_names_locale(bool unicode)
{
	pthread_once(&once, make_locales);
	return unicode && utf8 ? utf8 : plain;
}

bool arch_names_is_charset_warning(const char *msg)
{
	return msg && (strstr(msg, "be converted from") || (strstr(msg, "Can't translate") && strstr(msg, "UTF-8")));
}

/* Copy the components of raw but "" and "."; NULL for "..". A component the host could not have had is no name either. */
static const char *copy_components(char *to, const char *raw)
{
	char *p = to;

	*p = 0;
	while (*raw) {
		size_t n = strcspn(raw, "/");
		bool dot = n == 1 && raw[0] == '.';

		if (n == 2 && raw[0] == '.' && raw[1] == '.')
			return "its path has a '..'";
		if (n > 255)
			return "a component of its path is longer than 255 bytes";
		if (n && !dot) {
			if (p != to)
				*p++ = '/';
			memcpy(p, raw, n);
			p += n;
			*p = 0;
		}
		raw += n + (raw[n] == '/');
	}
	return NULL;
}

char *arch_names_normalise(const char *raw, bool *absolute, struct lcpfs_error *why)
{
	const char *bad = NULL;
	char *out;

	*absolute = raw && *raw == '/';
	if (!raw || !*raw) {
		lcpfs_fail(why, LCPFS_EINVAL, "it has no name that could be read");
		return NULL;
	}
	out = malloc(strlen(raw) + 1);
	if (!out) {
		lcpfs_nomem(why);
		return NULL;
	}
	bad = copy_components(out, raw);
	if (bad) {
		free(out);
		lcpfs_fail(why, LCPFS_EINVAL, "%s", bad);
		return NULL;
	}
	return out;
}
