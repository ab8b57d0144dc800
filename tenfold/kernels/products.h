/* Products of matrices of terms, whose sums stay in registers. */

#pragma once

#include "vectors.h"

/* Rows of a product that are summed up at a time: with two vectors a row, 12 sums. */
#define ROWS 6
#define EACH(i, count) _Pragma("GCC unroll 8") for (int i = 0; i < count; i++)

/* result[rows][panel] (+)= left[rows][depth] right[depth][panel], the panel of one or two vectors. */
typedef struct {
  const term *left;
  long row, step; /* from element (i, d) of the left to (i + 1, d) and to (i, d + 1) */
  const term *right;
  float *result;
  long result_row, rows, depth;
  int vectors, add;
} Product;

/* R rows of a product from `first` on, of V vectors. Loops over sums are unrolled before the compiler lays them out, or
   it would keep them in memory beside the registers. */
#define MULTIPLY(R, V)                                                                        \
  static void multiply_##R##_##V(const Product *p, long first) {                              \
    const term *left = p->left + first * p->row, *right = p->right;                           \
    long row = p->row, step = p->step, depth = p->depth, result_row = p->result_row;          \
    float *result = p->result + first * result_row;                                           \
    vec sums[R][V];                                                                           \
    EACH(i, R) EACH(j, V) sums[i][j] = (vec){0};                                              \
    for (long d = 0; d < depth; d++, left += step, right += V * LANES)                        \
      EACH(i, R) EACH(j, V) sums[i][j] = add_product(sums[i][j], left[i * row], right + j * LANES); \
    if (p->add) EACH(i, R) EACH(j, V) sums[i][j] += LOAD(result + i * result_row + j * LANES); \
    EACH(i, R) EACH(j, V) STORE(result + i * result_row + j * LANES, sums[i][j]);             \
  }
MULTIPLY(1, 1) MULTIPLY(2, 1) MULTIPLY(3, 1) MULTIPLY(4, 1) MULTIPLY(5, 1) MULTIPLY(6, 1)
MULTIPLY(1, 2) MULTIPLY(2, 2) MULTIPLY(3, 2) MULTIPLY(4, 2) MULTIPLY(5, 2) MULTIPLY(6, 2)

static void multiply(Product product) {
  static void (*const some_rows[2][ROWS])(const Product *, long) = {
      {multiply_1_1, multiply_2_1, multiply_3_1, multiply_4_1, multiply_5_1, multiply_6_1},
      {multiply_1_2, multiply_2_2, multiply_3_2, multiply_4_2, multiply_5_2, multiply_6_2},
  };
  for (long first = 0; first < product.rows; first += ROWS)
    some_rows[product.vectors - 1][smaller(ROWS, product.rows - first) - 1](&product, first);
}
