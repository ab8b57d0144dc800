/* From images to terms: B^T d B of tiles of 6x6 inputs, A e A^T of tiles of 4x4 gradients. */

#pragma once

#include "convolution.h"
#include "transforms.h"

/* How many tiles ahead memory is asked for: about a row of them, where a processor does not foresee what comes. */
#define AHEAD 8

/* Images cut into tiles, and zeros for the pixels outside of them. */
typedef struct {
  Grid grid;
  Pixels pixels;
  long channels;
  const number *zeros;
} Tiles;

/* Where a block's terms go: `step` from place to place, and where they are made of tiles, `panel` channels of each one
   behind the other, so that a product reads memory in order, and `block` terms from such a panel to the next. */
typedef struct {
  term *terms;
  long step, panel, block;
} Layout;

/* Where the size x size pixels of a tile are, `margin` of them above it and to its left; zeros for those outside the
   image, and for all of a tile behind the last. */
static inline void find_pixels(Tiles tiles, long tile, int size, int margin, const number *from[],
                               const uint8_t *chosen[]) {
  Grid grid = tiles.grid;
  Corner corner = corner_of(grid, tile);
  long pooled = tiles.pixels.chosen != NULL, top = corner.top - margin, left = corner.left - margin;
  long height = corner.image < grid.count ? grid.height >> pooled : 0, width = grid.width >> pooled;
  for (int i = 0; i < size; i++)
    for (int j = 0; j < size; j++) {
      long y = (top + i) >> pooled, x = (left + j) >> pooled;
      int inside = y >= 0 && y < height && x >= 0 && x < width;
      long place = ((corner.image * height + y) * width + x) * tiles.channels;
      from[size * i + j] = inside ? tiles.pixels.values + place : tiles.zeros;
      if (pooled) chosen[size * i + j] = inside ? tiles.pixels.chosen + place : (const uint8_t *)tiles.zeros;
    }
}

/* Ask for the pixels of a tile, where there is one. */
static inline void fetch_tile(Tiles tiles, long tile, int pooled) {
  Grid grid = tiles.grid;
  Corner corner = corner_of(grid, tile);
  if (corner.image >= grid.count) return;
  long height = grid.height >> pooled, width = grid.width >> pooled, side = 4 >> pooled;
  long top = corner.top >> pooled, left = corner.left >> pooled;
  long high = smaller(height - top, side), wide = smaller(width - left, side) * tiles.channels;
  for (long i = 0; i < high; i++)
    for (long c = 0; c < wide; c += 64 / sizeof(number))
      __builtin_prefetch(tiles.pixels.values + ((corner.image * height + top + i) * width + left) * tiles.channels + c);
}

/* A vector of a pixel's channels; (y, x) says by its parity which of 2x2 the pixel is. */
static inline vec load_pixel(const number *from, const uint8_t *chosen, int y, int x, int pooled) {
  if (!pooled) return load_numbers(from);
  ints which = load_bytes(chosen);
  return where(which == y % 2 * 2 + x % 2, load_numbers(from));
}

/* The transform of a tile along its columns: (side, 6). */
static inline __attribute__((always_inline)) void transform_columns(const number *from[], const uint8_t *chosen[],
                                                                    long channel, int side, int pooled,
                                                                    vec columns[36]) {
  for (int j = 0; j < side; j++) {
    vec d[6], r[6];
    for (int i = 0; i < side; i++)
      d[i] = load_pixel(from[side * i + j] + channel, chosen[side * i + j] + channel, i + side / 6, j + side / 6,
                        pooled);
    side == 6 ? input_transform(d, r) : gradient_transform(d, r);
    for (int i = 0; i < 6; i++) columns[side * i + j] = r[i];
  }
}

/* B^T d B (side 6) or A e A^T (side 4) of `count` tiles from `first` on, to 36 places. A term is made of channels,
   (count, channels / DEPTH) with one panel, or of `together` = DEPTH tiles, (panels, count / DEPTH, panel). Inlined
   where side, together and pooled are constants. */
static inline __attribute__((always_inline)) void transform_tiles(Tiles tiles, long first, long count, Layout to,
                                                                  int side, int together, int pooled) {
  long channels = tiles.channels;
  for (long t = 0; t < count; t += together) {
    const number *from[DEPTH][36];
    const uint8_t *chosen[DEPTH][36] = {0};
    for (int k = 0; k < together; k++) {
      fetch_tile(tiles, first + t + k + AHEAD, pooled);
      find_pixels(tiles, first + t + k, side, side / 6, from[k], chosen[k]);
    }
    term *panel = to.terms;
    for (long p = 0; p < channels; p += to.panel, panel += to.block)
      for (long c = p; c < smaller(p + to.panel, channels); c += LANES) {
        vec columns[DEPTH][36], r[DEPTH][6];
        for (int k = 0; k < together; k++) transform_columns(from[k], chosen[k], c, side, pooled, columns[k]);
        for (int i = 0; i < 6; i++) {
          for (int k = 0; k < together; k++)
            side == 6 ? input_transform(columns[k] + 6 * i, r[k]) : gradient_transform(columns[k] + 4 * i, r[k]);
          for (int j = 0; j < 6; j++) {
            term *place = panel + (6 * i + j) * to.step;
            vec values[DEPTH];
            for (int k = 0; k < together; k++) values[k] = r[k][j];
            if (together == DEPTH)
              store_tiles(place + t / DEPTH * to.panel + c - p, values);
            else
              store_channels(place + (t * channels + c) / DEPTH, values[0]);
          }
        }
      }
  }
}
