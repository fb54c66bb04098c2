// Convolutions of 3 x 3 with stride 1 and their gradients by Winograd's minimal filtering: 36 products a tile of 4 x 4
// outputs instead of 144, in 36 matrix products over tiles and channels. oneDNN computes them directly, at the
// processor's peak: only less arithmetic is faster. A sum's error is some units in the last place more than the direct
// one's (docs/decisions/winograd.md).
#include "winograd.h"

#include <algorithm>

#include "gemm.h"
#include "image.h"
#include "op.h"
#include "parallel.h"
#include "winograd-transforms.h"

namespace lathe::LATHE_SET {
namespace {

// Where the tiles lie: tile (row, column) holds the outputs from (4 row, 4 column) on, and reads the image from `begin`
// before them on.
struct Tiling {
  Shape in, out;
  int64_t begin[2];
  int64_t rows, columns;

  Tiling(const Shape &image, const Shape &result, int64_t top, int64_t left)
      : in(image),
        out(result),
        begin{top, left},
        rows((result.height + kOutputs - 1) / kOutputs),
        columns((result.width + kOutputs - 1) / kOutputs) {}
  int64_t Count() const { return in.n * rows * columns; }
};

// Values by point, tile and channel. Points lie a cache line more apart than they need: at powers of two they would all
// fall into one set.
struct Points {
  int64_t channels, stride;
  Points(int64_t tiles, int64_t channels) : channels(channels), stride(tiles * channels + 16) {}
  int64_t Size() const { return kPoints * stride; }
};

// The addresses of a window's values in an image, zeros outside of it.
template <int kSize>
void Addresses(const Shape &image, const float *x, int64_t n, int64_t top, int64_t left, const float *outside,
               const float *(&at)[kSize * kSize]) {
  for (int i = 0; i < kSize; i++) {
    for (int j = 0; j < kSize; j++) {
      const int64_t row = top + i, column = left + j;
      const bool inside = row >= 0 && row < image.height && column >= 0 && column < image.width;
      at[i * kSize + j] = inside ? x + ((n * image.height + row) * image.width + column) * image.channels : outside;
    }
  }
}

template <typename T, int kSize>
void TransformTile(int64_t channels, const float *const (&at)[kSize * kSize], float *to, int64_t stride) {
  int64_t c = 0;
  const auto from = [&](int i, int j) { return at[i * kSize + j] + c; };
  const auto into = [&](int i, int j) { return to + (i * T::kTo + j) * stride + c; };
  for (; c + kLanes <= channels; c += kLanes) Transform<T, Vector>(from, into);
  for (; c < channels; c++) Transform<T, float>(from, into);
}

// Tiles [first, first + count) of windows of x into points.
template <typename T, int kSize>
void TransformTiles(const Tiling &tiles, const Shape &image, const float *x, const int64_t (&begin)[2], int64_t first,
                    int64_t count, const float *zeros, float *points, const Points &layout) {
  const float *at[kSize * kSize];
  for (int64_t t = 0; t < count; t++) {
    const int64_t tile = first + t, column = tile % tiles.columns, row = tile / tiles.columns % tiles.rows,
                  n = tile / tiles.columns / tiles.rows;
    Addresses<kSize>(image, x, n, row * kOutputs - begin[0], column * kOutputs - begin[1], zeros, at);
    TransformTile<T, kSize>(layout.channels, at, points + t * layout.channels, layout.stride);
  }
}

void OutputTile(int64_t channels, const float *points, int64_t stride, float *const (&to)[16]) {
  int64_t c = 0;
  const auto from = [&](int i, int j) { return points + (i * kWindow + j) * stride + c; };
  const auto into = [&](int i, int j) { return to[i * kOutputs + j] + c; };
  for (; c + kLanes <= channels; c += kLanes) Transform<OutputTransform, Vector>(from, into);
  for (; c < channels; c++) Transform<OutputTransform, float>(from, into);
}

void OutputTiles(const Tiling &tiles, int64_t first, int64_t count, const float *points, const Points &layout, float *y,
                 float *beyond) {
  float *to[16];
  for (int64_t t = 0; t < count; t++) {
    const int64_t tile = first + t, column = tile % tiles.columns, row = tile / tiles.columns % tiles.rows,
                  n = tile / tiles.columns / tiles.rows;
    for (int i = 0; i < kOutputs; i++) {
      for (int j = 0; j < kOutputs; j++) {
        const int64_t r = row * kOutputs + i, k = column * kOutputs + j;
        const bool inside = r < tiles.out.height && k < tiles.out.width;
        to[i * kOutputs + j] =
            inside ? y + ((n * tiles.out.height + r) * tiles.out.width + k) * tiles.out.channels : beyond;
      }
    }
    OutputTile(tiles.out.channels, points + t * layout.channels, layout.stride, to);
  }
}

// The kernel [3, 3, ci, co] as the right factor [k, n] of each point's product: as it is (k = ci, n = co), or turned by
// 180 degrees and transposed (k = co, n = ci), which makes of the gradient to the input a convolution.
struct Kernel {
  const float *w;
  int64_t k, n;
  bool turned;
};

// Where the points' panels lie: `stride` apart.
struct PanelPoints {
  float *values;
  int64_t stride;
};

// One row of a panel in all points, from its nine taps.
void KernelRow(const float *const (&taps)[9], int64_t columns, int64_t width, float *to, int64_t stride) {
  int64_t c = 0;
  const auto from = [&](int y, int x) { return taps[y * 3 + x] + c; };
  const auto into = [&](int y, int x) { return to + (y * kWindow + x) * stride + c; };
  for (; c + kLanes <= columns; c += kLanes) Transform<KernelTransform, Vector>(from, into);
  for (; c < columns; c++) Transform<KernelTransform, float>(from, into);
  for (int point = 0; point < kPoints; point++)
    std::fill(to + point * stride + columns, to + point * stride + width, 0.0f);
}

// Rows of a kernel that are transformed together: where it is transposed, whole cache lines are read and written.
constexpr int64_t kRows = 16;
constexpr int64_t kWidest = 32;

// Rows [first, first + rows) of the panel from column j on; `to` is where the first row lies. At most kRows.
void KernelBlock(const Kernel &kernel, int64_t first, int64_t rows, int64_t j, const PanelPoints &to) {
  const int64_t k = kernel.k, n = kernel.n, width = PanelWidth(), columns = std::min(width, n - j);
  float gathered[9][kRows][kWidest];
  for (int tap = 0; kernel.turned && tap < 9; tap++) {
    const float *from = kernel.w + (8 - tap) * k * n + j * k + first;
    for (int64_t i = 0; i < columns; i++) {
      for (int64_t p = 0; p < rows; p++) gathered[tap][p][i] = from[i * k + p];
    }
  }
  for (int64_t p = 0; p < rows; p++) {
    const float *taps[9];
    for (int tap = 0; tap < 9; tap++)
      taps[tap] = kernel.turned ? gathered[tap][p] : kernel.w + (tap * k + first + p) * n + j;
    KernelRow(taps, columns, width, to.values + p * width, to.stride);
  }
}

void TransformKernel(const Kernel &kernel, const PanelPoints &panels) {
  const int64_t width = PanelWidth();
  ParallelFor((kernel.k + kRows - 1) / kRows, std::max<int64_t>(1, kGrain / 64 / kernel.n),
              [&](int64_t block, int64_t end) {
                for (; block < end; block++) {
                  const int64_t first = block * kRows, rows = std::min(kRows, kernel.k - first);
                  for (int64_t j = 0; j < kernel.n; j += width)
                    KernelBlock(kernel, first, rows, j, {panels.values + j * kernel.k + first * width, panels.stride});
                }
              });
}

// Tiles that a thread takes at a time: enough that the kernel's panels are read rarely, few enough that their points
// stay in its cache.
constexpr int64_t kTilesAtOnce = 48;

// Products of a thread's tiles, `inputs`, with a kernel whose panels all threads share.
void MultiplyShared(const Kernel &kernel, const PanelPoints &panels, int64_t count, const float *inputs,
                    const Points &from, float *outputs, const Points &to) {
  for (int p = 0; p < kPoints; p++) {
    Multiply(count, kernel.k, kernel.n, inputs + p * from.stride, kernel.k, 1, panels.values + p * panels.stride,
             outputs + p * to.stride, kernel.n, false);
  }
}

// The same where tiles are few and the kernel is large: its panels, four times its size, would cost more to write and
// read than the products. Each thread transforms the kernel for itself, a block at a time that stays in its cache.
void MultiplyBlocks(const Kernel &kernel, int64_t count, const float *inputs, const Points &from, float *outputs,
                    const Points &to) {
  constexpr int64_t kDepth = 4 * kRows;
  const int64_t width = PanelWidth(), stride = kDepth * width + 16;
  Scratch block(kPoints * stride);
  for (int64_t j = 0; j < kernel.n; j += width) {
    for (int64_t first = 0; first < kernel.k; first += kDepth) {
      const int64_t depth = std::min(kDepth, kernel.k - first);
      for (int64_t p = 0; p < depth; p += kRows)
        KernelBlock(kernel, first + p, std::min(kRows, depth - p), j, {block.data() + p * width, stride});
      for (int p = 0; p < kPoints; p++) {
        const float *a = inputs + p * from.stride + first;
        Multiply(count, depth, std::min(width, kernel.n - j), a, kernel.k, 1, block.data() + p * stride,
                 outputs + p * to.stride + j, kernel.n, first > 0);
      }
    }
  }
}

// Values of the points of a kernel beyond which no cache of a core holds them.
constexpr int64_t kLargeKernel = 1 << 19;

// y = x convolved with the kernel.
void Convolve(const Tiling &tiles, const float *x, const Kernel &kernel, float *y) {
  const bool blocks = tiles.Count() <= kTilesAtOnce && kPoints * kernel.k * kernel.n > kLargeKernel;
  const int64_t stride = PanelsSize(kernel.k, kernel.n) + 16;
  Scratch values(blocks ? 0 : kPoints * stride);
  const PanelPoints panels = {values.data(), stride};
  if (!blocks) TransformKernel(kernel, panels);
  ParallelFor(tiles.Count(), 4, [&](int64_t tile, int64_t end) {
    const int64_t most = std::min(kTilesAtOnce, end - tile);
    const Points from(most, kernel.k), to(most, kernel.n);
    Scratch inputs(from.Size()), outputs(to.Size()), zeros(kernel.k), beyond(kernel.n);
    std::fill(zeros.data(), zeros.data() + kernel.k, 0.0f);
    for (; tile < end; tile += most) {
      const int64_t count = std::min(most, end - tile);
      TransformTiles<InputTransform, kWindow>(tiles, tiles.in, x, tiles.begin, tile, count, zeros.data(), inputs.data(),
                                              from);
      if (blocks)
        MultiplyBlocks(kernel, count, inputs.data(), from, outputs.data(), to);
      else
        MultiplyShared(kernel, panels, count, inputs.data(), from, outputs.data(), to);
      OutputTiles(tiles, tile, count, outputs.data(), to, y, beyond.data());
    }
  });
}

void KernelGradientRow(int64_t co, const float *points, int64_t stride, float *dw, int64_t tap) {
  int64_t c = 0;
  const auto from = [&](int i, int j) { return points + (i * kWindow + j) * stride + c; };
  const auto into = [&](int i, int j) { return dw + (i * 3 + j) * tap + c; };
  for (; c + kLanes <= co; c += kLanes) Transform<KernelAdjoint, Vector>(from, into);
  for (; c < co; c++) Transform<KernelAdjoint, float>(from, into);
}

// Both images of a kernel's gradient: x in windows, dy in its tiles.
struct Images {
  const float *x, *dy;
};

void TransformBoth(const Tiling &tiles, const Images &images, int64_t first, int64_t count, Scratch &inputs,
                   const Points &left, Scratch &outputs, const Points &right) {
  const int64_t nowhere[2] = {0, 0}, most = std::max(left.channels, right.channels);
  Scratch zeros(most);
  std::fill(zeros.data(), zeros.data() + most, 0.0f);
  ParallelFor(count, 4, [&](int64_t t, int64_t end) {
    TransformTiles<InputTransform, kWindow>(tiles, tiles.in, images.x, tiles.begin, first + t, end - t, zeros.data(),
                                            inputs.data() + t * left.channels, left);
    TransformTiles<OutputAdjoint, kOutputs>(tiles, tiles.out, images.dy, nowhere, first + t, end - t, zeros.data(),
                                            outputs.data() + t * right.channels, right);
  });
}

// dw = G^T [sum over tiles of (B^T d B)^T (A dy A^T)] G, where all tiles are taken at once: each thread takes some
// panels of columns through the products to the transform, without writing the products' sums, four times the kernel's
// size, to memory.
void KernelGradientAtOnce(const Tiling &tiles, const Images &images, float *dw) {
  constexpr int64_t kSums = 48;
  const int64_t ci = tiles.in.channels, co = tiles.out.channels, all = tiles.Count(), width = PanelWidth();
  const Points left(all, ci), right(all, co);
  Scratch inputs(left.Size()), outputs(right.Size());
  TransformBoth(tiles, images, 0, all, inputs, left, outputs, right);
  ParallelFor((co + width - 1) / width, 1, [&](int64_t panel, int64_t end) {
    const int64_t packed = all * width + 16, stride = kSums * width + 16;
    Scratch panels(kPoints * packed), sums(kPoints * stride);
    for (; panel < end; panel++) {
      const int64_t j = panel * width, columns = std::min(width, co - j);
      for (int p = 0; p < kPoints; p++)
        PackPanels(all, columns, outputs.data() + p * right.stride + j, co, 1, panels.data() + p * packed);
      for (int64_t c = 0; c < ci; c += kSums) {
        const int64_t rows = std::min(kSums, ci - c);
        for (int p = 0; p < kPoints; p++)
          Multiply(rows, all, columns, inputs.data() + p * left.stride + c, 1, ci, panels.data() + p * packed,
                   sums.data() + p * stride, width, false);
        for (int64_t r = 0; r < rows; r++)
          KernelGradientRow(columns, sums.data() + r * width, stride, dw + (c + r) * co + j, ci * co);
      }
    }
  });
}

// Values of the points of one round: 2 MB, or as many as there are sums, which are read and written in every round.
constexpr int64_t kRound = 1 << 19;

// The same in rounds: all threads transform tiles, then each takes some of the points' products.
void KernelGradientInRounds(const Tiling &tiles, const Images &images, int64_t round, float *dw) {
  const int64_t ci = tiles.in.channels, co = tiles.out.channels, all = tiles.Count();
  const Points left(round, ci), right(round, co), sum(ci, co);
  Scratch inputs(left.Size()), outputs(right.Size()), sums(sum.Size());
  for (int64_t first = 0; first < all; first += round) {
    const int64_t count = std::min(round, all - first);
    TransformBoth(tiles, images, first, count, inputs, left, outputs, right);
    ParallelFor(kPoints, 1, [&](int64_t p, int64_t end) {
      Scratch panels(PanelsSize(count, co));
      for (; p < end; p++) {
        PackPanels(count, co, outputs.data() + p * right.stride, co, 1, panels.data());
        Multiply(ci, count, co, inputs.data() + p * left.stride, 1, ci, panels.data(), sums.data() + p * sum.stride, co,
                 first > 0);
      }
    });
  }
  ParallelFor(ci, std::max<int64_t>(1, kGrain / 64 / co), [&](int64_t c, int64_t end) {
    for (; c < end; c++) KernelGradientRow(co, sums.data() + c * co, sum.stride, dw + c * co, ci * co);
  });
}

void KernelGradient(const Tiling &tiles, const Images &images, float *dw) {
  const int64_t ci = tiles.in.channels, co = tiles.out.channels;
  const int64_t round = std::max<int64_t>(kTilesAtOnce, std::max(kRound, kPoints * ci * co) / (kPoints * (ci + co)));
  if (round >= tiles.Count())
    KernelGradientAtOnce(tiles, images, dw);
  else
    KernelGradientInRounds(tiles, images, round, dw);
}

// Pads of the image: top, bottom, left, right.
struct Pads {
  int64_t values[4];
};

void *CreatePads(TF_OpKernelConstruction *construction) {
  auto *pads = new Pads;
  TF_Status *status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrInt64List(construction, "pads", pads->values, 4, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return pads;
}
void DeletePads(void *kernel) { delete static_cast<Pads *>(kernel); }

// The result's shape: of a convolution with these pads, its kernel [3, 3, ci, co].
Shape Convolved(const Shape &x, const Pads &pads, int64_t channels) {
  return {x.n, x.height + pads.values[0] + pads.values[1] - 2, x.width + pads.values[2] + pads.values[3] - 2, channels};
}

bool IsKernel(Tensors &tensors, int input) {
  return tensors.Rank(input) == 4 && tensors.Dim(input, 0) == 3 && tensors.Dim(input, 1) == 3;
}

void ComputeConv(void *kernel, TF_OpKernelContext *context) {
  const Pads &pads = *static_cast<Pads *>(kernel);
  Tensors tensors(context);
  if (tensors.Rank(0) != 4 || !IsKernel(tensors, 1) || tensors.Dim(1, 2) != tensors.Dim(0, 3))
    return tensors.Fail("LatheWinogradConv: x must be [n, h, w, ci], the kernel [3, 3, ci, co]");
  const Shape in = ShapeOf(tensors, 0), out = Convolved(in, pads, tensors.Dim(1, 3));
  if (out.height < 1 || out.width < 1) return tensors.Fail("LatheWinogradConv: the image is smaller than the kernel");
  const float *x = tensors.Input(0), *w = tensors.Input(1);
  float *y = tensors.Output(0, {out.n, out.height, out.width, out.channels});
  if (!tensors.Ok()) return tensors.Report();
  Convolve(Tiling(in, out, pads.values[0], pads.values[2]), x, {w, in.channels, out.channels, false}, y);
}

// dx from dy and the kernel: dy, with what is left of two rows as pads, convolved with the turned kernel.
void ComputeInputGrad(void *kernel, TF_OpKernelContext *context) {
  const Pads &pads = *static_cast<Pads *>(kernel);
  Tensors tensors(context);
  if (tensors.Rank(0) != 4 || !IsKernel(tensors, 1) || tensors.Dim(1, 3) != tensors.Dim(0, 3))
    return tensors.Fail("LatheWinogradInputGrad: dy must be [n, h, w, co], the kernel [3, 3, ci, co]");
  const Pads rest = {{2 - pads.values[0], 2 - pads.values[1], 2 - pads.values[2], 2 - pads.values[3]}};
  const Shape in = ShapeOf(tensors, 0), out = Convolved(in, rest, tensors.Dim(1, 2));
  if (out.height < 1 || out.width < 1)
    return tensors.Fail("LatheWinogradInputGrad: the image is smaller than its pads");
  const float *dy = tensors.Input(0), *w = tensors.Input(1);
  float *dx = tensors.Output(0, {out.n, out.height, out.width, out.channels});
  if (!tensors.Ok()) return tensors.Report();
  Convolve(Tiling(in, out, rest.values[0], rest.values[2]), dy, {w, in.channels, out.channels, true}, dx);
}

void ComputeKernelGrad(void *kernel, TF_OpKernelContext *context) {
  const Pads &pads = *static_cast<Pads *>(kernel);
  Tensors tensors(context);
  if (tensors.Rank(0) != 4 || tensors.Rank(1) != 4)
    return tensors.Fail("LatheWinogradKernelGrad: x and dy must have rank 4");
  const Shape in = ShapeOf(tensors, 0), out = ShapeOf(tensors, 1), expected = Convolved(in, pads, out.channels);
  if (out.n != expected.n || out.height != expected.height || out.width != expected.width)
    return tensors.Fail("LatheWinogradKernelGrad: dy does not fit x and the pads");
  const float *x = tensors.Input(0), *dy = tensors.Input(1);
  float *dw = tensors.Output(0, {3, 3, in.channels, out.channels});
  if (!tensors.Ok()) return tensors.Report();
  KernelGradient(Tiling(in, out, pads.values[0], pads.values[2]), {x, dy}, dw);
}

}  // namespace

void RegisterWinograd(TF_Status *status) {
  Define("LatheWinogradConv", {"x: float", "w: float"}, {"y: float"}, {"pads: list(int)"}, UnknownShapes, status);
  Implement("LatheWinogradConv", CreatePads, ComputeConv, DeletePads, status);
  Define("LatheWinogradInputGrad", {"dy: float", "w: float"}, {"dx: float"}, {"pads: list(int)"}, UnknownShapes,
         status);
  Implement("LatheWinogradInputGrad", CreatePads, ComputeInputGrad, DeletePads, status);
  Define("LatheWinogradKernelGrad", {"x: float", "dy: float"}, {"dw: float"}, {"pads: list(int)"}, UnknownShapes,
         status);
  Implement("LatheWinogradKernelGrad", CreatePads, ComputeKernelGrad, DeletePads, status);
}

}  // namespace lathe::LATHE_SET
