#include "attention-heads.h"

#include <algorithm>
#include <cmath>

#include "exponential.h"
#include "gemm.h"
#include "op.h"

namespace lathe::LATHE_SET {
namespace {

// Scores computed at a time: 64 KB of them. The gradient adds to those of keys and values once for each block, so
// its blocks are higher.
constexpr int64_t kBlockScores = 1 << 14, kLeastRows = 12, kLeastGradientRows = 48;

// Rows of a block: as many as fit, in blocks of the same height.
int64_t BlockRows(const HeadSizes &s, int64_t least) {
  const int64_t most = std::max(least, kBlockScores / std::max<int64_t>(1, s.columns));
  const int64_t blocks = (s.rows + most - 1) / most;
  return blocks == 0 ? 0 : (s.rows + blocks - 1) / blocks;
}

// Replaces x by exp(scale * x + mask - most); returns the factor that turns these into shares, 1 / sum.
float ExponentialRow(int64_t n, float scale, const float *mask, float *x) {
  float most = -INFINITY, sum = 0;
  if (mask) {
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < n; i++) {
      const float value = x[i] * scale + mask[i];
      x[i] = value;
      most = value > most ? value : most;
    }
  } else {
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < n; i++) {
      const float value = x[i] * scale;
      most = value > most ? value : most;
    }
  }
  if (most == -INFINITY) most = 0;  // a row of nothing but -infinity: 0 / 0, as softmax's
  const float rest = mask ? 1.0f : scale;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) {
    const float value = ExponentialOfNegative(x[i] * rest - most);
    x[i] = value;
    sum += value;
  }
  return 1 / sum;
}

// Rows of y, `row` floats apart, each times a factor.
void ScaleRows(int64_t rows, int64_t n, const float *factors, float *y, int64_t row) {
  for (int64_t r = 0; r < rows; r++, y += row) {
    const float factor = factors[r];
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) y[i] *= factor;
  }
}

// With shares p = factor * x and their gradient dp: dp becomes the gradient of the product of query and keys, scale * p
// * (dp - sum(dp * p)).
void SharesRowGradient(int64_t n, float scale, float factor, const float *x, float *dp, float *d_mask) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += x[i] * dp[i];
  sum *= factor;
  for (int64_t i = 0; d_mask && i < n; i++) d_mask[i] = factor * x[i] * (dp[i] - sum);
  const float scaled = scale * factor;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) dp[i] = scaled * x[i] * (dp[i] - sum);
}

// The memory of a thread, part by part; each begins where a vector does.
class Parts {
 public:
  explicit Parts(float *memory) : next_(memory) {}
  static int64_t Rounded(int64_t floats) { return (floats + 15) / 16 * 16; }
  float *Take(int64_t floats) {
    float *part = next_;
    next_ += Rounded(floats);
    return part;
  }

 private:
  float *next_;
};

void Zero(HeadOut x, int64_t tokens, int64_t size) {
  for (int64_t i = 0; i < tokens; i++) std::fill_n(x.data + i * x.token, size, 0.0f);
}

}  // namespace

int64_t ScoresWidth(int64_t columns) { return PanelsSize(1, columns); }

int64_t AttentionMemory(const HeadSizes &s, bool keeps_shares) {
  const int64_t scores = keeps_shares ? 0 : BlockRows(s, kLeastRows) * ScoresWidth(s.columns);
  return Parts::Rounded(PanelsSize(s.size, s.columns)) + Parts::Rounded(PanelsSize(s.columns, s.value_size)) + scores;
}

void AttendHead(const HeadSizes &s, Head q, Head k, Head v, HeadMask mask, HeadOut y, Shares kept, float *memory) {
  const int64_t width = ScoresWidth(s.columns), block = BlockRows(s, kLeastRows);
  Parts parts(memory);
  float *keys = parts.Take(PanelsSize(s.size, s.columns)), *values = parts.Take(PanelsSize(s.columns, s.value_size));
  float *memory_of_scores = kept.shares ? nullptr : parts.Take(block * width);
  PackPanels(s.size, s.columns, k.data, 1, k.token, keys);
  PackPanels(s.columns, s.value_size, v.data, v.token, 1, values);
  for (int64_t row = 0; row < s.rows; row += block) {
    const int64_t count = std::min(block, s.rows - row);
    float *scores = kept.shares ? kept.shares + row * width : memory_of_scores;
    float *mixed = y.data + row * y.token, *factors = kept.factors + row;
    Multiply(count, s.size, width, q.data + row * q.token, q.token, 1, keys, scores, width, false);
    for (int64_t i = 0; i < count; i++)
      factors[i] = ExponentialRow(s.columns, s.scale, mask.data ? mask.data + (row + i) * mask.token : nullptr,
                                  scores + i * width);
    Multiply(count, s.columns, s.value_size, scores, width, 1, values, mixed, y.token, false);
    ScaleRows(count, s.value_size, factors, mixed, y.token);
  }
}

int64_t AttentionGradientMemory(const HeadSizes &s) {
  const int64_t block = BlockRows(s, kLeastGradientRows);
  return Parts::Rounded(PanelsSize(s.value_size, s.columns)) + Parts::Rounded(PanelsSize(s.columns, s.size)) +
         Parts::Rounded(PanelsSize(block, s.size)) + Parts::Rounded(PanelsSize(block, s.value_size)) +
         Parts::Rounded(block * ScoresWidth(s.columns));
}

void AttendHeadGradient(const HeadSizes &s, Head q, Head k, Head v, KeptShares kept, Head dy, const HeadGradients &d,
                        float *memory) {
  const int64_t width = ScoresWidth(s.columns), block = BlockRows(s, kLeastGradientRows);
  Parts parts(memory);
  float *values = parts.Take(PanelsSize(s.value_size, s.columns)), *keys = parts.Take(PanelsSize(s.columns, s.size));
  float *queries = parts.Take(PanelsSize(block, s.size)), *outer = parts.Take(PanelsSize(block, s.value_size)),
        *scores = parts.Take(block * width);
  PackPanels(s.value_size, s.columns, v.data, 1, v.token, values);
  PackPanels(s.columns, s.size, k.data, k.token, 1, keys);
  if (s.rows == 0) Zero(d.k, s.columns, s.size), Zero(d.v, s.columns, s.value_size);
  for (int64_t row = 0; row < s.rows; row += block) {
    const int64_t count = std::min(block, s.rows - row);
    const float *q_rows = q.data + row * q.token, *dy_rows = dy.data + row * dy.token,
                *shares = kept.shares + row * width, *factors = kept.factors + row;
    Multiply(count, s.value_size, width, dy_rows, dy.token, 1, values, scores, width, false);
    for (int64_t i = 0; i < count; i++) {
      float *d_mask = d.mask.data ? d.mask.data + (row + i) * d.mask.token : nullptr;
      SharesRowGradient(s.columns, s.scale, factors[i], shares + i * width, scores + i * width, d_mask);
    }
    Multiply(count, s.columns, s.size, scores, width, 1, keys, d.q.data + row * d.q.token, d.q.token, false);
    PackPanels(count, s.size, q_rows, q.token, 1, queries);
    Multiply(s.columns, count, s.size, scores, 1, width, queries, d.k.data, d.k.token, row > 0);
    // The factors come to dy, which is smaller than the shares.
    PackPanels(count, s.value_size, dy_rows, dy.token, 1, outer);
    for (int64_t j = 0; j < s.value_size; j += PanelWidth())
      ScaleRows(count, PanelWidth(), factors, outer + j * count, PanelWidth());
    Multiply(s.columns, count, s.value_size, shares, 1, width, outer, d.v.data, d.v.token, row > 0);
  }
}

}  // namespace lathe::LATHE_SET
