/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node header and body decoders. First byte: bit 0 leaf, bit 1 header, bit 2 columns; then two bytes of pointer count (of columns); then the
 * body. What comes out of columns must come out again of its own arrangement.
 */
#include <stdlib.h>
#include <string.h>
#include "base/le.h"
#include "format/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_body(const uint8_t *body, size_t len, bool leaf, uint32_t nptr)
{
	struct node_body b;
	struct node_item it;
	struct buf out = { 0 };

	if (node_body_decode(&b, body, len, leaf, nptr, NULL))
		return;
	for (uint32_t i = 0; i < b.nitems; i++) {
		node_body_item(&b, i, &it);
		buf_reset(&out);
		buf_add(&out, it.key, it.klen);
		buf_add(&out, it.val, it.vlen);
	}
	buf_fini(&out);
}

static void read_cols(const uint8_t *cols, size_t len, unsigned n)
{
	uint8_t *body = malloc(len), *again = malloc(len), *to = malloc(len + NODE_COLS_MAX);
	unsigned m;

	if (n < len && !node_cols_decode(cols, n, body, len - n, NULL)) {
		read_body(body, len - n, true, 0);
		m = node_cols_encode(body, len - n, to);
		if (m && (node_cols_decode(to, m, again, len - n, NULL) || memcmp(body, again, len - n)))
			abort();
	}
	free(body);
	free(again);
	free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct node_hdr h;
	struct buf out = { 0 };

	if (len < 3)
		return 0;
	if (data[0] & 4) {
		if (len > 3 && len < NODE_LIMIT)
			read_cols(data + 3, len - 3, data[1] % (NODE_COLS_MAX + 1));
		return 0;
	}
	if (!(data[0] & 2)) {
		read_body(data + 3, len - 3, data[0] & 1, (uint32_t)le_load(data + 1, 2));
		return 0;
	}
	if (!node_hdr_decode(&h, data + 3, len - 3, NULL)) {
		node_hdr_print(&h, &out);
		read_body(data + 3 + NODE_HDR + (size_t)h.nptr * PTR_LEN, h.body_stored, !h.level, h.nptr);
	}
	buf_fini(&out);
	return 0;
}
