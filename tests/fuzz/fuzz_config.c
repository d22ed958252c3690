/* SPDX-License-Identifier: Apache-2.0 */
/* The decoded config. What is accepted encodes to something that is accepted again, to the same bytes. */
#include "format/config.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf one = { 0 }, two = { 0 }, text = { 0 };
	struct config c, again;

	if (config_decode(&c, data, len, NULL))
		return 0;
	config_encode(&c, &one);
	config_print(&c, &text);
	if (config_decode(&again, one.data, one.len, NULL))
		abort();
	config_encode(&again, &two);
	if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0)
		abort();
	config_fini(&c);
	config_fini(&again);
	buf_fini(&one);
	buf_fini(&two);
	buf_fini(&text);
	return 0;
}
