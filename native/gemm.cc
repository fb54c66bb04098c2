#include "gemm.h"

#include <algorithm>
#include <cstring>

#include "vector.h"

namespace lathe::LATHE_SET {
namespace {

// Rows of c that one call of a kernel holds in registers, two vectors wide: 24 of 32 registers, 12 of the 16 of AVX2
// and SSE.
#if defined(LATHE_WITH_AVX512) || defined(__aarch64__)
constexpr int kMostRows = 12;
#else
constexpr int kMostRows = 6;
#endif
constexpr int kWidth = 2 * kLanes;

// What all tiles of a panel share.
struct Walk {
  int64_t groups, group, segments, segment, depth, row, column, b_row, c_row;
  bool accumulate;
};

// c [rows, kVectors * kLanes] = a b (+ c): every element of a is spread over a vector and meets the first vectors of a
// row of b, which has two.
template <int kRows, int kVectors>
inline __attribute__((always_inline)) void Tile(const Walk &walk, const float *a, const float *b, float *c,
                                                int64_t c_row) {
  const int64_t a_row = walk.row, a_column = walk.column, depth = walk.depth, b_row = walk.b_row;
  Vector sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < kVectors; v++) sums[r][v] = walk.accumulate ? At(c + r * c_row + v * kLanes) : Vector{};
  }
  for (int64_t g = 0; g < walk.groups; g++, a += walk.group) {
    const float *segment = a;
    for (int64_t s = 0; s < walk.segments; s++, segment += walk.segment) {
      const float *from = segment;
      for (int64_t p = 0; p < depth; p++, from += a_column, b += b_row) {
        const Vector b0 = At(b), b1 = At(b + kLanes);
#pragma GCC unroll 12
        for (int r = 0; r < kRows; r++) {
          const float value = from[r * a_row];
          sums[r][0] += value * b0;
          if (kVectors > 1) sums[r][kVectors - 1] += value * b1;
        }
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < kVectors; v++) At(c + r * c_row + v * kLanes) = sums[r][v];
  }
}

// A tile that reaches beyond c is computed in a buffer.
template <int kRows, int kVectors>
inline __attribute__((always_inline)) void Beyond(const Walk &walk, int64_t columns, const float *a, const float *b,
                                                  float *c) {
  constexpr int kWhole = kVectors * kLanes;
  float whole[kRows * kWhole] = {0};
  for (int r = 0; walk.accumulate && r < kRows; r++)
    std::memcpy(whole + r * kWhole, c + r * walk.c_row, columns * sizeof(float));
  Tile<kRows, kVectors>(walk, a, b, whole, kWhole);
  for (int r = 0; r < kRows; r++) std::memcpy(c + r * walk.c_row, whole + r * kWhole, columns * sizeof(float));
}

// Rows of one panel. The last columns may need one vector only.
template <int kRows>
void Strip(const Walk &walk, int64_t columns, const float *a, const float *b, float *c) {
  if (columns >= kWidth) return Tile<kRows, 2>(walk, a, b, c, walk.c_row);
  if (columns > kLanes) return Beyond<kRows, 2>(walk, columns, a, b, c);
  if (columns == kLanes) return Tile<kRows, 1>(walk, a, b, c, walk.c_row);
  Beyond<kRows, 1>(walk, columns, a, b, c);
}

using StripFunction = void (*)(const Walk &, int64_t, const float *, const float *, float *);
// By the number of rows less one.
const StripFunction kStrips[] = {
    Strip<1>, Strip<2>, Strip<3>, Strip<4>,  Strip<5>,  Strip<6>,
#if defined(LATHE_WITH_AVX512) || defined(__aarch64__)
    Strip<7>, Strip<8>, Strip<9>, Strip<10>, Strip<11>, Strip<12>,
#endif
};

// How m rows are cut into tiles: as few as registers allow, of nearly equal height, since a tile of one or two rows
// waits for its own sums.
struct Tiles {
  int64_t m, count;
  explicit Tiles(int64_t m) : m(m), count((m + kMostRows - 1) / kMostRows) {}
  int64_t Begin(int64_t tile) const { return m * tile / count; }
};

// Rows that the next tile will read, where they come from memory: the processor foresees one row at a time, and tiles
// read several.
void Fetch(const Walk &walk, int64_t rows, const float *a) {
  constexpr int64_t kLine = 16;
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t p = 0; p < walk.depth; p += kLine) __builtin_prefetch(a + r * walk.row + p);
  }
}

// All rows by one panel. `fetches`: a comes from memory, row by row.
void Panel(const Walk &walk, int64_t m, int64_t columns, const float *a, const float *b, float *c, bool fetches) {
  const Tiles tiles(m);
  for (int64_t t = 0; t < tiles.count; t++) {
    const int64_t i = tiles.Begin(t), rows = tiles.Begin(t + 1) - i;
    if (fetches && t + 1 < tiles.count) Fetch(walk, tiles.Begin(t + 2) - i - rows, a + (i + rows) * walk.row);
    kStrips[rows - 1](walk, columns, a + i * walk.row, b, c + i * walk.c_row);
  }
}

// The same with rows that PackLeft has laid out.
void PanelOfPacked(Walk walk, int64_t m, int64_t columns, const float *a, const float *b, float *c) {
  const Tiles tiles(m);
  for (int64_t t = 0; t < tiles.count; t++) {
    const int64_t i = tiles.Begin(t), rows = tiles.Begin(t + 1) - i;
    walk.column = rows;
    kStrips[rows - 1](walk, columns, a + i * walk.depth, b, c + i * walk.c_row);
  }
}

// Whole panels, `stride` apart, from where each row is whole: memory is read in the order it lies.
void PackWholeRows(int64_t k, int64_t columns, const float *b, int64_t row, float *panels, int64_t stride) {
  for (int64_t p = 0; p < k; p++) {
    float *to = panels + p * kWidth;
    for (int64_t j = 0; j < columns; j += kWidth, to += stride)
      std::memcpy(to, b + p * row + j, kWidth * sizeof(float));
  }
}

// One panel that is not whole.
void PackRows(int64_t k, int64_t columns, const float *b, int64_t row, float *panel) {
  for (int64_t p = 0; p < k; p++, panel += kWidth) {
    for (int64_t i = 0; i < columns; i++) panel[i] = b[p * row + i];
    for (int64_t i = columns; i < kWidth; i++) panel[i] = 0;
  }
}

void PackScattered(int64_t k, int64_t columns, const float *b, int64_t row, int64_t column, float *panel) {
  for (int64_t p = 0; p < k; p++, panel += kWidth) {
    for (int64_t i = 0; i < columns; i++) panel[i] = b[p * row + i * column];
    std::memset(panel + columns, 0, (kWidth - columns) * sizeof(float));
  }
}

// One panel from where each column is whole: by squares of four, since single floats would each take a load and a
// store.
void PackColumns(int64_t k, int64_t columns, const float *b, int64_t column, float *panel) {
#if defined(__SSE__)
  const int64_t rows = k / 4 * 4, squares = columns / 4 * 4;
  for (int64_t i = 0; i < squares; i += 4) {
    const float *from = b + i * column;
    for (int64_t p = 0; p < rows; p += 4) {
      __m128 r0 = _mm_loadu_ps(from + p), r1 = _mm_loadu_ps(from + column + p),
             r2 = _mm_loadu_ps(from + 2 * column + p), r3 = _mm_loadu_ps(from + 3 * column + p);
      _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
      float *to = panel + p * kWidth + i;
      _mm_storeu_ps(to, r0);
      _mm_storeu_ps(to + kWidth, r1);
      _mm_storeu_ps(to + 2 * kWidth, r2);
      _mm_storeu_ps(to + 3 * kWidth, r3);
    }
    for (int64_t p = rows; p < k; p++) {
      for (int64_t c = 0; c < 4; c++) panel[p * kWidth + i + c] = from[c * column + p];
    }
  }
#else
  const int64_t squares = 0;
#endif
  for (int64_t p = 0; p < k; p++) {
    for (int64_t i = squares; i < columns; i++) panel[p * kWidth + i] = b[i * column + p];
    std::memset(panel + p * kWidth + columns, 0, (kWidth - columns) * sizeof(float));
  }
}

}  // namespace

int64_t PanelWidth() { return kWidth; }

int64_t WholeVectors(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

int64_t PanelsSize(int64_t k, int64_t n) { return (n + kWidth - 1) / kWidth * kWidth * k; }

void PackPanelRows(int64_t k, int64_t n, const float *b, int64_t row, int64_t column, float *panels, int64_t stride) {
  const int64_t whole = column == 1 ? n / kWidth * kWidth : 0;
  PackWholeRows(k, whole, b, row, panels, stride);
  panels += whole / kWidth * stride;
  for (int64_t j = whole; j < n; j += kWidth, panels += stride) {
    const int64_t columns = std::min<int64_t>(kWidth, n - j);
    if (column == 1)
      PackRows(k, columns, b + j, row, panels);
    else if (row == 1)
      PackColumns(k, columns, b + j * column, column, panels);
    else
      PackScattered(k, columns, b + j * column, row, column, panels);
  }
}

void PackPanels(int64_t k, int64_t n, const float *b, int64_t row, int64_t column, float *panels) {
  PackPanelRows(k, n, b, row, column, panels, k * kWidth);
}

// Each tile's values by p, then by row. A row's copy has a fixed length; what it writes too much, the next one
// overwrites.
void PackLeft(int64_t m, int64_t depth, const float *a, int64_t column, float *packed) {
  constexpr int64_t kCopied = (kMostRows + 3) / 4 * 4;
  const Tiles tiles(m);
  for (int64_t t = 0; t < tiles.count; t++) {
    const int64_t i = tiles.Begin(t), rows = tiles.Begin(t + 1) - i;
    float *to = packed + i * depth;
    if (i + kCopied <= m) {
      for (int64_t p = 0; p < depth; p++) std::memcpy(to + p * rows, a + p * column + i, kCopied * sizeof(float));
    } else {
      for (int64_t p = 0; p < depth; p++) std::copy_n(a + p * column + i, rows, to + p * rows);
    }
  }
}

void MultiplyLeft(int64_t m, int64_t n, const Left &a, const Right &b, float *c, int64_t c_row, bool accumulate) {
  const Walk walk = {a.groups, a.group, a.segments, a.segment, a.depth, a.row, a.column, b.row, c_row, accumulate};
  const float *panel = b.data;
  for (int64_t j = 0; j < n; j += kWidth, panel += b.panel)
    Panel(walk, m, n - j, a.data, panel, c + j, j == 0 && a.fetches);
}

void MultiplyPackedLeft(int64_t m, int64_t depth, int64_t n, const float *packed, const Right &b, float *c,
                        int64_t c_row, bool accumulate) {
  const Walk walk = {1, 0, 1, 0, depth, 1, 0, b.row, c_row, accumulate};
  const float *panel = b.data;
  for (int64_t j = 0; j < n; j += kWidth, panel += b.panel) PanelOfPacked(walk, m, n - j, packed, panel, c + j);
}

void Multiply(int64_t m, int64_t k, int64_t n, const float *a, int64_t a_row, int64_t a_column, const float *panels,
              float *c, int64_t c_row, bool accumulate) {
  const int64_t stride = k * kWidth, blocks = std::max<int64_t>(1, (k + kDepth - 1) / kDepth);
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t p = k * block / blocks, depth = k * (block + 1) / blocks - p;
    for (int64_t i = 0; i < m; i += kHeight) {
      const Left left = {a + i * a_row + p * a_column, a_row, a_column, depth};
      MultiplyLeft(std::min(kHeight, m - i), n, left, {panels + p * kWidth, stride, kWidth}, c + i * c_row, c_row,
                   accumulate || block > 0);
    }
  }
}

}  // namespace lathe::LATHE_SET
