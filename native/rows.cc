// Operations whose composition of TensorFlow's takes many passes over memory, in one or two:
// - the gradient of clipping: 7 passes of comparing, casting and multiplying become one;
// - layer normalization and its gradient, softmax and its gradient, row by row while the row is in the cache.
#include "rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "exponential.h"
#include "op.h"
#include "parallel.h"

namespace lathe::LATHE_SET {
namespace {

// dy where low <= x <= high, else 0. dx may be dy.
void ClipGradient(int64_t n, const float *x, const float *dy, float *dx, float low, float high) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) dx[i] = x[i] >= low && x[i] <= high ? dy[i] : 0.0f;
}

// One row of width n (Ba et al. 2016, equations 3 and 4). Two passes for the variance: the difference of squares would
// cancel.
void NormalizeRow(int64_t n, const float *x, const float *scale, const float *bias, float epsilon, float *y,
                  float *mean_out, float *rstd_out) {
  float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += x[i];
  const float mean = sum / n;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
  const float rstd = 1 / std::sqrt(squares / n + epsilon);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * scale[i] + bias[i];
  *mean_out = mean;
  *rstd_out = rstd;
}

// With g = dy * scale and x^ = (x - mean) * rstd: dx = rstd * (g - mean(g) - x^ * mean(g * x^)); adds to the sums of dy
// * x^ and of dy.
void NormalizeRowGradient(int64_t n, const float *x, const float *dy, const float *scale, float mean, float rstd,
                          float *dx, float *d_scale, float *d_bias) {
  float sum = 0, along = 0;
#pragma omp simd reduction(+ : sum, along)
  for (int64_t i = 0; i < n; i++) {
    const float unit = (x[i] - mean) * rstd, g = dy[i] * scale[i];
    sum += g;
    along += g * unit;
    d_scale[i] += dy[i] * unit;
    d_bias[i] += dy[i];
  }
  sum /= n;
  along /= n;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) dx[i] = rstd * (dy[i] * scale[i] - sum - (x[i] - mean) * rstd * along);
}

void SoftmaxRow(int64_t n, const float *x, float *y) {
  float most = -INFINITY, sum = 0;
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
  if (most == -INFINITY) most = 0;  // a row of nothing but -infinity: 0 / 0, as TensorFlow's
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) {
    const float value = Exponential(x[i] - most);
    y[i] = value;
    sum += value;
  }
  const float factor = 1 / sum;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) y[i] *= factor;
}

// dx = y * (dy - sum(dy * y)). dx may be dy.
void SoftmaxRowGradient(int64_t n, const float *y, const float *dy, float *dx) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += y[i] * dy[i];
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - sum);
}

const char *const kClipAttributes[] = {"low", "high"};
void *CreateClip(TF_OpKernelConstruction *construction) { return CreateFloats(construction, kClipAttributes); }

void ComputeClipGrad(void *kernel, TF_OpKernelContext *context) {
  const auto &a = static_cast<FloatAttributes *>(kernel)->values;
  Tensors tensors(context);
  if (tensors.Count(0) != tensors.Count(1)) return tensors.Fail("LatheClipGrad: x and dy differ in size");
  float *dx = tensors.OutputOver(0, 1);
  if (!tensors.Ok()) return tensors.Report();
  const float *x = tensors.Input(0), *dy = tensors.Input(1);
  ParallelFor(tensors.Count(0), kGrain,
              [&](int64_t i, int64_t end) { ClipGradient(end - i, x + i, dy + i, dx + i, a[0], a[1]); });
}

// The width is the length of `scale`, which counts the last axes of x together.
int64_t RowGrain(int64_t width) { return std::max<int64_t>(1, kGrain / 4 / std::max<int64_t>(1, width)); }

const char *const kNormalizeAttributes[] = {"epsilon"};
void *CreateNormalize(TF_OpKernelConstruction *construction) {
  return CreateFloats(construction, kNormalizeAttributes);
}

void ComputeLayerNorm(void *kernel, TF_OpKernelContext *context) {
  const float epsilon = static_cast<FloatAttributes *>(kernel)->values[0];
  Tensors tensors(context);
  const int64_t n = tensors.Count(1), rows = n == 0 ? 0 : tensors.Count(0) / n;
  if (tensors.Count(2) != n || rows * n != tensors.Count(0))
    return tensors.Fail("LatheLayerNorm: scale or bias does not fit x");
  const float *x = tensors.Input(0), *scale = tensors.Input(1), *bias = tensors.Input(2);
  float *y = tensors.Output(0), *mean = tensors.Output(1, {rows}), *rstd = tensors.Output(2, {rows});
  if (!tensors.Ok()) return tensors.Report();
  ParallelFor(rows, RowGrain(n), [&](int64_t r, int64_t end) {
    for (; r < end; r++) NormalizeRow(n, x + r * n, scale, bias, epsilon, y + r * n, mean + r, rstd + r);
  });
}

void ComputeLayerNormGrad(void *, TF_OpKernelContext *context) {
  Tensors tensors(context);
  const int64_t n = tensors.Count(2), rows = n == 0 ? 0 : tensors.Count(0) / n;
  if (tensors.Count(1) != tensors.Count(0) || rows * n != tensors.Count(0))
    return tensors.Fail("LatheLayerNormGrad: dy or scale does not fit x");
  if (tensors.Count(3) != rows || tensors.Count(4) != rows)
    return tensors.Fail("LatheLayerNormGrad: mean or rstd does not fit x");
  float *dx = tensors.OutputOver(0, 1), *d_scale = tensors.Output(1, 2), *d_bias = tensors.Output(2, 2);
  if (!tensors.Ok()) return tensors.Report();
  const float *x = tensors.Input(0), *dy = tensors.Input(1), *scale = tensors.Input(2), *mean = tensors.Input(3),
              *rstd = tensors.Input(4);
  SumOfParts sums(2 * n);
  ParallelFor(rows, RowGrain(n), [&](int64_t r, int64_t end) {
    std::vector<float> part(2 * n);
    for (; r < end; r++)
      NormalizeRowGradient(n, x + r * n, dy + r * n, scale, mean[r], rstd[r], dx + r * n, part.data(), part.data() + n);
    sums.Add(end, part);
  });
  const std::vector<float> total = sums.Total();
  std::copy(total.begin(), total.begin() + n, d_scale);
  std::copy(total.begin() + n, total.end(), d_bias);
}

int64_t LastDim(Tensors &tensors) { return tensors.Rank(0) == 0 ? 1 : tensors.Dim(0, tensors.Rank(0) - 1); }

void ComputeSoftmax(void *, TF_OpKernelContext *context) {
  Tensors tensors(context);
  const int64_t n = LastDim(tensors), rows = n == 0 ? 0 : tensors.Count(0) / n;
  float *y = tensors.OutputOver(0, 0);
  if (!tensors.Ok()) return tensors.Report();
  const float *x = tensors.Input(0);
  ParallelFor(rows, RowGrain(n), [&](int64_t r, int64_t end) {
    for (; r < end; r++) SoftmaxRow(n, x + r * n, y + r * n);
  });
}

void ComputeSoftmaxGrad(void *, TF_OpKernelContext *context) {
  Tensors tensors(context);
  const int64_t n = LastDim(tensors), rows = n == 0 ? 0 : tensors.Count(0) / n;
  if (tensors.Count(1) != tensors.Count(0)) return tensors.Fail("LatheSoftmaxGrad: y and dy differ in size");
  float *dx = tensors.OutputOver(0, 1);
  if (!tensors.Ok()) return tensors.Report();
  const float *y = tensors.Input(0), *dy = tensors.Input(1);
  ParallelFor(rows, RowGrain(n), [&](int64_t r, int64_t end) {
    for (; r < end; r++) SoftmaxRowGradient(n, y + r * n, dy + r * n, dx + r * n);
  });
}

// y, then two vectors with a value for each row: their length follows from x and scale, and is left open.
void LayerNormShapes(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  SameShapes(context, status, 1);
}

void LayerNormGradShapes(TF_ShapeInferenceContext *context, TF_Status *status) {
  SameShapes(context, status, 1);
  for (int output = 1; output <= 2; output++) ShapeOfInput(context, output, 2, status);
}

}  // namespace

void RegisterRows(TF_Status *status) {
  Define("LatheClipGrad", {"x: float", "dy: float"}, {"dx: float"}, {"low: float", "high: float"}, FirstShape, status);
  Implement("LatheClipGrad", CreateClip, ComputeClipGrad, DeleteFloats, status);
  Define("LatheLayerNorm", {"x: float", "scale: float", "bias: float"}, {"y: float", "mean: float", "rstd: float"},
         {"epsilon: float"}, LayerNormShapes, status);
  Implement("LatheLayerNorm", CreateNormalize, ComputeLayerNorm, DeleteFloats, status);
  Define("LatheLayerNormGrad", {"x: float", "dy: float", "scale: float", "mean: float", "rstd: float"},
         {"dx: float", "d_scale: float", "d_bias: float"}, {}, LayerNormGradShapes, status);
  Implement("LatheLayerNormGrad", nullptr, ComputeLayerNormGrad, nullptr, status);
  Define("LatheSoftmax", {"x: float"}, {"y: float"}, {}, FirstShape, status);
  Implement("LatheSoftmax", nullptr, ComputeSoftmax, nullptr, status);
  Define("LatheSoftmaxGrad", {"y: float", "dy: float"}, {"dx: float"}, {}, FirstShape, status);
  Implement("LatheSoftmaxGrad", nullptr, ComputeSoftmaxGrad, nullptr, status);
}

}  // namespace lathe::LATHE_SET
