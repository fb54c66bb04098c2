#ifndef LATHE_VECTOR_H_
#define LATHE_VECTOR_H_

// The vectors of the instruction set that is compiled for. Wider ones than it has would go through memory.

#include <cstdint>

namespace lathe::LATHE_SET {

#if defined(LATHE_WITH_AVX512)
constexpr int kLanes = 16;
#elif defined(LATHE_WITH_AVX2)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

// May lie anywhere in memory.
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));

inline __attribute__((always_inline)) Vector &At(float *to) { return *reinterpret_cast<Vector *>(to); }
inline __attribute__((always_inline)) const Vector &At(const float *from) {
  return *reinterpret_cast<const Vector *>(from);
}

}  // namespace lathe::LATHE_SET

#endif  // LATHE_VECTOR_H_
