#ifndef LATHE_ROWS_H_
#define LATHE_ROWS_H_

#include "tensorflow/c/tf_status.h"

namespace lathe::LATHE_SET {

// Registers LatheClipGrad, LatheLayerNorm, LatheLayerNormGrad, LatheSoftmax and LatheSoftmaxGrad (CPU, float).
void RegisterRows(TF_Status *status);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_ROWS_H_
