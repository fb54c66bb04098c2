// Optimizer updates in one pass over memory. TensorFlow has them only on resource variables; composed of elementwise
// operations, momentum reads or writes 13 arrays of the parameter's size instead of 5, Adam 30 instead of 7.
#include "optimizer.h"

#include <cmath>

#include "op.h"
#include "parallel.h"

namespace lathe::LATHE_SET {
namespace {

// v' = momentum * v + g + decay * w;  w' = w - rate * v', or w - rate * (g + decay * w + momentum * v') with Nesterov.
void Momentum(int64_t n, const float *w, const float *v, const float *g, float *w_out, float *v_out, float rate,
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

// Kingma and Ba 2015, algorithm 1. The bias corrections come in: rate = a / (1 - beta1^t), root = 1 / sqrt(1 -
// beta2^t). Decay adds to the gradient (L2) or, as keep = 1 - a * decay, shrinks the weight apart from it (AdamW).
void Adam(int64_t n, const float *w, const float *m, const float *v, const float *g, float *w_out, float *m_out,
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
    Adam(end - i, w + i, m + i, v + i, g + i, w_out + i, m_out + i, v_out + i, rate, root, keep, a[0], a[1], a[2],
         a[3]);
  });
}

void MomentumShapes(TF_ShapeInferenceContext *context, TF_Status *status) { SameShapes(context, status, 2); }
void AdamShapes(TF_ShapeInferenceContext *context, TF_Status *status) { SameShapes(context, status, 3); }

}  // namespace

void RegisterOptimizers(TF_Status *status) {
  Define("LatheMomentum", {"w: float", "v: float", "g: float", "rate: float"}, {"w_out: float", "v_out: float"},
         {"momentum: float", "decay: float", "nesterov: float"}, MomentumShapes, status);
  Implement("LatheMomentum", CreateMomentum, ComputeMomentum, DeleteFloats, status);
  Define("LatheAdam", {"w: float", "m: float", "v: float", "g: float", "rate: float", "root: float", "keep: float"},
         {"w_out: float", "m_out: float", "v_out: float"},
         {"beta1: float", "beta2: float", "epsilon: float", "decay: float"}, AdamShapes, status);
  Implement("LatheAdam", CreateAdam, ComputeAdam, DeleteFloats, status);
}

}  // namespace lathe::LATHE_SET
