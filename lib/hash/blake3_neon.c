/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3 with NEON, which every little-endian AArch64 has: four inputs side by side. */
#include "hash/blake3_impl.h"
#ifdef BLAKE3_NEON
#include <arm_neon.h>
#include <string.h>
#include "base/util.h"

#define TARGET
#define NAME(x) neon_##x
#define LANES 4
#define VEC uint32x4_t
#define LOAD(p) vreinterpretq_u32_u8(vld1q_u8((const uint8_t *)(p)))
#define SET1(x) vdupq_n_u32(x)
#define ADD vaddq_u32
#define XOR veorq_u32
#define ZIPLO32 vzip1q_u32
#define ZIPHI32 vzip2q_u32
#define ZIPLO64(a, b) vreinterpretq_u32_u64(vzip1q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)))
#define ZIPHI64(a, b) vreinterpretq_u32_u64(vzip2q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)))
#define GATHER(p, off) LOAD((p)[0] + (off))
#define SCATTER(v, out) vst1q_u8(out, vreinterpretq_u8_u32(v))
#define ROR16(v) vreinterpretq_u32_u16(vrev32q_u16(vreinterpretq_u16_u32(v)))
#define ROR12(v) vsriq_n_u32(vshlq_n_u32(v, 20), v, 12)
#define ROR8(v) vsriq_n_u32(vshlq_n_u32(v, 24), v, 8)
#define ROR7(v) vsriq_n_u32(vshlq_n_u32(v, 25), v, 7)
#include "hash/blake3_lanes.h"

void blake3_many_neon(const uint8_t *in, size_t n, struct blake3_job job, uint8_t *out)
{
	size_t stride = job.chunks ? BLAKE3_CHUNK : BLAKE3_BLOCK;

	while (n > 2) {
		size_t k = MIN(n, 4);

		neon_lanes(in, k, &job, out);
		in += k * stride, out += 32 * k, job.counter += k, n -= k;
	}
	if (n)
		blake3_many_portable(in, n, job, out);
}
#endif
