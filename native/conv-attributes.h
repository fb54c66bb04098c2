#ifndef LATHE_CONV_ATTRIBUTES_H_
#define LATHE_CONV_ATTRIBUTES_H_

#include "correlate.h"
#include "op.h"

namespace lathe::LATHE_SET {

// strides: of rows and columns. pads: top, bottom, left, right. size: of the image or the kernel, where the operation
// makes its gradient.
struct ConvAttributes {
  int64_t strides[2], pads[4], size[2];
};

inline void *CreateConvolution(TF_OpKernelConstruction *construction, const char *size) {
  auto *a = new ConvAttributes;
  TF_Status *status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrInt64List(construction, "strides", a->strides, 2, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt64List(construction, "pads", a->pads, 4, status);
  if (TF_GetCode(status) == TF_OK && size)
    TF_OpKernelConstruction_GetAttrInt64List(construction, size, a->size, 2, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return a;
}
inline void *CreateConv(TF_OpKernelConstruction *construction) { return CreateConvolution(construction, nullptr); }
inline void *CreateInputGrad(TF_OpKernelConstruction *construction) { return CreateConvolution(construction, "image"); }
inline void *CreateKernelGrad(TF_OpKernelConstruction *construction) {
  return CreateConvolution(construction, "kernel");
}
inline void DeleteConv(void *kernel) { delete static_cast<ConvAttributes *>(kernel); }

inline Windows WindowsOf(const Shape &in, int64_t height, int64_t width, const ConvAttributes &a) {
  const int64_t rows = in.height + a.pads[0] + a.pads[1] - height, columns = in.width + a.pads[2] + a.pads[3] - width;
  const int64_t out_height = rows < 0 ? 0 : rows / a.strides[0] + 1,
                out_width = columns < 0 ? 0 : columns / a.strides[1] + 1;
  return {in, height, width, {a.strides[0], a.strides[1]}, {a.pads[0], a.pads[2]}, out_height, out_width};
}

}  // namespace lathe::LATHE_SET

#endif  // LATHE_CONV_ATTRIBUTES_H_
