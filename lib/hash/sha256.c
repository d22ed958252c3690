/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 through libcrypto, which knows this CPU's instructions. The method is fetched once, for all threads. */
#include <openssl/evp.h>
#include <pthread.h>
#include "hash/hash_impl.h"

static EVP_MD *method; /* NULL when this libcrypto is configured without SHA-256 */
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void method_fetch(void)
{
	method = EVP_MD_fetch(NULL, "SHA2-256", NULL);
}

static bool by_libcrypto(const struct hash_piece *pieces, unsigned n, uint8_t out[HASH_LEN])
{
	EVP_MD_CTX *ctx;
	bool good;

	pthread_once(&method_once, method_fetch);
	if (!method)
		return false;
	ctx = EVP_MD_CTX_new();
	good = ctx && EVP_DigestInit_ex2(ctx, method, NULL) == 1;
	for (unsigned i = 0; good && i < n; i++)
		good = EVP_DigestUpdate(ctx, pieces[i].data, pieces[i].len) == 1;
	good = good && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
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
