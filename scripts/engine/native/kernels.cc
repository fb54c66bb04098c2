// Optimizer updates as one pass over memory each. TensorFlow has them only as operations on resource variables; composed of
// elementwise operations, momentum reads or writes 13 arrays of the parameter's size instead of 5, Adam 30 instead of 7.
//
// The results are new tensors, so the operations are pure: they run eagerly and inside a compiled function alike.
#include "kernels.h"

#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_status.h"
#include "tensorflow/c/tf_tensor.h"

// One clone of the loop per instruction set, chosen when the addon is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LATHE_VECTORIZED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define LATHE_VECTORIZED
#endif

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

class Tensors {
 public:
  explicit Tensors(TF_OpKernelContext *context) : context_(context), status_(TF_NewStatus()) {}
  ~Tensors() {
    for (int i = 0; i < count_; i++) TF_DeleteTensor(held_[i]);
    TF_DeleteStatus(status_);
  }

  const float *Input(int index) { return static_cast<const float *>(TF_TensorData(Hold(index))); }
  float Scalar(int index) { return *Input(index); }
  int64_t Count(int index) { return TF_TensorElementCount(Hold(index)); }

  // A new tensor in the form of input 0.
  float *Output(int index) {
    TF_Tensor *model = Hold(0);
    int64_t dims[16];
    const int rank = TF_NumDims(model);
    for (int i = 0; i < rank; i++) dims[i] = TF_Dim(model, i);
    held_[count_] = TF_AllocateOutput(context_, index, TF_FLOAT, dims, rank, TF_TensorElementCount(model) * sizeof(float), status_);
    return Ok() ? static_cast<float *>(TF_TensorData(held_[count_++])) : nullptr;
  }

  bool Ok() { return TF_GetCode(status_) == TF_OK; }
  void Fail(const char *message) {
    TF_SetStatus(status_, TF_INVALID_ARGUMENT, message);
    Report();
  }
  void Report() { TF_OpKernelContext_Failure(context_, status_); }

 private:
  TF_Tensor *Hold(int index) {
    TF_Tensor *tensor = nullptr;
    TF_GetInput(context_, index, &tensor, status_);
    held_[count_++] = tensor;
    return tensor;
  }

  TF_OpKernelContext *context_;
  TF_Status *status_;
  TF_Tensor *held_[32];
  int count_ = 0;
};

struct Attributes {
  float values[4] = {0, 0, 0, 0};
};

template <int kCount>
void *Create(TF_OpKernelConstruction *construction, const char *const (&names)[kCount]) {
  auto *attributes = new Attributes;
  TF_Status *status = TF_NewStatus();
  for (int i = 0; i < kCount; i++) TF_OpKernelConstruction_GetAttrFloat(construction, names[i], &attributes->values[i], status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return attributes;
}

void Delete(void *kernel) { delete static_cast<Attributes *>(kernel); }

const char *const kMomentumAttributes[] = {"momentum", "decay", "nesterov"};
void *CreateMomentum(TF_OpKernelConstruction *construction) { return Create(construction, kMomentumAttributes); }

void ComputeMomentum(void *kernel, TF_OpKernelContext *context) {
  const auto &a = static_cast<Attributes *>(kernel)->values;
  Tensors tensors(context);
  const int64_t n = tensors.Count(0);
  if (tensors.Count(1) != n || tensors.Count(2) != n) return tensors.Fail("LatheMomentum: w, v and g differ in size");
  const float *w = tensors.Input(0), *v = tensors.Input(1), *g = tensors.Input(2);
  float *w_out = tensors.Output(0), *v_out = tensors.Output(1);
  if (!tensors.Ok()) return tensors.Report();
  Momentum(n, w, v, g, w_out, v_out, tensors.Scalar(3), a[0], a[1], a[2]);
}

const char *const kAdamAttributes[] = {"beta1", "beta2", "epsilon", "decay"};
void *CreateAdam(TF_OpKernelConstruction *construction) { return Create(construction, kAdamAttributes); }

void ComputeAdam(void *kernel, TF_OpKernelContext *context) {
  const auto &a = static_cast<Attributes *>(kernel)->values;
  Tensors tensors(context);
  const int64_t n = tensors.Count(0);
  for (int i = 1; i <= 3; i++) {
    if (tensors.Count(i) != n) return tensors.Fail("LatheAdam: w, m, v and g differ in size");
  }
  const float *w = tensors.Input(0), *m = tensors.Input(1), *v = tensors.Input(2), *g = tensors.Input(3);
  float *w_out = tensors.Output(0), *m_out = tensors.Output(1), *v_out = tensors.Output(2);
  if (!tensors.Ok()) return tensors.Report();
  Adam(n, w, m, v, g, w_out, m_out, v_out, tensors.Scalar(4), tensors.Scalar(5), tensors.Scalar(6), a[0], a[1], a[2], a[3]);
}

void SameShapes(TF_ShapeInferenceContext *context, TF_Status *status, int outputs) {
  TF_ShapeHandle *shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 0, shape, status);
  for (int i = 0; i < outputs && TF_GetCode(status) == TF_OK; i++) TF_ShapeInferenceContextSetOutput(context, i, shape, status);
  TF_DeleteShapeHandle(shape);
}
void MomentumShapes(TF_ShapeInferenceContext *context, TF_Status *status) { SameShapes(context, status, 2); }
void AdamShapes(TF_ShapeInferenceContext *context, TF_Status *status) { SameShapes(context, status, 3); }

using Strings = std::initializer_list<const char *>;

void Define(const char *name, Strings inputs, Strings outputs, Strings attributes,
            void (*shapes)(TF_ShapeInferenceContext *, TF_Status *), TF_Status *status) {
  TF_OpDefinitionBuilder *op = TF_NewOpDefinitionBuilder(name);
  for (const char *input : inputs) TF_OpDefinitionBuilderAddInput(op, input);
  for (const char *output : outputs) TF_OpDefinitionBuilderAddOutput(op, output);
  for (const char *attribute : attributes) TF_OpDefinitionBuilderAddAttr(op, attribute);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, shapes);
  TF_RegisterOpDefinition(op, status);
}

void Implement(const char *name, void *(*create)(TF_OpKernelConstruction *), void (*compute)(void *, TF_OpKernelContext *), TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) return;
  TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(name, "CPU", create, compute, Delete), status);
}

}  // namespace

std::string RegisterKernels() {
  static bool registered = false;  // once per process: worker threads load the addon again
  if (registered) return "";
  registered = true;
  TF_Status *status = TF_NewStatus();
  Define("LatheMomentum", {"w: float", "v: float", "g: float", "rate: float"}, {"w_out: float", "v_out: float"},
         {"momentum: float", "decay: float", "nesterov: float"}, MomentumShapes, status);
  Implement("LatheMomentum", CreateMomentum, ComputeMomentum, status);
  Define("LatheAdam", {"w: float", "m: float", "v: float", "g: float", "rate: float", "root: float", "keep: float"},
         {"w_out: float", "m_out: float", "v_out: float"},
         {"beta1: float", "beta2: float", "epsilon: float", "decay: float"}, AdamShapes, status);
  Implement("LatheAdam", CreateAdam, ComputeAdam, status);
  std::string problem = TF_GetCode(status) == TF_OK ? "" : TF_Message(status);
  TF_DeleteStatus(status);
  return problem;
}

}  // namespace lathe
