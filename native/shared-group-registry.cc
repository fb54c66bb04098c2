#include "shared-group-registry.h"

#include <map>
#include <mutex>
#include <stdexcept>

namespace lathe {
namespace {

std::mutex groups_mutex;
std::map<int64_t, std::shared_ptr<SharedGroup>> &Groups() {
  static auto *groups = new std::map<int64_t, std::shared_ptr<SharedGroup>>;  // outlives the threads
  return *groups;
}

}  // namespace

int64_t AddSharedGroup(const SharedGroupOptions &options) {
  static int64_t count = 0;
  auto group = std::make_shared<SharedGroup>(options);
  std::lock_guard<std::mutex> lock(groups_mutex);
  Groups()[++count] = std::move(group);
  return count;
}

void ReplaceSharedGroup(int64_t id, const SharedGroupOptions &options) {
  CloseSharedGroup(id);
  auto group = std::make_shared<SharedGroup>(options);
  std::lock_guard<std::mutex> lock(groups_mutex);
  Groups()[id] = std::move(group);
}

std::shared_ptr<SharedGroup> FindSharedGroup(int64_t id) {
  std::lock_guard<std::mutex> lock(groups_mutex);
  const auto found = Groups().find(id);
  if (found == Groups().end()) throw std::runtime_error("the group was closed");
  return found->second;
}

void CloseSharedGroup(int64_t id) {
  std::shared_ptr<SharedGroup> group;
  {
    std::lock_guard<std::mutex> lock(groups_mutex);
    const auto found = Groups().find(id);
    if (found == Groups().end()) return;
    group = std::move(found->second);
    Groups().erase(found);
  }
  group->Close();
}

}  // namespace lathe
