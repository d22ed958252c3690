/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders of frames. The first two bytes are the type, the rest the payload. What decodes as BEGIN, PACKAGE, CKPT or END must encode to the same. */
#include <stdlib.h>
#include <string.h>
#include "base/le.h"
#include "format/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must_equal(const struct buf *b, const uint8_t *data, size_t len)
{
	if (!b->failed && (b->len != len || memcmp(b->data, data, len)))
		abort();
}

static void again(unsigned type, const uint8_t *p, size_t len)
{
	struct frame_begin b;
	struct frame_package pk;
	struct frame_pos pos;
	struct buf out = { 0 };
	uint32_t index;

	if (type == FRAME_BEGIN && !frame_begin_decode(&b, p, len, NULL)) {
		frame_begin_encode(&b, &out);
		if (b.minor == FRAME_MINOR)
			must_equal(&out, p, len);
		frame_begin_fini(&b);
	} else if (type == FRAME_PACKAGE && !frame_package_decode(&pk, p, len, NULL)) {
		frame_package_encode(&pk, &out);
		must_equal(&out, p, len);
		frame_package_fini(&pk);
	} else if (type == FRAME_CKPT && !frame_ckpt_decode(&pos, p, len, NULL)) {
		frame_pos_encode(&pos, &out);
		must_equal(&out, p, len);
	} else if (type == FRAME_END && !frame_end_decode(&index, &pos, p, len, NULL)) {
		frame_end_encode(index, &pos, &out);
		must_equal(&out, p, len);
	}
	buf_fini(&out);
}

static void items(const uint8_t *p, size_t len)
{
	struct frame_items f;
	struct frame_item i;
	struct cur c;

	if (frame_items_decode(&f, p, len, NULL) || f.comp)
		return;
	c = cur_of(f.data, f.data_len);
	for (uint32_t n = 0; n < f.n && !frame_item_decode(&i, &c, NULL); n++)
		if (i.klen && i.key + i.klen > f.data + f.data_len)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct frame_hdr h = { 0 };
	struct buf out = { 0 };

	if (len >= FRAME_HDR)
		frame_hdr_decode(&h, data, NULL);
	if (len < 2)
		return 0;
	h.type = (uint16_t)(le_load(data, 2) & 15);
	h.len = len - 2;
	frame_print(&h, data + 2, &out);
	buf_fini(&out);
	again(h.type, data + 2, len - 2);
	if (h.type == FRAME_ITEMS)
		items(data + 2, len - 2);
	return 0;
}
