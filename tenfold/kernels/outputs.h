/* From products to results: A^T m A of a tile's products, the bias, pooling. */

#pragma once

#include "tiles.h"

/* The products of a block: (36, tiles, channels), `step` from place to place. */
typedef struct {
  const float *values;
  long step;
} Products;

/* A^T m A + bias of the tile and the LANES channels whose products begin at `products`. */
static inline void outputs_of(const float *products, long step, const float *bias, vec outputs[16]) {
  vec columns[24], m[6];
  for (int j = 0; j < 6; j++) {
    vec r[4];
    for (int i = 0; i < 6; i++) m[i] = LOAD(products + (6 * i + j) * step);
    output_transform(m, r);
    for (int i = 0; i < 4; i++) columns[6 * i + j] = r[i];
  }
  for (int i = 0; i < 4; i++) {
    output_transform(columns + 6 * i, outputs + 4 * i);
    for (int j = 0; j < 4; j++) outputs[4 * i + j] += LOAD(bias);
  }
}

/* The largest of the 2x2 outputs from (i, j) on. */
static inline void store_largest(const vec outputs[16], int i, int j, Pixels to, long place) {
  const vec *from = outputs + 4 * i + j, four[4] = {from[0], from[1], from[4], from[5]};
  ints which;
  store_numbers(to.values + place, largest(four, &which));
  store_bytes(to.chosen + place, which);
}

/* `count` tiles of outputs, from `first` on, without what lies outside the images; pooled where `to` keeps choices. */
static void transform_outputs(Products products, const float *bias, Tiles to, long first, long count) {
  int factor = to.pixels.chosen ? 2 : 1;
  long channels = to.channels, height = to.grid.height / factor, width = to.grid.width / factor;
  for (long t = 0; t < count; t++) {
    Corner corner = corner_of(to.grid, first + t);
    long top = corner.top / factor, left = corner.left / factor;
    long high = smaller(height - top, 4 / factor), wide = smaller(width - left, 4 / factor);
    for (long c = 0; c < channels; c += LANES) {
      vec outputs[16];
      outputs_of(products.values + t * channels + c, products.step, bias + c, outputs);
      for (int i = 0; i < high; i++)
        for (int j = 0; j < wide; j++) {
          long place = ((corner.image * height + top + i) * width + left + j) * channels + c;
          if (to.pixels.chosen)
            store_largest(outputs, 2 * i, 2 * j, to.pixels, place);
          else
            store_numbers(to.pixels.values + place, outputs[4 * i + j]);
        }
    }
  }
}
