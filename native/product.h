#ifndef LATHE_PRODUCT_H_
#define LATHE_PRODUCT_H_

#include <cstdint>

#include "bias.h"
#include "tensorflow/c/tf_status.h"

namespace lathe::LATHE_SET {

// value(i, j) = data[i * row + j * column]; one of the two steps is 1.
struct Matrix {
  const float *data;
  int64_t row, column;
};

// c [m, n] = a [m, k] b [k, n], finished; rows of c `c_row` apart; on all threads.
void Product(int64_t m, int64_t k, int64_t n, const Matrix &a, const Matrix &b, float *c, int64_t c_row,
             const Finish &finish = {});

// Registers LatheMatMul and LatheDense (CPU, float).
void RegisterProduct(TF_Status *status);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_PRODUCT_H_
