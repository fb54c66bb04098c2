// Convolutions without groups or dilation, and their gradients, channels last. TensorFlow's oneDNN gives those of few
// channels a fifth of an AVX2 processor's peak (docs/decisions/kernels.md).
#include "conv.h"

#include <algorithm>
#include <vector>

#include "conv-attributes.h"
#include "correlate.h"
#include "gemm.h"
#include "image.h"
#include "op.h"
#include "parallel.h"
#include "product.h"

namespace lathe::LATHE_SET {
namespace {

// One tap, every pixel: a product of two matrices as they are.
bool IsProduct(const Windows &w) {
  return w.height == 1 && w.width == 1 && w.strides[0] == 1 && w.strides[1] == 1 && w.begins[0] == 0 &&
         w.begins[1] == 0 && w.out_height == w.in.height && w.out_width == w.in.width;
}

void Convolution(const Windows &w, const float *x, const float *kernel, int64_t co, float *y, const Finish &finish) {
  if (IsProduct(w))
    return Product(w.in.n * w.Pixels(), w.in.channels, co, {x, w.in.channels, 1}, {kernel, co, 1}, y, co, finish);
  Scratch panels(PanelsSize(w.Taps(), co));
  PackPanels(w.Taps(), co, kernel, co, 1, panels.data());
  Correlate(w, x, panels.data(), co, {y, w.Pixels() * co, w.out_width * co, co}, finish);
}

// The taps of a kernel along an axis that meet the pixels `phase`, `phase` + stride, ... of the image: last, last -
// stride, ... down, so that they read the gradient's pixels in rising order, from -begin on.
struct Phase {
  int64_t count, last, begin, pixels;
};

Phase PhaseOf(int64_t phase, int64_t size, int64_t stride, int64_t pad, int64_t image) {
  const int64_t first = (phase + pad) % stride, count = first < size ? (size - 1 - first) / stride + 1 : 0,
                last = first + (count - 1) * stride;
  return {count, last, (last - phase - pad) / stride, image > phase ? (image - phase - 1) / stride + 1 : 0};
}

// The kernel's taps of a phase, turned by 180 degrees and transposed, as panels [rows * columns * co, ci].
void PackPhase(const Windows &w, const Phase &row, const Phase &column, const float *kernel, int64_t co,
               float *panels) {
  const int64_t ci = w.in.channels, stride = row.count * column.count * co * PanelWidth();
  for (int64_t i = 0; i < row.count; i++) {
    for (int64_t j = 0; j < column.count; j++, panels += co * PanelWidth()) {
      const float *tap = kernel + ((row.last - i * w.strides[0]) * w.width + column.last - j * w.strides[1]) * ci * co;
      PackPanelRows(co, ci, tap, 1, co, panels, stride);
    }
  }
}

// Multiplications of the gradient to the input, lanes that lie idle counted, when each pixel of it gathers what it gets
// ...
int64_t GatheredWork(const Windows &w, int64_t co) {
  int64_t work = 0;
  for (int64_t y = 0; y < w.strides[0]; y++) {
    const Phase row = PhaseOf(y, w.height, w.strides[0], w.begins[0], w.in.height);
    for (int64_t x = 0; x < w.strides[1]; x++) {
      const Phase column = PhaseOf(x, w.width, w.strides[1], w.begins[1], w.in.width);
      work += row.pixels * row.count * column.pixels * column.count;
    }
  }
  return work * WholeVectors(w.in.channels) * co;
}

// ... and when each pixel of dy gives to a window of it.
int64_t ScatteredWork(const Windows &w, int64_t co) {
  return w.Pixels() * w.height * WholeVectors(w.width * w.in.channels) * co;
}

// dx from dy: of every phase of the strides, a convolution of dy with the taps that meet it.
void GatherInputGradient(const Windows &w, const float *dy, const float *kernel, int64_t co, float *dx) {
  const int64_t ci = w.in.channels, line = w.in.width * ci;
  if (w.height < w.strides[0] || w.width < w.strides[1]) std::fill_n(dx, w.in.Size(), 0.0f);
  Scratch panels(PanelsSize(w.height * w.width * co, ci));
  for (int64_t y = 0; y < w.strides[0]; y++) {
    const Phase row = PhaseOf(y, w.height, w.strides[0], w.begins[0], w.in.height);
    for (int64_t x = 0; x < w.strides[1]; x++) {
      const Phase column = PhaseOf(x, w.width, w.strides[1], w.begins[1], w.in.width);
      if (row.count == 0 || column.count == 0 || row.pixels == 0 || column.pixels == 0) continue;
      PackPhase(w, row, column, kernel, co, panels.data());
      const Windows windows = {{w.in.n, w.out_height, w.out_width, co},
                               row.count,
                               column.count,
                               {1, 1},
                               {row.begin, column.begin},
                               row.pixels,
                               column.pixels};
      Correlate(windows, dy, panels.data(), ci,
                {dx + y * line + x * ci, w.in.height * line, w.strides[0] * line, w.strides[1] * ci});
    }
  }
}

// The same by windows: dy times the transposed kernel's rows, each added where it belongs. Few channels fill no vector
// of a gathered result, and an image without pads gathers zeros from beyond dy's borders.
void ScatterInputGradient(const Windows &w, const float *dy, const float *kernel, int64_t co, float *dx) {
  const int64_t ci = w.in.channels, line = w.width * ci, size = PanelsSize(co, line);
  Scratch panels(w.height * size);
  for (int64_t row = 0; row < w.height; row++)
    PackPanels(co, line, kernel + row * line * co, 1, co, panels.data() + row * size);
  ParallelFor(w.in.n, 1, [&](int64_t n, int64_t end) {
    for (; n < end; n++)
      ScatterImage(w, panels.data(), dy + n * w.Pixels() * co, co, dx + n * w.in.height * w.in.width * ci);
  });
}

void InputGradient(const Windows &w, const float *dy, const float *kernel, int64_t co, float *dx) {
  if (IsProduct(w))
    return Product(w.in.n * w.Pixels(), co, w.in.channels, {dy, co, 1}, {kernel, 1, co}, dx, w.in.channels);
  if (ScatteredWork(w, co) * 5 / 4 < GatheredWork(w, co)) return ScatterInputGradient(w, dy, kernel, co, dx);
  GatherInputGradient(w, dy, kernel, co, dx);
}

void KernelGradientOf(const Windows &w, const float *x, const float *dy, int64_t co, float *dw) {
  if (IsProduct(w)) return Product(w.in.channels, w.in.n * w.Pixels(), co, {x, 1, w.in.channels}, {dy, co, 1}, dw, co);
  CorrelateGradient(w, x, dy, co, dw);
}

void ConvolveInputs(Tensors &tensors, const ConvAttributes &a, bool adds) {
  if (tensors.Rank(0) != 4 || tensors.Rank(1) != 4 || tensors.Dim(1, 2) != tensors.Dim(0, 3))
    return tensors.Fail("LatheConv: x must be [n, h, w, ci], the kernel [kh, kw, ci, co]");
  const Windows w = WindowsOf(ShapeOf(tensors, 0), tensors.Dim(1, 0), tensors.Dim(1, 1), a);
  const int64_t co = tensors.Dim(1, 3);
  if (adds && tensors.Count(2) != co) return tensors.Fail("LatheConvBias: the bias does not fit the kernel");
  float *y = tensors.Output(0, {w.in.n, w.out_height, w.out_width, co});
  if (!tensors.Ok()) return tensors.Report();
  Convolution(w, tensors.Input(0), tensors.Input(1), co, y, {adds ? tensors.Input(2) : nullptr, false});
}

void ComputeConvolution(void *kernel, TF_OpKernelContext *context) {
  Tensors tensors(context);
  ConvolveInputs(tensors, *static_cast<ConvAttributes *>(kernel), false);
}

void ComputeConvolutionWithBias(void *kernel, TF_OpKernelContext *context) {
  Tensors tensors(context);
  ConvolveInputs(tensors, *static_cast<ConvAttributes *>(kernel), true);
}

void ComputeConvInputGrad(void *kernel, TF_OpKernelContext *context) {
  const auto &a = *static_cast<ConvAttributes *>(kernel);
  Tensors tensors(context);
  if (tensors.Rank(0) != 4 || tensors.Rank(1) != 4 || tensors.Dim(1, 3) != tensors.Dim(0, 3))
    return tensors.Fail("LatheConvInputGrad: dy must be [n, h, w, co], the kernel [kh, kw, ci, co]");
  const Shape in = {tensors.Dim(0, 0), a.size[0], a.size[1], tensors.Dim(1, 2)};
  const Windows w = WindowsOf(in, tensors.Dim(1, 0), tensors.Dim(1, 1), a);
  if (w.out_height != tensors.Dim(0, 1) || w.out_width != tensors.Dim(0, 2))
    return tensors.Fail("LatheConvInputGrad: dy does not fit the image, the kernel and the pads");
  float *dx = tensors.Output(0, {in.n, in.height, in.width, in.channels});
  if (!tensors.Ok()) return tensors.Report();
  InputGradient(w, tensors.Input(0), tensors.Input(1), tensors.Dim(1, 3), dx);
}

void ComputeConvKernelGrad(void *kernel, TF_OpKernelContext *context) {
  const auto &a = *static_cast<ConvAttributes *>(kernel);
  Tensors tensors(context);
  if (tensors.Rank(0) != 4 || tensors.Rank(1) != 4)
    return tensors.Fail("LatheConvKernelGrad: x and dy must have rank 4");
  const Shape out = ShapeOf(tensors, 1);
  const Windows w = WindowsOf(ShapeOf(tensors, 0), a.size[0], a.size[1], a);
  if (w.in.n != out.n || w.out_height != out.height || w.out_width != out.width)
    return tensors.Fail("LatheConvKernelGrad: dy does not fit x, the kernel and the pads");
  float *dw = tensors.Output(0, {w.height, w.width, w.in.channels, out.channels});
  if (!tensors.Ok()) return tensors.Report();
  KernelGradientOf(w, tensors.Input(0), tensors.Input(1), out.channels, dw);
}

}  // namespace

void RegisterConv(TF_Status *status) {
  Define("LatheConv", {"x: float", "w: float"}, {"y: float"}, {"strides: list(int)", "pads: list(int)"}, UnknownShapes,
         status);
  Implement("LatheConv", CreateConv, ComputeConvolution, DeleteConv, status);
  Define("LatheConvBias", {"x: float", "w: float", "bias: float"}, {"y: float"},
         {"strides: list(int)", "pads: list(int)"}, UnknownShapes, status);
  Implement("LatheConvBias", CreateConv, ComputeConvolutionWithBias, DeleteConv, status);
  Define("LatheConvInputGrad", {"dy: float", "w: float"}, {"dx: float"},
         {"strides: list(int)", "pads: list(int)", "image: list(int)"}, UnknownShapes, status);
  Implement("LatheConvInputGrad", CreateInputGrad, ComputeConvInputGrad, DeleteConv, status);
  Define("LatheConvKernelGrad", {"x: float", "dy: float"}, {"dw: float"},
         {"strides: list(int)", "pads: list(int)", "kernel: list(int)"}, UnknownShapes, status);
  Implement("LatheConvKernelGrad", CreateKernelGrad, ComputeConvKernelGrad, DeleteConv, status);
}

}  // namespace lathe::LATHE_SET
