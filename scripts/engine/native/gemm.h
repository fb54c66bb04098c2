#ifndef LATHE_GEMM_H_
#define LATHE_GEMM_H_

#include <cstdint>
#include <cstdlib>
#include <new>

namespace lathe {

// Memory of one operation, where no vector lies across two cache lines. Its values are not set.
class Scratch {
 public:
  explicit Scratch(int64_t floats) : data_(static_cast<float *>(std::aligned_alloc(64, (floats * sizeof(float) + 64) / 64 * 64))) {
    if (!data_) throw std::bad_alloc();
  }
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;

  float *data() { return data_; }
  const float *data() const { return data_; }

 private:
  float *data_;
};

// Products on one thread. TensorFlow's own cannot be reached from inside an operation.
//
// The right factor [k, n] lies in panels as wide as this processor's kernel: each panel's rows lie one after the other, the last
// panel is filled up with zeros.
int64_t PanelWidth();
int64_t PanelsSize(int64_t k, int64_t n);

// b(p, j) = b[p * row + j * column].
void PackPanels(int64_t k, int64_t n, const float *b, int64_t row, int64_t column, float *panels);

// c [m, n] (rows `c_row` apart) = a b, or c + a b; a(i, p) = a[i * a_row + p * a_column], [m, k].
void Multiply(int64_t m, int64_t k, int64_t n, const float *a, int64_t a_row, int64_t a_column, const float *panels, float *c, int64_t c_row,
              bool accumulate);

}  // namespace lathe

#endif  // LATHE_GEMM_H_
