#ifndef LATHE_WINOGRAD_H_
#define LATHE_WINOGRAD_H_

#include "tensorflow/c/tf_status.h"

namespace lathe::LATHE_SET {

// Registers LatheWinogradConv, LatheWinogradInputGrad and LatheWinogradKernelGrad (CPU, float).
void RegisterWinograd(TF_Status *status);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_WINOGRAD_H_
