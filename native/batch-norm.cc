// Batch normalization over the batch's own statistics (Ioffe and Szegedy 2015, algorithm 1), with what often follows
// it: the sum with a shortcut, and clipping (ReLU, ReLU6). All of it waits for memory, so it is made of as few passes
// as there can be: two forward, two back.
#include "batch-norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "op.h"
#include "parallel.h"
#include "per-channel.h"

namespace lathe::LATHE_SET {
namespace {

// Attributes: epsilon; bounds of the clipping, infinite where there is none; whether its gradient passes at the lower
// bound (clipping) or not (ReLU).
struct Clipping {
  float low, high, equal;  // the gradient passes where low < value <= high, and where value == equal
  explicit Clipping(const float *a) : low(a[1]), high(a[2]), equal(a[3] != 0 ? a[1] : NAN) {}
};

// Differences to a mean that is rounded, and their squares.
void AddDifferences(int64_t n, const float *x, const float *mean, float *sums, float *squares) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) {
    const float difference = x[i] - mean[i];
    sums[i] += difference;
    squares[i] += difference * difference;
  }
}

// Mean and sum of squared differences of some rows of every channel.
struct Moments {
  double count = 0;
  std::vector<double> mean, squares;
  explicit Moments(int64_t channels) : mean(channels), squares(channels) {}

  // Chan et al. 1979, equation 2.1: no difference of large squares.
  void Merge(int64_t c, double other_count, double other_mean, double other_squares) {
    const double delta = other_mean - mean[c], all = count + other_count;
    mean[c] += delta * other_count / all;
    squares[c] += other_squares + delta * delta * count * other_count / all;
  }
};

Moments MomentsOf(const Rows &rows, const float *x, int64_t block, int64_t end) {
  Moments moments(rows.channels);
  PerChannel sums(rows), squares(rows), mean(rows);
  for (; block < end; block++) {
    const int64_t first = block * rows.Block(), last = std::min(first + rows.Block(), rows.Size());
    const double count = static_cast<double>(last - first) / rows.channels;
    sums.Zero();
    for (int64_t i = first; i < last; i += rows.width) AddTo(std::min(rows.width, last - i), x + i, sums.data());
    mean.Set([&](int64_t c) { return static_cast<float>(sums.Sum(c) / count); });
    sums.Zero();
    squares.Zero();
    for (int64_t i = first; i < last; i += rows.width)
      AddDifferences(std::min(rows.width, last - i), x + i, mean.data(), sums.data(), squares.data());
    for (int64_t c = 0; c < rows.channels; c++) {
      const double rest = sums.Sum(c) / count;
      moments.Merge(c, count, mean.data()[c] + rest, squares.Sum(c) - rest * rest * count);
    }
    moments.count += count;
  }
  return moments;
}

void Statistics(const Rows &rows, const float *x, float epsilon, float *mean, float *variance, float *rstd) {
  OrderedParts<Moments> parts;
  ParallelFor(rows.Blocks(), rows.Grain(),
              [&](int64_t block, int64_t end) { parts.Add(end, MomentsOf(rows, x, block, end)); });
  Moments all(rows.channels);
  for (const auto &[key, part] : parts.parts()) {
    for (int64_t c = 0; c < rows.channels; c++) all.Merge(c, part.count, part.mean[c], part.squares[c]);
    all.count += part.count;
  }
  for (int64_t c = 0; c < rows.channels; c++) {
    mean[c] = all.mean[c];
    variance[c] = all.squares[c] / all.count;
    rstd[c] = 1 / std::sqrt(all.squares[c] / all.count + epsilon);
  }
}

// What the loops below read for each channel: value = (x - mean) * factor + bias.
struct Line {
  PerChannel mean, factor, bias;
  Line(const Rows &rows, const float *scale, const float *bias_of, const float *mean_of, const float *rstd)
      : mean(rows), factor(rows), bias(rows) {
    mean.Set([&](int64_t c) { return mean_of[c]; });
    factor.Set([&](int64_t c) { return scale[c] * rstd[c]; });
    bias.Set([&](int64_t c) { return bias_of[c]; });
  }
};

inline __attribute__((always_inline)) float Clipped(float value, const Clipping &clip) {
  const float above = value < clip.low ? clip.low : value;
  return above > clip.high ? clip.high : above;
}

inline __attribute__((always_inline)) float Passed(float dy, float value, const Clipping &clip) {
  return ((value > clip.low) | (value == clip.equal)) & (value <= clip.high) ? dy : 0.0f;
}

void Normalize(int64_t n, const float *x, const float *mean, const float *factor, const float *bias, Clipping clip,
               float *y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) y[i] = Clipped((x[i] - mean[i]) * factor[i] + bias[i], clip);
}

void NormalizeAndAdd(int64_t n, const float *x, const float *mean, const float *factor, const float *bias,
                     const float *shortcut, Clipping clip, float *y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) y[i] = Clipped((x[i] - mean[i]) * factor[i] + bias[i] + shortcut[i], clip);
}

// dy where the clipping passes it; its sums, and those of its products with x - mean.
void SumGradients(int64_t n, const float *x, const float *dy, const Line &line, Clipping clip, float *sums,
                  float *along) {
  const float *mean = line.mean.data(), *factor = line.factor.data(), *bias = line.bias.data();
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) {
    const float centered = x[i] - mean[i], value = centered * factor[i] + bias[i], g = Passed(dy[i], value, clip);
    sums[i] += g;
    along[i] += g * centered;
  }
}

// The same where a shortcut was added: what passes is known from y, and is the shortcut's gradient.
void SumAndPassGradients(int64_t n, const float *x, const float *dy, const float *y, const float *mean, Clipping clip,
                         float *passed, float *sums, float *along) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) {
    const float g = Passed(dy[i], y[i], clip);
    passed[i] = g;
    sums[i] += g;
    along[i] += g * (x[i] - mean[i]);
  }
}

// dx = factor * g - level - slope * (x - mean).
void InputGradients(int64_t n, const float *x, const float *dy, const Line &line, Clipping clip, const float *level,
                    const float *slope, float *dx) {
  const float *mean = line.mean.data(), *factor = line.factor.data(), *bias = line.bias.data();
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) {
    const float centered = x[i] - mean[i], value = centered * factor[i] + bias[i], g = Passed(dy[i], value, clip);
    dx[i] = factor[i] * g - level[i] - slope[i] * centered;
  }
}

void InputGradientsOfPassed(int64_t n, const float *x, const float *g, const float *mean, const float *factor,
                            const float *level, const float *slope, float *dx) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) dx[i] = factor[i] * g[i] - level[i] - slope[i] * (x[i] - mean[i]);
}

const char *const kAttributes[] = {"epsilon", "low", "high", "passes_at_low"};
void *CreateBatchNorm(TF_OpKernelConstruction *construction) { return CreateFloats(construction, kAttributes); }

// Whether input `input` is a shortcut; one without elements is none.
bool HasShortcut(Tensors &tensors, int input) { return tensors.Count(input) > 0; }

void ComputeBatchNorm(void *kernel, TF_OpKernelContext *context) {
  const auto &a = static_cast<FloatAttributes *>(kernel)->values;
  Tensors tensors(context);
  const int64_t channels = tensors.Count(1), count = channels == 0 ? 0 : tensors.Count(0) / channels;
  if (channels == 0 || tensors.Count(2) != channels || channels * count != tensors.Count(0))
    return tensors.Fail("LatheBatchNorm: scale or bias does not fit x");
  const bool adds = HasShortcut(tensors, 3);
  if (adds && tensors.Count(3) != tensors.Count(0)) return tensors.Fail("LatheBatchNorm: the shortcut does not fit x");
  float *y = tensors.Output(0), *mean = tensors.Output(1, 1), *variance = tensors.Output(2, 1),
        *rstd = tensors.Output(3, 1);
  if (!tensors.Ok()) return tensors.Report();
  const float *x = tensors.Input(0), *shortcut = adds ? tensors.Input(3) : nullptr;
  const Rows rows(channels, count);
  Statistics(rows, x, a[0], mean, variance, rstd);
  const Line line(rows, tensors.Input(1), tensors.Input(2), mean, rstd);
  const Clipping clip(a);
  ForWidths(rows, [&](int64_t i, int64_t n) {
    if (adds)
      NormalizeAndAdd(n, x + i, line.mean.data(), line.factor.data(), line.bias.data(), shortcut + i, clip, y + i);
    else
      Normalize(n, x + i, line.mean.data(), line.factor.data(), line.bias.data(), clip, y + i);
  });
}

// Inputs: x, dy, y (without elements where no shortcut was added), scale, bias, mean, rstd.
void ComputeBatchNormGrad(void *kernel, TF_OpKernelContext *context) {
  const auto &a = static_cast<FloatAttributes *>(kernel)->values;
  Tensors tensors(context);
  const int64_t channels = tensors.Count(3), count = channels == 0 ? 0 : tensors.Count(0) / channels;
  if (channels == 0 || channels * count != tensors.Count(0) || tensors.Count(1) != tensors.Count(0))
    return tensors.Fail("LatheBatchNormGrad: dy or scale does not fit x");
  for (int i = 4; i <= 6; i++) {
    if (tensors.Count(i) != channels) return tensors.Fail("LatheBatchNormGrad: bias, mean or rstd does not fit scale");
  }
  const bool adds = HasShortcut(tensors, 2);
  if (adds && tensors.Count(2) != tensors.Count(0)) return tensors.Fail("LatheBatchNormGrad: y does not fit x");
  float *dx = tensors.Output(0), *d_scale = tensors.Output(1, 3), *d_bias = tensors.Output(2, 3),
        *passed = adds ? tensors.Output(3) : tensors.Output(3, {0});
  if (!tensors.Ok()) return tensors.Report();
  const float *x = tensors.Input(0), *dy = tensors.Input(1), *y = tensors.Input(2), *rstd = tensors.Input(6);
  const Rows rows(channels, count);
  const Line line(rows, tensors.Input(3), tensors.Input(4), tensors.Input(5), rstd);
  const Clipping clip(a);
  const std::vector<double> sums = SumsOver<2>(rows, [&](int64_t i, int64_t n, float *const *sums) {
    if (adds)
      SumAndPassGradients(n, x + i, dy + i, y + i, line.mean.data(), clip, passed + i, sums[0], sums[1]);
    else
      SumGradients(n, x + i, dy + i, line, clip, sums[0], sums[1]);
  });
  PerChannel level(rows), slope(rows);
  level.Set([&](int64_t c) { return static_cast<float>(line.factor.data()[c] * sums[c] / count); });
  slope.Set([&](int64_t c) {
    return static_cast<float>(line.factor.data()[c] * rstd[c] * rstd[c] * sums[channels + c] / count);
  });
  for (int64_t c = 0; c < channels; c++) {
    d_scale[c] = sums[channels + c] * rstd[c];
    d_bias[c] = sums[c];
  }
  ForWidths(rows, [&](int64_t i, int64_t n) {
    if (adds)
      InputGradientsOfPassed(n, x + i, passed + i, line.mean.data(), line.factor.data(), level.data(), slope.data(),
                             dx + i);
    else
      InputGradients(n, x + i, dy + i, line, clip, level.data(), slope.data(), dx + i);
  });
}

void BatchNormShapes(TF_ShapeInferenceContext *context, TF_Status *status) {
  SameShapes(context, status, 1);
  for (int output = 1; output <= 3; output++) ShapeOfInput(context, output, 1, status);
}

void BatchNormGradShapes(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  SameShapes(context, status, 1);
  for (int output = 1; output <= 2; output++) ShapeOfInput(context, output, 3, status);
}

}  // namespace

void RegisterBatchNorm(TF_Status *status) {
  Define("LatheBatchNorm", {"x: float", "scale: float", "bias: float", "shortcut: float"},
         {"y: float", "mean: float", "variance: float", "rstd: float"},
         {"epsilon: float", "low: float", "high: float", "passes_at_low: float"}, BatchNormShapes, status);
  Implement("LatheBatchNorm", CreateBatchNorm, ComputeBatchNorm, DeleteFloats, status);
  Define("LatheBatchNormGrad",
         {"x: float", "dy: float", "y: float", "scale: float", "bias: float", "mean: float", "rstd: float"},
         {"dx: float", "d_scale: float", "d_bias: float", "d_shortcut: float"},
         {"epsilon: float", "low: float", "high: float", "passes_at_low: float"}, BatchNormGradShapes, status);
  Implement("LatheBatchNormGrad", CreateBatchNorm, ComputeBatchNormGrad, DeleteFloats, status);
}

}  // namespace lathe::LATHE_SET
