/* 3x3 convolutions with padding 1 by Winograd's F(4x4, 3x3), for images (N, H, W, C), and pooling behind them.

   Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308). A tile of 4x4 outputs takes 36
   multiplications for each pair of channels where the plain sum takes 144. With d a tile of 6x6 inputs, g a kernel and
   e a tile of 4x4 gradients, and with the matrices that the functions below write out,

     outputs = A^T [(G g G^T) * (B^T d B)] A,    gradient of the kernel = G^T [(B^T d B) * (A e A^T)] G.

   The products over channels are matrix products, one for each of the 36 places. A block of tiles goes through all of
   its steps at once, so that what lies between them stays in the cache. Kernels are transformed once for all blocks, and
   cut into panels of one or two vectors of output channels. */

#include <omp.h>
#include <string.h>

#include "vectors.h"

#define PLACES 36
/* Rows of a product whose sums stay in registers: with two vectors a row, 12 sums. */
#define ROWS 6
#define EACH(i, count) _Pragma("GCC unroll 8") for (int i = 0; i < count; i++)

typedef struct {
  long count, height, width; /* of the images */
  long rows, columns;        /* of tiles in an image */
} Grid;

/* What a thread works with: the products' left side and, forward, the products, or their right side, each of 36 places
   for some tiles, `left_step` and `right_step` apart; zeros for what lies outside; and an image that a stem makes. */
typedef struct {
  term *left;
  union {
    float *products;
    term *right;
  };
  number *zeros, *image;
  float *bias; /* of zeros */
  float *rows; /* what a stem sees for a row of its image */
  long left_step, right_step;
} Workspace;

static Grid grid_of(long count, long height, long width) {
  return (Grid){count, height, width, (height + 3) / 4, (width + 3) / 4};
}

/* At least `size`, of floats or terms, and an odd number of cache lines: at an even one, places would share a few
   sets of the cache, which hold fewer lines than the 36 that a transform writes or reads at a time. */
static long step_of(long size) {
  long line = 64 / sizeof(float);
  return ((size + line - 1) / line | 1) * line;
}

/* For `left` and `right` floats or terms at each place, images of up to `channels`, and an image and rows of a stem. */
static Workspace take_workspace(long left, long right, long channels, long image, long rows) {
  long left_step = step_of(left), right_step = step_of(right);
  return (Workspace){aligned(PLACES * left_step * sizeof(term)),
                     {aligned_floats(PLACES * right_step)},
                     calloc(channels, sizeof(number)),
                     aligned(image * sizeof(number)),
                     calloc(channels, sizeof(float)),
                     aligned_floats(rows),
                     left_step,
                     right_step};
}

static int is_whole(Workspace space) {
  return space.left && space.products && space.zeros && space.image && space.bias && space.rows;
}

static void free_workspace(Workspace space) {
  free(space.left);
  free(space.products);
  free(space.zeros);
  free(space.image);
  free(space.bias);
  free(space.rows);
}

/* The transforms interpolate at 0, +-1/sqrt(2), +-sqrt(2) and infinity. At the usual 0, +-1, +-2 and infinity they
   take two multiplications less, and rounding in between costs twice the accuracy (docs/log.md). */
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
static inline void kernel_transform(const vec g[3], vec r[6]) {
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
static inline void kernel_transform_back(const vec s[6], vec r[3]) {
  vec a = (s[1] + s[2]) * (-2 / 3.f), b = (s[1] - s[2]) * (-2 / 3.f * NEAR);
  vec c = (s[3] + s[4]) * (1 / 6.f), d = (s[3] - s[4]) * (1 / 6.f * FAR);
  r[0] = s[0] + a + c;
  r[1] = b + d;
  r[2] = 0.5f * a + 2 * c + s[5];
}

/* Kernels (outputs, inputs, 3, 3) in any memory: where the first is, and from one to the next in each direction. */
typedef struct {
  float *values;
  long output, input, row, column;
} Kernels;

/* Of LANES outputs from `output` on the kernels of an input, and G g G^T of them. */
static inline void transform_kernel(Kernels kernels, long output, long input, vec r[36]) {
  const float *from = kernels.values + output * kernels.output + input * kernels.input;
  vec half[18];
  for (int j = 0; j < 3; j++) {
    vec g[3] = {0}, t[6];
    for (int i = 0; i < 3; i++)
      for (int lane = 0; lane < LANES; lane++)
        g[i][lane] = from[lane * kernels.output + i * kernels.row + j * kernels.column];
    kernel_transform(g, t);
    for (int i = 0; i < 6; i++) half[3 * i + j] = t[i];
  }
  for (int i = 0; i < 6; i++) kernel_transform(half + 3 * i, r + 6 * i);
}

/* G^T s G of the 36 places' sums of LANES outputs, into the kernels of an input. */
static inline void transform_kernel_back(const vec s[36], Kernels to, long output, long input) {
  float *place = to.values + output * to.output + input * to.input;
  vec half[18];
  for (int j = 0; j < 6; j++) {
    vec column[6], r[3];
    for (int i = 0; i < 6; i++) column[i] = s[6 * i + j];
    kernel_transform_back(column, r);
    for (int i = 0; i < 3; i++) half[6 * i + j] = r[i];
  }
  for (int i = 0; i < 3; i++) {
    vec r[3];
    kernel_transform_back(half + 6 * i, r);
    for (int j = 0; j < 3; j++)
      for (int lane = 0; lane < LANES; lane++) place[lane * to.output + i * to.row + j * to.column] = r[j][lane];
  }
}

/* Images, or the gradients of images that were pooled: of each 2x2 pixels only the one that `chosen` names had a part
   in the result, and has its gradient. `chosen` is NULL where nothing was pooled. */
typedef struct {
  const number *values;
  const uint8_t *chosen;
} Pixels;

/* Where the size x size pixels from (top, left) of a tile's image are; `zeros` for those outside the image, and for all
   of a tile behind the last. */
static inline void find_pixels(Pixels pixels, Grid grid, long channels, const number *zeros, long tile, int size,
                               int margin, const number *from[], const uint8_t *chosen[]) {
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
static inline vec load_pixel(const number *from, const uint8_t *chosen, int y, int x, int pooled) {
  if (!pooled) return load_numbers(from);
  ints which = load_bytes(chosen);
  return where(which == y % 2 * 2 + x % 2, load_numbers(from));
}

/* B^T d B of a tile of inputs or, with a side of 4, A e A^T of a tile of gradients, in one direction: (side, 6)
   columns. */
static inline __attribute__((always_inline)) void transform_columns(const number *from[], const uint8_t *chosen[],
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

/* A frozen convolution with a ReLU of which the images are made that the 3x3 convolution sees, one by one, each time it
   needs them: an image that a core's cache holds costs less to make than to write and read. */
typedef struct {
  const float *weights;         /* (patch, patch, channels, outputs), then the bias (outputs), outputs in whole vectors */
  long height, width, channels; /* of the images that it sees; pixels beyond the last are mirrored */
  long patch, stride;
} Stem;

static inline long whole_vectors(long channels) { return (channels + LANES - 1) / LANES * LANES; }

static inline long mirrored(long place, long size) { return place < size ? place : 2 * (size - 1) - place; }

/* How many pixels of a row are made at once; a row's last ones are made twice where they do not fill it. And how many
   vectors of their channels, as the registers allow. */
#define PIXELS 8
#define TOGETHER (LANES == 16 ? 2 : 1)

/* How many pixels of a row a stem sees for `width` of its own. */
static long seen_width(const Stem *stem, long width) { return (width - 1) * stem->stride + stem->patch; }

/* A row of `width` pixels of an image, mirrored beyond its last. */
static void copy_row(const Stem *stem, const float *image, long y, long width, float *to) {
  long channels = stem->channels;
  const float *from = image + mirrored(y, stem->height) * stem->width * channels;
  memcpy(to, from, smaller(width, stem->width) * channels * sizeof(float));
  for (long x = stem->width; x < width; x++)
    for (long k = 0; k < channels; k++) to[x * channels + k] = from[mirrored(x, stem->width) * channels + k];
}

/* PIXELS of a row of an image, `together` vectors of their channels, from where the stem sees them: a pixel's numbers
   are read once for all vectors. `to` are their channels from the first of these on, `weight` those channels' weights,
   then their bias. */
static inline __attribute__((always_inline)) void make_pixels(const Stem *stem, const float *seen[PIXELS], long row,
                                                              const float *weight, long outputs, int together,
                                                              number *to[PIXELS]) {
  vec sums[PIXELS][2];
  const float *bias = weight + stem->patch * stem->patch * stem->channels * outputs;
  EACH(p, PIXELS) EACH(v, together) sums[p][v] = LOAD(bias + v * LANES);
  for (long i = 0; i < stem->patch; i++)
    for (long k = i * row; k < i * row + stem->patch * stem->channels; k++, weight += outputs)
      EACH(p, PIXELS) EACH(v, together) sums[p][v] += seen[p][k] * LOAD(weight + v * LANES);
  EACH(p, PIXELS) EACH(v, together) store_numbers(to[p] + v * LANES, where(sums[p][v] > 0, sums[p][v]));
}

static void make_image(const Stem *stem, const float *from, Grid grid, long outputs, float *rows, number *to) {
  long channels = stem->channels, width = seen_width(stem, grid.width), row = width * channels;
  for (long y = 0; y < grid.height; y++, to += grid.width * outputs) {
    for (long i = 0; i < stem->patch; i++) copy_row(stem, from, y * stem->stride + i, width, rows + i * row);
    for (long first = 0; first < grid.width; first += PIXELS)
      for (long c = 0, together; c < outputs; c += together * LANES) {
        together = smaller(TOGETHER, (outputs - c) / LANES);
        const float *seen[PIXELS];
        number *pixels[PIXELS];
        EACH(p, PIXELS) {
          long x = smaller(first + p, grid.width - 1);
          seen[p] = rows + x * stem->stride * channels;
          pixels[p] = to + x * outputs + c;
        }
        if (together == 2)
          make_pixels(stem, seen, row, stem->weights + c, outputs, 2, pixels);
        else
          make_pixels(stem, seen, row, stem->weights + c, outputs, 1, pixels);
      }
  }
}

/* How many tiles ahead memory is asked for: about a row of them, where a processor does not foresee what comes. */
#define AHEAD 8

static inline void fetch_tile(Pixels pixels, Grid grid, long channels, long tile, int pooled) {
  long image = tile / (grid.rows * grid.columns), side = 4 >> pooled;
  long height = grid.height >> pooled, width = grid.width >> pooled;
  long top = tile / grid.columns % grid.rows * side, left = tile % grid.columns * side;
  if (image >= grid.count) return;
  long high = smaller(height - top, side), wide = smaller(width - left, side) * channels;
  for (long i = 0; i < high; i++)
    for (long c = 0; c < wide; c += 64 / sizeof(number))
      __builtin_prefetch(pixels.values + ((image * height + top + i) * width + left) * channels + c);
}

/* How a block's terms lie: `step` from place to place, and where they are made of tiles, `panel` channels of each one
   behind the other, so that a product reads memory in order, and `block` terms from such a panel to the next. */
typedef struct {
  long step, panel, block;
} Layout;

/* B^T d B (side 6) or A e A^T (side 4) of `count` tiles from `first` on, to 36 places. A term is made of channels,
   (count, channels / DEPTH) with one panel, or of `together` = DEPTH tiles, (panels, count / DEPTH, panel). */
static inline __attribute__((always_inline)) void transform_tiles(Pixels pixels, Grid grid, long channels,
                                                                  const number *zeros, long first, long count,
                                                                  Layout layout, term *to, int side, int together,
                                                                  int pooled) {
  for (long t = 0; t < count; t += together) {
    const number *from[DEPTH][36];
    const uint8_t *chosen[DEPTH][36] = {0};
    for (int k = 0; k < together; k++) {
      fetch_tile(pixels, grid, channels, first + t + k + AHEAD, pooled);
      find_pixels(pixels, grid, channels, zeros, first + t + k, side, side / 6, from[k], chosen[k]);
    }
    term *panel = to;
    for (long p = 0; p < channels; p += layout.panel, panel += layout.block)
      for (long c = p; c < smaller(p + layout.panel, channels); c += LANES) {
        vec half[DEPTH][36], r[DEPTH][6];
        for (int k = 0; k < together; k++) transform_columns(from[k], chosen[k], c, side, pooled, half[k]);
        for (int i = 0; i < 6; i++) {
          for (int k = 0; k < together; k++)
            side == 6 ? input_transform(half[k] + 6 * i, r[k]) : gradient_transform(half[k] + 4 * i, r[k]);
          for (int j = 0; j < 6; j++) {
            term *place = panel + (6 * i + j) * layout.step;
            vec values[DEPTH];
            for (int k = 0; k < together; k++) values[k] = r[k][j];
            if (together == DEPTH)
              store_tiles(place + t / DEPTH * layout.panel + c - p, values);
            else
              store_channels(place + (t * channels + c) / DEPTH, values[0]);
          }
        }
      }
  }
}

static void transform_inputs(Pixels pixels, Grid grid, long channels, const number *zeros, long first, long count,
                             Layout layout, term *to) {
  if (pixels.chosen)
    transform_tiles(pixels, grid, channels, zeros, first, count, layout, to, 6, 1, 1);
  else
    transform_tiles(pixels, grid, channels, zeros, first, count, layout, to, 6, 1, 0);
}

static void transform_gradients(Pixels pixels, Grid grid, long channels, const number *zeros, long first, long count,
                                Layout layout, term *to) {
  if (pixels.chosen)
    transform_tiles(pixels, grid, channels, zeros, first, count, layout, to, 4, DEPTH, 1);
  else
    transform_tiles(pixels, grid, channels, zeros, first, count, layout, to, 4, DEPTH, 0);
}

/* Where results go: (count, height, width, channels), or with `chosen` half as high and wide, the largest of each 2x2
   pixels, and in `chosen` which it was. */
typedef struct {
  number *values;
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
  store_numbers(to.values + place, best);
  store_bytes(to.chosen + place, which);
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
            store_numbers(to.values + place, outputs[4 * i + j]);
        }
    }
  }
}

/* Rows whose sums are taken at once. */
#define SUMMED 128

/* Add to `to` (channels) the sums of `rows` pixels. */
static void add_rows(const number *from, long rows, long channels, float *to) {
  for (long c = 0; c < channels; c += LANES) {
    vec sum = {0};
    for (long r = 0; r < rows; r++) sum += load_numbers(from + r * channels + c);
    STORE(to + c, LOAD(to + c) + sum);
  }
}

/* c[R][V vectors] (+)= a[R][depth] b[depth][V vectors], of terms; a's element (i, d) lies at i * row + d * step.
   Loops over sums are unrolled before the compiler lays them out, or it would keep them in memory beside the
   registers. */
typedef void (*Product)(const term *a, long row, long step, const term *b, long b_row, float *c, long c_row,
                        long depth, int add);
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

typedef struct {
  term *kernels; /* transformed: (36, outputs / panel, inputs / DEPTH, panel) */
  const float *bias;
  long inputs, outputs;
  long seen;   /* channels of the images: the inputs, behind a stem with zeros that fill its last vector */
  int vectors; /* of a panel */
  long room;   /* tiles in a block */
} Layer;

/* The layer's kernels of LANES outputs from `output` on. */
static void transform_kernels(Kernels kernels, Layer layer, long output) {
  long panel = layer.vectors * LANES, depth = layer.inputs / DEPTH;
  long from = output / panel * panel * depth + output % panel;
  for (long d = 0; d < depth; d++) {
    vec r[DEPTH][36];
    for (int k = 0; k < DEPTH; k++) transform_kernel(kernels, output, d * DEPTH + k, r[k]);
    for (int place = 0; place < PLACES; place++) {
      vec values[DEPTH];
      for (int k = 0; k < DEPTH; k++) values[k] = r[k][place];
      store_tiles(layer.kernels + place * layer.outputs * depth + from + d * panel, values);
    }
  }
}

/* The images' tiles from `first` to before `end`, a block at a time. */
static void convolve_tiles(Layer layer, Grid grid, Pixels pixels, Result result, long first, long end,
                           Workspace space) {
  long outputs = layer.outputs, depth = layer.inputs / DEPTH, row = layer.seen / DEPTH, panel = layer.vectors * LANES;
  for (; first < end; first += layer.room) {
    long taken = smaller(layer.room, end - first);
    transform_inputs(pixels, grid, layer.seen, space.zeros, first, taken, (Layout){space.left_step, layer.seen, 0},
                     space.left);
    for (long place = 0; place < PLACES; place++)
      for (long k = 0; k < outputs; k += panel)
        for (long t = 0; t < taken; t += ROWS)
          PRODUCTS[layer.vectors - 1][smaller(ROWS, taken - t) - 1](
              space.left + place * space.left_step + t * row, row, 1,
              layer.kernels + (place * outputs + k) * depth, panel,
              space.products + place * space.right_step + t * outputs + k, outputs, depth, 0);
    transform_outputs(space.products, grid, outputs, layer.bias, first, taken, space.right_step, result);
  }
}

/* Convolve `images` (count, height, width, inputs), which `stem` makes of float32 unless it is NULL, with `kernels`
   and add `bias` (outputs), unless it is NULL, into `result` (count, height, width, outputs), by panels of `vectors`
   (1 or 2) vectors and blocks of `room` tiles. With `chosen`, the images are a pooled result's gradients, (count,
   height / 2, width / 2, inputs); with `choose`, the result is pooled. Returns 1 where memory is short. */
int convolve(const void *images, const uint8_t *chosen, const Stem *stem, const Kernels *kernels, const float *bias,
             number *result, uint8_t *choose, long count, long height, long width, long inputs, long outputs,
             int vectors, long room, int threads) {
  term *transformed = (term *)aligned_floats(PLACES * inputs * outputs / DEPTH);
  long seen = stem ? whole_vectors(inputs) : inputs;
  Layer layer = {transformed, bias, inputs, outputs, seen, vectors, room};
  Grid grid = grid_of(count, height, width), one = grid_of(1, height, width);
  long tiles = count * grid.rows * grid.columns, made = stem ? height * width * seen : 1;
  long rows = stem ? stem->patch * seen_width(stem, width) * stem->channels : 1;
  long place = choose ? height / 2 * (width / 2) * outputs : height * width * outputs;
  int failed = !transformed;
#pragma omp parallel num_threads(threads)
  {
    Workspace space = take_workspace(room * seen / DEPTH, room * outputs, seen + outputs, made, rows);
    if (!is_whole(space)) {
#pragma omp atomic write
      failed = 1;
    }
#pragma omp barrier
    if (!failed) {
#pragma omp for schedule(static)
      for (long k = 0; k < outputs; k += LANES) transform_kernels(*kernels, layer, k);
    }
    Layer mine = layer;
    if (!bias) mine.bias = space.bias;
    if (!failed && stem) {
#pragma omp for schedule(static)
      for (long i = 0; i < count; i++) {
        const float *from = (const float *)images + i * stem->height * stem->width * stem->channels;
        make_image(stem, from, one, seen, space.rows, space.image);
        Result to = {result + i * place, choose ? choose + i * place : NULL};
        convolve_tiles(mine, one, (Pixels){space.image, NULL}, to, 0, one.rows * one.columns, space);
      }
    } else if (!failed) {
#pragma omp for schedule(static)
      for (long first = 0; first < tiles; first += room)
        convolve_tiles(mine, grid, (Pixels){images, chosen}, (Result){result, choose}, first,
                       smaller(tiles, first + room), space);
    }
    free_workspace(space);
  }
  free(transformed);
  return failed;
}

/* Channels of a panel of inputs: whole vectors, and whole rows of the products. */
#define INPUT_PANEL 48

/* Terms at a place of a block of images' tiles, in panels. */
static long panelled(long channels, long panel, long room) {
  return (channels + panel - 1) / panel * panel * room / DEPTH;
}

/* Add to `sum` (36, inputs, outputs) what the tiles from `first` to before `end` bring. */
static void add_gradient(Layer layer, Grid grid, Pixels images, Pixels gradients, long first, long end, float *sum,
                         Workspace space) {
  long inputs = layer.inputs, outputs = layer.outputs, panel = layer.vectors * LANES;
  Layout left = {space.left_step, INPUT_PANEL, layer.room / DEPTH * INPUT_PANEL};
  Layout right = {space.right_step, panel, layer.room / DEPTH * panel};
  for (; first < end; first += layer.room) {
    long taken = smaller(layer.room, end - first), depth = (taken + DEPTH - 1) / DEPTH;
    transform_tiles(images, grid, layer.seen, space.zeros, first, taken, left, space.left, 6, DEPTH, 0);
    transform_gradients(gradients, grid, outputs, space.zeros, first, taken, right, space.right);
    for (long place = 0; place < PLACES; place++)
      for (long k = 0; k < outputs; k += panel)
        for (long p = 0; p < inputs; p += INPUT_PANEL)
          for (long c = p; c < smaller(inputs, p + INPUT_PANEL); c += ROWS)
            PRODUCTS[layer.vectors - 1][smaller(ROWS, inputs - c) - 1](
                space.left + place * left.step + p / INPUT_PANEL * left.block + c - p, 1, INPUT_PANEL,
                space.right + place * right.step + k / panel * right.block, panel,
                sum + (place * inputs + c) * outputs + k, outputs, depth, 1);
  }
}

/* The gradients of an input's kernels from the sums (36, inputs, outputs) of so many threads. */
static void finish_gradient(const float *sums, int threads, Layer layer, long input, Kernels to) {
  long size = layer.inputs * layer.outputs;
  for (long k = 0; k < layer.outputs; k += LANES) {
    vec s[PLACES];
    for (int place = 0; place < PLACES; place++) {
      s[place] = (vec){0};
      for (int t = 0; t < threads; t++)
        s[place] += LOAD(sums + (t * PLACES + place) * size + input * layer.outputs + k);
    }
    transform_kernel_back(s, to, k, input);
  }
}

/* Into `to_kernels` and, unless it is NULL, `to_bias` (outputs) the gradients of the kernels and the bias, given
   `images` (count, height, width, inputs), which `stem` makes of float32 unless it is NULL, and the `gradients` of
   their convolution (count, height, width, outputs), or of a pooled one with its `chosen`. Returns 1 where memory is
   short. */
int kernel_gradient(const void *images, const Stem *stem, const number *gradients, const uint8_t *chosen,
                    const Kernels *to_kernels, float *to_bias, long count, long height, long width, long inputs,
                    long outputs, int vectors, long room, int threads) {
  long seen = stem ? whole_vectors(inputs) : inputs;
  Layer layer = {NULL, NULL, inputs, outputs, seen, vectors, room};
  long panel = vectors * LANES;
  Grid grid = grid_of(count, height, width), one = grid_of(1, height, width);
  long tiles = count * grid.rows * grid.columns, made = stem ? height * width * seen : 1;
  long rows = stem ? stem->patch * seen_width(stem, width) * stem->channels : 1;
  long place = chosen ? height / 2 * (width / 2) * outputs : height * width * outputs;
  float *sums = aligned_floats(threads * PLACES * inputs * outputs), *bias_sums = aligned_floats(threads * outputs);
  int failed = !sums || !bias_sums;
#pragma omp parallel num_threads(threads)
  {
    long left = panelled(seen, INPUT_PANEL, room), right = panelled(outputs, panel, room);
    Workspace space = take_workspace(left, right, seen + outputs, made, rows);
    if (!is_whole(space)) {
#pragma omp atomic write
      failed = 1;
    }
#pragma omp barrier
    float *sum = sums + omp_get_thread_num() * PLACES * inputs * outputs;
    float *bias_sum = bias_sums + omp_get_thread_num() * outputs;
    if (!failed) {
      memset(sum, 0, PLACES * inputs * outputs * sizeof(float));
      memset(bias_sum, 0, outputs * sizeof(float));
    }
    if (!failed && stem) {
#pragma omp for schedule(static)
      for (long i = 0; i < count; i++) {
        const float *from = (const float *)images + i * stem->height * stem->width * stem->channels;
        make_image(stem, from, one, seen, space.rows, space.image);
        Pixels mine = {gradients + i * place, chosen ? chosen + i * place : NULL};
        add_gradient(layer, one, (Pixels){space.image, NULL}, mine, 0, one.rows * one.columns, sum, space);
      }
    } else if (!failed) {
#pragma omp for schedule(static)
      for (long first = 0; first < tiles; first += room)
        add_gradient(layer, grid, (Pixels){images, NULL}, (Pixels){gradients, chosen}, first,
                     smaller(tiles, first + room), sum, space);
    }
    if (!failed && to_bias) {
      // Of four pooled pixels one has the gradient, so that the pooled gradients have the same sum.
#pragma omp for schedule(static)
      for (long first = 0; first < count * place / outputs; first += SUMMED)
        add_rows(gradients + first * outputs, smaller(SUMMED, count * place / outputs - first), outputs, bias_sum);
    }
    if (!failed) {
      int summed = omp_get_num_threads();
#pragma omp for schedule(static)
      for (long c = 0; c < inputs; c++) finish_gradient(sums, summed, layer, c, *to_kernels);
#pragma omp single
      for (long k = 0; to_bias && k < outputs; k++) {
        to_bias[k] = 0;
        for (int t = 0; t < summed; t++) to_bias[k] += bias_sums[t * outputs + k];
      }
    }
    free_workspace(space);
  }
  free(sums);
  free(bias_sums);
  return failed;
}
