/* Winograd's F(4x4, 3x3) in one direction: the matrices, written out.

   Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308). With d a tile of 6x6 inputs, g
   a filter and e a tile of 4x4 gradients,

     outputs = A^T [(G g G^T) * (B^T d B)] A,    gradient of the filter = G^T [(B^T d B) * (A e A^T)] G.

   The transforms interpolate at 0, +-1/sqrt(2), +-sqrt(2) and infinity. At the usual 0, +-1, +-2 and infinity they
   take two multiplications less, and rounding in between costs twice the accuracy (docs/log.md). */

#pragma once

#include "vectors.h"

#define NEAR 0.70710678118654752f
#define FAR 1.41421356237309505f

/* B^T d */
static inline void input_transform(const vec d[6], vec r[6]) {
  vec a = d[4] - 2 * d[2], b = NEAR * (d[3] - 2 * d[1]), c = d[4] - 0.5f * d[2], e = FAR * (d[3] - 0.5f * d[1]);
  r[0] = d[0] - 2.5f * d[2] + d[4];
  r[1] = a + b;
  r[2] = a - b;
  r[3] = c + e;
  r[4] = c - e;
  r[5] = d[1] - 2.5f * d[3] + d[5];
}

/* A^T m */
static inline void output_transform(const vec m[6], vec r[4]) {
  vec a = m[1] + m[2], b = NEAR * (m[1] - m[2]), c = m[3] + m[4], e = FAR * (m[3] - m[4]);
  r[0] = m[0] + a + c;
  r[1] = b + e;
  r[2] = 0.5f * a + 2 * c;
  r[3] = 0.5f * b + 2 * e + m[5];
}

/* A e */
static inline void gradient_transform(const vec e[4], vec r[6]) {
  vec a = e[0] + 0.5f * e[2], b = NEAR * (e[1] + 0.5f * e[3]), c = e[0] + 2 * e[2], d = FAR * (e[1] + 2 * e[3]);
  r[0] = e[0];
  r[1] = a + b;
  r[2] = a - b;
  r[3] = c + d;
  r[4] = c - d;
  r[5] = e[3];
}

/* G g */
static inline void filter_transform(const vec g[3], vec r[6]) {
  vec a = (g[0] + 0.5f * g[2]) * (-2 / 3.f), b = g[1] * (-2 / 3.f * NEAR);
  vec c = (g[0] + 2 * g[2]) * (1 / 6.f), d = g[1] * (1 / 6.f * FAR);
  r[0] = g[0];
  r[1] = a + b;
  r[2] = a - b;
  r[3] = c + d;
  r[4] = c - d;
  r[5] = g[2];
}

/* G^T s */
static inline void filter_transform_back(const vec s[6], vec r[3]) {
  vec a = (s[1] + s[2]) * (-2 / 3.f), b = (s[1] - s[2]) * (-2 / 3.f * NEAR);
  vec c = (s[3] + s[4]) * (1 / 6.f), d = (s[3] - s[4]) * (1 / 6.f * FAR);
  r[0] = s[0] + a + c;
  r[1] = b + d;
  r[2] = 0.5f * a + 2 * c + s[5];
}
