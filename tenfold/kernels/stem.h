/* The images that a frozen stem makes for the 3x3 convolution behind it, in a core's cache. */

#pragma once

#include <string.h>

#include "convolution.h"
#include "products.h"

/* How many pixels of a row are made at once; a row's last ones are made twice where they do not fill it. And how many
   vectors of their channels, as the registers allow. */
#define PIXELS 8
#define TOGETHER (LANES == 16 ? 2 : 1)

static inline long mirrored(long place, long size) { return place < size ? place : 2 * (size - 1) - place; }

/* How many pixels of a row a stem sees for `width` of its own. */
static inline long seen_width(const Stem *stem, long width) { return (width - 1) * stem->stride + stem->patch; }

/* Floats of the rows that a stem sees for one row of its own. */
static inline long seen_rows(const Stem *stem, long width) {
  return stem->patch * seen_width(stem, width) * stem->channels;
}

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

/* A row of `width` pixels of an image, from the `rows` that the stem sees, each of `row` floats. */
static inline void make_row(const Stem *stem, const float *rows, long row, long width, long outputs, number *to) {
  for (long first = 0; first < width; first += PIXELS)
    for (long c = 0, together; c < outputs; c += together * LANES) {
      together = smaller(TOGETHER, (outputs - c) / LANES);
      const float *seen[PIXELS];
      number *pixels[PIXELS];
      EACH(p, PIXELS) {
        long x = smaller(first + p, width - 1);
        seen[p] = rows + x * stem->stride * stem->channels;
        pixels[p] = to + x * outputs + c;
      }
      if (together == 2)
        make_pixels(stem, seen, row, stem->weights + c, outputs, 2, pixels);
      else
        make_pixels(stem, seen, row, stem->weights + c, outputs, 1, pixels);
    }
}

/* Image number `index`, (height, width, outputs), into `to`; `rows` is room for what the stem sees at a time. */
static void make_image(const Convolution *problem, long index, float *rows, number *to) {
  const Stem *stem = &problem->stem;
  const float *from = stem->images + index * stem->height * stem->width * stem->channels;
  long width = seen_width(stem, problem->width), row = width * stem->channels, outputs = seen_channels(problem);
  for (long y = 0; y < problem->height; y++, to += problem->width * outputs) {
    for (long i = 0; i < stem->patch; i++) copy_row(stem, from, y * stem->stride + i, width, rows + i * row);
    make_row(stem, rows, row, problem->width, outputs, to);
  }
}
