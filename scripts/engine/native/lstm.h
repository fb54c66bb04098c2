#ifndef LATHE_LSTM_H_
#define LATHE_LSTM_H_

#include "tensorflow/c/tf_status.h"

namespace lathe {

// Registers LatheLstm and LatheLstmGrad (CPU, float).
void RegisterLstm(TF_Status *status);

}  // namespace lathe

#endif  // LATHE_LSTM_H_
