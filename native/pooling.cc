// Max pooling and its gradient on all threads.
#include "pooling.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "op.h"
#include "parallel.h"
#include "vector.h"

namespace lathe::LATHE_SET {
namespace {

// Attributes of the operations, each for height and width.
struct PoolingAttributes {
  int64_t kernel[2], strides[2], begins[2], ends[2];
};

// One image: x [h, w, c], y and dy [oh, ow, c].
struct Pooling : PoolingAttributes {
  int64_t height, width, channels, out_height, out_width;

  int64_t In() const { return height * width * channels; }
  int64_t Out() const { return out_height * out_width * channels; }
  bool Disjoint() const { return kernel[0] <= strides[0] && kernel[1] <= strides[1]; }
  // Disjoint windows that cover every position.
  bool Covers() const {
    return kernel[0] == strides[0] && kernel[1] == strides[1] && begins[0] == 0 && begins[1] == 0 &&
           out_height * strides[0] == height && out_width * strides[1] == width;
  }
};

// Calls work(where the window's result lies, positions of the image that the window reads) for every window.
template <typename F>
void ForWindows(const Pooling &p, const F &work) {
  std::vector<int64_t> positions;
  for (int64_t oy = 0, out = 0; oy < p.out_height; oy++) {
    const int64_t top = oy * p.strides[0] - p.begins[0], first = std::max<int64_t>(0, top),
                  last = std::min(p.height, top + p.kernel[0]);
    for (int64_t ox = 0; ox < p.out_width; ox++, out += p.channels) {
      const int64_t left = ox * p.strides[1] - p.begins[1], begin = std::max<int64_t>(0, left),
                    end = std::min(p.width, left + p.kernel[1]);
      positions.clear();
      for (int64_t row = first; row < last; row++) {
        for (int64_t column = begin; column < end; column++) positions.push_back((row * p.width + column) * p.channels);
      }
      work(out, positions);
    }
  }
}

// Calls vector(c) for kLanes channels at a time, the last ones perhaps twice, or one(c) for each where there are fewer.
template <typename F, typename G>
inline __attribute__((always_inline)) void ForChannels(int64_t channels, const F &vector, const G &one) {
  for (int64_t c = 0; c + kLanes <= channels; c += kLanes) vector(c);
  if (channels < kLanes) {
    for (int64_t c = 0; c < channels; c++) one(c);
  } else if (channels % kLanes != 0) {
    vector(channels - kLanes);
  }
}

// NaN wins.
inline __attribute__((always_inline)) Vector Larger(const Vector &best, const Vector &x) {
  return (x > best) | (x != x) ? x : best;
}
inline float Larger(float best, float x) { return x > best || x != x ? x : best; }

void MaxPool(const Pooling &p, const float *x, float *y) {
  ForWindows(p, [&](int64_t out, const std::vector<int64_t> &positions) {
    if (positions.empty()) return (void)std::fill_n(y + out, p.channels, -INFINITY);
    const int64_t first = positions[0];
    ForChannels(
        p.channels,
        [&](int64_t c) {
          Vector best = At(x + first + c);
          for (const int64_t at : positions) best = Larger(best, At(x + at + c));
          At(y + out + c) = best;
        },
        [&](int64_t c) {
          float best = x[first + c];
          for (const int64_t at : positions) best = Larger(best, x[at + c]);
          y[out + c] = best;
        });
  });
}

// The first position of each window that holds the maximum gets the window's gradient. Windows that share no position:
// each is written once.
void DisjointGradient(const Pooling &p, const float *x, const float *y, const float *dy, float *dx) {
  if (!p.Covers()) std::memset(dx, 0, p.In() * sizeof(float));
  ForWindows(p, [&](int64_t out, const std::vector<int64_t> &positions) {
    ForChannels(
        p.channels,
        [&](int64_t c) {
          const Vector most = At(y + out + c), zero = {};
          Vector open = At(dy + out + c);
          for (const int64_t at : positions) {
            const auto hit = At(x + at + c) == most;
            At(dx + at + c) = hit ? open : zero;
            open = hit ? zero : open;
          }
        },
        [&](int64_t c) {
          float open = dy[out + c];
          for (const int64_t at : positions) {
            const bool hit = x[at + c] == y[out + c];
            dx[at + c] = hit ? open : 0.0f;
            if (hit) open = 0.0f;
          }
        });
  });
}

// Adds dy to dx where x is the window's maximum y and no earlier position was: `open` says so per channel.
void GiveToMaximum(int64_t channels, const float *x, const float *y, const float *dy, float *dx, int32_t *open) {
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; c++) {
    const int32_t hit = open[c] & -static_cast<int32_t>(x[c] == y[c]);
    dx[c] += hit ? dy[c] : 0.0f;
    open[c] &= ~hit;
  }
}

void OverlappingGradient(const Pooling &p, const float *x, const float *y, const float *dy, float *dx) {
  std::vector<int32_t> open(p.channels);
  std::memset(dx, 0, p.In() * sizeof(float));
  ForWindows(p, [&](int64_t out, const std::vector<int64_t> &positions) {
    std::fill(open.begin(), open.end(), -1);
    for (const int64_t at : positions) GiveToMaximum(p.channels, x + at, y + out, dy + out, dx + at, open.data());
  });
}

void *CreatePooling(TF_OpKernelConstruction *construction) {
  auto *a = new PoolingAttributes;
  TF_Status *status = TF_NewStatus();
  const auto read = [&](const char *name, int64_t *values) {
    if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt64List(construction, name, values, 2, status);
  };
  read("kernel", a->kernel);
  read("strides", a->strides);
  read("begins", a->begins);
  read("ends", a->ends);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return a;
}
void DeletePooling(void *kernel) { delete static_cast<PoolingAttributes *>(kernel); }

Pooling PoolingOf(Tensors &tensors, const PoolingAttributes &a) {
  const int64_t size[2] = {tensors.Dim(0, 1), tensors.Dim(0, 2)};
  const auto windows = [&](int axis) {
    const int64_t room = size[axis] + a.begins[axis] + a.ends[axis] - a.kernel[axis];
    return room < 0 ? 0 : room / a.strides[axis] + 1;
  };
  return {a, size[0], size[1], tensors.Dim(0, 3), windows(0), windows(1)};
}

// Calls work(image) for all images on all threads.
template <typename F>
void ForImages(int64_t images, const Pooling &p, const F &work) {
  ParallelFor(images, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, p.In())), [&](int64_t i, int64_t end) {
    for (; i < end; i++) work(i);
  });
}

void ComputeMaxPool(void *kernel, TF_OpKernelContext *context) {
  Tensors tensors(context);
  if (tensors.Rank(0) != 4) return tensors.Fail("LatheMaxPool: x must have rank 4");
  const Pooling p = PoolingOf(tensors, *static_cast<PoolingAttributes *>(kernel));
  const int64_t images = tensors.Dim(0, 0);
  const float *x = tensors.Input(0);
  float *y = tensors.Output(0, {images, p.out_height, p.out_width, p.channels});
  if (!tensors.Ok()) return tensors.Report();
  ForImages(images, p, [&](int64_t i) { MaxPool(p, x + i * p.In(), y + i * p.Out()); });
}

void ComputeMaxPoolGrad(void *kernel, TF_OpKernelContext *context) {
  Tensors tensors(context);
  if (tensors.Rank(0) != 4) return tensors.Fail("LatheMaxPoolGrad: x must have rank 4");
  const Pooling p = PoolingOf(tensors, *static_cast<PoolingAttributes *>(kernel));
  const int64_t images = tensors.Dim(0, 0);
  if (tensors.Count(1) != images * p.Out() || tensors.Count(2) != images * p.Out())
    return tensors.Fail("LatheMaxPoolGrad: y or dy does not fit x and the windows");
  const float *x = tensors.Input(0), *y = tensors.Input(1), *dy = tensors.Input(2);
  float *dx = tensors.Output(0);
  if (!tensors.Ok()) return tensors.Report();
  const auto gradient = p.Disjoint() ? DisjointGradient : OverlappingGradient;
  ForImages(images, p,
            [&](int64_t i) { gradient(p, x + i * p.In(), y + i * p.Out(), dy + i * p.Out(), dx + i * p.In()); });
}

}  // namespace

void RegisterPooling(TF_Status *status) {
  const Strings attributes = {"kernel: list(int)", "strides: list(int)", "begins: list(int)", "ends: list(int)"};
  Define("LatheMaxPool", {"x: float"}, {"y: float"}, attributes, UnknownShapes, status);
  Implement("LatheMaxPool", CreatePooling, ComputeMaxPool, DeletePooling, status);
  Define("LatheMaxPoolGrad", {"x: float", "y: float", "dy: float"}, {"dx: float"}, attributes, FirstShape, status);
  Implement("LatheMaxPoolGrad", CreatePooling, ComputeMaxPoolGrad, DeletePooling, status);
}

}  // namespace lathe::LATHE_SET
