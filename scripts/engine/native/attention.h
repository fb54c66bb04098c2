#ifndef LATHE_ATTENTION_H_
#define LATHE_ATTENTION_H_

#include "tensorflow/c/tf_status.h"

namespace lathe {

// LatheAttention, LatheAttentionGrad.
void RegisterAttention(TF_Status *status);

}  // namespace lathe

#endif  // LATHE_ATTENTION_H_
