#ifndef LATHE_GEMM_H_
#define LATHE_GEMM_H_

#include <cstdint>
#include <vector>

namespace lathe {

// The right factor of products on one thread, [k, n], in panels as wide as this processor's kernel: each panel's rows lie one after
// the other, the last panel filled up with zeros. TensorFlow's own products cannot be reached from inside an operation.
class Panels {
 public:
  // b(p, j) = b[p * row + j * column].
  void Pack(int64_t k, int64_t n, const float *b, int64_t row, int64_t column);

  int64_t k() const { return k_; }
  int64_t n() const { return n_; }
  const float *data() const { return values_.data(); }

 private:
  int64_t k_ = 0, n_ = 0;
  std::vector<float> values_;
};

// c [m, n] (rows `c_row` apart) = a b, or c + a b; a(i, p) = a[i * a_row + p * a_column], [m, k].
void Multiply(int64_t m, const float *a, int64_t a_row, int64_t a_column, const Panels &b, float *c, int64_t c_row, bool accumulate);

}  // namespace lathe

#endif  // LATHE_GEMM_H_
