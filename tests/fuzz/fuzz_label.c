/* SPDX-License-Identifier: Apache-2.0 */
/* Label headers; the hash is made right, so that the checks behind it are reached. What is accepted encodes to what it was. */
#include "format/label.h"
#include "hash/hash.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t raw[LABEL_LEN] = { 0 }, again[LABEL_LEN];
	struct buf text = { 0 };
	struct label l;

	memcpy(raw, data, len < sizeof raw ? len : sizeof raw);
	memcpy(raw, "LCPFSDEV", 8);
	blake3(raw, LABEL_LEN - HASH_LEN, raw + LABEL_LEN - HASH_LEN);
	if (label_decode(&l, raw, NULL))
		return 0;
	label_print(&l, &text);
	buf_fini(&text);
	label_encode(&l, again);
	if (l.minor <= FORMAT_MINOR && memcmp(raw, again, sizeof raw) != 0)
		abort();
	return 0;
}
