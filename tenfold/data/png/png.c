/* Many small PNG files to pixels, each of which must have the wanted size and hold nothing but pixels: 8-bit gray or
   RGB, not interlaced, in one chunk. Every other file, and every damaged one, is left to the caller. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filters.h"
#include "inflate.h"

/* Mirrored by ctypes: __init__.py, field by field. */
typedef struct {
  const char *const *sources; /* paths, or the contents of files */
  const long *lengths;        /* of contents; -1 for a path */
  uint8_t *pixels;            /* (count, height, width, channels); of those that are not done, anything */
  uint8_t *done;              /* (count,): 1 or 0 */
  long count, height, width, channels;
} Pngs;

/* What one picture after the other is worked on with. */
typedef struct {
  uint8_t *file, *rows, *zeros;
  long room; /* in `file` */
} Bench;

enum { HEAD = 41, TAIL = 16 }; /* bytes before and after the compressed ones, to the end of the last chunk */

static uint32_t number(const uint8_t *from) {
  return (uint32_t)from[0] << 24 | from[1] << 16 | from[2] << 8 | from[3];
}

/* The length of the compressed bytes of a plain picture of the wanted size; -1 for every other file. */
static long compressed(const Pngs *pngs, const uint8_t *file, long length) {
  if (length < HEAD + TAIL || memcmp(file, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) || memcmp(file + 37, "IDAT", 4)) return -1;
  long inside = number(file + 33);
  int plain = file[24] == 8 && (file[25] == 0 || file[25] == 2) && !file[26] && !file[27] && !file[28];
  int fits = number(file + 16) == pngs->width && number(file + 20) == pngs->height;
  if (!plain || !fits || inside > length - HEAD - TAIL || memcmp(file + HEAD + inside + 8, "IEND", 4)) return -1;
  return inside;
}

/* Whether a file's pixels are in `to` now. */
static int decode(const Pngs *pngs, const Bench *bench, const uint8_t *file, long length, uint8_t *to) {
  long height = pngs->height, width = pngs->width, inside = compressed(pngs, file, length);
  int bytes = inside >= 0 && file[25] == 2 ? 3 : 1;
  if (inside < 0 || bytes > pngs->channels) return 0;
  if (!inflate_whole(file + HEAD, inside, bench->rows, height * (1 + width * bytes))) return 0;
  if (bytes == 3) return unfilter(bench->rows, bench->zeros, to, height, width, 3);
  if (pngs->channels == 1) return unfilter(bench->rows, bench->zeros, to, height, width, 1);
  uint8_t *gray = to + 2 * height * width; /* at the end, so that it is read before it is written over */
  if (!unfilter(bench->rows, bench->zeros, gray, height, width, 1)) return 0;
  for (long i = 0; i < height * width; i++, to += 3) to[0] = to[1] = to[2] = gray[i];
  return 1;
}

/* The length of a regular file that is small enough, and its contents; -1 for every other one. */
static long read_file(const Bench *bench, const char *path) {
  int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  struct stat facts;
  long got = -1;
  if (descriptor < 0) return -1;
  if (!fstat(descriptor, &facts) && S_ISREG(facts.st_mode) && facts.st_size <= bench->room)
    got = read(descriptor, bench->file, bench->room) == facts.st_size ? facts.st_size : -1;
  close(descriptor);
  return got;
}

/* Into `pixels` and `done` what can be read here; 1 where memory is short. */
int decode_pngs(const Pngs *pngs) {
  long size = pngs->height * pngs->width * pngs->channels, row = pngs->width * 3;
  Bench bench = {.room = 2 * size + 4096};
  bench.file = malloc(bench.room);
  bench.rows = malloc(size + pngs->height);
  bench.zeros = calloc(row, 1);
  int short_of_memory = !bench.file || !bench.rows || !bench.zeros;
  for (long i = 0; i < pngs->count && !short_of_memory; i++) {
    long length = pngs->lengths[i];
    const uint8_t *file = length < 0 ? bench.file : (const uint8_t *)pngs->sources[i];
    if (length < 0) length = read_file(&bench, pngs->sources[i]);
    pngs->done[i] = length < 0 ? 0 : decode(pngs, &bench, file, length, pngs->pixels + i * size);
  }
  free(bench.file);
  free(bench.rows);
  free(bench.zeros);
  return short_of_memory;
}
