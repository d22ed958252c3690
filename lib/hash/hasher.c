/* SPDX-License-Identifier: Apache-2.0 */
/* The public hashers: BLAKE3 of our own, the others of libcrypto. */
#include "lcpfs/hash.h"
#include "base/error.h"
#include "hash/hash.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct lcpfs_hasher {
	struct blake3 b3;
	EVP_MD_CTX *ctx;    /* NULL: BLAKE3 */
	const EVP_MD *md;
	bool failed;
};

static const EVP_MD *md_by_name(const char *name)
{
	return !strcmp(name, "md5") ? EVP_md5() : !strcmp(name, "sha1") ? EVP_sha1() : !strcmp(name, "sha256") ? EVP_sha256() :
	    !strcmp(name, "sha512") ? EVP_sha512() : NULL;
}

static void begin(struct lcpfs_hasher *h)
{
	blake3_init(&h->b3);
	if (h->ctx)
		h->failed |= !EVP_DigestInit_ex(h->ctx, h->md, NULL);
}

int lcpfs_hasher_create(struct lcpfs_hasher **out, const char *name, struct lcpfs_error *err)
{
	struct lcpfs_hasher *h;
	const EVP_MD *md = md_by_name(name);

	if (!md && strcmp(name, "blake3") != 0)
		return lcpfs_fail(err, LCPFS_EINVAL, "unknown hash '%s': md5, sha1, sha256, sha512 or blake3", name);
	h = calloc(1, sizeof *h);
	if (h && md)
		h->ctx = EVP_MD_CTX_new();
	if (!h || (md && !h->ctx)) {
		free(h);
		return lcpfs_nomem(err);
	}
	h->md = md;
	begin(h);
	/* a system may forbid md5 */
	if (h->failed) {
		lcpfs_hasher_destroy(h);
		return lcpfs_fail(err, LCPFS_EUNSUP, "this system's libcrypto does not offer '%s'", name);
	}
	*out = h;
	return 0;
}

void lcpfs_hasher_update(struct lcpfs_hasher *h, const void *data, size_t len)
{
	if (!h->ctx)
		blake3_update(&h->b3, data, len);
	else
		h->failed |= !EVP_DigestUpdate(h->ctx, data, len);
}

size_t lcpfs_hasher_final(struct lcpfs_hasher *h, unsigned char out[LCPFS_HASH_MAX])
{
	unsigned n = HASH_LEN;

	if (!h->ctx)
		blake3_final(&h->b3, 0, out, HASH_LEN);
	else
		h->failed |= !EVP_DigestFinal_ex(h->ctx, out, &n);
	begin(h);
	return n;
}

void lcpfs_hasher_destroy(struct lcpfs_hasher *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}
