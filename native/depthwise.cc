// Depthwise convolutions, one filter a channel, and their gradients, channels last: sums of a window's pixels times the
// kernel's, all channels side by side.
#include "depthwise.h"

#include <algorithm>
#include <vector>

#include "conv-attributes.h"
#include "correlate.h"
#include "image.h"
#include "op.h"
#include "parallel.h"
#include "vector.h"

namespace lathe::LATHE_SET {
namespace {

// A pixel, and the row of the kernel that it is multiplied with.
struct Term {
  const float *x, *w;
};

// kCount vectors of y = sum of the terms' products.
template <int kCount>
void SumVectors(int64_t c, const Term *terms, int count, float *y) {
  Vector sums[kCount] = {};
  for (int t = 0; t < count; t++) {
    for (int v = 0; v < kCount; v++) sums[v] += At(terms[t].x + c + v * kLanes) * At(terms[t].w + c + v * kLanes);
  }
  for (int v = 0; v < kCount; v++) At(y + c + v * kLanes) = sums[v];
}

// y [channels] = sum of the terms' products.
void SumTerms(int64_t channels, const Term *terms, int count, float *y) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) SumVectors<4>(c, terms, count, y);
  for (; c + kLanes <= channels; c += kLanes) SumVectors<1>(c, terms, count, y);
  for (; c < channels; c++) {
    float sum = 0;
    for (int t = 0; t < count; t++) sum += terms[t].x[c] * terms[t].w[c];
    y[c] = sum;
  }
}

// Pixels of x and of dy, each some floats from the next.
struct Pixels {
  const float *x, *dy;
  int64_t count, x_step, dy_step;
};

// kCount vectors of dw += sum over the pixels of x times dy.
template <int kCount>
void AddVectors(int64_t c, const Pixels &pixels, float *dw) {
  Vector sums[kCount];
  for (int v = 0; v < kCount; v++) sums[v] = At(dw + c + v * kLanes);
  for (int64_t i = 0; i < pixels.count; i++) {
    const float *x = pixels.x + i * pixels.x_step + c, *dy = pixels.dy + i * pixels.dy_step + c;
    for (int v = 0; v < kCount; v++) sums[v] += At(x + v * kLanes) * At(dy + v * kLanes);
  }
  for (int v = 0; v < kCount; v++) At(dw + c + v * kLanes) = sums[v];
}

// dw [channels] += sum over the pixels of x times dy.
void AddProducts(int64_t channels, const Pixels &pixels, float *dw) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) AddVectors<4>(c, pixels, dw);
  for (; c + kLanes <= channels; c += kLanes) AddVectors<1>(c, pixels, dw);
  for (; c < channels; c++) {
    for (int64_t i = 0; i < pixels.count; i++)
      dw[c] += pixels.x[i * pixels.x_step + c] * pixels.dy[i * pixels.dy_step + c];
  }
}

// One row of results: y(r, .) of an image.
void ForwardRow(const Windows &w, const float *x, const float *kernel, int64_t r, std::vector<Term> &terms, float *y) {
  const int64_t c = w.in.channels, top = r * w.strides[0] - w.begins[0];
  for (int64_t column = 0; column < w.out_width; column++) {
    const int64_t left = column * w.strides[1] - w.begins[1];
    int count = 0;
    for (int64_t i = std::max<int64_t>(0, -top); i < w.height && top + i < w.in.height; i++) {
      for (int64_t j = std::max<int64_t>(0, -left); j < w.width && left + j < w.in.width; j++) {
        terms[count++] = {x + ((top + i) * w.in.width + left + j) * c, kernel + (i * w.width + j) * c};
      }
    }
    SumTerms(c, terms.data(), count, y + column * c);
  }
}

// One row of the image's gradient: each pixel gathers from the windows that it lies in.
void InputGradientRow(const Windows &w, const float *dy, const float *kernel, int64_t r, std::vector<Term> &terms,
                      float *dx) {
  const int64_t c = w.in.channels;
  for (int64_t column = 0; column < w.in.width; column++) {
    int count = 0;
    for (int64_t i = 0; i < w.height; i++) {
      const int64_t y = r + w.begins[0] - i;
      if (y < 0 || y % w.strides[0] != 0 || y / w.strides[0] >= w.out_height) continue;
      for (int64_t j = 0; j < w.width; j++) {
        const int64_t x = column + w.begins[1] - j;
        if (x < 0 || x % w.strides[1] != 0 || x / w.strides[1] >= w.out_width) continue;
        terms[count++] = {dy + (y / w.strides[0] * w.out_width + x / w.strides[1]) * c, kernel + (i * w.width + j) * c};
      }
    }
    SumTerms(c, terms.data(), count, dx + column * c);
  }
}

// Adds the contribution of a row of dy to dw [height, width, channels].
void AddKernelGradientRow(const Windows &w, const float *x, const float *dy, int64_t r, float *dw) {
  const int64_t c = w.in.channels, top = r * w.strides[0] - w.begins[0], stride = w.strides[1];
  for (int64_t i = std::max<int64_t>(0, -top); i < w.height && top + i < w.in.height; i++) {
    for (int64_t j = 0; j < w.width; j++) {
      const int64_t offset = j - w.begins[1];  // column * stride + offset lies in the image
      const int64_t first = offset < 0 ? (-offset + stride - 1) / stride : 0,
                    last = std::min(w.out_width, offset >= w.in.width ? 0 : (w.in.width - 1 - offset) / stride + 1);
      if (first >= last) continue;
      AddProducts(
          c, {x + ((top + i) * w.in.width + first * stride + offset) * c, dy + first * c, last - first, stride * c, c},
          dw + (i * w.width + j) * c);
    }
  }
}

// Rows of all images; work(image, row, terms).
template <typename F>
void ForRows(int64_t images, int64_t rows, const Windows &w, int64_t row_size, const F &work) {
  ParallelFor(images * rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, row_size)),
              [&](int64_t i, int64_t end) {
                std::vector<Term> terms(w.height * w.width);
                for (; i < end; i++) work(i / rows, i % rows, terms);
              });
}

void Depthwise(const Windows &w, const float *x, const float *kernel, float *y) {
  const int64_t image = w.in.height * w.in.width * w.in.channels, row = w.out_width * w.in.channels;
  ForRows(w.in.n, w.out_height, w, row, [&](int64_t n, int64_t r, std::vector<Term> &terms) {
    ForwardRow(w, x + n * image, kernel, r, terms, y + (n * w.out_height + r) * row);
  });
}

void DepthwiseInputGradient(const Windows &w, const float *dy, const float *kernel, float *dx) {
  const int64_t result = w.Pixels() * w.in.channels, row = w.in.width * w.in.channels;
  ForRows(w.in.n, w.in.height, w, row, [&](int64_t n, int64_t r, std::vector<Term> &terms) {
    InputGradientRow(w, dy + n * result, kernel, r, terms, dx + (n * w.in.height + r) * row);
  });
}

void DepthwiseKernelGradient(const Windows &w, const float *x, const float *dy, float *dw) {
  const int64_t image = w.in.height * w.in.width * w.in.channels, row = w.out_width * w.in.channels, size = w.Taps();
  SumOfParts sums(size);
  ParallelFor(w.in.n * w.out_height, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, row)),
              [&](int64_t i, int64_t end) {
                std::vector<float> part(size);
                for (; i < end; i++)
                  AddKernelGradientRow(w, x + i / w.out_height * image, dy + i * row, i % w.out_height, part.data());
                sums.Add(end, std::move(part));
              });
  const std::vector<float> total = sums.Total();
  std::copy(total.begin(), total.end(), dw);
}

bool IsDepthwiseKernel(Tensors &tensors, int64_t channels) {
  return tensors.Rank(1) == 4 && tensors.Dim(1, 2) == 1 && tensors.Dim(1, 3) == channels;
}

void ComputeDepthwise(void *kernel, TF_OpKernelContext *context) {
  Tensors tensors(context);
  if (tensors.Rank(0) != 4 || !IsDepthwiseKernel(tensors, tensors.Dim(0, 3)))
    return tensors.Fail("LatheDepthwise: x must be [n, h, w, c], the kernel [kh, kw, 1, c]");
  const Windows w =
      WindowsOf(ShapeOf(tensors, 0), tensors.Dim(1, 0), tensors.Dim(1, 1), *static_cast<ConvAttributes *>(kernel));
  float *y = tensors.Output(0, {w.in.n, w.out_height, w.out_width, w.in.channels});
  if (!tensors.Ok()) return tensors.Report();
  Depthwise(w, tensors.Input(0), tensors.Input(1), y);
}

void ComputeDepthwiseInputGrad(void *kernel, TF_OpKernelContext *context) {
  const auto &a = *static_cast<ConvAttributes *>(kernel);
  Tensors tensors(context);
  if (tensors.Rank(0) != 4 || !IsDepthwiseKernel(tensors, tensors.Dim(0, 3)))
    return tensors.Fail("LatheDepthwiseInputGrad: dy must be [n, h, w, c], the kernel [kh, kw, 1, c]");
  const Windows w =
      WindowsOf({tensors.Dim(0, 0), a.size[0], a.size[1], tensors.Dim(0, 3)}, tensors.Dim(1, 0), tensors.Dim(1, 1), a);
  if (w.out_height != tensors.Dim(0, 1) || w.out_width != tensors.Dim(0, 2))
    return tensors.Fail("LatheDepthwiseInputGrad: dy does not fit the image, the kernel and the pads");
  float *dx = tensors.Output(0, {w.in.n, w.in.height, w.in.width, w.in.channels});
  if (!tensors.Ok()) return tensors.Report();
  DepthwiseInputGradient(w, tensors.Input(0), tensors.Input(1), dx);
}

void ComputeDepthwiseKernelGrad(void *kernel, TF_OpKernelContext *context) {
  const auto &a = *static_cast<ConvAttributes *>(kernel);
  Tensors tensors(context);
  if (tensors.Rank(0) != 4 || tensors.Rank(1) != 4)
    return tensors.Fail("LatheDepthwiseKernelGrad: x and dy must have rank 4");
  const Windows w = WindowsOf(ShapeOf(tensors, 0), a.size[0], a.size[1], a);
  const Shape out = ShapeOf(tensors, 1);
  if (w.in.n != out.n || w.out_height != out.height || w.out_width != out.width || w.in.channels != out.channels)
    return tensors.Fail("LatheDepthwiseKernelGrad: dy does not fit x, the kernel and the pads");
  float *dw = tensors.Output(0, {w.height, w.width, 1, w.in.channels});
  if (!tensors.Ok()) return tensors.Report();
  DepthwiseKernelGradient(w, tensors.Input(0), tensors.Input(1), dw);
}

}  // namespace

void RegisterDepthwise(TF_Status *status) {
  Define("LatheDepthwise", {"x: float", "w: float"}, {"y: float"}, {"strides: list(int)", "pads: list(int)"},
         UnknownShapes, status);
  Implement("LatheDepthwise", CreateConv, ComputeDepthwise, DeleteConv, status);
  Define("LatheDepthwiseInputGrad", {"dy: float", "w: float"}, {"dx: float"},
         {"strides: list(int)", "pads: list(int)", "image: list(int)"}, UnknownShapes, status);
  Implement("LatheDepthwiseInputGrad", CreateInputGrad, ComputeDepthwiseInputGrad, DeleteConv, status);
  Define("LatheDepthwiseKernelGrad", {"x: float", "dy: float"}, {"dw: float"},
         {"strides: list(int)", "pads: list(int)", "kernel: list(int)"}, UnknownShapes, status);
  Implement("LatheDepthwiseKernelGrad", CreateKernelGrad, ComputeDepthwiseKernelGrad, DeleteConv, status);
}

}  // namespace lathe::LATHE_SET
