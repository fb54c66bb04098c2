// LSTM over a whole sequence, and its gradient (Hochreiter and Schmidhuber 1997; gates in ONNX's order i, o, f, c).
// Composed of TensorFlow's operations a step is a product of a few microseconds and 15 elementwise operations with a
// kernel launch each. Here a thread takes its share of the batch through all steps: samples do not meet, so threads
// never wait for each other, and states stay in the cache.
#include "lstm.h"

#include <algorithm>

#include "exponential.h"
#include "gemm.h"
#include "op.h"
#include "parallel.h"

namespace lathe::LATHE_SET {
namespace {

// One sample and step: `x` (x W^T + b) and `gates` (h R^T; then what the activations yield) [4 * n], c and h [n].
void StepRow(int64_t n, const float *x, float *gates, const float *c, float *c_out, float *h_out) {
  const float *xi = x, *xo = x + n, *xf = x + 2 * n, *xg = x + 3 * n;
  float *gi = gates, *go = gates + n, *gf = gates + 2 * n, *gg = gates + 3 * n;
#pragma GCC ivdep
  for (int64_t j = 0; j < n; j++) {
    const float i = Sigmoid(xi[j] + gi[j]), o = Sigmoid(xo[j] + go[j]), f = Sigmoid(xf[j] + gf[j]),
                g = Tanh(xg[j] + gg[j]);
    const float next = f * c[j] + i * g;
    gi[j] = i;
    go[j] = o;
    gf[j] = f;
    gg[j] = g;
    c_out[j] = next;
    h_out[j] = o * Tanh(next);
  }
}

// Gradients of the gates before their activations, [4 * n], which may lie over `gates`. `dh`: all of this step's; `dc`
// becomes the step before's.
void StepRowGradient(int64_t n, const float *gates, const float *c_before, const float *c, const float *dh_outer,
                     const float *dh, float *dc, float *d_gates) {
  const float *gi = gates, *go = gates + n, *gf = gates + 2 * n, *gg = gates + 3 * n;
  float *di = d_gates, *dO = d_gates + n, *df = d_gates + 2 * n, *dg = d_gates + 3 * n;
#pragma GCC ivdep
  for (int64_t j = 0; j < n; j++) {
    const float i = gi[j], o = go[j], f = gf[j], g = gg[j], squashed = Tanh(c[j]), whole = dh[j] + dh_outer[j];
    const float cell = dc[j] + whole * o * (1 - squashed * squashed);
    di[j] = cell * g * i * (1 - i);
    dO[j] = whole * squashed * o * (1 - o);
    df[j] = cell * c_before[j] * f * (1 - f);
    dg[j] = cell * i * (1 - g * g);
    dc[j] = cell * f;
  }
}

struct Sizes {
  int64_t steps, batch, hidden;
  // Where the rows of a step begin in [steps, batch, width].
  int64_t At(int64_t step, int64_t row, int64_t width) const { return (step * batch + row) * width; }
};

struct Forward {
  const float *x, *r, *h, *c;          // [steps, batch, 4 * hidden], [4 * hidden, hidden], [batch, hidden] each
  float *hs = nullptr, *cs = nullptr;  // [steps, batch, hidden] each
  float *gates = nullptr;              // [steps, batch, 4 * hidden]
};

void RunRows(const Sizes &s, const Forward &f, const float *r, int64_t row, int64_t end) {
  const int64_t n = s.hidden;
  for (int64_t t = 0; t < s.steps; t++) {
    const float *h = t == 0 ? f.h + row * n : f.hs + s.At(t - 1, row, n);
    float *gates = f.gates + s.At(t, row, 4 * n);
    Multiply(end - row, n, 4 * n, h, n, 1, r, gates, 4 * n, false);
    for (int64_t b = row; b < end; b++) {
      const float *c = t == 0 ? f.c + b * n : f.cs + s.At(t - 1, b, n);
      StepRow(n, f.x + s.At(t, b, 4 * n), f.gates + s.At(t, b, 4 * n), c, f.cs + s.At(t, b, n), f.hs + s.At(t, b, n));
    }
  }
}

struct Backward {
  const float *dhs, *dc_last, *r, *c, *cs, *gates;  // as above; dhs [steps, batch, hidden], dc_last [batch, hidden]
  float *d_gates, *dh, *dc;                         // [steps, batch, 4 * hidden], [batch, hidden] each
};

void RunRowsBack(const Sizes &s, const Backward &g, const float *r, int64_t row, int64_t end) {
  const int64_t n = s.hidden;
  std::fill(g.dh + row * n, g.dh + end * n, 0.0f);
  std::copy(g.dc_last + row * n, g.dc_last + end * n, g.dc + row * n);
  for (int64_t t = s.steps - 1; t >= 0; t--) {
    for (int64_t b = row; b < end; b++) {
      const float *before = t == 0 ? g.c + b * n : g.cs + s.At(t - 1, b, n);
      const int64_t gates = s.At(t, b, 4 * n), state = s.At(t, b, n);
      StepRowGradient(n, g.gates + gates, before, g.cs + state, g.dhs + state, g.dh + b * n, g.dc + b * n,
                      g.d_gates + gates);
    }
    Multiply(end - row, 4 * n, n, g.d_gates + s.At(t, row, 4 * n), 4 * n, 1, r, g.dh + row * n, n, false);
  }
}

// Rows below which another thread would only read the weights once more.
constexpr int64_t kRowsAThread = 4;

// Sizes from the gates [steps, batch, 4 * hidden] and r [4 * hidden, hidden]; false where they contradict each other.
bool ReadSizes(Tensors &tensors, int gates, int r, Sizes *sizes) {
  if (tensors.Rank(gates) != 3 || tensors.Rank(r) != 2) return false;
  *sizes = {tensors.Dim(gates, 0), tensors.Dim(gates, 1), tensors.Dim(r, 1)};
  return tensors.Dim(r, 0) == 4 * sizes->hidden && tensors.Dim(gates, 2) == 4 * sizes->hidden;
}

void ComputeLstm(void *, TF_OpKernelContext *context) {
  Tensors tensors(context);
  Sizes s;
  if (!ReadSizes(tensors, 0, 1, &s))
    return tensors.Fail("LatheLstm: x must be [steps, batch, 4 * hidden], r [4 * hidden, hidden]");
  if (tensors.Count(2) != s.batch * s.hidden || tensors.Count(3) != s.batch * s.hidden)
    return tensors.Fail("LatheLstm: h and c must be [batch, hidden]");
  Forward f = {tensors.Input(0), tensors.Input(1), tensors.Input(2), tensors.Input(3)};
  // The last cell state stands behind the hidden states, so that the operation's caller has one result to
  // differentiate.
  f.hs = tensors.Output(0, {s.steps + 1, s.batch, s.hidden});
  f.cs = tensors.Output(1, {s.steps, s.batch, s.hidden});
  f.gates = tensors.Output(2, {s.steps, s.batch, 4 * s.hidden});
  if (!tensors.Ok()) return tensors.Report();
  Scratch r(PanelsSize(s.hidden, 4 * s.hidden));
  PackPanels(s.hidden, 4 * s.hidden, f.r, 1, s.hidden, r.data());
  ParallelFor(s.batch, kRowsAThread, [&](int64_t row, int64_t end) { RunRows(s, f, r.data(), row, end); });
  const float *last = s.steps == 0 ? f.c : f.cs + s.At(s.steps - 1, 0, s.hidden);
  std::copy(last, last + s.batch * s.hidden, f.hs + s.At(s.steps, 0, s.hidden));
}

void ComputeLstmGrad(void *, TF_OpKernelContext *context) {
  Tensors tensors(context);
  Sizes s;
  if (!ReadSizes(tensors, 4, 1, &s))
    return tensors.Fail("LatheLstmGrad: gates must be [steps, batch, 4 * hidden], r [4 * hidden, hidden]");
  const int64_t states = s.steps * s.batch * s.hidden;
  if (tensors.Count(0) != states + s.batch * s.hidden || tensors.Count(3) != states)
    return tensors.Fail("LatheLstmGrad: dy or cs does not fit the gates");
  if (tensors.Count(2) != s.batch * s.hidden) return tensors.Fail("LatheLstmGrad: c must be [batch, hidden]");
  float *d_gates = tensors.OutputOver(0, 4), *dh = tensors.Output(1, {s.batch, s.hidden}),
        *dc = tensors.Output(2, {s.batch, s.hidden});
  if (!tensors.Ok()) return tensors.Report();
  const float *dy = tensors.Input(0);
  const Backward g = {dy, dy + states, tensors.Input(1), tensors.Input(2), tensors.Input(3), tensors.Input(4), d_gates,
                      dh, dc};
  Scratch r(PanelsSize(4 * s.hidden, s.hidden));
  PackPanels(4 * s.hidden, s.hidden, g.r, s.hidden, 1, r.data());
  ParallelFor(s.batch, kRowsAThread, [&](int64_t row, int64_t end) { RunRowsBack(s, g, r.data(), row, end); });
}

void LstmGradShapes(TF_ShapeInferenceContext *context, TF_Status *status) {
  ShapeOfInput(context, 0, 4, status);
  for (int output = 1; output <= 2; output++) ShapeOfInput(context, output, 2, status);
}

}  // namespace

void RegisterLstm(TF_Status *status) {
  Define("LatheLstm", {"x: float", "r: float", "h: float", "c: float"}, {"hs: float", "cs: float", "gates: float"}, {},
         UnknownShapes, status);
  Implement("LatheLstm", nullptr, ComputeLstm, nullptr, status);
  Define("LatheLstmGrad", {"dy: float", "r: float", "c: float", "cs: float", "gates: float"},
         {"d_gates: float", "dh: float", "dc: float"}, {}, LstmGradShapes, status);
  Implement("LatheLstmGrad", nullptr, ComputeLstmGrad, nullptr, status);
}

}  // namespace lathe::LATHE_SET
