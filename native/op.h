#ifndef LATHE_OP_H_
#define LATHE_OP_H_

// What every operation of the engine's own needs: its tensors, its attributes, its registration.
//
// Results are new tensors (or take over the memory of an input that nobody else holds), so operations are pure: they
// run eagerly and inside a compiled function alike.

#include <cstdint>
#include <initializer_list>

#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_status.h"
#include "tensorflow/c/tf_tensor.h"

namespace lathe {

// Elements below which a second thread costs more than it saves.
constexpr int64_t kGrain = 1 << 16;

class Tensors {
 public:
  explicit Tensors(TF_OpKernelContext *context) : context_(context), status_(TF_NewStatus()) {}
  ~Tensors() {
    for (int i = 0; i < count_; i++) TF_DeleteTensor(held_[i]);
    TF_DeleteStatus(status_);
  }

  const float *Input(int index) { return static_cast<const float *>(TF_TensorData(Hold(index))); }
  float Scalar(int index) { return *Input(index); }
  int64_t Count(int index) {
    return Ask(index, [](TF_Tensor *tensor) { return TF_TensorElementCount(tensor); });
  }
  int64_t Dim(int index, int axis) {
    return Ask(index, [axis](TF_Tensor *tensor) { return TF_Dim(tensor, axis); });
  }
  int Rank(int index) {
    return Ask(index, [](TF_Tensor *tensor) { return TF_NumDims(tensor); });
  }

  // A new tensor in the form of an input, by default input 0.
  float *Output(int index, int model = 0) {
    int64_t dims[16];
    return Output(index, dims, DimsOf(model, dims));
  }
  float *Output(int index, std::initializer_list<int64_t> dims) {
    return Output(index, dims.begin(), static_cast<int>(dims.size()));
  }
  float *Output(int index, const int64_t *dims, int rank) {
    int64_t size = sizeof(float);
    for (int i = 0; i < rank; i++) size *= dims[i];
    held_[count_] = TF_AllocateOutput(context_, index, TF_FLOAT, dims, rank, size, status_);
    return Ok() ? static_cast<float *>(TF_TensorData(held_[count_++])) : nullptr;
  }

  // A tensor in the form of an input, in that input's own memory where nobody else holds it: call this before
  // Input(input).
  float *OutputOver(int index, int input) {
    int64_t dims[16];
    const int rank = DimsOf(input, dims);
    int forwarded = -1;
    held_[count_] = TF_ForwardInputOrAllocateOutput(context_, &input, 1, index, dims, rank, &forwarded, status_);
    return Ok() ? static_cast<float *>(TF_TensorData(held_[count_++])) : nullptr;
  }

  bool Ok() { return TF_GetCode(status_) == TF_OK; }
  void Fail(const char *message) {
    TF_SetStatus(status_, TF_INVALID_ARGUMENT, message);
    Report();
  }
  void Report() { TF_OpKernelContext_Failure(context_, status_); }

 private:
  // Asks an input without holding it: its memory stays free to be taken over.
  template <typename F>
  int64_t Ask(int index, F question) {
    TF_Tensor *tensor = nullptr;
    TF_GetInput(context_, index, &tensor, status_);
    const int64_t answer = question(tensor);
    TF_DeleteTensor(tensor);
    return answer;
  }

  int DimsOf(int index, int64_t *dims) {
    return Ask(index, [dims](TF_Tensor *tensor) {
      const int rank = TF_NumDims(tensor);
      for (int i = 0; i < rank; i++) dims[i] = TF_Dim(tensor, i);
      return rank;
    });
  }

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

struct FloatAttributes {
  float values[4] = {0, 0, 0, 0};
};

// The kernel's float attributes, in the order of their names.
template <int kCount>
void *CreateFloats(TF_OpKernelConstruction *construction, const char *const (&names)[kCount]) {
  auto *attributes = new FloatAttributes;
  TF_Status *status = TF_NewStatus();
  for (int i = 0; i < kCount; i++)
    TF_OpKernelConstruction_GetAttrFloat(construction, names[i], &attributes->values[i], status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return attributes;
}

inline void DeleteFloats(void *kernel) { delete static_cast<FloatAttributes *>(kernel); }

inline void ShapeOfInput(TF_ShapeInferenceContext *context, int output, int input, TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) return;
  TF_ShapeHandle *shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, input, shape, status);
  if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextSetOutput(context, output, shape, status);
  TF_DeleteShapeHandle(shape);
}
// The caller knows the results' shapes; TensorFlow need not.
inline void UnknownShapes(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}
// The first outputs have the shape of input 0.
inline void SameShapes(TF_ShapeInferenceContext *context, TF_Status *status, int outputs) {
  for (int i = 0; i < outputs; i++) ShapeOfInput(context, i, 0, status);
}
inline void FirstShape(TF_ShapeInferenceContext *context, TF_Status *status) { SameShapes(context, status, 1); }

using Strings = std::initializer_list<const char *>;

inline void Define(const char *name, Strings inputs, Strings outputs, Strings attributes,
                   void (*shapes)(TF_ShapeInferenceContext *, TF_Status *), TF_Status *status, bool stateful = false) {
  TF_OpDefinitionBuilder *op = TF_NewOpDefinitionBuilder(name);
  for (const char *input : inputs) TF_OpDefinitionBuilderAddInput(op, input);
  for (const char *output : outputs) TF_OpDefinitionBuilderAddOutput(op, output);
  for (const char *attribute : attributes) TF_OpDefinitionBuilderAddAttr(op, attribute);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, shapes);
  TF_OpDefinitionBuilderSetIsStateful(op, stateful);
  TF_RegisterOpDefinition(op, status);
}

inline void Implement(const char *name, void *(*create)(TF_OpKernelConstruction *),
                      void (*compute)(void *, TF_OpKernelContext *), void (*destroy)(void *), TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) return;
  TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(name, "CPU", create, compute, destroy), status);
}

}  // namespace lathe

#endif  // LATHE_OP_H_
