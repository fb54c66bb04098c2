#include "gemm.h"

#include <algorithm>
#include <cstring>

namespace lathe {
namespace {

// Rows of c that one call of a kernel holds in registers, two vectors wide: 24 of AVX-512's 32 registers, 12 of the 16 of others.
constexpr int kWideRows = 12, kNarrowRows = 6;

// c [rows, 2 * kLanes] = a b (+ c): every element of a is spread over a vector and meets two vectors of b.
template <int kLanes, int kRows>
inline __attribute__((always_inline)) void Tile(int64_t k, const float *a, int64_t a_row, int64_t a_column, const float *b, float *c,
                                                int64_t c_row, bool accumulate) {
  typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));
  Vector sums[kRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < 2; v++) sums[r][v] = accumulate ? *reinterpret_cast<const Vector *>(c + r * c_row + v * kLanes) : Vector{};
  }
  for (int64_t p = 0; p < k; p++, a += a_column, b += 2 * kLanes) {
    const Vector b0 = *reinterpret_cast<const Vector *>(b), b1 = *reinterpret_cast<const Vector *>(b + kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; r++) {
      const float value = a[r * a_row];
      sums[r][0] += value * b0;
      sums[r][1] += value * b1;
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < 2; v++) *reinterpret_cast<Vector *>(c + r * c_row + v * kLanes) = sums[r][v];
  }
}

// A tile that reaches beyond c is computed in memory of its own.
template <int kLanes, int kRows>
inline __attribute__((always_inline)) void Strip(int64_t k, int64_t columns, const float *a, int64_t a_row, int64_t a_column, const float *b,
                                                 float *c, int64_t c_row, bool accumulate) {
  if (columns >= 2 * kLanes) return Tile<kLanes, kRows>(k, a, a_row, a_column, b, c, c_row, accumulate);
  float whole[kRows * 2 * kLanes] = {0};
  for (int r = 0; accumulate && r < kRows; r++) std::memcpy(whole + r * 2 * kLanes, c + r * c_row, columns * sizeof(float));
  Tile<kLanes, kRows>(k, a, a_row, a_column, b, whole, 2 * kLanes, accumulate);
  for (int r = 0; r < kRows; r++) std::memcpy(c + r * c_row, whole + r * 2 * kLanes, columns * sizeof(float));
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

}  // namespace

int64_t PanelWidth() { return Chosen().width; }

int64_t PanelsSize(int64_t k, int64_t n) {
  const int64_t width = PanelWidth();
  return (n + width - 1) / width * width * k;
}

void PackPanels(int64_t k, int64_t n, const float *b, int64_t row, int64_t column, float *panels) {
  const int64_t width = PanelWidth();
  for (int64_t j = 0; j < n; j += width) {
    const int64_t columns = std::min(width, n - j);
    for (int64_t p = 0; p < k; p++, panels += width) {
      const float *from = b + p * row + j * column;
      if (column == 1) std::memcpy(panels, from, columns * sizeof(float));
      else for (int64_t i = 0; i < columns; i++) panels[i] = from[i * column];
      std::memset(panels + columns, 0, (width - columns) * sizeof(float));
    }
  }
}

void Multiply(int64_t m, int64_t k, int64_t n, const float *a, int64_t a_row, int64_t a_column, const float *panels, float *c, int64_t c_row,
              bool accumulate) {
  const Kernel &kernel = Chosen();
  for (int64_t j = 0; j < n; j += kernel.width) kernel.panel(m, k, n - j, a, a_row, a_column, panels + j * k, c + j, c_row, accumulate);
}

}  // namespace lathe
