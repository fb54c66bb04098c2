// Products of matrices on all threads. oneDNN's and Eigen's in TensorFlow reach 60 to 70 % of an AVX2 processor's peak
// where a product is of the sizes of a training step, these 80 to 90 %.
#include "product.h"

#include <algorithm>
#include <vector>

#include "gemm.h"
#include "op.h"
#include "parallel.h"

namespace lathe::LATHE_SET {
namespace {

// Columns whose packed rows stay in a core's second cache.
constexpr int64_t kColumns = 512;
// Multiplications below which another thread costs more than it saves.
constexpr int64_t kLeastProducts = 1 << 19;

struct Sizes3 {
  int64_t m, k, n;
};

// Rows of a up to which packing b costs more than reading its rows, far apart, where they lie.
constexpr int64_t kFewRows = 48;

// One block of a product: rows [0, rows) of a, `depth` of the sums, some columns. `packed`: memory where a's columns
// are whole, else null.
struct Block {
  int64_t rows, depth, columns;
};

void MultiplyBlock(const Block &block, const Matrix &a, const Right &b, float *c, int64_t c_row, bool accumulate,
                   float *packed) {
  if (a.column == 1)
    return MultiplyLeft(block.rows, block.columns, {a.data, a.row, 1, block.depth, 1, 0, 1, 0, true}, b, c, c_row,
                        accumulate);
  PackLeft(block.rows, block.depth, a.data, a.column, packed);
  MultiplyPackedLeft(block.rows, block.depth, block.columns, packed, b, c, c_row, accumulate);
}

// From a column on.
Finish From(const Finish &finish, int64_t column) {
  return {finish.bias ? finish.bias + column : nullptr, finish.relu};
}

// c = a b on one thread: a block of b is packed, then all rows of a go by.
void ProductPart(const Sizes3 &s, const Matrix &a, const Matrix &b, const Finish &finish, float *c, int64_t c_row) {
  const int64_t blocks = std::max<int64_t>(1, (s.k + kDepth - 1) / kDepth), deepest = (s.k + blocks - 1) / blocks,
                width = PanelWidth();
  const int64_t in_place = b.column == 1 && s.m <= kFewRows ? s.n / width * width : 0;
  Scratch panels(PanelsSize(deepest, std::min(kColumns, s.n - in_place))),
      packed(a.column == 1 ? 0 : PackedLeftSize(kHeight, deepest));
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t p = s.k * block / blocks, depth = s.k * (block + 1) / blocks - p;
    const float *left = a.data + p * a.column, *right = b.data + p * b.row;
    if (in_place > 0) {
      MultiplyBlock({s.m, depth, in_place}, {left, a.row, a.column}, {right, width, b.row}, c, c_row, block > 0,
                    packed.data());
      if (block + 1 == blocks) FinishRows(s.m, in_place, finish, c, c_row);
    }
    for (int64_t j = in_place; j < s.n; j += kColumns) {
      const int64_t columns = std::min(kColumns, s.n - j);
      PackPanels(depth, columns, right + j * b.column, b.row, b.column, panels.data());
      for (int64_t i = 0; i < s.m; i += kHeight) {
        const Block part = {std::min(kHeight, s.m - i), depth, columns};
        float *to = c + i * c_row + j;
        MultiplyBlock(part, {left + i * a.row, a.row, a.column}, {panels.data(), depth * width, width}, to, c_row,
                      block > 0, packed.data());
        if (block + 1 == blocks) FinishRows(part.rows, columns, From(finish, j), to, c_row);
      }
    }
  }
}

// A result much smaller than what it sums over: each thread takes a part of the sums.
void ProductBySums(const Sizes3 &s, int64_t grain, const Matrix &a, const Matrix &b, const Finish &finish, float *c,
                   int64_t c_row) {
  SumOfParts sums(s.m * s.n);
  ParallelFor(s.k, grain, [&](int64_t p, int64_t end) {
    std::vector<float> part(s.m * s.n);
    ProductPart({s.m, end - p, s.n}, {a.data + p * a.column, a.row, a.column}, {b.data + p * b.row, b.row, b.column},
                {}, part.data(), s.n);
    sums.Add(end, std::move(part));
  });
  const std::vector<float> total = sums.Total();
  for (int64_t i = 0; i < s.m; i++) std::copy_n(total.data() + i * s.n, s.n, c + i * c_row);
  FinishRows(s.m, s.n, finish, c, c_row);
}

}  // namespace

void Product(int64_t m, int64_t k, int64_t n, const Matrix &a, const Matrix &b, float *c, int64_t c_row,
             const Finish &finish) {
  const auto grain = [&](int64_t others) {
    return std::max<int64_t>(1, kLeastProducts / std::max<int64_t>(1, others));
  };
  if (k >= 8 * std::max(m, n) || (k >= 1024 && m * n <= 1 << 16))
    return ProductBySums({m, k, n}, std::max<int64_t>(kDepth, grain(m * n)), a, b, finish, c, c_row);
  if (m >= n) {
    const int64_t least = std::max<int64_t>(12, grain(k * n));
    return ParallelFor(m, least, [&](int64_t i, int64_t end) {
      ProductPart({end - i, k, n}, {a.data + i * a.row, a.row, a.column}, b, finish, c + i * c_row, c_row);
    });
  }
  const int64_t width = PanelWidth(), panels = (n + width - 1) / width;
  ParallelFor(panels, grain(m * k * width), [&](int64_t panel, int64_t end) {
    const int64_t j = panel * width;
    ProductPart({m, k, std::min(end * width, n) - j}, a, {b.data + j * b.column, b.row, b.column}, From(finish, j),
                c + j, c_row);
  });
}

namespace {

struct Transposes {
  unsigned char a = 0, b = 0, relu = 0;
};

void *CreateTransposes(TF_OpKernelConstruction *construction, bool finishes) {
  auto *transposes = new Transposes;
  TF_Status *status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrBool(construction, "transpose_a", &transposes->a, status);
  if (TF_GetCode(status) == TF_OK)
    TF_OpKernelConstruction_GetAttrBool(construction, "transpose_b", &transposes->b, status);
  if (TF_GetCode(status) == TF_OK && finishes)
    TF_OpKernelConstruction_GetAttrBool(construction, "relu", &transposes->relu, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return transposes;
}
void *CreateMatMul(TF_OpKernelConstruction *construction) { return CreateTransposes(construction, false); }
void *CreateDense(TF_OpKernelConstruction *construction) { return CreateTransposes(construction, true); }
void DeleteTransposes(void *kernel) { delete static_cast<Transposes *>(kernel); }

Matrix MatrixOf(const float *data, int64_t columns, bool transposed) {
  return transposed ? Matrix{data, 1, columns} : Matrix{data, columns, 1};
}

void MultiplyInputs(Tensors &tensors, const Transposes &transposed, bool finishes) {
  if (tensors.Rank(0) != 2 || tensors.Rank(1) != 2) return tensors.Fail("LatheMatMul: a and b must be matrices");
  const int64_t m = tensors.Dim(0, transposed.a ? 1 : 0), k = tensors.Dim(0, transposed.a ? 0 : 1),
                n = tensors.Dim(1, transposed.b ? 0 : 1);
  if (tensors.Dim(1, transposed.b ? 1 : 0) != k) return tensors.Fail("LatheMatMul: the inner sizes of a and b differ");
  if (finishes && tensors.Count(2) != n) return tensors.Fail("LatheDense: the bias does not fit the columns of b");
  float *c = tensors.Output(0, {m, n});
  if (!tensors.Ok()) return tensors.Report();
  const Finish finish = {finishes ? tensors.Input(2) : nullptr, transposed.relu != 0};
  Product(m, k, n, MatrixOf(tensors.Input(0), transposed.a ? m : k, transposed.a),
          MatrixOf(tensors.Input(1), transposed.b ? k : n, transposed.b), c, n, finish);
}

void ComputeMatMul(void *kernel, TF_OpKernelContext *context) {
  Tensors tensors(context);
  MultiplyInputs(tensors, *static_cast<Transposes *>(kernel), false);
}

void ComputeDense(void *kernel, TF_OpKernelContext *context) {
  Tensors tensors(context);
  MultiplyInputs(tensors, *static_cast<Transposes *>(kernel), true);
}

}  // namespace

void RegisterProduct(TF_Status *status) {
  Define("LatheMatMul", {"a: float", "b: float"}, {"c: float"}, {"transpose_a: bool", "transpose_b: bool"},
         UnknownShapes, status);
  Implement("LatheMatMul", CreateMatMul, ComputeMatMul, DeleteTransposes, status);
  Define("LatheDense", {"a: float", "b: float", "bias: float"}, {"c: float"},
         {"transpose_a: bool", "transpose_b: bool", "relu: bool"}, UnknownShapes, status);
  Implement("LatheDense", CreateDense, ComputeDense, DeleteTransposes, status);
}

}  // namespace lathe::LATHE_SET
