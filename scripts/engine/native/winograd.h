#ifndef LATHE_WINOGRAD_H_
#define LATHE_WINOGRAD_H_

#include "tensorflow/c/tf_status.h"

namespace lathe {

// Registers LatheWinogradConv, LatheWinogradInputGrad and LatheWinogradKernelGrad (CPU, float).
void RegisterWinograd(TF_Status *status);

}  // namespace lathe

#endif  // LATHE_WINOGRAD_H_
