#ifndef LATHE_DEPTHWISE_H_
#define LATHE_DEPTHWISE_H_

#include "tensorflow/c/tf_status.h"

namespace lathe::LATHE_SET {

// Registers LatheDepthwise, LatheDepthwiseInputGrad and LatheDepthwiseKernelGrad (CPU, float).
void RegisterDepthwise(TF_Status *status);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_DEPTHWISE_H_
