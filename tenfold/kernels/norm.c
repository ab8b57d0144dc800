/* Batch norm with a ReLU before or after it, over (rows, channels), in two passes each way.

   The ReLU leaves nothing in memory: each pass applies it again to what it reads. Sums are taken in single precision
   over BLOCK rows and in double precision over blocks, so that millions of rows cost no accuracy. Both passes are one
   parallel region, because a thread that waits for the next one falls asleep, and is slow to wake. */

#include <math.h>
#include <omp.h>

#include "vectors.h"

#define BLOCK 128
#define PIVOT_ROWS 16

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

/* Sums (threads, 2, channels), or NULL where memory is short. */
static double *take_sums(long channels, int threads) { return calloc(threads * 2 * channels, sizeof(double)); }

/* The two sums of a channel over all threads. */
static void total(const double *sums, long channels, long channel, int threads, double *first, double *second) {
  *first = *second = 0;
  for (int t = 0; t < threads; t++) {
    *first += sums[t * 2 * channels + channel];
    *second += sums[(t * 2 + 1) * channels + channel];
  }
}

/* result = (x - mean) scale + bias with the ReLU, for `terms` (3, channels): mean, scale and bias. Shared by the threads
   of a region. */
static void apply(const number *x, number *result, const float *terms, long rows, long channels, int relu) {
  const float *mean = terms, *scale = terms + channels, *bias = terms + 2 * channels;
#pragma omp for schedule(static)
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < channels; c += LANES) {
      vec v = centred(load_numbers(x + r * channels + c), LOAD(mean + c), relu) * LOAD(scale + c) + LOAD(bias + c);
      store_numbers(result + r * channels + c, relu == AFTER ? rectify(v) : v);
    }
}

/* `apply` by so many threads. */
void norm_apply(const number *x, number *result, const float *terms, long rows, long channels, int relu, int threads) {
#pragma omp parallel num_threads(threads)
  apply(x, result, terms, rows, channels, relu);
}

/* Add to `sums` (2, channels) of this thread those of x - mean and of its square or, with `gradients`, those of the
   gradients that pass the ReLU and of their products with x - mean, for `terms` (3, channels): mean and, with gradients,
   scale and bias. Shared by the threads of a region. */
static inline __attribute__((always_inline)) void add_sums(const number *x, const number *gradients, double *sums,
                                                           const float *terms, long rows, long channels, int relu) {
  const float *mean = terms, *scale = terms + channels, *bias = terms + 2 * channels;
#pragma omp for schedule(static)
  for (long first = 0; first < rows; first += BLOCK) {
    long end = smaller(rows, first + BLOCK);
    for (long c = 0; c < channels; c += LANES) {
      vec sum = {0}, products = {0};
      for (long r = first; r < end; r++) {
        vec d = centred(load_numbers(x + r * channels + c), LOAD(mean + c), relu), v = d;
        if (gradients)
          v = passed(load_numbers(gradients + r * channels + c), d, LOAD(scale + c), LOAD(bias + c), relu);
        sum += v;
        products += v * d;
      }
      add_to(sums + c, sum);
      add_to(sums + channels + c, products);
    }
  }
}

/* Into `pivot` (channels) the mean of a few rows. What is summed is what lies around it: near the mean, a small variance
   beside a large mean keeps its digits. One row alone would not do, where it is the only one that a ReLU let through. */
static void find_pivot(const number *x, float *pivot, long rows, long channels, int relu) {
  long few = smaller(rows, PIVOT_ROWS), step = rows / few;
  for (long c = 0; c < channels; c += LANES) {
    vec sum = {0};
    for (long r = 0; r < few; r++) sum += centred(load_numbers(x + r * step * channels + c), (vec){0}, relu);
    STORE(pivot + c, sum / (float)few);
  }
}

/* Normalise x (rows, channels), rectified if `relu` is BEFORE, by its own mean and biased variance, which go into
   `moments` (2, channels); `terms` (4, channels) gets mean, scale, bias and deviation. Returns 1 where memory is
   short. */
int norm(const number *x, number *result, const float *weight, const float *bias, float *terms, float *moments,
         double epsilon, long rows, long channels, int relu, int threads) {
  double *sums = take_sums(channels, threads);
  if (!sums) return 1;
  float *pivot = moments;
  find_pivot(x, pivot, rows, channels, relu);
#pragma omp parallel num_threads(threads)
  {
    add_sums(x, NULL, sums + omp_get_thread_num() * 2 * channels, pivot, rows, channels, relu);
#pragma omp single
    for (long c = 0; c < channels; c++) {
      double mean, square;
      total(sums, channels, c, threads, &mean, &square);
      mean /= rows;
      double variance = square / rows - mean * mean;
      if (variance < 0) variance = 0;
      double deviation = sqrt(variance + epsilon);
      terms[c] = moments[c] = (float)(mean + pivot[c]);
      moments[channels + c] = (float)variance;
      terms[channels + c] = (float)(weight[c] / deviation);
      terms[2 * channels + c] = bias[c];
      terms[3 * channels + c] = (float)deviation;
    }
    apply(x, result, terms, rows, channels, relu);
  }
  free(sums);
  return 0;
}

/* Into `result` (rows, channels), `to_weight` and `to_bias` (channels) the gradients of x, the norm's weight and its bias,
   given those of its result and the `terms` that `norm` gave. Returns 1 where memory is short.

   With x^ = (x - mean) / deviation: dx = weight / deviation (g - mean of g - x^ mean of g x^), in the passes' words
   scale g + slope (x - mean) + level; with both ReLUs' derivatives. */
int norm_gradient(const number *x, const number *gradients, number *result, const float *terms, float *to_weight,
                  float *to_bias, long rows, long channels, int relu, int threads) {
  const float *mean = terms, *scale = terms + channels, *bias = terms + 2 * channels, *deviation = terms + 3 * channels;
  double *sums = take_sums(channels, threads);
  float *slope = aligned_floats(2 * channels), *level = slope + channels;
  int failed = !sums || !slope;
  if (!failed) {
#pragma omp parallel num_threads(threads)
    {
      add_sums(x, gradients, sums + omp_get_thread_num() * 2 * channels, terms, rows, channels, relu);
#pragma omp single
      for (long c = 0; c < channels; c++) {
        double sum, products;
        total(sums, channels, c, threads, &sum, &products);
        products /= deviation[c];
        to_weight[c] = (float)products;
        to_bias[c] = (float)sum;
        slope[c] = (float)(-scale[c] * products / ((double)rows * deviation[c]));
        level[c] = (float)(-scale[c] * sum / rows);
      }
#pragma omp for schedule(static)
      for (long r = 0; r < rows; r++)
        for (long c = 0; c < channels; c += LANES) {
          vec v = load_numbers(x + r * channels + c), d = centred(v, LOAD(mean + c), relu);
          vec g = passed(load_numbers(gradients + r * channels + c), d, LOAD(scale + c), LOAD(bias + c), relu);
          g = LOAD(scale + c) * g + LOAD(slope + c) * d + LOAD(level + c);
          store_numbers(result + r * channels + c, relu == BEFORE ? where(v > 0, g) : g);
        }
    }
  }
  free(sums);
  free(slope);
  return failed;
}
