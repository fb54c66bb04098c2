// Operations that TensorFlow's CPU build lacks or computes slowly:
// - optimizer updates in one pass over memory. TensorFlow has them only on resource variables; composed of elementwise operations, momentum
//   reads or writes 13 arrays of the parameter's size instead of 5, Adam 30 instead of 7;
// - the gradient of max pooling on all threads.
//
// Their results are new tensors, so they are pure: they run eagerly and inside a compiled function alike.
#include "kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "attention.h"
#include "lstm.h"
#include "op.h"
#include "parallel.h"
#include "rows.h"
#include "winograd.h"

namespace lathe {
namespace {

// v' = momentum * v + g + decay * w;  w' = w - rate * v', or w - rate * (g + decay * w + momentum * v') with Nesterov.
LATHE_VECTORIZED void Momentum(int64_t n, const float *w, const float *v, const float *g, float *w_out, float *v_out, float rate,
                               float momentum, float decay, float nesterov) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) {
    const float weight = w[i];
    const float gradient = g[i] + decay * weight;
    const float velocity = momentum * v[i] + gradient;
    const float step = nesterov != 0 ? gradient + momentum * velocity : velocity;
    v_out[i] = velocity;
    w_out[i] = weight - rate * step;
  }
}

// Kingma and Ba 2015, algorithm 1. The bias corrections come in: rate = a / (1 - beta1^t), root = 1 / sqrt(1 - beta2^t). Decay adds to
// the gradient (L2) or, as keep = 1 - a * decay, shrinks the weight apart from it (AdamW).
LATHE_VECTORIZED void Adam(int64_t n, const float *w, const float *m, const float *v, const float *g, float *w_out, float *m_out,
                           float *v_out, float rate, float root, float keep, float beta1, float beta2, float epsilon, float decay) {
  const float rest1 = 1 - beta1, rest2 = 1 - beta2;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) {
    const float weight = w[i];
    const float gradient = g[i] + decay * weight;
    const float first = beta1 * m[i] + rest1 * gradient;
    const float second = beta2 * v[i] + rest2 * gradient * gradient;
    m_out[i] = first;
    v_out[i] = second;
    w_out[i] = keep * weight - rate * first / (std::sqrt(second) * root + epsilon);
  }
}

// Where the first position of each window that holds the maximum gets the window's gradient. One image: x [h, w, c], y and dy [oh, ow, c].
struct Pooling {
  int64_t height, width, channels, out_height, out_width;
  int64_t kernel[2], strides[2], begins[2];
};

// Adds dy to dx where x is the window's maximum y and no earlier position was: `open` says so per channel.
LATHE_VECTORIZED void GiveToMaximum(int64_t channels, const float *x, const float *y, const float *dy, float *dx, int32_t *open) {
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; c++) {
    const int32_t hit = open[c] & -static_cast<int32_t>(x[c] == y[c]);
    dx[c] += hit ? dy[c] : 0.0f;
    open[c] &= ~hit;
  }
}

void MaxPoolGradient(const Pooling &p, const float *x, const float *y, const float *dy, float *dx, std::vector<int32_t> &open) {
  std::memset(dx, 0, p.height * p.width * p.channels * sizeof(float));
  for (int64_t oy = 0; oy < p.out_height; oy++) {
    for (int64_t ox = 0; ox < p.out_width; ox++) {
      const int64_t out = (oy * p.out_width + ox) * p.channels;
      std::fill(open.begin(), open.end(), -1);
      for (int64_t ky = 0; ky < p.kernel[0]; ky++) {
        const int64_t row = oy * p.strides[0] + ky - p.begins[0];
        if (row < 0 || row >= p.height) continue;
        for (int64_t kx = 0; kx < p.kernel[1]; kx++) {
          const int64_t column = ox * p.strides[1] + kx - p.begins[1];
          if (column < 0 || column >= p.width) continue;
          const int64_t in = (row * p.width + column) * p.channels;
          GiveToMaximum(p.channels, x + in, y + out, dy + out, dx + in, open.data());
        }
      }
    }
  }
}

const char *const kMomentumAttributes[] = {"momentum", "decay", "nesterov"};
void *CreateMomentum(TF_OpKernelConstruction *construction) { return CreateFloats(construction, kMomentumAttributes); }

void ComputeMomentum(void *kernel, TF_OpKernelContext *context) {
  const auto &a = static_cast<FloatAttributes *>(kernel)->values;
  Tensors tensors(context);
  const int64_t n = tensors.Count(0);
  if (tensors.Count(1) != n || tensors.Count(2) != n) return tensors.Fail("LatheMomentum: w, v and g differ in size");
  const float *w = tensors.Input(0), *v = tensors.Input(1), *g = tensors.Input(2);
  float *w_out = tensors.Output(0), *v_out = tensors.Output(1);
  if (!tensors.Ok()) return tensors.Report();
  const float rate = tensors.Scalar(3);
  ParallelFor(n, kGrain, [&](int64_t i, int64_t end) {
    Momentum(end - i, w + i, v + i, g + i, w_out + i, v_out + i, rate, a[0], a[1], a[2]);
  });
}

const char *const kAdamAttributes[] = {"beta1", "beta2", "epsilon", "decay"};
void *CreateAdam(TF_OpKernelConstruction *construction) { return CreateFloats(construction, kAdamAttributes); }

void ComputeAdam(void *kernel, TF_OpKernelContext *context) {
  const auto &a = static_cast<FloatAttributes *>(kernel)->values;
  Tensors tensors(context);
  const int64_t n = tensors.Count(0);
  for (int i = 1; i <= 3; i++) {
    if (tensors.Count(i) != n) return tensors.Fail("LatheAdam: w, m, v and g differ in size");
  }
  const float *w = tensors.Input(0), *m = tensors.Input(1), *v = tensors.Input(2), *g = tensors.Input(3);
  float *w_out = tensors.Output(0), *m_out = tensors.Output(1), *v_out = tensors.Output(2);
  if (!tensors.Ok()) return tensors.Report();
  const float rate = tensors.Scalar(4), root = tensors.Scalar(5), keep = tensors.Scalar(6);
  ParallelFor(n, kGrain, [&](int64_t i, int64_t end) {
    Adam(end - i, w + i, m + i, v + i, g + i, w_out + i, m_out + i, v_out + i, rate, root, keep, a[0], a[1], a[2], a[3]);
  });
}

// Attributes of LatheMaxPoolGrad, each for height and width.
struct PoolingAttributes {
  int64_t kernel[2], strides[2], begins[2];
};

void *CreateMaxPoolGrad(TF_OpKernelConstruction *construction) {
  auto *attributes = new PoolingAttributes;
  TF_Status *status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrInt64List(construction, "kernel", attributes->kernel, 2, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt64List(construction, "strides", attributes->strides, 2, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt64List(construction, "begins", attributes->begins, 2, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return attributes;
}
void DeletePooling(void *kernel) { delete static_cast<PoolingAttributes *>(kernel); }

void ComputeMaxPoolGrad(void *kernel, TF_OpKernelContext *context) {
  const auto &a = *static_cast<PoolingAttributes *>(kernel);
  Tensors tensors(context);
  if (tensors.Rank(0) != 4 || tensors.Rank(1) != 4) return tensors.Fail("LatheMaxPoolGrad: x and y must have rank 4");
  if (tensors.Count(1) != tensors.Count(2)) return tensors.Fail("LatheMaxPoolGrad: y and dy differ in size");
  const Pooling p = {tensors.Dim(0, 1), tensors.Dim(0, 2), tensors.Dim(0, 3), tensors.Dim(1, 1), tensors.Dim(1, 2),
                     {a.kernel[0], a.kernel[1]}, {a.strides[0], a.strides[1]}, {a.begins[0], a.begins[1]}};
  const int64_t images = tensors.Dim(0, 0), in = p.height * p.width * p.channels, out = p.out_height * p.out_width * p.channels;
  const float *x = tensors.Input(0), *y = tensors.Input(1), *dy = tensors.Input(2);
  float *dx = tensors.Output(0);
  if (!tensors.Ok()) return tensors.Report();
  ParallelFor(images, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, in)), [&](int64_t i, int64_t end) {
    std::vector<int32_t> open(p.channels);
    for (; i < end; i++) MaxPoolGradient(p, x + i * in, y + i * out, dy + i * out, dx + i * in, open);
  });
}

void MomentumShapes(TF_ShapeInferenceContext *context, TF_Status *status) { SameShapes(context, status, 2); }
void AdamShapes(TF_ShapeInferenceContext *context, TF_Status *status) { SameShapes(context, status, 3); }

}  // namespace

std::string RegisterKernels() {
  static bool registered = false;  // once per process: worker threads load the addon again
  if (registered) return "";
  registered = true;
  TF_Status *status = TF_NewStatus();
  Define("LatheMomentum", {"w: float", "v: float", "g: float", "rate: float"}, {"w_out: float", "v_out: float"},
         {"momentum: float", "decay: float", "nesterov: float"}, MomentumShapes, status);
  Implement("LatheMomentum", CreateMomentum, ComputeMomentum, DeleteFloats, status);
  Define("LatheAdam", {"w: float", "m: float", "v: float", "g: float", "rate: float", "root: float", "keep: float"},
         {"w_out: float", "m_out: float", "v_out: float"},
         {"beta1: float", "beta2: float", "epsilon: float", "decay: float"}, AdamShapes, status);
  Implement("LatheAdam", CreateAdam, ComputeAdam, DeleteFloats, status);
  Define("LatheMaxPoolGrad", {"x: float", "y: float", "dy: float"}, {"dx: float"},
         {"kernel: list(int)", "strides: list(int)", "begins: list(int)"}, FirstShape, status);
  Implement("LatheMaxPoolGrad", CreateMaxPoolGrad, ComputeMaxPoolGrad, DeletePooling, status);
  RegisterRows(status);
  RegisterLstm(status);
  RegisterWinograd(status);
  RegisterAttention(status);
  std::string problem = TF_GetCode(status) == TF_OK ? "" : TF_Message(status);
  TF_DeleteStatus(status);
  return problem;
}

}  // namespace lathe
