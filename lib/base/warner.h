/* SPDX-License-Identifier: Apache-2.0 */
/* warner: passing what could not be done in full to a caller's entry_warn_fn, and counting it. */
#ifndef BASE_WARNER_H
#define BASE_WARNER_H
#include "base/entry.h"

struct warner {
	entry_warn_fn *fn; /* may be NULL: only counted */
	void *arg;
	uint64_t count;
};

static inline void warner_tell(struct warner *w, const char *path, const struct lcpfs_error *why)
{
	w->count++;
	if (w->fn)
		w->fn(w->arg, path, why);
}
#endif
