#ifndef LATHE_SHARED_GROUP_OPS_H_
#define LATHE_SHARED_GROUP_OPS_H_

#include "tensorflow/c/tf_status.h"

namespace lathe {

void RegisterSharedGroupOps(TF_Status *status);

}  // namespace lathe

#endif  // LATHE_SHARED_GROUP_OPS_H_
