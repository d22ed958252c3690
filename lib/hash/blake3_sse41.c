/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3 with SSE4.1: four inputs side by side, up to two by rows. */
#include "hash/blake3_impl.h"
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#include "base/util.h"

#define REG(n) "%%xmm" #n
#define SIZE "16"
#define MOVE(s, d) "movdqa " s ", " d "\n"
#define ALU(op, s, d) op " " s ", " d "\n"
#define SHIFT(op, n, d) op " $" n ", " d "\n"
#define SHIFT_TO(op, n, s, d) MOVE(s, d) SHIFT(op, n, d)
#include "hash/blake3_x86_rounds.h"

#define SSE41 __attribute__((target("sse4.1")))

#define TARGET SSE41
#define NAME(x) sse41x1_##x
#define STREAMS 1
#include "hash/blake3_x86_128.h"
#include "hash/blake3_rows.h"

#define TARGET SSE41
#define NAME(x) sse41x2_##x
#define STREAMS 2
#include "hash/blake3_x86_128.h"
#include "hash/blake3_rows.h"

#define TARGET SSE41
#define NAME(x) sse41x4_##x
#define LANES 4
#define COMPRESS(v, m) ROUNDS_ASM(v, m)
#include "hash/blake3_x86_128.h"
#include "hash/blake3_lanes.h"

void blake3_blocks_sse41(uint32_t cv[8], const uint8_t *in, size_t n, struct blake3_place at)
{
	sse41x1_blocks(cv, in, n, at);
}

void blake3_many_sse41(const uint8_t *in, size_t n, struct blake3_job job, uint8_t *out)
{
	size_t stride = job.chunks ? BLAKE3_CHUNK : BLAKE3_BLOCK, k;

	for (; n; in += k * stride, out += 32 * k, job.counter += k, n -= k) {
		k = MIN(n, 4);
		if (k > 2)
			sse41x4_lanes(in, k, &job, out);
		else if (k == 2)
			sse41x2_rows(in, k, &job, out);
		else
			blake3_one(in, &job, sse41x1_blocks, out);
	}
}
#endif
