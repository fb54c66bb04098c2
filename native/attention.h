#ifndef LATHE_ATTENTION_H_
#define LATHE_ATTENTION_H_

#include "tensorflow/c/tf_status.h"

namespace lathe::LATHE_SET {

// LatheAttention, LatheAttentionGrad.
void RegisterAttention(TF_Status *status);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_ATTENTION_H_
