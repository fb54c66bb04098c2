#ifndef LATHE_CONV_H_
#define LATHE_CONV_H_

#include "tensorflow/c/tf_status.h"

namespace lathe::LATHE_SET {

// Registers LatheConv, LatheConvInputGrad and LatheConvKernelGrad (CPU, float).
void RegisterConv(TF_Status *status);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_CONV_H_
