// Attention over whole tensors. Composed of TensorFlow's operations it takes transposes to heads and back, and the
// scores, the largest tensor of all, go through memory for every product, scaling, mask and softmax. Here each thread
// takes its heads one after the other, where they lie.
#include "attention.h"

#include <algorithm>

#include "attention-heads.h"
#include "gemm.h"
#include "op.h"
#include "parallel.h"

namespace lathe::LATHE_SET {
namespace {

// Where each operand has its axes: its permutation by `perm` is [batch, heads, tokens, features], with the features
// last in both.
struct AttentionAttributes {
  float scale;
  int64_t q[4], k[4], v[4], y[4];
  bool flag;  // forward: keeps the shares; gradient: of the mask, too
};

void *CreateWithFlag(TF_OpKernelConstruction *construction, const char *flag) {
  auto *attributes = new AttentionAttributes;
  TF_Status *status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrFloat(construction, "scale", &attributes->scale, status);
  const auto read = [&](const char *name, int64_t *perm) {
    if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt64List(construction, name, perm, 4, status);
  };
  read("q_perm", attributes->q);
  read("k_perm", attributes->k);
  read("v_perm", attributes->v);
  read("y_perm", attributes->y);
  unsigned char set = 0;
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrBool(construction, flag, &set, status);
  attributes->flag = set;
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return attributes;
}
void *CreateAttention(TF_OpKernelConstruction *construction) { return CreateWithFlag(construction, "keeps_shares"); }
void *CreateAttentionGrad(TF_OpKernelConstruction *construction) {
  return CreateWithFlag(construction, "mask_gradient");
}
void DeleteAttention(void *kernel) { delete static_cast<AttentionAttributes *>(kernel); }

// Sizes of [batch, heads, tokens, features], and the floats from one to the next.
struct Axes {
  int64_t dims[4], strides[4];
  int64_t At(int64_t batch, int64_t head) const { return batch * strides[0] + head * strides[1]; }
};

bool IsPermutation(const int64_t *perm) {
  bool seen[3] = {false, false, false};
  for (int i = 0; i < 3; i++) {
    if (perm[i] < 0 || perm[i] > 2 || seen[perm[i]]) return false;
    seen[perm[i]] = true;
  }
  return perm[3] == 3;
}

// Of a tensor with these sizes in memory's order.
Axes AxesOf(const int64_t *stored, const int64_t *perm) {
  int64_t strides[4] = {0, 0, stored[3], 1};
  for (int i = 1; i >= 0; i--) strides[i] = strides[i + 1] * stored[i + 1];
  Axes axes;
  for (int i = 0; i < 4; i++) {
    axes.dims[i] = stored[perm[i]];
    axes.strides[i] = strides[perm[i]];
  }
  return axes;
}

struct Problem {
  HeadSizes sizes;
  int64_t batch, heads;
  Axes q, k, v, mask, y;
  int64_t y_stored[4];
  bool masked;

  int64_t Count() const { return batch * heads; }
  int64_t Batch(int64_t pair) const { return pair / heads; }
  int64_t HeadOf(int64_t pair) const { return pair % heads; }
  int64_t At(const Axes &axes, int64_t pair) const { return axes.At(Batch(pair), HeadOf(pair)); }
  Head Of(const float *data, const Axes &axes, int64_t pair) const { return {data + At(axes, pair), axes.strides[2]}; }
  HeadOut Of(float *data, const Axes &axes, int64_t pair) const { return {data + At(axes, pair), axes.strides[2]}; }
  HeadMask MaskOf(const float *data, int64_t pair) const {
    return masked ? Of(data, mask, pair) : HeadMask{nullptr, 0};
  }
  // Heads below which a second thread costs more than it saves.
  int64_t Grain() const { return std::max<int64_t>(1, kGrain / 16 / std::max<int64_t>(1, sizes.rows * sizes.columns)); }
};

bool ReadAxes(Tensors &tensors, int input, const int64_t *perm, Axes *axes) {
  if (tensors.Rank(input) != 4 || !IsPermutation(perm)) return false;
  int64_t stored[4];
  for (int i = 0; i < 4; i++) stored[i] = tensors.Dim(input, i);
  *axes = AxesOf(stored, perm);
  return true;
}

// The mask's batch, heads and rows may be 1 each: the same for all. One without elements is none.
bool ReadMask(Tensors &tensors, int input, Problem *problem) {
  problem->masked = tensors.Count(input) > 0;
  if (!problem->masked) return true;
  const int64_t perm[4] = {0, 1, 2, 3},
                full[4] = {problem->batch, problem->heads, problem->sizes.rows, problem->sizes.columns};
  Axes &mask = problem->mask;
  if (!ReadAxes(tensors, input, perm, &mask) || mask.dims[3] != full[3]) return false;
  for (int i = 0; i < 3; i++) {
    if (mask.dims[i] != full[i] && mask.dims[i] != 1) return false;
    if (mask.dims[i] == 1) mask.strides[i] = 0;
  }
  return true;
}

// From q, k and v, the first inputs; what is wrong with them, or null.
const char *ReadProblem(Tensors &tensors, const AttentionAttributes &a, Problem *p) {
  const bool are_heads =
      ReadAxes(tensors, 0, a.q, &p->q) && ReadAxes(tensors, 1, a.k, &p->k) && ReadAxes(tensors, 2, a.v, &p->v);
  if (!are_heads) return "LatheAttention: q, k and v must be of rank 4, features last";
  if (!IsPermutation(a.y)) return "LatheAttention: y must have its features last";
  p->batch = p->q.dims[0];
  p->heads = p->q.dims[1];
  p->sizes = {p->q.dims[2], p->k.dims[2], p->q.dims[3], p->v.dims[3], a.scale};
  for (const Axes *axes : {&p->k, &p->v}) {
    if (axes->dims[0] != p->batch || axes->dims[1] != p->heads || axes->dims[2] != p->sizes.columns)
      return "LatheAttention: q, k and v differ in batch, heads or tokens";
  }
  if (p->k.dims[3] != p->sizes.size) return "LatheAttention: queries and keys differ in size";
  const int64_t result[4] = {p->batch, p->heads, p->sizes.rows, p->sizes.value_size};
  for (int i = 0; i < 4; i++) p->y_stored[a.y[i]] = result[i];
  p->y = AxesOf(p->y_stored, a.y);
  return nullptr;
}

void ComputeAttention(void *kernel, TF_OpKernelContext *context) {
  const auto &a = *static_cast<AttentionAttributes *>(kernel);
  Tensors tensors(context);
  Problem p;
  if (const char *problem = ReadProblem(tensors, a, &p)) return tensors.Fail(problem);
  if (!ReadMask(tensors, 3, &p)) return tensors.Fail("LatheAttention: the mask does not fit the scores");
  const int64_t width = ScoresWidth(p.sizes.columns);
  float *y = tensors.Output(0, p.y_stored, 4), *factors = tensors.Output(2, {p.Count(), p.sizes.rows});
  float *shares = a.flag ? tensors.Output(1, {p.Count(), p.sizes.rows, width}) : tensors.Output(1, {0, 0, 0});
  if (!tensors.Ok()) return tensors.Report();
  const float *q = tensors.Input(0), *k = tensors.Input(1), *v = tensors.Input(2), *mask = tensors.Input(3);
  ParallelFor(p.Count(), p.Grain(), [&](int64_t i, int64_t end) {
    Scratch memory(AttentionMemory(p.sizes, a.flag));
    for (; i < end; i++) {
      const Shares kept = {a.flag ? shares + i * p.sizes.rows * width : nullptr, factors + i * p.sizes.rows};
      AttendHead(p.sizes, p.Of(q, p.q, i), p.Of(k, p.k, i), p.Of(v, p.v, i), p.MaskOf(mask, i), p.Of(y, p.y, i), kept,
                 memory.data());
    }
  });
}

void ComputeAttentionGrad(void *kernel, TF_OpKernelContext *context) {
  const auto &a = *static_cast<AttentionAttributes *>(kernel);
  Tensors tensors(context);
  Problem p;
  if (const char *problem = ReadProblem(tensors, a, &p)) return tensors.Fail(problem);
  const int64_t rows = p.sizes.rows, columns = p.sizes.columns, width = ScoresWidth(columns);
  if (tensors.Count(3) != p.Count() * rows * width || tensors.Count(4) != p.Count() * rows)
    return tensors.Fail("LatheAttentionGrad: the shares do not fit the queries");
  if (tensors.Count(5) != p.Count() * rows * p.sizes.value_size)
    return tensors.Fail("LatheAttentionGrad: dy does not fit the values");
  float *dq = tensors.Output(0, 0), *dk = tensors.Output(1, 1), *dv = tensors.Output(2, 2);
  float *d_mask = a.flag ? tensors.Output(3, {p.batch, p.heads, rows, columns}) : tensors.Output(3, {0, 0, 0, 0});
  if (!tensors.Ok()) return tensors.Report();
  const float *q = tensors.Input(0), *k = tensors.Input(1), *v = tensors.Input(2), *shares = tensors.Input(3),
              *factors = tensors.Input(4), *dy = tensors.Input(5);
  ParallelFor(p.Count(), p.Grain(), [&](int64_t i, int64_t end) {
    Scratch memory(AttentionGradientMemory(p.sizes));
    for (; i < end; i++) {
      const HeadGradients d = {p.Of(dq, p.q, i),
                               p.Of(dk, p.k, i),
                               p.Of(dv, p.v, i),
                               {a.flag ? d_mask + i * rows * columns : nullptr, columns}};
      AttendHeadGradient(p.sizes, p.Of(q, p.q, i), p.Of(k, p.k, i), p.Of(v, p.v, i),
                         {shares + i * rows * width, factors + i * rows}, p.Of(dy, p.y, i), d, memory.data());
    }
  });
}

void AttentionGradShapes(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  for (int i = 0; i < 3; i++) ShapeOfInput(context, i, i, status);
}

}  // namespace

void RegisterAttention(TF_Status *status) {
  Define("LatheAttention", {"q: float", "k: float", "v: float", "mask: float"},
         {"y: float", "shares: float", "factors: float"},
         {"scale: float", "q_perm: list(int)", "k_perm: list(int)", "v_perm: list(int)", "y_perm: list(int)",
          "keeps_shares: bool"},
         UnknownShapes, status);
  Implement("LatheAttention", CreateAttention, ComputeAttention, DeleteAttention, status);
  Define("LatheAttentionGrad", {"q: float", "k: float", "v: float", "shares: float", "factors: float", "dy: float"},
         {"dq: float", "dk: float", "dv: float", "d_mask: float"},
         {"scale: float", "q_perm: list(int)", "k_perm: list(int)", "v_perm: list(int)", "y_perm: list(int)",
          "mask_gradient: bool"},
         AttentionGradShapes, status);
  Implement("LatheAttentionGrad", CreateAttentionGrad, ComputeAttentionGrad, DeleteAttention, status);
}

}  // namespace lathe::LATHE_SET
