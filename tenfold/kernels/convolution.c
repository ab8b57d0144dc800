/* 3x3 convolutions with padding 1 by Winograd's F(4x4, 3x3), for images (N, H, W, C) of float32, and pooling behind them.

   Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308). A tile of 4x4 outputs takes 36
   multiplications for each pair of channels where the plain sum takes 144. With d a tile of 6x6 inputs, g a kernel and
   e a tile of 4x4 gradients, and with the matrices that the functions below write out,

     outputs = A^T [(G g G^T) * (B^T d B)] A,    gradient of the kernel = G^T [(B^T d B) * (A e A^T)] G.

   The products over channels are matrix products, one for each of the 36 places. A block of tiles goes through all of
   its steps at once, so that what lies between them stays in the cache. The caller transforms kernels (G), which are
   small, and cuts them into panels of one or two vectors of output channels. */

#include <omp.h>

#include "vectors.h"

#define PLACES 36
/* Rows of a product whose sums stay in registers: with two vectors a row, 12 sums. */
#define ROWS 6

typedef struct {
  long count, height, width; /* of the images */
  long rows, columns;        /* of tiles in an image */
} Grid;

/* What a thread works with: the products' left side and, forward, the products, or their right side, each of 36 places
   for some tiles, `left_step` and `right_step` apart; and zeros for what lies outside. */
typedef struct {
  term *left;
  union {
    float *products;
    term *right;
  };
  float *zeros;
  long left_step, right_step;
} Workspace;

static Grid grid_of(long count, long height, long width) {
  return (Grid){count, height, width, (height + 3) / 4, (width + 3) / 4};
}

/* At least `size`, of floats or terms, and an odd number of cache lines: at the same number in each, places would share a few sets of the
   cache, which hold fewer lines than the 36 that a transform writes or reads at a time. */
static long step_of(long size) {
  long line = 64 / sizeof(float);
  return ((size + line - 1) / line | 1) * line;
}

/* For `left` and `right` floats or terms at each place, and images of up to `channels`. */
static Workspace take_workspace(long left, long right, long channels) {
  long left_step = step_of(left), right_step = step_of(right);
  return (Workspace){(term *)aligned_floats(PLACES * left_step), {aligned_floats(PLACES * right_step)},
                     calloc(channels, sizeof(float)), left_step, right_step};
}

static void free_workspace(Workspace space) {
  free(space.left);
  free(space.products);
  free(space.zeros);
}

/* B^T d */
static inline void input_transform(const vec d[6], vec r[6]) {
  vec a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], c = d[4] - d[2], e = 2 * (d[3] - d[1]);
  r[0] = 4 * d[0] - 5 * d[2] + d[4];
  r[1] = a + b;
  r[2] = a - b;
  r[3] = c + e;
  r[4] = c - e;
  r[5] = 4 * d[1] - 5 * d[3] + d[5];
}

/* A^T m */
static inline void output_transform(const vec m[6], vec r[4]) {
  vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], e = m[3] - m[4];
  r[0] = m[0] + a + c;
  r[1] = b + 2 * e;
  r[2] = a + 4 * c;
  r[3] = b + 8 * e + m[5];
}

/* A e */
static inline void gradient_transform(const vec e[4], vec r[6]) {
  vec a = e[0] + e[2], b = e[1] + e[3], c = e[0] + 4 * e[2], d = 2 * e[1] + 8 * e[3];
  r[0] = e[0];
  r[1] = a + b;
  r[2] = a - b;
  r[3] = c + d;
  r[4] = c - d;
  r[5] = e[3];
}

/* Images, or the gradients of images that were pooled: of each 2x2 pixels only the one that `chosen` names had a part
   in the result, and has its gradient. `chosen` is NULL where nothing was pooled. */
typedef struct {
  const float *values;
  const uint8_t *chosen;
} Pixels;

/* Where the size x size pixels from (top, left) of a tile's image are; `zeros` for those outside the image, and for all
   of a tile behind the last. */
static inline void find_pixels(Pixels pixels, Grid grid, long channels, const float *zeros, long tile, int size,
                               int margin, const float *from[], const uint8_t *chosen[]) {
  long image = tile / (grid.rows * grid.columns), pooled = pixels.chosen != NULL;
  long top = tile / grid.columns % grid.rows * 4 - margin, left = tile % grid.columns * 4 - margin;
  long height = image < grid.count ? grid.height >> pooled : 0, width = grid.width >> pooled;
  for (int i = 0; i < size; i++)
    for (int j = 0; j < size; j++) {
      long y = (top + i) >> pooled, x = (left + j) >> pooled;
      int inside = y >= 0 && y < height && x >= 0 && x < width;
      long place = ((image * height + y) * width + x) * channels;
      from[size * i + j] = inside ? pixels.values + place : zeros;
      if (pooled) chosen[size * i + j] = inside ? pixels.chosen + place : (const uint8_t *)zeros;
    }
}

/* A vector of a pixel's channels; (y, x) says by its parity which of 2x2 the pixel is. */
static inline vec load_pixel(const float *from, const uint8_t *chosen, int y, int x, int pooled) {
  if (!pooled) return LOAD(from);
  ints which = __builtin_convertvector(*(const bytes *)chosen, ints);
  return where(which == y % 2 * 2 + x % 2, LOAD(from));
}

/* B^T d B of a tile of inputs or, with a side of 4, A e A^T of a tile of gradients, in one direction: (side, 6) columns. */
static inline __attribute__((always_inline)) void transform_columns(const float *from[], const uint8_t *chosen[],
                                                                    long channel, int side, int pooled, vec half[36]) {
  for (int j = 0; j < side; j++) {
    vec d[6], r[6];
    for (int i = 0; i < side; i++)
      d[i] = load_pixel(from[side * i + j] + channel, chosen[side * i + j] + channel, i + side / 6, j + side / 6,
                        pooled);
    side == 6 ? input_transform(d, r) : gradient_transform(d, r);
    for (int i = 0; i < 6; i++) half[side * i + j] = r[i];
  }
}

/* How many tiles ahead memory is asked for: about a row of them, where a processor does not foresee what comes. */
#ifndef AHEAD
#define AHEAD 8
#endif

static inline void fetch_tile(Pixels pixels, Grid grid, long channels, long tile, int pooled) {
  long image = tile / (grid.rows * grid.columns), side = 4 >> pooled;
  long height = grid.height >> pooled, width = grid.width >> pooled;
  long top = tile / grid.columns % grid.rows * side, left = tile % grid.columns * side;
  if (image >= grid.count) return;
  long high = smaller(height - top, side), wide = smaller(width - left, side) * channels;
  for (long i = 0; i < high; i++)
    for (long c = 0; c < wide; c += 64 / sizeof(float))
      __builtin_prefetch(pixels.values + ((image * height + top + i) * width + left) * channels + c);
}

/* B^T d B (side 6) or A e A^T (side 4) of `count` tiles from `first` on, to 36 places, `step` terms apart. A term is made
   of channels, (count, channels / DEPTH), or of `together` = DEPTH tiles, (count / DEPTH, channels). */
static inline __attribute__((always_inline)) void transform_tiles(Pixels pixels, Grid grid, long channels,
                                                                  const float *zeros, long first, long count,
                                                                  long step, term *to, int side, int together,
                                                                  int pooled) {
  for (long t = 0; t < count; t += together) {
    const float *from[DEPTH][36];
    const uint8_t *chosen[DEPTH][36] = {0};
    for (int k = 0; k < together; k++) {
      fetch_tile(pixels, grid, channels, first + t + k + AHEAD, pooled);
      find_pixels(pixels, grid, channels, zeros, first + t + k, side, side / 6, from[k], chosen[k]);
    }
    for (long c = 0; c < channels; c += LANES) {
      vec half[DEPTH][36], r[DEPTH][6];
      for (int k = 0; k < together; k++) transform_columns(from[k], chosen[k], c, side, pooled, half[k]);
      for (int i = 0; i < 6; i++) {
        for (int k = 0; k < together; k++)
          side == 6 ? input_transform(half[k] + 6 * i, r[k]) : gradient_transform(half[k] + 4 * i, r[k]);
        for (int j = 0; j < 6; j++) {
          term *place = to + (6 * i + j) * step;
          vec values[DEPTH];
          for (int k = 0; k < together; k++) values[k] = r[k][j];
          if (together == DEPTH)
            store_tiles(place + t / DEPTH * channels + c, values);
          else
            store_channels(place + (t * channels + c) / DEPTH, values[0]);
        }
      }
    }
  }
}

static void transform_inputs(Pixels pixels, Grid grid, long channels, const float *zeros, long first, long count,
                             long step, term *to) {
  if (pixels.chosen)
    transform_tiles(pixels, grid, channels, zeros, first, count, step, to, 6, 1, 1);
  else
    transform_tiles(pixels, grid, channels, zeros, first, count, step, to, 6, 1, 0);
}

static void transform_gradients(Pixels pixels, Grid grid, long channels, const float *zeros, long first, long count,
                                long step, term *to) {
  if (pixels.chosen)
    transform_tiles(pixels, grid, channels, zeros, first, count, step, to, 4, DEPTH, 1);
  else
    transform_tiles(pixels, grid, channels, zeros, first, count, step, to, 4, DEPTH, 0);
}

/* Where results go: (count, height, width, channels), or with `chosen` half as high and wide, the largest of each 2x2
   pixels, and in `chosen` which it was. */
typedef struct {
  float *values;
  uint8_t *chosen;
} Result;

/* A^T m A + bias of a tile's products, which lie `step` apart, for LANES channels. */
static inline void outputs_of(const float *products, long step, const float *bias, vec outputs[16]) {
  vec half[24], m[6];
  for (int j = 0; j < 6; j++) {
    vec r[4];
    for (int i = 0; i < 6; i++) m[i] = LOAD(products + (6 * i + j) * step);
    output_transform(m, r);
    for (int i = 0; i < 4; i++) half[6 * i + j] = r[i];
  }
  for (int i = 0; i < 4; i++) {
    output_transform(half + 6 * i, outputs + 4 * i);
    for (int j = 0; j < 4; j++) outputs[4 * i + j] += LOAD(bias);
  }
}

static inline void store_largest(const vec outputs[16], int i, int j, Result to, long place) {
  vec best = outputs[4 * i + j];
  ints which = {0};
  for (int k = 1; k < 4; k++) {
    vec v = outputs[4 * (i + k / 2) + j + k % 2];
    ints larger = v > best;
    best = either(larger, v, best);
    which = (larger & k) | (~larger & which);
  }
  STORE(to.values + place, best);
  *(bytes *)(to.chosen + place) = __builtin_convertvector(which, bytes);
}

/* A^T m A + bias of (36, count, channels) products with `step` from place to place: `count` tiles of outputs, from
   `first` on, without what lies outside. */
static void transform_outputs(const float *products, Grid grid, long channels, const float *bias, long first,
                              long count, long step, Result to) {
  int factor = to.chosen ? 2 : 1;
  long height = grid.height / factor, width = grid.width / factor;
  for (long t = 0; t < count; t++) {
    long tile = first + t, image = tile / (grid.rows * grid.columns);
    long top = tile / grid.columns % grid.rows * 4 / factor, left = tile % grid.columns * 4 / factor;
    long high = smaller(height - top, 4 / factor), wide = smaller(width - left, 4 / factor);
    for (long c = 0; c < channels; c += LANES) {
      vec outputs[16];
      outputs_of(products + t * channels + c, step, bias + c, outputs);
      for (int i = 0; i < high; i++)
        for (int j = 0; j < wide; j++) {
          long place = ((image * height + top + i) * width + left + j) * channels + c;
          if (to.chosen)
            store_largest(outputs, 2 * i, 2 * j, to, place);
          else
            STORE(to.values + place, outputs[4 * i + j]);
        }
    }
  }
}

/* The place where A e A^T has the sum of all of e. */
#define SUM_PLACE (6 * 1 + 1)

static void add_rows(const term *from, long rows, long channels, float *to) {
  for (long c = 0; c < channels; c += LANES) {
    vec sum = LOAD(to + c);
    for (long r = 0; r < rows; r++) sum = add_product(sum, ONE, from + r * channels + c);
    STORE(to + c, sum);
  }
}

/* c[R][V vectors] (+)= a[R][depth] b[depth][V vectors], of terms; a's element (i, d) lies at i * row + d * step. Loops over sums are
   unrolled before the compiler lays them out, or it would keep them in memory beside the registers. */
typedef void (*Product)(const term *a, long row, long step, const term *b, long b_row, float *c, long c_row,
                        long depth, int add);
#define EACH(i, count) _Pragma("GCC unroll 6") for (int i = 0; i < count; i++)
#define PRODUCT(R, V)                                                                                              \
  static void product_##R##_##V(const term *a, long row, long step, const term *b, long b_row, float *c,           \
                                long c_row, long depth, int add) {                                                 \
    vec sums[R][V];                                                                                                \
    EACH(i, R) EACH(j, V) sums[i][j] = (vec){0};                                                                   \
    for (long d = 0; d < depth; d++, a += step, b += b_row)                                                        \
      EACH(i, R) EACH(j, V) sums[i][j] = add_product(sums[i][j], a[i * row], b + j * LANES);                       \
    if (add) EACH(i, R) EACH(j, V) sums[i][j] += LOAD(c + i * c_row + j * LANES);                                  \
    EACH(i, R) EACH(j, V) STORE(c + i * c_row + j * LANES, sums[i][j]);                                            \
  }
PRODUCT(1, 1) PRODUCT(2, 1) PRODUCT(3, 1) PRODUCT(4, 1) PRODUCT(5, 1) PRODUCT(6, 1)
PRODUCT(1, 2) PRODUCT(2, 2) PRODUCT(3, 2) PRODUCT(4, 2) PRODUCT(5, 2) PRODUCT(6, 2)
static const Product PRODUCTS[2][ROWS] = {
    {product_1_1, product_2_1, product_3_1, product_4_1, product_5_1, product_6_1},
    {product_1_2, product_2_2, product_3_2, product_4_2, product_5_2, product_6_2},
};

/* Convolve `images` (count, height, width, inputs) with transformed kernels (36, outputs / width, inputs / DEPTH, width)
   of terms, where width is `vectors` (1 or 2) vectors, and add `bias` (outputs), into `result` (count, height, width, outputs). With
   `chosen`, the images are a pooled result's gradients, (count, height / 2, width / 2, inputs); with `choose`, the result
   is pooled. Returns 1 where memory is short. */
int convolve(const float *images, const uint8_t *chosen, const term *kernels, const float *bias, float *result,
             uint8_t *choose, long count, long height, long width, long inputs, long outputs, int vectors, long room,
             int threads) {
  Grid grid = grid_of(count, height, width);
  long tiles = count * grid.rows * grid.columns, panel = vectors * LANES, depth = inputs / DEPTH;
  int failed = 0;
#pragma omp parallel num_threads(threads)
  {
    Workspace space = take_workspace(room * inputs / DEPTH, room * outputs, inputs);
    if (!space.left || !space.products || !space.zeros) {
#pragma omp atomic write
      failed = 1;
    }
#pragma omp barrier
    if (!failed) {
#pragma omp for schedule(static)
      for (long first = 0; first < tiles; first += room) {
        long taken = smaller(room, tiles - first);
        transform_inputs((Pixels){images, chosen}, grid, inputs, space.zeros, first, taken, space.left_step, space.left);
        for (long place = 0; place < PLACES; place++)
          for (long k = 0; k < outputs; k += panel)
            for (long t = 0; t < taken; t += ROWS)
              PRODUCTS[vectors - 1][smaller(ROWS, taken - t) - 1](
                  space.left + place * space.left_step + t * depth, depth, 1, kernels + (place * outputs + k) * depth,
                  panel, space.products + place * space.right_step + t * outputs + k, outputs, depth, 0);
        transform_outputs(space.products, grid, outputs, bias, first, taken, space.right_step, (Result){result, choose});
      }
    }
    free_workspace(space);
  }
  return failed;
}

/* Add to `sums` (threads, 36, inputs, outputs) the transformed kernels' gradient and to `bias_sums` (threads, outputs)
   the bias', given `images` (count, height, width, inputs) and the `gradients` of their convolution (count, height,
   width, outputs), or of a pooled one with its `chosen`. Returns 1 where memory is short. */
int kernel_gradient(const float *images, const float *gradients, const uint8_t *chosen, float *sums, float *bias_sums,
                    long count, long height, long width, long inputs, long outputs, int vectors, long room,
                    int threads) {
  Grid grid = grid_of(count, height, width);
  long tiles = count * grid.rows * grid.columns, panel = vectors * LANES;
  int failed = 0;
#pragma omp parallel num_threads(threads)
  {
    float *sum = sums + omp_get_thread_num() * PLACES * inputs * outputs;
    float *bias_sum = bias_sums + omp_get_thread_num() * outputs;
    Workspace space = take_workspace(room * inputs / DEPTH, room * outputs / DEPTH, inputs + outputs);
    if (!space.left || !space.products || !space.zeros) {
#pragma omp atomic write
      failed = 1;
    }
#pragma omp barrier
    if (!failed) {
#pragma omp for schedule(static)
      for (long first = 0; first < tiles; first += room) {
        long taken = smaller(room, tiles - first), depth = (taken + DEPTH - 1) / DEPTH;
        transform_tiles((Pixels){images, NULL}, grid, inputs, space.zeros, first, taken, space.left_step, space.left, 6,
                        DEPTH, 0);
        transform_gradients((Pixels){gradients, chosen}, grid, outputs, space.zeros, first, taken,
                            space.right_step, space.right);
        add_rows(space.right + SUM_PLACE * space.right_step, depth, outputs, bias_sum);
        for (long place = 0; place < PLACES; place++)
          for (long k = 0; k < outputs; k += panel)
            for (long c = 0; c < inputs; c += ROWS)
              PRODUCTS[vectors - 1][smaller(ROWS, inputs - c) - 1](
                  space.left + place * space.left_step + c, 1, inputs,
                  space.right + place * space.right_step + k, outputs,
                  sum + (place * inputs + c) * outputs + k, outputs, depth, 1);
      }
    }
    free_workspace(space);
  }
  return failed;
}
