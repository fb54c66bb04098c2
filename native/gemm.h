#ifndef LATHE_GEMM_H_
#define LATHE_GEMM_H_

#include <cstdint>
#include <cstdlib>
#include <new>

namespace lathe::LATHE_SET {

// Memory of one operation, where no vector lies across two cache lines. Its values are not set.
class Scratch {
 public:
  explicit Scratch(int64_t floats)
      : data_(static_cast<float *>(std::aligned_alloc(64, (floats * sizeof(float) + 64) / 64 * 64))) {
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
// The right factor [k, n] lies in panels as wide as this instruction set's kernel: each panel's rows lie one after the
// other, the last panel is filled up with zeros.
int64_t PanelWidth();
int64_t PanelsSize(int64_t k, int64_t n);
// Columns that a product of n columns computes.
int64_t WholeVectors(int64_t n);

// b(p, j) = b[p * row + j * column].
void PackPanels(int64_t k, int64_t n, const float *b, int64_t row, int64_t column, float *panels);

// The same into panels that are `stride` floats apart: some of the rows of panels that have more.
void PackPanelRows(int64_t k, int64_t n, const float *b, int64_t row, int64_t column, float *panels, int64_t stride);

// Rows of a panel that stay in the first cache while rows of a left factor go by, and rows of that which stay in the
// second while panels do.
constexpr int64_t kDepth = 256, kHeight = 96;

// A left factor [m, groups * segments * depth]: a(i, (g * segments + s) * depth + p) = data[i * row + g * group + s *
// segment + p * column]. The windows of a convolution are one: a window's rows are segments of the image's memory.
struct Left {
  const float *data;
  int64_t row, column, depth;
  int64_t segments = 1, segment = 0, groups = 1, group = 0;
  bool fetches = false;  // its rows come from memory: the next ones are fetched ahead
};

// A right factor: floats from one panel to the next, and from one of a panel's rows to the next. A matrix of whole
// panels may stay where it is.
struct Right {
  const float *data;
  int64_t panel, row;
};

// c [m, n] (rows `c_row` apart) = a b, or c + a b.
void MultiplyLeft(int64_t m, int64_t n, const Left &a, const Right &b, float *c, int64_t c_row, bool accumulate);

// The same; a(i, p) = a[i * a_row + p * a_column], [m, k], and whole panels.
void Multiply(int64_t m, int64_t k, int64_t n, const float *a, int64_t a_row, int64_t a_column, const float *panels,
              float *c, int64_t c_row, bool accumulate);

// A left factor whose columns are whole, a(i, p) = a[i + p * column], [m, depth]: read in place, every float of it
// would lie in another cache line. `packed`: PackedLeftSize floats.
constexpr int64_t PackedLeftSize(int64_t m, int64_t depth) { return m * depth + 16; }
void PackLeft(int64_t m, int64_t depth, const float *a, int64_t column, float *packed);
void MultiplyPackedLeft(int64_t m, int64_t depth, int64_t n, const float *packed, const Right &b, float *c,
                        int64_t c_row, bool accumulate);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_GEMM_H_
