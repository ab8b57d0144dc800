/* The largest of 2x2 pixels, for images (N, H, W, C); a last odd row or column is left out. */

#include "vectors.h"

/* Mirrored by ctypes: pool.py, field by field. */
typedef struct {
  number *images;  /* (count, height, width, channels), or their gradients */
  number *results; /* (count, height / 2, width / 2, channels), or their gradients */
  uint8_t *chosen; /* which of the four pixels each result was (0 to 3) */
  long count, height, width, channels;
  int threads;
} Pool;

/* A row of results from two rows of images. */
static void pool_row(const number *from, long width, long channels, number *results, uint8_t *chosen) {
  for (long column = 0; column < width / 2; column++, from += 2 * channels)
    for (long c = 0; c < channels; c += LANES) {
      const number *below = from + width * channels;
      const vec four[4] = {load_numbers(from + c), load_numbers(from + channels + c), load_numbers(below + c),
                           load_numbers(below + channels + c)};
      long to = column * channels + c;
      ints which;
      store_numbers(results + to, largest(four, &which));
      store_bytes(chosen + to, which);
    }
}

/* Into `results` and `chosen` those of the images. */
int pool(const Pool *pool) {
  long height = pool->height, width = pool->width, channels = pool->channels;
  long rows = height / 2, size = width / 2 * channels;
#pragma omp parallel for schedule(static) num_threads(pool->threads)
  for (long row = 0; row < pool->count * rows; row++)
    pool_row(pool->images + (row / rows * height + row % rows * 2) * width * channels, width, channels,
             pool->results + row * size, pool->chosen + row * size);
  return 0;
}

/* A row of images' gradients, of which the results are at `from`; NULL where a last odd row has none. `below`: whether
   it is the lower one of two. */
static void spread_row(const number *from, const uint8_t *chosen, long width, long channels, int below, number *to) {
  for (long x = 0; x < width; x++, to += channels) {
    long result = x / 2 * channels;
    int inside = from && x / 2 < width / 2, place = below * 2 + x % 2;
    for (long c = 0; c < channels; c += LANES) {
      vec g = {0};
      if (inside) g = where(load_bytes(chosen + result + c) == place, load_numbers(from + result + c));
      store_numbers(to + c, g);
    }
  }
}

/* Into `images` each of the results' gradients where its pixel was chosen, zeros elsewhere. */
int pool_gradient(const Pool *pool) {
  long height = pool->height, width = pool->width, channels = pool->channels;
  long rows = height / 2, size = width / 2 * channels;
#pragma omp parallel for schedule(static) num_threads(pool->threads)
  for (long y = 0; y < pool->count * height; y++) {
    long row = y % height / 2, from = (y / height * rows + row) * size;
    spread_row(row < rows ? pool->results + from : NULL, pool->chosen + from, width, channels, y % height % 2,
               pool->images + y * width * channels);
  }
  return 0;
}
