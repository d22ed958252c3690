/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A quick look at a block: short pieces from all over it, each judged by how often its bytes occur. About one byte in 64 is looked
 * at, so it costs a few percent of the fastest codec. Integers only: the same answer on every machine.
 *
 * In a piece of n bytes that are random the sum of squared counts is about n + n^2/256. Data that a codec can do anything about at
 * this level is far above: text at about 15 times that, machine code at 10.
 */
#include <string.h>
#include "base/util.h"
#include "codec/codec_impl.h"

#define PIECE 1024u
#define PIECES_MAX 64u
#define EVERY (64 * KiB) /* a piece of every so many bytes */

struct tally { uint32_t squares, text, zeros; };

static struct tally count(const uint8_t *p)
{
	uint16_t n[256] = { 0 };
	struct tally t = { 0 };

	for (size_t i = 0; i < PIECE; i++)
		n[p[i]]++;
	for (size_t i = 0; i < 256; i++)
		t.squares += (uint32_t)n[i] * n[i];
	for (size_t i = 0x20; i < 0x7f; i++)
		t.text += n[i];
	t.text += n['\n'] + n['\t'] + n['\r'];
	t.zeros = n[0];
	return t;
}

/* Do bytes resemble those one number before, much more than their neighbours? Not all of them: that would be a pattern. */
static bool strided(const uint8_t *p)
{
	static const uint8_t stride[] = { 2, 4, 8, 12, 16, 24 };
	uint32_t same[25] = { 0 };

	for (size_t k = 0; k < ARRAY_LEN(stride); k++)
		for (size_t i = 25; i < PIECE; i++)
			same[stride[k]] += p[i] == p[i - stride[k]];
	for (size_t i = 25; i < PIECE; i++)
		same[1] += p[i] == p[i - 1];
	for (size_t k = 0; k < ARRAY_LEN(stride); k++)
		if (same[stride[k]] > PIECE / 8 && same[stride[k]] < PIECE * 3 / 4 && same[stride[k]] > 2 * same[1])
			return true;
	return false;
}

void codec_look(const uint8_t *src, size_t len, struct codec_look *out)
{
	size_t n = MIN(len / EVERY + 1, PIECES_MAX);

	*out = (struct codec_look){ 0 };
	if (len < PIECE)
		return;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = src + (n > 1 ? (len - PIECE) / (n - 1) * i : 0);
		struct tally t = count(p);

		out->pieces++;
		if (t.squares < 3 * (PIECE + PIECE * PIECE / 256) / 2)
			out->random++;
		else if (t.text >= PIECE - PIECE / 16)
			out->text++;
		else if (t.zeros < PIECE / 2 && strided(p))
			out->numbers++;
	}
}

bool codec_incompressible(struct codec_ctx *c, const uint8_t *src, size_t len, uint8_t *tmp, size_t cap)
{
	struct codec_look l;

	codec_look(src, len, &l);
	if (!codec_mostly_random(&l))
		return false;
	return !codec_row_zstd.compress(c, 1, src, len, tmp, MIN(cap, len - len / 32));
}
