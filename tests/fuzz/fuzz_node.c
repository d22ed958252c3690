/* SPDX-License-Identifier: Apache-2.0 */
/* Node header and body decoders. First byte: bit 0 leaf, bit 1 header; then two bytes of pointer count; then the body. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct node_hdr h;
	struct buf out = { 0 };

	if (len < 3)
		return 0;
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
