#ifndef LATHE_WINOGRAD_TRANSFORMS_H_
#define LATHE_WINOGRAD_TRANSFORMS_H_

// The transforms of Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin and Gray 2015, arXiv 1509.09308): with d [6, 6]
// an image's tile and g [3, 3] the kernel, the 4 x 4 outputs are A^T [(G g G^T) * (B^T d B)] A. Each function below
// applies one of the matrices to a vector of values, a channel in each lane; both sides of a matrix are its columns,
// then its rows.
//
// They are polynomials' values at 0, a, -a, b, -b and infinity. The points of the paper, 1 and 2, give sums 4 times the
// error of direct ones; 3/4 and 3/2 (and their squares, exact in float) 1.9 times: rms 1.6e-6 against 8.7e-7 of the
// result's, 256 channels.

#include <cstdint>
#include <cstring>

#include "vector.h"

namespace lathe::LATHE_SET {

// Of a tile's points in the transformed space.
constexpr int kPoints = 36;
// Outputs of a tile along an axis.
constexpr int kOutputs = 4;
constexpr int kWindow = 6;

template <typename V>
inline __attribute__((always_inline)) V Load(const float *from) {
  V value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename V>
inline __attribute__((always_inline)) void Store(float *to, const V &value) {
  std::memcpy(to, &value, sizeof value);
}

constexpr float kA = 0.75f, kB = 1.5f, kA2 = kA * kA, kB2 = kB * kB;
// What the kernel's values at 0, a and b are divided by: the product of the differences to all other points.
constexpr float kAt0 = 1 / (kA2 * kB2), kAtA = 1 / (2 * kA2 * (kA2 - kB2)), kAtB = 1 / (2 * kB2 * (kB2 - kA2));

struct InputTransform {  // B^T
  static constexpr int kFrom = 6, kTo = 6;
  template <typename V>
  static inline __attribute__((always_inline)) void Apply(const V *d, V *t) {
    const V even = d[4] - kB2 * d[2], odd = kA * (d[3] - kB2 * d[1]), even2 = d[4] - kA2 * d[2],
            odd2 = kB * (d[3] - kA2 * d[1]);
    t[0] = (kA2 * kB2) * d[0] - (kA2 + kB2) * d[2] + d[4];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = even2 + odd2;
    t[4] = even2 - odd2;
    t[5] = (kA2 * kB2) * d[1] - (kA2 + kB2) * d[3] + d[5];
  }
};

struct OutputTransform {  // A^T
  static constexpr int kFrom = 6, kTo = 4;
  template <typename V>
  static inline __attribute__((always_inline)) void Apply(const V *m, V *y) {
    const V even = m[1] + m[2], odd = m[1] - m[2], even2 = m[3] + m[4], odd2 = m[3] - m[4];
    y[0] = m[0] + even + even2;
    y[1] = kA * odd + kB * odd2;
    y[2] = kA2 * even + kB2 * even2;
    y[3] = (kA * kA2) * odd + (kB * kB2) * odd2 + m[5];
  }
};

struct OutputAdjoint {  // A
  static constexpr int kFrom = 4, kTo = 6;
  template <typename V>
  static inline __attribute__((always_inline)) void Apply(const V *y, V *m) {
    const V even = y[0] + kA2 * y[2], odd = kA * (y[1] + kA2 * y[3]), even2 = y[0] + kB2 * y[2],
            odd2 = kB * (y[1] + kB2 * y[3]);
    m[0] = y[0];
    m[1] = even + odd;
    m[2] = even - odd;
    m[3] = even2 + odd2;
    m[4] = even2 - odd2;
    m[5] = y[3];
  }
};

struct KernelTransform {  // G
  static constexpr int kFrom = 3, kTo = 6;
  template <typename V>
  static inline __attribute__((always_inline)) void Apply(const V *g, V *u) {
    const V even = kAtA * (g[0] + kA2 * g[2]), odd = (kAtA * kA) * g[1], even2 = kAtB * (g[0] + kB2 * g[2]),
            odd2 = (kAtB * kB) * g[1];
    u[0] = kAt0 * g[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = even2 + odd2;
    u[4] = even2 - odd2;
    u[5] = g[2];
  }
};

struct KernelAdjoint {  // G^T
  static constexpr int kFrom = 6, kTo = 3;
  template <typename V>
  static inline __attribute__((always_inline)) void Apply(const V *u, V *g) {
    const V even = kAtA * (u[1] + u[2]), even2 = kAtB * (u[3] + u[4]);
    g[0] = kAt0 * u[0] + even + even2;
    g[1] = (kAtA * kA) * (u[1] - u[2]) + (kAtB * kB) * (u[3] - u[4]);
    g[2] = kA2 * even + kB2 * even2 + u[5];
  }
};

// Both sides of a tile: T x T^T. from(i, j) yields an address to read, to(i, j) one to write, each of a vector of
// channels.
template <typename T, typename V, typename From, typename To>
inline __attribute__((always_inline)) void Transform(const From &from, const To &to) {
  V between[T::kTo][T::kFrom];
  for (int j = 0; j < T::kFrom; j++) {
    V column[T::kFrom], result[T::kTo];
    for (int i = 0; i < T::kFrom; i++) column[i] = Load<V>(from(i, j));
    T::Apply(column, result);
    for (int i = 0; i < T::kTo; i++) between[i][j] = result[i];
  }
  for (int i = 0; i < T::kTo; i++) {
    V result[T::kTo];
    T::Apply(between[i], result);
    for (int j = 0; j < T::kTo; j++) Store(to(i, j), result[j]);
  }
}

}  // namespace lathe::LATHE_SET

#endif  // LATHE_WINOGRAD_TRANSFORMS_H_
