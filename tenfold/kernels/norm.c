/* Batch norm with a ReLU before or after it, over (rows, channels) of float32, in two passes each way.

   The ReLU leaves nothing in memory: each pass applies it again to what it reads. Sums are taken in single precision
   over BLOCK rows and in double precision over blocks, so that millions of rows cost no accuracy. */

#include <omp.h>

#include "vectors.h"

#define BLOCK 128

enum { BEFORE = 1, AFTER = 2 };

static inline vec rectify(vec x) { return where(x > 0, x); }

/* What the norm sees of x, less its mean. */
static inline vec centred(vec x, vec mean, int relu) { return (relu == BEFORE ? rectify(x) : x) - mean; }

/* Of a gradient of the result, the part that passes the ReLU after the norm. */
static inline vec passed(vec gradient, vec difference, vec scale, vec bias, int relu) {
  return relu == AFTER ? where(difference * scale + bias > 0, gradient) : gradient;
}

static inline void add_to(double *sums, vec values) {
  for (int lane = 0; lane < LANES; lane++) sums[lane] += values[lane];
}

/* Add to `sums` (threads, 2, channels) the sums of x - pivot, for x rectified if `relu` is BEFORE, and of its squares.
   A `pivot` (channels) near the mean keeps a small variance beside a large mean. */
void norm_sums(const float *x, const float *pivot, double *sums, long rows, long channels, int relu, int threads) {
#pragma omp parallel num_threads(threads)
  {
    double *mine = sums + omp_get_thread_num() * 2 * channels;
#pragma omp for schedule(static)
    for (long first = 0; first < rows; first += BLOCK) {
      long end = smaller(rows, first + BLOCK);
      for (long c = 0; c < channels; c += LANES) {
        vec sum = {0}, squares = {0};
        for (long r = first; r < end; r++) {
          vec d = centred(LOAD(x + r * channels + c), LOAD(pivot + c), relu);
          sum += d;
          squares += d * d;
        }
        add_to(mine + c, sum);
        add_to(mine + channels + c, squares);
      }
    }
  }
}

/* result = (x - mean) scale + bias with the ReLU, for `terms` (3, channels): mean, scale and bias. */
void norm_apply(const float *x, float *result, const float *terms, long rows, long channels, int relu, int threads) {
  const float *mean = terms, *scale = terms + channels, *bias = terms + 2 * channels;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < channels; c += LANES) {
      vec v = centred(LOAD(x + r * channels + c), LOAD(mean + c), relu) * LOAD(scale + c) + LOAD(bias + c);
      STORE(result + r * channels + c, relu == AFTER ? rectify(v) : v);
    }
}

/* Add to `sums` (threads, 2, channels) the sums of the norm's gradients, and of their products with x - mean. */
void norm_gradient_sums(const float *x, const float *gradients, double *sums, const float *terms, long rows,
                        long channels, int relu, int threads) {
  const float *mean = terms, *scale = terms + channels, *bias = terms + 2 * channels;
#pragma omp parallel num_threads(threads)
  {
    double *mine = sums + omp_get_thread_num() * 2 * channels;
#pragma omp for schedule(static)
    for (long first = 0; first < rows; first += BLOCK) {
      long end = smaller(rows, first + BLOCK);
      for (long c = 0; c < channels; c += LANES) {
        vec sum = {0}, products = {0};
        for (long r = first; r < end; r++) {
          vec d = centred(LOAD(x + r * channels + c), LOAD(mean + c), relu);
          vec g = passed(LOAD(gradients + r * channels + c), d, LOAD(scale + c), LOAD(bias + c), relu);
          sum += g;
          products += g * d;
        }
        add_to(mine + c, sum);
        add_to(mine + channels + c, products);
      }
    }
  }
}

/* result = scale g + slope (x - mean) + level for `factors` (2, channels): slope and level; with both ReLUs'
   derivatives. */
void norm_gradient(const float *x, const float *gradients, float *result, const float *terms, const float *factors,
                   long rows, long channels, int relu, int threads) {
  const float *mean = terms, *scale = terms + channels, *bias = terms + 2 * channels;
  const float *slope = factors, *level = factors + channels;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < channels; c += LANES) {
      vec v = LOAD(x + r * channels + c), d = centred(v, LOAD(mean + c), relu);
      vec g = passed(LOAD(gradients + r * channels + c), d, LOAD(scale + c), LOAD(bias + c), relu);
      g = LOAD(scale + c) * g + LOAD(slope + c) * d + LOAD(level + c);
      STORE(result + r * channels + c, relu == BEFORE ? where(v > 0, g) : g);
    }
}
