#ifndef LATHE_LSTM_H_
#define LATHE_LSTM_H_

#include "tensorflow/c/tf_status.h"

namespace lathe::LATHE_SET {

// Registers LatheLstm and LatheLstmGrad (CPU, float).
void RegisterLstm(TF_Status *status);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_LSTM_H_
