/* The problem of a 3x3 convolution with padding 1, as convolution.py gives it, and what follows from its shapes.

   Every problem lies in memory as (N, H, W, C). Which of its tensors are read and which are written is up to the
   function that it is given to: `convolve` (forward.c) or `filter_gradient` (gradients.c). */

#pragma once

#include "vectors.h"

/* Mirrored by ctypes: convolution.py, field by field ------------------------------------------------------------ */

/* Images, or their gradients. Where 2x2 pixels are pooled, they are half as high and wide, and `chosen` says which of
   the four was the largest (0 to 3): only that one has a part in the result, and has its gradient. NULL elsewhere. */
typedef struct {
  number *values;
  uint8_t *chosen;
} Pixels;

/* Filters (outputs, inputs, 3, 3) in any memory: where the first is, and from one to the next in each direction. */
typedef struct {
  float *values;
  long output, input, row, column;
} Filters;

/* A frozen convolution with a ReLU of which the images are made that the 3x3 convolution sees, one by one, each time it
   needs them: an image that a core's cache holds costs less to make than to write and read. */
typedef struct {
  const float *images;          /* (count, height, width, channels); pixels beyond the last are mirrored */
  const float *weights;         /* (patch, patch, channels, outputs), then the bias (outputs), outputs in whole vectors */
  long height, width, channels; /* of the images that it sees */
  long patch, stride;
} Stem;

typedef struct {
  Pixels images;  /* (count, height, width, inputs); NULL where a stem makes them */
  Pixels results; /* (count, height, width, outputs) */
  Stem stem;      /* of NULLs where there is none */
  Filters filters;
  float *bias; /* (outputs), or NULL */
  long count, height, width, inputs, outputs;
  long room;   /* tiles in a block */
  int vectors; /* of output channels in a panel: 1 or 2 */
  int threads;
} Convolution;

/* What follows -------------------------------------------------------------------------------------------------- */

/* Each tile of images takes 36 multiplications for a pair of channels, in so many matrix products over channels. */
#define PLACES 36

/* Images as tiles of 4x4 pixels; the last ones of a row or column may reach beyond the image. */
typedef struct {
  long count, height, width; /* of the images */
  long rows, columns;        /* of tiles in an image */
} Grid;

static inline Grid grid_of(long count, long height, long width) {
  return (Grid){count, height, width, (height + 3) / 4, (width + 3) / 4};
}

static inline long tiles_of(Grid grid) { return grid.count * grid.rows * grid.columns; }

/* Where a tile lies: its image, and its first pixel in it. */
typedef struct {
  long image, top, left;
} Corner;

static inline Corner corner_of(Grid grid, long tile) {
  return (Corner){tile / (grid.rows * grid.columns), tile / grid.columns % grid.rows * 4, tile % grid.columns * 4};
}

static inline long whole_vectors(long channels) { return (channels + LANES - 1) / LANES * LANES; }

static inline int has_stem(const Convolution *problem) { return problem->stem.weights != NULL; }

/* Channels of the images in memory: the inputs, behind a stem with zeros that fill its last vector. */
static inline long seen_channels(const Convolution *problem) {
  return has_stem(problem) ? whole_vectors(problem->inputs) : problem->inputs;
}

/* Channels of a panel of filters. */
static inline long panel_of(const Convolution *problem) { return problem->vectors * LANES; }

/* Numbers of the result of one image. */
static inline long result_size(const Convolution *problem) {
  int factor = problem->results.chosen ? 2 : 1;
  return problem->height / factor * (problem->width / factor) * problem->outputs;
}
