// The gradient of max pooling on all threads.
#include "pooling.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "op.h"
#include "parallel.h"

namespace lathe::LATHE_SET {
namespace {

// Where the first position of each window that holds the maximum gets the window's gradient. One image: x [h, w, c], y
// and dy [oh, ow, c].
struct Pooling {
  int64_t height, width, channels, out_height, out_width;
  int64_t kernel[2], strides[2], begins[2];
};

// Adds dy to dx where x is the window's maximum y and no earlier position was: `open` says so per channel.
void GiveToMaximum(int64_t channels, const float *x, const float *y, const float *dy, float *dx, int32_t *open) {
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; c++) {
    const int32_t hit = open[c] & -static_cast<int32_t>(x[c] == y[c]);
    dx[c] += hit ? dy[c] : 0.0f;
    open[c] &= ~hit;
  }
}

void MaxPoolGradient(const Pooling &p, const float *x, const float *y, const float *dy, float *dx,
                     std::vector<int32_t> &open) {
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

// Attributes of LatheMaxPoolGrad, each for height and width.
struct PoolingAttributes {
  int64_t kernel[2], strides[2], begins[2];
};

void *CreateMaxPoolGrad(TF_OpKernelConstruction *construction) {
  auto *attributes = new PoolingAttributes;
  TF_Status *status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrInt64List(construction, "kernel", attributes->kernel, 2, status);
  if (TF_GetCode(status) == TF_OK)
    TF_OpKernelConstruction_GetAttrInt64List(construction, "strides", attributes->strides, 2, status);
  if (TF_GetCode(status) == TF_OK)
    TF_OpKernelConstruction_GetAttrInt64List(construction, "begins", attributes->begins, 2, status);
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
  const Pooling p = {tensors.Dim(0, 1),
                     tensors.Dim(0, 2),
                     tensors.Dim(0, 3),
                     tensors.Dim(1, 1),
                     tensors.Dim(1, 2),
                     {a.kernel[0], a.kernel[1]},
                     {a.strides[0], a.strides[1]},
                     {a.begins[0], a.begins[1]}};
  const int64_t images = tensors.Dim(0, 0), in = p.height * p.width * p.channels,
                out = p.out_height * p.out_width * p.channels;
  const float *x = tensors.Input(0), *y = tensors.Input(1), *dy = tensors.Input(2);
  float *dx = tensors.Output(0);
  if (!tensors.Ok()) return tensors.Report();
  ParallelFor(images, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, in)), [&](int64_t i, int64_t end) {
    std::vector<int32_t> open(p.channels);
    for (; i < end; i++) MaxPoolGradient(p, x + i * in, y + i * out, dy + i * out, dx + i * in, open);
  });
}

}  // namespace

void RegisterPooling(TF_Status *status) {
  Define("LatheMaxPoolGrad", {"x: float", "y: float", "dy: float"}, {"dx: float"},
         {"kernel: list(int)", "strides: list(int)", "begins: list(int)"}, FirstShape, status);
  Implement("LatheMaxPoolGrad", CreateMaxPoolGrad, ComputeMaxPoolGrad, DeletePooling, status);
}

}  // namespace lathe::LATHE_SET
