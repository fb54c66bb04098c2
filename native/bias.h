#ifndef LATHE_BIAS_H_
#define LATHE_BIAS_H_

#include "tensorflow/c/tf_status.h"

namespace lathe::LATHE_SET {

// What follows a product: a bias for each column, and max(x, 0). bias null: none.
struct Finish {
  const float *bias = nullptr;
  bool relu = false;
};

// c [rows, columns], rows `c_row` apart; the bias of its first column is finish.bias[0].
void FinishRows(int64_t rows, int64_t columns, const Finish &finish, float *c, int64_t c_row);

// Registers LatheBiasGrad and LatheReluBiasGrad (CPU, float).
void RegisterBias(TF_Status *status);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_BIAS_H_
