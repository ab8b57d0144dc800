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

/* Mirrored by ctypes: norm.py, field by field. What a function does not name may be NULL. */
typedef struct {
  const number *images, *gradients; /* (rows, channels); gradients are those of the norm's result */
  number *result;                   /* (rows, channels), or the gradients of the images */
  const float *weight, *bias;       /* (channels) */
  float *terms;                     /* (4, channels): mean, scale, bias and deviation; `norm_apply` reads three */
  float *moments;                   /* (2, channels): mean and biased variance */
  float *to_weight, *to_bias;       /* (channels), gradients */
  double epsilon;
  long rows, channels;
  int relu, threads;
} Norm;

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

/* Into `result` the images, normalised by `terms`, with the ReLU. */
int norm_apply(const Norm *norm) {
#pragma omp parallel num_threads(norm->threads)
  apply(norm->images, norm->result, norm->terms, norm->rows, norm->channels, norm->relu);
  return 0;
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

/* Into `terms` and `moments` those of the images, given the sums of all threads over what lies around the pivot. */
static void find_terms(const Norm *norm, const double *sums, const float *pivot) {
  long channels = norm->channels, rows = norm->rows;
  float *terms = norm->terms, *moments = norm->moments;
  for (long c = 0; c < channels; c++) {
    double mean, square;
    total(sums, channels, c, norm->threads, &mean, &square);
    mean /= rows;
    double variance = square / rows - mean * mean;
    if (variance < 0) variance = 0;
    double deviation = sqrt(variance + norm->epsilon);
    terms[c] = moments[c] = (float)(mean + pivot[c]);
    moments[channels + c] = (float)variance;
    terms[channels + c] = (float)(norm->weight[c] / deviation);
    terms[2 * channels + c] = norm->bias[c];
    terms[3 * channels + c] = (float)deviation;
  }
}

/* Into `result` the images, rectified before or after they are normalised by their own moments; into `terms` and
   `moments` what that took. Returns 1 where memory is short. */
int norm(const Norm *norm) {
  const number *x = norm->images;
  long rows = norm->rows, channels = norm->channels;
  double *sums = take_sums(channels, norm->threads);
  if (!sums) return 1;
  float *pivot = norm->moments;
  find_pivot(x, pivot, rows, channels, norm->relu);
#pragma omp parallel num_threads(norm->threads)
  {
    add_sums(x, NULL, sums + omp_get_thread_num() * 2 * channels, pivot, rows, channels, norm->relu);
#pragma omp single
    find_terms(norm, sums, pivot);
    apply(x, norm->result, norm->terms, rows, channels, norm->relu);
  }
  free(sums);
  return 0;
}

/* With x^ = (x - mean) / deviation: dx = weight / deviation (g - mean of g - x^ mean of g x^), in the passes' words
   scale g + slope (x - mean) + level. Here into `slopes` (2, channels) slope and level, and into `to_weight` and
   `to_bias` their gradients, given the sums of all threads. */
static void find_slopes(const Norm *norm, const double *sums, float *slopes) {
  long channels = norm->channels, rows = norm->rows;
  const float *scale = norm->terms + channels, *deviation = norm->terms + 3 * channels;
  for (long c = 0; c < channels; c++) {
    double sum, products;
    total(sums, channels, c, norm->threads, &sum, &products);
    products /= deviation[c];
    norm->to_weight[c] = (float)products;
    norm->to_bias[c] = (float)sum;
    slopes[c] = (float)(-scale[c] * products / ((double)rows * deviation[c]));
    slopes[channels + c] = (float)(-scale[c] * sum / rows);
  }
}

/* Into `result` the gradients of the images, with both ReLUs' derivatives. Shared by the threads of a region. */
static void apply_gradient(const Norm *norm, const float *slopes) {
  const number *x = norm->images, *gradients = norm->gradients;
  number *result = norm->result;
  long rows = norm->rows, channels = norm->channels;
  int relu = norm->relu;
  const float *mean = norm->terms, *scale = mean + channels, *bias = scale + channels;
  const float *slope = slopes, *level = slopes + channels;
#pragma omp for schedule(static)
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < channels; c += LANES) {
      vec v = load_numbers(x + r * channels + c), d = centred(v, LOAD(mean + c), relu);
      vec g = passed(load_numbers(gradients + r * channels + c), d, LOAD(scale + c), LOAD(bias + c), relu);
      g = LOAD(scale + c) * g + LOAD(slope + c) * d + LOAD(level + c);
      store_numbers(result + r * channels + c, relu == BEFORE ? where(v > 0, g) : g);
    }
}

/* Into `result`, `to_weight` and `to_bias` the gradients of the images, the norm's weight and its bias, given those of
   its result and the `terms` that `norm` gave. Returns 1 where memory is short. */
int norm_gradient(const Norm *norm) {
  long rows = norm->rows, channels = norm->channels;
  double *sums = take_sums(channels, norm->threads);
  float *slopes = aligned_floats(2 * channels);
  int failed = !sums || !slopes;
  if (!failed) {
#pragma omp parallel num_threads(norm->threads)
    {
      double *mine = sums + omp_get_thread_num() * 2 * channels;
      add_sums(norm->images, norm->gradients, mine, norm->terms, rows, channels, norm->relu);
#pragma omp single
      find_slopes(norm, sums, slopes);
      apply_gradient(norm, slopes);
    }
  }
  free(sums);
  free(slopes);
  return failed;
}
