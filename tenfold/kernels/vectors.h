/* Vectors of float32 as wide as the processor's registers, in the vector extensions of GCC and Clang. */

#pragma once

#include <stdint.h>
#include <stdlib.h>

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ints __attribute__((vector_size(LANES * sizeof(int32_t))));
/* As they lie in memory. */
typedef float stored __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef uint8_t bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

#define LOAD(from) ((vec) * (const stored *)(from))
#define STORE(to, value) (*(stored *)(to) = (stored)(value))

static inline long smaller(long a, long b) { return a < b ? a : b; }

/* Where `mask` is true, `value`; elsewhere 0. */
static inline vec where(ints mask, vec value) { return (vec)(mask & (ints)value); }

/* Where `mask` is true, `yes`; elsewhere `no`. */
static inline vec either(ints mask, vec yes, vec no) { return (vec)((mask & (ints)yes) | (~mask & (ints)no)); }

static inline float *aligned_floats(long count) {
  return aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
}
