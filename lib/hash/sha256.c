/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 through libcrypto, which knows this CPU's instructions. It is loaded when the first digest is wanted: most pools never want one,
 * and to load it takes longer than to read a small file. The method is fetched once, for all threads.
 */
#include <dlfcn.h>
#include <openssl/evp.h>
#include <pthread.h>
#include "hash/hash_impl.h"

#define STR_(x) #x
#define STR(x) STR_(x)

static struct {
	__typeof__(EVP_MD_fetch) *fetch;
	__typeof__(EVP_MD_CTX_new) *ctx_new;
	__typeof__(EVP_MD_CTX_free) *ctx_free;
	__typeof__(EVP_DigestInit_ex2) *init;
	__typeof__(EVP_DigestUpdate) *update;
	__typeof__(EVP_DigestFinal_ex) *final;
} evp;
static EVP_MD *method; /* NULL when there is no libcrypto, or it is configured without SHA-256 */
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

/* A function's address as POSIX has it: through an object pointer. */
static bool find(void *lib, const char *name, void *out)
{
	*(void **)out = dlsym(lib, name);
	return *(void **)out;
}

static void method_fetch(void)
{
	void *lib = dlopen("libcrypto.so." STR(OPENSSL_SHLIB_VERSION), RTLD_NOW | RTLD_LOCAL);

	if (lib && find(lib, "EVP_MD_fetch", &evp.fetch) && find(lib, "EVP_MD_CTX_new", &evp.ctx_new) &&
	    find(lib, "EVP_MD_CTX_free", &evp.ctx_free) && find(lib, "EVP_DigestInit_ex2", &evp.init) &&
	    find(lib, "EVP_DigestUpdate", &evp.update) && find(lib, "EVP_DigestFinal_ex", &evp.final))
		method = evp.fetch(NULL, "SHA2-256", NULL);
}

static bool by_libcrypto(const struct hash_piece *pieces, unsigned n, uint8_t out[HASH_LEN])
{
	EVP_MD_CTX *ctx;
	bool good;

	pthread_once(&method_once, method_fetch);
	if (!method)
		return false;
	ctx = evp.ctx_new();
	good = ctx && evp.init(ctx, method, NULL) == 1;
	for (unsigned i = 0; good && i < n; i++)
		good = evp.update(ctx, pieces[i].data, pieces[i].len) == 1;
	good = good && evp.final(ctx, out, NULL) == 1;
	evp.ctx_free(ctx);
	return good;
}

void sha256_pieces(const struct hash_piece *pieces, unsigned n, uint8_t out[HASH_LEN])
{
	struct sha256_plain s;

	if (by_libcrypto(pieces, n, out))
		return;
	sha256_plain_init(&s);
	for (unsigned i = 0; i < n; i++)
		sha256_plain_update(&s, pieces[i].data, pieces[i].len);
	sha256_plain_final(&s, out);
}
