/* A 3x3 convolution, forward; with filters turned by half a turn, also back from results' gradients to images'. */

#include "filters.h"
#include "outputs.h"
#include "products.h"
#include "threads.h"

/* Terms of the problem's filters, of LANES outputs from `output` on, to their places in `to`:
   (36, outputs / panel, inputs / DEPTH, panel). */
static void transform_filters(const Convolution *problem, long output, term *to) {
  Filters filters = problem->filters;
  long panel = panel_of(problem), depth = problem->inputs / DEPTH, step = problem->outputs * depth;
  to += output / panel * panel * depth + output % panel;
  for (long d = 0; d < depth; d++, to += panel) {
    vec r[DEPTH][36];
    for (int k = 0; k < DEPTH; k++) transform_filter(filters, output, d * DEPTH + k, r[k]);
    for (int place = 0; place < PLACES; place++) {
      vec values[DEPTH];
      for (int k = 0; k < DEPTH; k++) values[k] = r[k][place];
      store_tiles(to + place * step, values);
    }
  }
}

static void transform_inputs(Tiles images, long first, long count, Layout to) {
  if (images.pixels.chosen)
    transform_tiles(images, first, count, to, 6, 1, 1);
  else
    transform_tiles(images, first, count, to, 6, 1, 0);
}

/* The 36 products of a block of `count` tiles, a panel of filters at a time. */
static void multiply_by_filters(const Worker *worker, long channels, long count) {
  const Convolution *problem = worker->problem;
  long outputs = problem->outputs, depth = problem->inputs / DEPTH, panel = panel_of(problem);
  for (long place = 0; place < PLACES; place++)
    for (long k = 0; k < outputs; k += panel)
      multiply((Product){
          .left = worker->left + place * worker->left_step,
          .row = channels / DEPTH,
          .step = 1,
          .right = worker->filters + (place * outputs + k) * depth,
          .result = worker->products + place * worker->right_step + k,
          .result_row = outputs,
          .rows = count,
          .depth = depth,
          .vectors = problem->vectors,
      });
}

/* `Work`: convolve the tiles, a block at a time. */
static void convolve_tiles(const Worker *worker, Tiles images, Tiles results, long first, long end) {
  long room = worker->problem->room;
  for (; first < end; first += room) {
    long count = smaller(room, end - first);
    transform_inputs(images, first, count, (Layout){worker->left, worker->left_step, images.channels, 0});
    multiply_by_filters(worker, images.channels, count);
    transform_outputs((Products){worker->products, worker->right_step}, worker->bias, results, first, count);
  }
}

/* Convolve the problem's images, or those that its stem makes, with its filters, add its bias, and write its results,
   pooled where they keep choices. Images that have choices are the gradients of pooled results. Returns 1 where memory
   is short. */
int convolve(const Convolution *problem) {
  long outputs = problem->outputs, room = problem->room;
  term *filters = (term *)aligned_floats(PLACES * problem->inputs * outputs / DEPTH);
  int failed = !filters;
#pragma omp parallel num_threads(problem->threads)
  {
    Worker worker = take_worker(problem, room * seen_channels(problem) / DEPTH, room * outputs);
    worker.filters = filters;
    if (!is_whole(worker)) {
#pragma omp atomic write
      failed = 1;
    }
#pragma omp barrier
    if (!failed) {
#pragma omp for schedule(static)
      for (long k = 0; k < outputs; k += LANES) transform_filters(problem, k, filters);
      share(&worker, convolve_tiles);
    }
    free_worker(worker);
  }
  free(filters);
  return failed;
}
