#ifndef LATHE_SHARED_GROUP_EXPORTS_H_
#define LATHE_SHARED_GROUP_EXPORTS_H_

#include <node_api.h>

namespace lathe {

// joinSharedGroup, rejoinSharedGroup, sharedGroupBarrier, abortSharedGroup, sharedGroupFailure, closeSharedGroup.
void ExportSharedGroups(napi_env env, napi_value exports);

}  // namespace lathe

#endif  // LATHE_SHARED_GROUP_EXPORTS_H_
