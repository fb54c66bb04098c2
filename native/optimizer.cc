// Optimizer updates in one pass over memory. TensorFlow has them only on resource variables; composed of elementwise
// operations, momentum reads or writes 13 arrays of the parameter's size instead of 5, Adam 30 instead of 7.
#include "optimizer.h"

#include <algorithm>
#include <cmath>
#include <vector>

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

// What one update reads and writes of each of several parameters, [count of parameter's values].
template <int kInputs, int kOutputs>
struct Parameter {
  int64_t size;
  const float *in[kInputs];
  float *out[kOutputs];
};

// Inputs: of each of kInputs kinds one tensor a parameter, all of a kind in a row; then scalars. Outputs likewise.
// Parameters are taken one after the other as if they were one.
template <int kInputs, int kOutputs, int kScalars, typename F>
void UpdateAll(TF_OpKernelContext *context, const char *differ, const F &update) {
  const int count = (TF_NumInputs(context) - kScalars) / kInputs;
  std::vector<Parameter<kInputs, kOutputs>> parameters(count);
  int64_t total = 0;
  for (int i = 0; i < count; i++) {
    auto &[size, in, out] = parameters[i];
    Tensors tensors(context);
    total += size = tensors.Count(i);
    for (int k = 0; k < kInputs; k++) {
      if (tensors.Count(k * count + i) != size) return tensors.Fail(differ);
      in[k] = tensors.Input(k * count + i);
    }
    for (int k = 0; k < kOutputs; k++) out[k] = tensors.Output(k * count + i, i);
    if (!tensors.Ok()) return tensors.Report();
  }
  Tensors tensors(context);
  float scalars[kScalars];
  for (int k = 0; k < kScalars; k++) scalars[k] = tensors.Scalar(kInputs * count + k);
  ParallelFor(total, kGrain, [&](int64_t begin, int64_t end) {
    for (const auto &[size, in, out] : parameters) {
      const int64_t first = std::clamp<int64_t>(begin, 0, size), last = std::clamp<int64_t>(end, 0, size);
      if (first < last) update(first, last - first, in, out, scalars);
      begin -= size;
      end -= size;
    }
  });
}

const char *const kMomentumAttributes[] = {"momentum", "decay", "nesterov"};
void *CreateMomentum(TF_OpKernelConstruction *construction) { return CreateFloats(construction, kMomentumAttributes); }

void ComputeMomentum(void *kernel, TF_OpKernelContext *context) {
  const auto &a = static_cast<FloatAttributes *>(kernel)->values;
  UpdateAll<3, 2, 1>(context, "LatheMomentum: w, v and g differ in size",
                     [&](int64_t i, int64_t n, const float *const *in, float *const *out, const float *scalars) {
                       Momentum(n, in[0] + i, in[1] + i, in[2] + i, out[0] + i, out[1] + i, scalars[0], a[0], a[1],
                                a[2]);
                     });
}

const char *const kAdamAttributes[] = {"beta1", "beta2", "epsilon", "decay"};
void *CreateAdam(TF_OpKernelConstruction *construction) { return CreateFloats(construction, kAdamAttributes); }

void ComputeAdam(void *kernel, TF_OpKernelContext *context) {
  const auto &a = static_cast<FloatAttributes *>(kernel)->values;
  UpdateAll<4, 3, 3>(context, "LatheAdam: w, m, v and g differ in size",
                     [&](int64_t i, int64_t n, const float *const *in, float *const *out, const float *scalars) {
                       Adam(n, in[0] + i, in[1] + i, in[2] + i, in[3] + i, out[0] + i, out[1] + i, out[2] + i,
                            scalars[0], scalars[1], scalars[2], a[0], a[1], a[2], a[3]);
                     });
}

void MomentumShapes(TF_ShapeInferenceContext *context, TF_Status *status) { SameShapes(context, status, 2); }
void AdamShapes(TF_ShapeInferenceContext *context, TF_Status *status) { SameShapes(context, status, 3); }

}  // namespace

void RegisterOptimizers(TF_Status *status) {
  Define("LatheMomentum", {"w: float", "v: float", "g: float", "rate: float"}, {"w_out: float", "v_out: float"},
         {"momentum: float", "decay: float", "nesterov: float"}, MomentumShapes, status);
  Implement("LatheMomentum", CreateMomentum, ComputeMomentum, DeleteFloats, status);
  Define("LatheMultiMomentum", {"w: count * float", "v: count * float", "g: count * float", "rate: float"},
         {"w_out: count * float", "v_out: count * float"},
         {"count: int >= 1", "momentum: float", "decay: float", "nesterov: float"}, UnknownShapes, status);
  Implement("LatheMultiMomentum", CreateMomentum, ComputeMomentum, DeleteFloats, status);
  Define("LatheAdam", {"w: float", "m: float", "v: float", "g: float", "rate: float", "root: float", "keep: float"},
         {"w_out: float", "m_out: float", "v_out: float"},
         {"beta1: float", "beta2: float", "epsilon: float", "decay: float"}, AdamShapes, status);
  Implement("LatheAdam", CreateAdam, ComputeAdam, DeleteFloats, status);
  Define("LatheMultiAdam",
         {"w: count * float", "m: count * float", "v: count * float", "g: count * float", "rate: float", "root: float",
          "keep: float"},
         {"w_out: count * float", "m_out: count * float", "v_out: count * float"},
         {"count: int >= 1", "beta1: float", "beta2: float", "epsilon: float", "decay: float"}, UnknownShapes, status);
  Implement("LatheMultiAdam", CreateAdam, ComputeAdam, DeleteFloats, status);
}

}  // namespace lathe::LATHE_SET
