/* Vectors of LANES of float32, in the vector extensions of GCC and Clang; the numbers of images, which are float32
   or, with BFLOAT16, bfloat16; and what products multiply. All files are compiled for each number of lanes that the
   processor has, and where it can for each again with BFLOAT16. */

#pragma once

#include <stdint.h>
#include <stdlib.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ints __attribute__((vector_size(LANES * sizeof(int32_t))));
/* As they lie in memory. */
typedef float stored __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef uint16_t shorts __attribute__((vector_size(LANES * sizeof(uint16_t)), aligned(2), may_alias));
typedef uint8_t bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

#define LOAD(from) ((vec) * (const stored *)(from))
#define STORE(to, value) (*(stored *)(to) = (stored)(value))

static inline long smaller(long a, long b) { return a < b ? a : b; }

/* Where `mask` is true, `value`; elsewhere 0. */
static inline vec where(ints mask, vec value) { return (vec)(mask & (ints)value); }

/* Where `mask` is true, `yes`; elsewhere `no`. */
static inline vec either(ints mask, vec yes, vec no) { return (vec)((mask & (ints)yes) | (~mask & (ints)no)); }

/* The largest of four values, and in `which` the first of the four that it was. */
static inline vec largest(const vec values[4], ints *which) {
  vec best = values[0];
  *which = (ints){0};
  for (int k = 1; k < 4; k++) {
    ints larger = values[k] > best;
    best = either(larger, values[k], best);
    *which = (larger & k) | (~larger & *which);
  }
  return best;
}

/* GCC 12 converts vectors of bytes and of shorts number by number, which takes ten times as long as the processor's own
   instructions; where it has them they are named. */
#if LANES == 16 && defined __AVX512F__
static inline ints load_bytes(const uint8_t *from) {
  return (ints)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
}
static inline ints load_shorts(const uint16_t *from) {
  return (ints)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
}
static inline void store_bytes(uint8_t *to, ints values) {
  _mm_storeu_si128((__m128i *)to, _mm512_cvtepi32_epi8((__m512i)values));
}
#elif LANES == 8 && defined __AVX2__
static inline ints load_bytes(const uint8_t *from) {
  return (ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from));
}
static inline ints load_shorts(const uint16_t *from) {
  return (ints)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from));
}
static inline void store_bytes(uint8_t *to, ints values) {
  __m256i whole = (__m256i)values;
  __m128i shorter = _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  _mm_storel_epi64((__m128i *)to, _mm_packus_epi16(shorter, shorter));
}
#else
static inline ints load_bytes(const uint8_t *from) { return __builtin_convertvector(*(const bytes *)from, ints); }
static inline ints load_shorts(const uint16_t *from) { return __builtin_convertvector(*(const shorts *)from, ints); }
static inline void store_bytes(uint8_t *to, ints values) { *(bytes *)to = __builtin_convertvector(values, bytes); }
#endif

static inline void *aligned(long bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }

static inline float *aligned_floats(long count) { return aligned(count * sizeof(float)); }

/* A term of a product is a number, or with BFLOAT16 two, which are multiplied and added in one step. DEPTH numbers
   of those that are summed up make a term. */
#ifndef BFLOAT16

typedef float number;
static inline vec load_numbers(const number *from) { return LOAD(from); }
static inline void store_numbers(number *to, vec value) { STORE(to, value); }

#define DEPTH 1
typedef float term;

/* sum + a b, for LANES of terms `b`. */
static inline vec add_product(vec sum, term a, const term *b) { return sum + a * LOAD(b); }

/* Terms across DEPTH tiles. */
static inline void store_tiles(term *to, const vec values[DEPTH]) { STORE(to, values[0]); }

#else

typedef uint16_t number;

/* A bfloat16 is the upper 16 bits of a float32. */
static inline vec load_numbers(const number *from) {
  return (vec)(load_shorts(from) << 16);
}

#define DEPTH 2
typedef uint32_t term;

#if LANES == 16
static inline vec add_product(vec sum, term a, const term *b) {
  return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(a), (__m512bh)_mm512_loadu_si512(b));
}

static inline void store_numbers(number *to, vec value) {
  _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh((__m512)value));
}

static inline void store_tiles(term *to, const vec values[DEPTH]) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)values[1], (__m512)values[0]);
  _mm512_storeu_si512(to, _mm512_permutexvar_epi16(order, both));
}
#else
static inline vec add_product(vec sum, term a, const term *b) {
  return (vec)_mm256_dpbf16_ps((__m256)sum, (__m256bh)_mm256_set1_epi32(a),
                               (__m256bh)_mm256_loadu_si256((const __m256i *)b));
}

static inline void store_numbers(number *to, vec value) {
  _mm_storeu_si128((__m128i *)to, (__m128i)_mm256_cvtneps_pbh((__m256)value));
}

static inline void store_tiles(term *to, const vec values[DEPTH]) {
  const __m256i order = _mm256_set_epi16(15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0);
  __m256i both = (__m256i)_mm256_cvtne2ps_pbh((__m256)values[1], (__m256)values[0]);
  _mm256_storeu_si256((__m256i *)to, _mm256_permutexvar_epi16(order, both));
}
#endif

#endif

/* Terms along the channels of one tile. */
static inline void store_channels(term *to, vec value) { store_numbers((number *)to, value); }
