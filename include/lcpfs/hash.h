/* SPDX-License-Identifier: Apache-2.0 */
/* Digests of contents, as sums of files are written. */
#ifndef LCPFS_HASH_H
#define LCPFS_HASH_H
#include <stddef.h>
#include "lcpfs/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lcpfs_hasher;
#define LCPFS_HASH_MAX 64 /* bytes of the longest digest */

/* name: "md5", "sha1", "sha256", "sha512", "blake3". One thread at a time uses a hasher. */
int lcpfs_hasher_create(struct lcpfs_hasher **out, const char *name, struct lcpfs_error *err);
void lcpfs_hasher_update(struct lcpfs_hasher *h, const void *data, size_t len);
/* The digest, and its length in bytes; the hasher begins anew. */
size_t lcpfs_hasher_final(struct lcpfs_hasher *h, unsigned char out[LCPFS_HASH_MAX]);
void lcpfs_hasher_destroy(struct lcpfs_hasher *h); /* NULL: nothing */

#ifdef __cplusplus
}
#endif
#endif
