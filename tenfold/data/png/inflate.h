/* Inflating (RFC 1950, RFC 1951) of what is small and whole: the result's size is known, and anything else than exactly
   that, with the right checksum, is refused. zlib spends more on getting ready than such a picture takes. */

#pragma once

#include <stdint.h>
#include <string.h>

enum { QUICK = 10, LONGEST = 15, SYMBOLS = 288 }; /* bits that one look decodes; of the longest code */

/* A prefix code. quick: by the next QUICK bits, symbol << 4 | bits of its code; 0 where they are more, or there is none.
   Longer ones are counted out: counts of each length, and the symbols by length. */
typedef struct {
  uint16_t quick[1 << QUICK], counts[LONGEST + 1], symbols[SYMBOLS];
} Code;

/* The next `have` of `bits`, the lowest first, are taken from before `next`; fewer than 0 were too many. */
typedef struct {
  const uint8_t *next, *end;
  uint64_t bits;
  int have;
} Bits;

/* At least 56 bits, or all there are. */
static inline void refill(Bits *in) {
  if (in->end - in->next >= 8) {
    uint64_t word;
    memcpy(&word, in->next, 8);
    in->bits |= word << in->have; /* what is above `have` is right, and comes again */
    in->next += (63 - in->have) >> 3;
    in->have |= 56;
    return;
  }
  for (; in->have <= 56 && in->next < in->end; in->have += 8) in->bits |= (uint64_t)*in->next++ << in->have;
}

static inline unsigned take(Bits *in, int count) {
  unsigned found = in->bits & ((1u << count) - 1);
  in->bits >>= count;
  in->have -= count;
  return found;
}

/* The code of these lengths (bits, 0 for none); 0 where they are none, or leave bits over. `alone`: whether a single
   code of one bit may. */
static int make_code(Code *code, const uint8_t *lengths, int count, int alone) {
  uint16_t next[LONGEST + 2] = {0}, place[LONGEST + 2] = {0};
  memset(code, 0, sizeof *code);
  for (int i = 0; i < count; i++) code->counts[lengths[i]]++;
  int left = 1, used = count - code->counts[0];
  code->counts[0] = 0;
  for (int bits = 1; bits <= LONGEST; bits++) {
    if ((left = 2 * left - code->counts[bits]) < 0) return 0;
    place[bits + 1] = place[bits] + code->counts[bits];
    next[bits + 1] = (next[bits] + code->counts[bits]) << 1;
  }
  if (left && !(alone && used == 1 && code->counts[1] == 1)) return 0;
  for (int symbol = 0; symbol < count; symbol++) {
    int bits = lengths[symbol];
    if (!bits) continue;
    unsigned forward = next[bits]++, backward = 0;
    code->symbols[place[bits]++] = symbol;
    if (bits > QUICK) continue;
    for (int i = 0; i < bits; i++) backward |= (forward >> i & 1) << (bits - 1 - i);
    for (unsigned at = backward; at < 1 << QUICK; at += 1u << bits) code->quick[at] = symbol << 4 | bits;
  }
  return 1;
}

/* A symbol bit by bit; -1 where no code is such. */
static int long_symbol(const Code *code, Bits *in) {
  int found = 0, first = 0, index = 0;
  uint64_t rest = in->bits;
  for (int bits = 1; bits <= LONGEST; bits++, rest >>= 1) {
    found = found << 1 | (rest & 1);
    int count = code->counts[bits];
    if (found - first < count) {
      take(in, bits);
      return code->symbols[index + found - first];
    }
    index += count;
    first = (first + count) << 1;
  }
  return -1;
}

static inline int take_symbol(const Code *code, Bits *in) {
  unsigned entry = code->quick[in->bits & ((1 << QUICK) - 1)];
  if (__builtin_expect(!entry, 0)) return long_symbol(code, in);
  take(in, entry & 15);
  return entry >> 4;
}

static const uint16_t LENGTHS[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                     31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t LENGTH_BITS[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                        2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t DISTANCES[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                       193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t DISTANCE_BITS[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                          6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

/* The two codes of a block that says none. */
static void fixed_codes(Code *literal, Code *distance) {
  uint8_t lengths[SYMBOLS];
  memset(lengths, 8, 144);
  memset(lengths + 144, 9, 112);
  memset(lengths + 256, 7, 24);
  memset(lengths + 280, 8, 8);
  make_code(literal, lengths, SYMBOLS, 0);
  memset(lengths, 5, 32);
  make_code(distance, lengths, 32, 0);
}

/* The two codes that a block begins with; 0 where they are wrong. */
static int read_codes(Bits *in, Code *literal, Code *distance) {
  static const uint8_t ORDER[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  uint8_t lengths[SYMBOLS + 32] = {0};
  refill(in);
  int literals = take(in, 5) + 257, both = literals + take(in, 5) + 1, count = take(in, 4) + 4;
  for (int i = 0; i < count; i++) {
    refill(in);
    lengths[ORDER[i]] = take(in, 3);
  }
  if (literals > 286 || both - literals > 30 || !make_code(literal, lengths, 19, 0)) return 0;
  for (int i = 0; i < both;) {
    refill(in);
    int symbol = take_symbol(literal, in);
    if (symbol < 0 || (symbol == 16 && !i)) return 0;
    int times = symbol == 16 ? 3 + take(in, 2) : symbol == 17 ? 3 + take(in, 3) : symbol == 18 ? 11 + take(in, 7) : 1;
    if (times > both - i) return 0;
    memset(lengths + i, symbol == 16 ? lengths[i - 1] : symbol > 16 ? 0 : symbol, times);
    i += times;
  }
  return in->have >= 0 && lengths[256] && make_code(literal, lengths, literals, 1) &&
         make_code(distance, lengths + literals, both - literals, 1);
}

/* A compressed block into out[done ... size - 1]; how much is done then, or -1 where it is wrong. */
static long inflate_block(Bits *in, const Code *literal, const Code *distance, uint8_t *out, long done, long size) {
  for (;;) {
    refill(in); /* enough for two literals, or one, a length and a distance's code */
    if (in->have < 0) return -1;
    int symbol = take_symbol(literal, in);
    if ((unsigned)symbol < 256) {
      if (done >= size) return -1;
      out[done++] = symbol;
      symbol = take_symbol(literal, in);
      if ((unsigned)symbol < 256) {
        if (done >= size) return -1;
        out[done++] = symbol;
        continue;
      }
      refill(in);
    }
    if (symbol == 256) return in->have < 0 ? -1 : done;
    if (symbol < 0 || symbol > 285) return -1;
    long length = LENGTHS[symbol - 257] + take(in, LENGTH_BITS[symbol - 257]);
    if ((symbol = take_symbol(distance, in)) < 0 || symbol > 29) return -1;
    refill(in);
    long back = DISTANCES[symbol] + take(in, DISTANCE_BITS[symbol]);
    if (back > done || length > size - done) return -1;
    for (long end = done + length; done < end; done++) out[done] = out[done - back];
  }
}

/* A stored block likewise. */
static long copy_block(Bits *in, uint8_t *out, long done, long size) {
  if (in->have < 0) return -1;
  in->next -= in->have >> 3; /* whole bytes go back, the rest of this one is left out */
  in->bits = in->have = 0;
  if (in->end - in->next < 4) return -1;
  const uint8_t *head = in->next;
  long length = head[0] | head[1] << 8;
  in->next += 4;
  if ((length ^ 0xffff) != (head[2] | head[3] << 8) || length > in->end - in->next || length > size - done) return -1;
  memcpy(out + done, in->next, length);
  in->next += length;
  return done + length;
}

static uint32_t adler32(const uint8_t *values, long count) {
  uint32_t first = 1, second = 0;
  while (count) {
    long part = count < 2048 ? count : 2048; /* so that no sum exceeds 32 bits */
    uint32_t sum = 0, weighted = 0;
    for (long i = 0; i < part; i++) {
      sum += values[i];
      weighted += (uint32_t)(part - i) * values[i];
    }
    second = (second + (uint64_t)part * first + weighted) % 65521;
    first = (first + sum) % 65521;
    values += part;
    count -= part;
  }
  return second << 16 | first;
}

/* Whether `data` is exactly `size` bytes, compressed; `out` has them then. */
static int inflate_whole(const uint8_t *data, long length, uint8_t *out, long size) {
  if (length < 6 || (data[0] & 15) != 8 || data[0] >> 4 > 7 || data[1] & 32 || (data[0] << 8 | data[1]) % 31) return 0;
  Bits in = {data + 2, data + length, 0, 0};
  Code literal, distance;
  long done = 0;
  for (int last = 0; !last;) {
    refill(&in);
    last = take(&in, 1);
    int kind = take(&in, 2);
    if (kind == 3) return 0;
    if (kind == 1) fixed_codes(&literal, &distance);
    if (kind == 2 && !read_codes(&in, &literal, &distance)) return 0;
    done = kind ? inflate_block(&in, &literal, &distance, out, done, size) : copy_block(&in, out, done, size);
    if (done < 0) return 0;
  }
  const uint8_t *said = in.next - (in.have >> 3);
  if (in.have < 0 || done != size || in.end - said != 4) return 0;
  return adler32(out, size) == ((uint32_t)said[0] << 24 | said[1] << 16 | said[2] << 8 | said[3]);
}
