#ifndef LATHE_EXPONENTIAL_H_
#define LATHE_EXPONENTIAL_H_

// exp, sigmoid and tanh without branches or calls, so that loops over them become vector code. Within 2 units in the
// last place of the true value (tanh: 4).

#include <cstdint>
#include <cstring>

namespace lathe::LATHE_SET {

// e^x = 2^n * e^r with n = round(x / ln 2): the rest, |r| <= ln 2 / 2, by Taylor's polynomial of degree 7 (error 5e-9).
// The result is 0 below -87 and infinite above 88.7; NaN stays NaN.
inline __attribute__((always_inline)) float Exponential(float x) {
  const float low = x < -87.0f ? -87.0f : x;
  const float bounded = low > 88.8f ? 88.8f : low;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves no bits behind the point
  const float n = (bounded * 1.44269504f + kRound) - kRound;
  const float r =
      (bounded - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts, the first short enough to be exact
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // 2^n in two factors, since 2^128 has no float.
  const int32_t half = (static_cast<int32_t>(n) >> 1), rest = static_cast<int32_t>(n) - half;
  const int32_t bits[2] = {(half + 127) << 23, (rest + 127) << 23};
  float a, b;
  std::memcpy(&a, &bits[0], sizeof a);
  std::memcpy(&b, &bits[1], sizeof b);
  const float value = p * a * b;
  return x < -87.0f ? 0.0f : value;
}

// e^x of x <= 0, as a softmax takes it of scores less the largest (x > 0 can only be rounding, and is taken for 0):
// with nothing above 1 the power of two needs no second factor.
inline __attribute__((always_inline)) float ExponentialOfNegative(float x) {
  const float bounded = x > 0.0f ? 0.0f : x;
  constexpr float kRound = 12582912.0f;
  const float shifted = bounded * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  uint32_t bits;  // the last ones of `shifted` are n, and move to where an exponent is
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + (127u << 23);
  float power;
  std::memcpy(&power, &bits, sizeof power);
  const float value = p * power;
  return x < -87.0f ? 0.0f : value;
}

inline __attribute__((always_inline)) float Sigmoid(float x) { return 1.0f / (1.0f + Exponential(-x)); }

// (1 - e^-2|x|) / (1 + e^-2|x|); near zero, where that cancels, the odd polynomial of degree 9.
inline __attribute__((always_inline)) float Tanh(float x) {
  const float size = x < 0 ? -x : x;
  const float e = Exponential(-2 * size);
  const float far = (1 - e) / (1 + e);
  const float s = x * x;
  const float near = size + size * s * (-1.0f / 3 + s * (2.0f / 15 + s * (-17.0f / 315 + s * (62.0f / 2835))));
  const float value = size < 0.3f ? near : far;
  return x < 0 ? -value : value;
}

}  // namespace lathe::LATHE_SET

#endif  // LATHE_EXPONENTIAL_H_
