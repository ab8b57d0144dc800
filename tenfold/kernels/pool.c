/* The largest of 2x2 pixels, for images (N, H, W, C); a last odd row or column is left out. */

#include "vectors.h"

/* `result` (count, height / 2, width / 2, channels), and in `chosen` which of the four pixels it was (0 to 3). */
void pool(const number *images, number *result, uint8_t *chosen, long count, long height, long width, long channels,
          int threads) {
  long rows = height / 2, columns = width / 2;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long row = 0; row < count * rows; row++) {
    const number *from = images + (row / rows * height + row % rows * 2) * width * channels;
    for (long column = 0; column < columns; column++, from += 2 * channels)
      for (long c = 0; c < channels; c += LANES) {
        const number *pixels[4] = {from, from + channels, from + width * channels, from + (width + 1) * channels};
        long to = (row * columns + column) * channels + c;
        vec best = load_numbers(pixels[0] + c);
        ints which = {0};
        for (int i = 1; i < 4; i++) {
          vec v = load_numbers(pixels[i] + c);
          ints larger = v > best;
          best = either(larger, v, best);
          which = (larger & i) | (~larger & which);
        }
        store_numbers(result + to, best);
        store_bytes(chosen + to, which);
      }
  }
}

/* `result` (count, height, width, channels): each of `gradients` where its pixel was chosen, zeros elsewhere. */
void pool_gradient(const number *gradients, const uint8_t *chosen, number *result, long count, long height, long width,
                   long channels, int threads) {
  long rows = height / 2, columns = width / 2;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long y = 0; y < count * height; y++) {
    long image = y / height, row = y % height / 2;
    for (long x = 0; x < width; x++) {
      long from = ((image * rows + row) * columns + x / 2) * channels;
      number *to = result + (y * width + x) * channels;
      int inside = row < rows && x / 2 < columns, place = y % height % 2 * 2 + x % 2;
      for (long c = 0; c < channels; c += LANES) {
        vec g = {0};
        if (inside) g = where(load_bytes(chosen + from + c) == place, load_numbers(gradients + from + c));
        store_numbers(to + c, g);
      }
    }
  }
}
