// Biases: added (with max(x, 0) after it) where a product has just left its result in the cache, and their gradients in
// one pass.
#include "bias.h"

#include <vector>

#include "op.h"
#include "per-channel.h"

namespace lathe::LATHE_SET {

void FinishRows(int64_t rows, int64_t columns, const Finish &finish, float *c, int64_t c_row) {
  for (int64_t r = 0; finish.bias && r < rows; r++) {
    float *to = c + r * c_row;
#pragma GCC ivdep
    for (int64_t j = 0; j < columns; j++) {
      const float value = to[j] + finish.bias[j];
      to[j] = finish.relu && value < 0 ? 0 : value;
    }
  }
}

namespace {

// dz = dy where y > 0.
void AddPassedGradients(int64_t n, const float *dy, const float *y, float *dz, float *sums) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) {
    const float g = y[i] > 0 ? dy[i] : 0.0f;
    dz[i] = g;
    sums[i] += g;
  }
}

int64_t Channels(Tensors &tensors) { return tensors.Rank(0) == 0 ? 0 : tensors.Dim(0, tensors.Rank(0) - 1); }

void ComputeBiasGrad(void *, TF_OpKernelContext *context) {
  Tensors tensors(context);
  const int64_t channels = Channels(tensors);
  float *db = tensors.Output(0, {channels});
  if (!tensors.Ok()) return tensors.Report();
  if (channels == 0) return;
  const float *dy = tensors.Input(0);
  const std::vector<double> sums =
      SumsOver<1>({channels, tensors.Count(0) / channels},
                  [&](int64_t i, int64_t n, float *const *part) { AddTo(n, dy + i, part[0]); });
  std::copy(sums.begin(), sums.end(), db);
}

void ComputeReluBiasGrad(void *, TF_OpKernelContext *context) {
  Tensors tensors(context);
  const int64_t channels = Channels(tensors);
  if (tensors.Count(1) != tensors.Count(0)) return tensors.Fail("LatheReluBiasGrad: y and dy differ in size");
  float *dz = tensors.OutputOver(0, 0), *db = tensors.Output(1, {channels});
  if (!tensors.Ok()) return tensors.Report();
  if (channels == 0) return;
  const float *dy = tensors.Input(0), *y = tensors.Input(1);
  const std::vector<double> sums = SumsOver<1>(
      {channels, tensors.Count(0) / channels},
      [&](int64_t i, int64_t n, float *const *part) { AddPassedGradients(n, dy + i, y + i, dz + i, part[0]); });
  std::copy(sums.begin(), sums.end(), db);
}

void ReluBiasShapes(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  SameShapes(context, status, 1);
}

}  // namespace

void RegisterBias(TF_Status *status) {
  Define("LatheBiasGrad", {"dy: float"}, {"db: float"}, {}, UnknownShapes, status);
  Implement("LatheBiasGrad", nullptr, ComputeBiasGrad, nullptr, status);
  Define("LatheReluBiasGrad", {"dy: float", "y: float"}, {"dz: float", "db: float"}, {}, ReluBiasShapes, status);
  Implement("LatheReluBiasGrad", nullptr, ComputeReluBiasGrad, nullptr, status);
}

}  // namespace lathe::LATHE_SET
