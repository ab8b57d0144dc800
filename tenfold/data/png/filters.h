/* PNG's filters (its specification, chapter 9) taken back: rows of `width` pixels of one or three bytes. */

#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Whichever of left, above and their corner is nearest to left + above - corner. */
static inline int paeth(int left, int above, int corner) {
  int from_left = abs(above - corner), from_above = abs(left - corner), from_corner = abs(left + above - 2 * corner);
  int side = from_left <= from_above ? left : above, from_side = from_left <= from_above ? from_left : from_above;
  return from_side <= from_corner ? side : corner;
}

/* A row from its `kind` of filter and `size` filtered bytes, with the row `above` it; 0 where there is no such kind.
   `bytes` of a pixel is a constant to the compiler. */
static inline int unfilter_row(int kind, const uint8_t *from, const uint8_t *above, uint8_t *to, long size, int bytes) {
  int left[3] = {0}, corner[3] = {0};
  if (kind == 0)
    memcpy(to, from, size);
  else if (kind == 1)
    for (long i = 0; i < size; i++) to[i] = from[i] + (i < bytes ? 0 : to[i - bytes]);
  else if (kind == 2)
    for (long i = 0; i < size; i++) to[i] = from[i] + above[i];
  else if (kind == 3)
    for (long i = 0; i < size; i++) to[i] = from[i] + ((i < bytes ? 0 : to[i - bytes]) + above[i]) / 2;
  else if (kind == 4)
    for (long i = 0; i < size; i += bytes)
      for (int k = 0; k < bytes; k++) {
        to[i + k] = left[k] = (uint8_t)(from[i + k] + paeth(left[k], above[i + k], corner[k]));
        corner[k] = above[i + k];
      }
  else
    return 0;
  return 1;
}

/* Pixels (height, width, bytes) from rows of a kind and filtered bytes; `zeros` is a row of them. */
static inline int unfilter(const uint8_t *rows, const uint8_t *zeros, uint8_t *to, long height, long width, int bytes) {
  long size = width * bytes;
  for (long row = 0; row < height; row++, rows += 1 + size, to += size)
    if (!unfilter_row(rows[0], rows + 1, row ? to - size : zeros, to, size, bytes)) return 0;
  return 1;
}
