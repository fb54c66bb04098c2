#ifndef LATHE_POOLING_H_
#define LATHE_POOLING_H_

#include "tensorflow/c/tf_status.h"

namespace lathe::LATHE_SET {

// Registers LatheMaxPool and LatheMaxPoolGrad (CPU, float).
void RegisterPooling(TF_Status *status);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_POOLING_H_
