/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names of datasets and snapshots. */
#ifndef ZPL_API_NAMES_H
#define ZPL_API_NAMES_H
#include "zpl/handle.h"

struct names { char **v; size_t n, cap; }; /* each malloc'ed */
int api_names_add(struct names *l, const char *a, const char *b, struct lcpfs_error *err); /* a and b as one */
void api_names_free(struct names *l);
/* Each name once, sorted. */
void api_names_unique(struct names *l);
/* "above/name" into full; its length is what ends the descent into datasets of a damaged pool. */
int api_child_name(struct buf *full, const char *above, const char *name, struct lcpfs_error *err);

/* For dmu_each: the child and all below it are added, with the suffix ("@x"); must_exist: where there is one. */
struct subtree { struct spa *spa; const char *above; const char *suffix; struct names *out; bool must_exist; };
int api_add_child(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err);
int api_add_children(struct spa *s, const char *name, uint64_t id, const char *suffix, struct names *out, struct lcpfs_error *err);
#endif
