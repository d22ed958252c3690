/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3 with AVX2: eight inputs side by side, up to four by rows. */
#include "hash/blake3_impl.h"
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#include "base/util.h"

#define REG(n) "%%ymm" #n
#define SIZE "32"
#define MOVE(s, d) "vmovdqa " s ", " d "\n"
#define ALU(op, s, d) "v" op " " s ", " d ", " d "\n"
#define SHIFT(op, n, d) SHIFT_TO(op, n, d, d)
#define SHIFT_TO(op, n, s, d) "v" op " $" n ", " s ", " d "\n"
#include "hash/blake3_x86_rounds.h"

#define AVX2 __attribute__((target("avx2")))

#define TARGET AVX2
#define NAME(x) avx2x1_##x
#define STREAMS 1
#include "hash/blake3_x86_128.h"
#include "hash/blake3_rows.h"

#define TARGET AVX2
#define NAME(x) avx2x2_##x
#define STREAMS 1
#include "hash/blake3_x86_256.h"
#include "hash/blake3_rows.h"

#define TARGET AVX2
#define NAME(x) avx2x4_##x
#define STREAMS 2
#include "hash/blake3_x86_256.h"
#include "hash/blake3_rows.h"

#define TARGET AVX2
#define NAME(x) avx2x8_##x
#define LANES 8
#define COMPRESS(v, m) ROUNDS_ASM(v, m)
#include "hash/blake3_x86_256.h"
#include "hash/blake3_lanes.h"

void blake3_blocks_avx2(uint32_t cv[8], const uint8_t *in, size_t n, struct blake3_place at)
{
	avx2x1_blocks(cv, in, n, at);
}

void blake3_many_avx2(const uint8_t *in, size_t n, struct blake3_job job, uint8_t *out)
{
	size_t stride = job.chunks ? BLAKE3_CHUNK : BLAKE3_BLOCK, k;

	for (; n; in += k * stride, out += 32 * k, job.counter += k, n -= k) {
		k = MIN(n, 8);
		if (k > 4)
			avx2x8_lanes(in, k, &job, out);
		else if (k > 2)
			avx2x4_rows(in, k, &job, out);
		else if (k == 2)
			avx2x2_rows(in, k, &job, out);
		else
			blake3_one(in, &job, avx2x1_blocks, out);
	}
}
#endif
