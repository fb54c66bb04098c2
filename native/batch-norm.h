#ifndef LATHE_BATCH_NORM_H_
#define LATHE_BATCH_NORM_H_

#include "tensorflow/c/tf_status.h"

namespace lathe::LATHE_SET {

// Registers LatheBatchNorm and LatheBatchNormGrad (CPU, float).
void RegisterBatchNorm(TF_Status *status);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_BATCH_NORM_H_
