/* SPDX-License-Identifier: Apache-2.0 */
/* Uberblocks; the hash is made right, so that the checks behind it are reached. What is accepted encodes to what it was. */
#include "format/label.h"
#include "hash/hash.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t raw[UBER_LEN] = { 0 }, again[UBER_LEN];
	struct buf text = { 0 };
	struct uberblock u;

	memcpy(raw, data, len < sizeof raw ? len : sizeof raw);
	memcpy(raw, "LCPFSUBR", 8);
	blake3(raw, UBER_LEN - HASH_LEN, raw + UBER_LEN - HASH_LEN);
	if (uberblock_decode(&u, raw, NULL))
		return 0;
	uberblock_print(&u, &text);
	buf_fini(&text);
	uberblock_encode(&u, again);
	if (u.minor <= FORMAT_MINOR && memcmp(raw, again, sizeof raw) != 0)
		abort();
	return 0;
}
