#ifndef LATHE_OPTIMIZER_H_
#define LATHE_OPTIMIZER_H_

#include "tensorflow/c/tf_status.h"

namespace lathe::LATHE_SET {

// Registers LatheMomentum and LatheAdam (CPU, float).
void RegisterOptimizers(TF_Status *status);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_OPTIMIZER_H_
