#ifndef LATHE_SHARED_GROUP_REGISTRY_H_
#define LATHE_SHARED_GROUP_REGISTRY_H_

#include <cstdint>
#include <memory>

#include "shared-group.h"

namespace lathe {

// Groups by the number that operations know them by.
int64_t AddSharedGroup(const SharedGroupOptions &options);
// A new group under the number of an old one, which is closed.
void ReplaceSharedGroup(int64_t id, const SharedGroupOptions &options);
// Throws std::runtime_error where it was closed.
std::shared_ptr<SharedGroup> FindSharedGroup(int64_t id);
void CloseSharedGroup(int64_t id);

}  // namespace lathe

#endif  // LATHE_SHARED_GROUP_REGISTRY_H_
