/* Filters and their transforms: G g G^T before the products, G^T s G of the sums behind them. */

#pragma once

#include "convolution.h"
#include "transforms.h"

/* G g G^T of LANES outputs from `output` on for one input. */
static inline void transform_filter(Filters filters, long output, long input, vec r[36]) {
  const float *from = filters.values + output * filters.output + input * filters.input;
  vec columns[18];
  for (int j = 0; j < 3; j++) {
    vec g[3] = {0}, t[6];
    for (int i = 0; i < 3; i++)
      for (int lane = 0; lane < LANES; lane++)
        g[i][lane] = from[lane * filters.output + i * filters.row + j * filters.column];
    filter_transform(g, t);
    for (int i = 0; i < 6; i++) columns[3 * i + j] = t[i];
  }
  for (int i = 0; i < 6; i++) filter_transform(columns + 3 * i, r + 6 * i);
}

/* G^T s G of the 36 places' sums of LANES outputs for one input, into their filters. */
static inline void transform_filter_back(const vec s[36], Filters to, long output, long input) {
  float *place = to.values + output * to.output + input * to.input;
  vec columns[18];
  for (int j = 0; j < 6; j++) {
    vec column[6], r[3];
    for (int i = 0; i < 6; i++) column[i] = s[6 * i + j];
    filter_transform_back(column, r);
    for (int i = 0; i < 3; i++) columns[6 * i + j] = r[i];
  }
  for (int i = 0; i < 3; i++) {
    vec r[3];
    filter_transform_back(columns + 6 * i, r);
    for (int j = 0; j < 3; j++)
      for (int lane = 0; lane < LANES; lane++) place[lane * to.output + i * to.row + j * to.column] = r[j][lane];
  }
}
