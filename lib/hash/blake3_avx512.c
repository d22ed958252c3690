/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3 with AVX-512F and VL: sixteen inputs side by side, or eight; up to four by rows. */
#include "hash/blake3_impl.h"
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#include "base/util.h"

#define BLAKE3_ROTATES 1
#define AVX512 __attribute__((target("avx512f,avx512vl")))

#define TARGET AVX512
#define NAME(x) avx512x1_##x
#define STREAMS 1
#include "hash/blake3_x86_128.h"
#include "hash/blake3_rows.h"

#define TARGET AVX512
#define NAME(x) avx512x2_##x
#define STREAMS 1
#include "hash/blake3_x86_256.h"
#include "hash/blake3_rows.h"

#define TARGET AVX512
#define NAME(x) avx512x4_##x
#define STREAMS 1
#include "hash/blake3_x86_512.h"
#include "hash/blake3_rows.h"

#define TARGET AVX512
#define NAME(x) avx512x8_##x
#define LANES 8
#include "hash/blake3_x86_256.h"
#include "hash/blake3_lanes.h"

#define TARGET AVX512
#define NAME(x) avx512x16_##x
#define LANES 16
#include "hash/blake3_x86_512.h"
#include "hash/blake3_lanes.h"

void blake3_blocks_avx512(uint32_t cv[8], const uint8_t *in, size_t n, struct blake3_place at)
{
	avx512x1_blocks(cv, in, n, at);
}

void blake3_many_avx512(const uint8_t *in, size_t n, struct blake3_job job, uint8_t *out)
{
	size_t stride = job.chunks ? BLAKE3_CHUNK : BLAKE3_BLOCK, k;

	for (; n; in += k * stride, out += 32 * k, job.counter += k, n -= k) {
		k = MIN(n, 16);
		if (k > 8)
			avx512x16_lanes(in, k, &job, out);
		else if (k > 4)
			avx512x8_lanes(in, k, &job, out);
		else if (k > 2)
			avx512x4_rows(in, k, &job, out);
		else if (k == 2)
			avx512x2_rows(in, k, &job, out);
		else
			blake3_one(in, &job, avx512x1_blocks, out);
	}
}
#endif
