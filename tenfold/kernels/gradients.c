/* The gradients of a 3x3 convolution's filters and of its bias. (That of its images is a convolution: forward.c.) */

#include <string.h>

#include "filters.h"
#include "products.h"
#include "threads.h"

/* Channels of a panel of inputs: whole vectors, and whole rows of the products. */
#define INPUT_PANEL 48
/* Pixels whose gradients are summed up at once. */
#define SUMMED 128

/* Terms at a place of a block of tiles, in panels. */
static long panelled(long channels, long panel, long room) {
  return (channels + panel - 1) / panel * panel * room / DEPTH;
}

static void transform_inputs(Tiles images, long first, long count, Layout to) {
  transform_tiles(images, first, count, to, 6, DEPTH, 0);
}

static void transform_gradients(Tiles gradients, long first, long count, Layout to) {
  if (gradients.pixels.chosen)
    transform_tiles(gradients, first, count, to, 4, DEPTH, 1);
  else
    transform_tiles(gradients, first, count, to, 4, DEPTH, 0);
}

/* Add to the worker's sums the 36 products over a block's tiles, `depth` terms of them. */
static void multiply_by_gradients(const Worker *worker, Layout left, Layout right, long depth) {
  const Convolution *problem = worker->problem;
  long inputs = problem->inputs, outputs = problem->outputs;
  for (long place = 0; place < PLACES; place++)
    for (long k = 0; k < outputs; k += right.panel)
      for (long p = 0; p < inputs; p += INPUT_PANEL)
        multiply((Product){
            .left = left.terms + place * left.step + p / INPUT_PANEL * left.block,
            .row = 1,
            .step = INPUT_PANEL,
            .right = right.terms + place * right.step + k / right.panel * right.block,
            .result = worker->sums + (place * inputs + p) * outputs + k,
            .result_row = outputs,
            .rows = smaller(INPUT_PANEL, inputs - p),
            .depth = depth,
            .vectors = problem->vectors,
            .add = 1,
        });
}

/* `Work`: add to the worker's sums what the tiles bring. */
static void add_tiles(const Worker *worker, Tiles images, Tiles gradients, long first, long end) {
  long room = worker->problem->room, panel = panel_of(worker->problem);
  Layout left = {worker->left, worker->left_step, INPUT_PANEL, room / DEPTH * INPUT_PANEL};
  Layout right = {worker->right, worker->right_step, panel, room / DEPTH * panel};
  for (; first < end; first += room) {
    long count = smaller(room, end - first);
    transform_inputs(images, first, count, left);
    transform_gradients(gradients, first, count, right);
    multiply_by_gradients(worker, left, right, (count + DEPTH - 1) / DEPTH);
  }
}

/* The gradients of one input's filters, from the sums of so many threads. */
static void finish_filters(const Convolution *problem, const float *sums, int threads, long input) {
  long outputs = problem->outputs, size = problem->inputs * outputs;
  Filters to = problem->filters;
  for (long k = 0; k < outputs; k += LANES) {
    vec s[PLACES];
    for (int place = 0; place < PLACES; place++) {
      s[place] = (vec){0};
      for (int t = 0; t < threads; t++) s[place] += LOAD(sums + (t * PLACES + place) * size + input * outputs + k);
    }
    transform_filter_back(s, to, k, input);
  }
}

/* Add to `sums` (channels) those of `rows` pixels. */
static void add_rows(const number *from, long rows, long channels, float *sums) {
  for (long c = 0; c < channels; c += LANES) {
    vec sum = {0};
    for (long r = 0; r < rows; r++) sum += load_numbers(from + r * channels + c);
    STORE(sums + c, LOAD(sums + c) + sum);
  }
}

/* Add to this thread's `sums` (outputs) the gradients of its share of the results. Of four pooled pixels one has the
   gradient, so that the pooled gradients have the same sum. Shared by the threads of a region. */
static void share_bias(const Convolution *problem, float *sums) {
  long outputs = problem->outputs, rows = problem->count * result_size(problem) / outputs;
#pragma omp for schedule(static)
  for (long first = 0; first < rows; first += SUMMED)
    add_rows(problem->results.values + first * outputs, smaller(SUMMED, rows - first), outputs, sums);
}

static void finish_bias(const Convolution *problem, const float *sums, int threads) {
  for (long k = 0; k < problem->outputs; k++) {
    problem->bias[k] = 0;
    for (int t = 0; t < threads; t++) problem->bias[k] += sums[t * problem->outputs + k];
  }
}

/* Into the problem's filters and, unless it is NULL, its bias their gradients, given its images, or those that its stem
   makes, and as its results the gradients of these. Returns 1 where memory is short. */
int filter_gradient(const Convolution *problem) {
  long outputs = problem->outputs, room = problem->room, size = PLACES * problem->inputs * outputs;
  float *sums = aligned_floats(problem->threads * size), *bias_sums = aligned_floats(problem->threads * outputs);
  int failed = !sums || !bias_sums;
#pragma omp parallel num_threads(problem->threads)
  {
    Worker worker = take_worker(problem, panelled(seen_channels(problem), INPUT_PANEL, room),
                                panelled(outputs, panel_of(problem), room));
    if (!is_whole(worker)) {
#pragma omp atomic write
      failed = 1;
    }
#pragma omp barrier
    if (!failed) {
      int threads = omp_get_num_threads(), mine = omp_get_thread_num();
      worker.sums = memset(sums + mine * size, 0, size * sizeof(float));
      float *bias_sum = memset(bias_sums + mine * outputs, 0, outputs * sizeof(float));
      share(&worker, add_tiles);
      if (problem->bias) share_bias(problem, bias_sum);
#pragma omp for schedule(static)
      for (long c = 0; c < problem->inputs; c++) finish_filters(problem, sums, threads, c);
#pragma omp single
      if (problem->bias) finish_bias(problem, bias_sums, threads);
    }
    free_worker(worker);
  }
  free(sums);
  free(bias_sums);
  return failed;
}
