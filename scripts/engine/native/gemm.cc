#include "gemm.h"

#include <algorithm>
#include <cstring>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace lathe {
namespace {

// Rows of c that one call of a kernel holds in registers, two vectors wide: 24 of AVX-512's 32 registers, 12 of the 16 of others.
constexpr int kWideRows = 12, kNarrowRows = 6;

// c [rows, kVectors * kLanes] = a b (+ c): every element of a is spread over a vector and meets the first vectors of a row of b, which has two.
template <int kLanes, int kRows, int kVectors>
inline __attribute__((always_inline)) void Tile(int64_t k, const float *a, int64_t a_row, int64_t a_column, const float *b, float *c,
                                                int64_t c_row, bool accumulate) {
  typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));
  Vector sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < kVectors; v++) sums[r][v] = accumulate ? *reinterpret_cast<const Vector *>(c + r * c_row + v * kLanes) : Vector{};
  }
  for (int64_t p = 0; p < k; p++, a += a_column, b += 2 * kLanes) {
    const Vector b0 = *reinterpret_cast<const Vector *>(b), b1 = *reinterpret_cast<const Vector *>(b + kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++) {
      const float value = a[r * a_row];
      sums[r][0] += value * b0;
      if (kVectors > 1) sums[r][kVectors - 1] += value * b1;
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < kVectors; v++) *reinterpret_cast<Vector *>(c + r * c_row + v * kLanes) = sums[r][v];
  }
}

// A tile that reaches beyond c is computed in memory of its own.
template <int kLanes, int kRows, int kVectors>
inline __attribute__((always_inline)) void Beyond(int64_t k, int64_t columns, const float *a, int64_t a_row, int64_t a_column, const float *b,
                                                  float *c, int64_t c_row, bool accumulate) {
  constexpr int kWidth = kVectors * kLanes;
  float whole[kRows * kWidth] = {0};
  for (int r = 0; accumulate && r < kRows; r++) std::memcpy(whole + r * kWidth, c + r * c_row, columns * sizeof(float));
  Tile<kLanes, kRows, kVectors>(k, a, a_row, a_column, b, whole, kWidth, accumulate);
  for (int r = 0; r < kRows; r++) std::memcpy(c + r * c_row, whole + r * kWidth, columns * sizeof(float));
}

// The last columns may need one vector only.
template <int kLanes, int kRows>
inline __attribute__((always_inline)) void Strip(int64_t k, int64_t columns, const float *a, int64_t a_row, int64_t a_column, const float *b,
                                                 float *c, int64_t c_row, bool accumulate) {
  if (columns >= 2 * kLanes) return Tile<kLanes, kRows, 2>(k, a, a_row, a_column, b, c, c_row, accumulate);
  if (columns > kLanes) return Beyond<kLanes, kRows, 2>(k, columns, a, a_row, a_column, b, c, c_row, accumulate);
  if (columns == kLanes) return Tile<kLanes, kRows, 1>(k, a, a_row, a_column, b, c, c_row, accumulate);
  Beyond<kLanes, kRows, 1>(k, columns, a, a_row, a_column, b, c, c_row, accumulate);
}

// All rows by one panel: as many at a time as registers hold, then halves of that.
template <int kLanes, int kMost>
inline __attribute__((always_inline)) void Panel(int64_t m, int64_t k, int64_t columns, const float *a, int64_t a_row, int64_t a_column,
                                                 const float *b, float *c, int64_t c_row, bool accumulate) {
  int64_t i = 0;
  for (; i + kMost <= m; i += kMost) Strip<kLanes, kMost>(k, columns, a + i * a_row, a_row, a_column, b, c + i * c_row, c_row, accumulate);
  for (; i + 4 <= m; i += 4) Strip<kLanes, 4>(k, columns, a + i * a_row, a_row, a_column, b, c + i * c_row, c_row, accumulate);
  for (; i < m; i++) Strip<kLanes, 1>(k, columns, a + i * a_row, a_row, a_column, b, c + i * c_row, c_row, accumulate);
}

using PanelFunction = void (*)(int64_t, int64_t, int64_t, const float *, int64_t, int64_t, const float *, float *, int64_t, bool);
struct Kernel {
  int64_t width;
  PanelFunction panel;
};

#define LATHE_PANEL(name, lanes, rows)                                                                                            \
  void name(int64_t m, int64_t k, int64_t columns, const float *a, int64_t a_row, int64_t a_column, const float *b, float *c, \
            int64_t c_row, bool accumulate) {                                                                                   \
    Panel<lanes, rows>(m, k, columns, a, a_row, a_column, b, c, c_row, accumulate);                                             \
  }

LATHE_PANEL(PanelOfFours, 4, kNarrowRows)
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2,fma"))) LATHE_PANEL(PanelOfEights, 8, kNarrowRows)
__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"))) LATHE_PANEL(PanelOfSixteens, 16, kWideRows)

Kernel Choose() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) return {32, PanelOfSixteens};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {16, PanelOfEights};
  return {8, PanelOfFours};
}
#else
Kernel Choose() { return {8, PanelOfFours}; }
#endif

const Kernel &Chosen() {
  static const Kernel kernel = Choose();
  return kernel;
}

// One panel from where each row is whole.
void PackRows(int64_t k, int64_t columns, int64_t width, const float *b, int64_t row, float *panel) {
  for (int64_t p = 0; p < k; p++, panel += width) {
    std::memcpy(panel, b + p * row, columns * sizeof(float));
    std::memset(panel + columns, 0, (width - columns) * sizeof(float));
  }
}

void PackScattered(int64_t k, int64_t columns, int64_t width, const float *b, int64_t row, int64_t column, float *panel) {
  for (int64_t p = 0; p < k; p++, panel += width) {
    for (int64_t i = 0; i < columns; i++) panel[i] = b[p * row + i * column];
    std::memset(panel + columns, 0, (width - columns) * sizeof(float));
  }
}

// One panel from where each column is whole: by squares of four, since single floats would each take a load and a store.
void PackColumns(int64_t k, int64_t columns, int64_t width, const float *b, int64_t column, float *panel) {
#if defined(__SSE__)
  const int64_t rows = k / 4 * 4, squares = columns / 4 * 4;
  for (int64_t i = 0; i < squares; i += 4) {
    const float *from = b + i * column;
    for (int64_t p = 0; p < rows; p += 4) {
      __m128 r0 = _mm_loadu_ps(from + p), r1 = _mm_loadu_ps(from + column + p), r2 = _mm_loadu_ps(from + 2 * column + p), r3 = _mm_loadu_ps(from + 3 * column + p);
      _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
      float *to = panel + p * width + i;
      _mm_storeu_ps(to, r0);
      _mm_storeu_ps(to + width, r1);
      _mm_storeu_ps(to + 2 * width, r2);
      _mm_storeu_ps(to + 3 * width, r3);
    }
    for (int64_t p = rows; p < k; p++) {
      for (int64_t c = 0; c < 4; c++) panel[p * width + i + c] = from[c * column + p];
    }
  }
#else
  const int64_t squares = 0;
#endif
  for (int64_t p = 0; p < k; p++) {
    for (int64_t i = squares; i < columns; i++) panel[p * width + i] = b[i * column + p];
    std::memset(panel + p * width + columns, 0, (width - columns) * sizeof(float));
  }
}

}  // namespace

int64_t PanelWidth() { return Chosen().width; }

int64_t PanelsSize(int64_t k, int64_t n) {
  const int64_t width = PanelWidth();
  return (n + width - 1) / width * width * k;
}

void PackPanels(int64_t k, int64_t n, const float *b, int64_t row, int64_t column, float *panels) {
  const int64_t width = PanelWidth();
  for (int64_t j = 0; j < n; j += width, panels += k * width) {
    const int64_t columns = std::min(width, n - j);
    if (column == 1) PackRows(k, columns, width, b + j, row, panels);
    else if (row == 1) PackColumns(k, columns, width, b + j * column, column, panels);
    else PackScattered(k, columns, width, b + j * column, row, column, panels);
  }
}

void Multiply(int64_t m, int64_t k, int64_t n, const float *a, int64_t a_row, int64_t a_column, const float *panels, float *c, int64_t c_row,
              bool accumulate) {
  const Kernel &kernel = Chosen();
  for (int64_t j = 0; j < n; j += kernel.width) kernel.panel(m, k, n - j, a, a_row, a_column, panels + j * k, c + j, c_row, accumulate);
}

}  // namespace lathe
