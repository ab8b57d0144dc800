/* How the threads of a parallel region share a convolution, and what each of them works with.

   A thread takes a block of tiles through all of its steps, so that what lies between them stays in its core's cache;
   only whole images and filters are in shared memory. Behind a stem, a thread makes an image and takes its blocks. */

#pragma once

#include <omp.h>

#include "stem.h"
#include "tiles.h"

typedef struct {
  const Convolution *problem;
  term *left; /* of the products, each of 36 places for a block's tiles, `left_step` apart */
  union {     /* forward, the products, or for a gradient their right side, `right_step` apart */
    float *products;
    term *right;
  };
  long left_step, right_step;
  number *zeros; /* for what lies outside the images */
  float *bias;   /* the problem's, or zeros */
  float *no_bias;
  number *image;       /* that a stem makes */
  float *rows;         /* what the stem sees for a row of it */
  const term *filters; /* forward, transformed; of all threads */
  float *sums;         /* for a gradient, (36, inputs, outputs); this thread's */
} Worker;

/* At least `size`, of floats or terms, and an odd number of cache lines: at an even one, places would share a few
   sets of the cache, which hold fewer lines than the 36 that a transform writes or reads at a time. */
static inline long step_of(long size) {
  long line = 64 / sizeof(float);
  return ((size + line - 1) / line | 1) * line;
}

/* A worker with `left` and `right` terms or floats at each place. */
static Worker take_worker(const Convolution *problem, long left, long right) {
  long left_step = step_of(left), right_step = step_of(right);
  long seen = seen_channels(problem), widest = seen + problem->outputs;
  long image = has_stem(problem) ? problem->height * problem->width * seen : 1;
  float *no_bias = calloc(widest, sizeof(float));
  return (Worker){
      .problem = problem,
      .left = aligned(PLACES * left_step * sizeof(term)),
      .products = aligned_floats(PLACES * right_step),
      .left_step = left_step,
      .right_step = right_step,
      .zeros = calloc(widest, sizeof(number)),
      .bias = problem->bias ? problem->bias : no_bias,
      .no_bias = no_bias,
      .image = aligned(image * sizeof(number)),
      .rows = aligned_floats(has_stem(problem) ? seen_rows(&problem->stem, problem->width) : 1),
  };
}

static int is_whole(Worker worker) {
  return worker.left && worker.products && worker.zeros && worker.no_bias && worker.image && worker.rows;
}

static void free_worker(Worker worker) {
  free(worker.left);
  free(worker.products);
  free(worker.zeros);
  free(worker.no_bias);
  free(worker.image);
  free(worker.rows);
}

/* What is done to the tiles of `images` and `results`, which have the same grid, from `first` to before `end`. */
typedef void (*Work)(const Worker *worker, Tiles images, Tiles results, long first, long end);

/* Do `work` on all tiles. Shared by the threads of a region. */
static void share_tiles(const Worker *worker, Work work) {
  const Convolution *problem = worker->problem;
  Grid all = grid_of(problem->count, problem->height, problem->width);
  Tiles images = {all, problem->images, seen_channels(problem), worker->zeros};
  Tiles results = {all, problem->results, problem->outputs, worker->zeros};
  long room = problem->room, tiles = tiles_of(all);
#pragma omp for schedule(static)
  for (long first = 0; first < tiles; first += room) work(worker, images, results, first, smaller(tiles, first + room));
}

/* Do `work` on all tiles, image by image as the stem makes them. Shared by the threads of a region. */
static void share_images(const Worker *worker, Work work) {
  const Convolution *problem = worker->problem;
  Grid one = grid_of(1, problem->height, problem->width);
  Tiles image = {one, {worker->image, NULL}, seen_channels(problem), worker->zeros};
  long size = result_size(problem);
#pragma omp for schedule(static)
  for (long i = 0; i < problem->count; i++) {
    make_image(problem, i, worker->rows, worker->image);
    Pixels result = problem->results;
    result.values += i * size;
    if (result.chosen) result.chosen += i * size;
    work(worker, image, (Tiles){one, result, problem->outputs, worker->zeros}, 0, tiles_of(one));
  }
}

static void share(const Worker *worker, Work work) {
  has_stem(worker->problem) ? share_images(worker, work) : share_tiles(worker, work);
}
