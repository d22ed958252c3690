/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "auto": a codec for each block by what is in it. The budget is the table: each name stands for a cost per byte, and a class of data
 * gets the codec that brings most for about that cost. It depends on the block's bytes alone, never on a clock.
 *
 * CPU milliseconds per MB and stored size, blocks of 1 MiB, zstd 1.5.4, liblzma 5.4.1:
 *                    zstd:1      zstd:3      zstd:6      zstd:9      zstd:19     lzma:1      lzma:3      lzma:6
 *   kernel source    1.8 13.4%   2.4 12.4%   7.0 11.0%   11  10.6%   400  9.5%   30  10.5%   40   9.9%   235  9.1%
 *   /usr/bin         3.0 45.6%   5.5 41.0%   12  39.0%   19  38.6%   254 35.0%   77  35.0%   105 34.7%   281 32.5%
 *   floats, int32    1.8 86%     3.7 86%     9   85%     17  85%     190 63%     120 54%     120 54%     230 53%
 *   packed           0.2  100%   0.4 100%    3   100%    7   100%    65  100%    200 100%    250 100%    215 100%
 */
#include <stdio.h>
#include <string.h>
#include "base/util.h"
#include "codec/codec_impl.h"

#define ZSTD(l) { .id = CODEC_ZSTD, .level = l }
#define LZMA(l) { .id = CODEC_LZMA2, .level = l }

/* PACKED, MOSTLY and PARTLY: so much of it is compressed or encrypted already (7/8, 3/4, 1/3). */
enum class { PACKED, MOSTLY, PARTLY, TEXT, NUMBERS, OTHER, CLASSES };
enum { FAST, BALANCED, SMALL, BUDGETS };

static const char *const budget_name[BUDGETS] = { "fast", "balanced", "small" };

/*
 * What is packed already gets zstd all the same: it passes over it in less time than a checksum takes, and finds the file between.
 * Numbers as zstd sees them hardly ever gain by a higher level, only by lzma's contexts that know the place within a word.
 */
static const struct codec_spec table[BUDGETS][CLASSES] = {
	[FAST] = {
		[PACKED] = ZSTD(1), [MOSTLY] = ZSTD(-1), [PARTLY] = ZSTD(1), [TEXT] = ZSTD(1),
		[NUMBERS] = ZSTD(1), [OTHER] = ZSTD(1),
	},
	[BALANCED] = {
		[PACKED] = ZSTD(3), [MOSTLY] = ZSTD(3), [PARTLY] = ZSTD(6), [TEXT] = ZSTD(6),
		[NUMBERS] = ZSTD(1), [OTHER] = ZSTD(6),
	},
	[SMALL] = {
		[PACKED] = ZSTD(3), [MOSTLY] = ZSTD(9), [PARTLY] = ZSTD(9), [TEXT] = LZMA(3),
		[NUMBERS] = LZMA(1), [OTHER] = LZMA(2),
	},
};

static enum class classify(const uint8_t *src, size_t len)
{
	struct codec_look l;

	codec_look(src, len, &l);
	if (!l.pieces)
		return OTHER;
	if (codec_mostly_random(&l))
		return PACKED;
	if (l.random * 4 >= l.pieces * 3)
		return MOSTLY;
	if (l.random * 3 >= l.pieces)
		return PARTLY;
	if (l.numbers * 4 >= l.pieces * 3)
		return NUMBERS;
	if (l.text * 4 >= l.pieces * 3)
		return TEXT;
	return OTHER;
}

struct codec_spec codec_choose(struct codec_spec want, const void *src, size_t len)
{
	unsigned budget = (unsigned)want.level;

	if (want.id != CODEC_AUTO || budget >= BUDGETS)
		return want;
	return table[budget][classify(src, len)];
}

bool codec_auto_parse(const char *text, struct codec_spec *out)
{
	for (int8_t i = 0; i < BUDGETS; i++)
		if (strcmp(text, budget_name[i]) == 0) {
			*out = (struct codec_spec){ .id = CODEC_AUTO, .level = i };
			return true;
		}
	return false;
}

void codec_auto_print(struct codec_spec spec, char *text, size_t len)
{
	if (spec.level == BALANCED)
		snprintf(text, len, "auto");
	else
		snprintf(text, len, "auto:%s", spec.level >= 0 && spec.level < BUDGETS ? budget_name[spec.level] : "?");
}
