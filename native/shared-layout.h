#ifndef LATHE_SHARED_LAYOUT_H_
#define LATHE_SHARED_LAYOUT_H_

// What lies in a group's file before its buffers.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace lathe {

constexpr int kMaxRanks = 64;
constexpr uint32_t kMagic = 0x4c535247, kLayout = 1;
constexpr size_t kLineBytes = 64;  // a processor's cache line

enum Kind : uint32_t { kSum, kBroadcast, kBarrier };
constexpr const char *kKindNames[] = {"sum", "broadcast", "barrier"};

// What a rank calls, so that the others can compare.
struct SharedCall {
  uint32_t kind = 0;  // Kind
  int32_t root = 0;
  int64_t bytes = 0;
  uint64_t sizes = 0;  // a hash of each tensor's size
  bool operator==(const SharedCall &other) const {
    return kind == other.kind && root == other.root && bytes == other.bytes && sizes == other.sizes;
  }
};

// What a rank tells the others. Words that one rank writes lie apart from those that others write.
struct SharedLine {
  alignas(kLineBytes) std::atomic<uint32_t> arrived;  // rounds whose values lie in its buffer
  std::atomic<uint32_t> reduced;                      // rounds whose sums lie there
  std::atomic<uint32_t> process;                      // 0: has not joined
  std::atomic<uint32_t> left;
  SharedCall calls[2];  // used in turns, as the buffers
  alignas(kLineBytes) std::atomic<uint32_t> sleepers;
};

struct SharedHeader {
  std::atomic<uint32_t> magic;  // written last
  uint32_t layout;
  int32_t size;
  int64_t buffer_bytes;
  std::atomic<uint32_t> joined;
  std::atomic<uint32_t> failed;  // 1: the reason is being written, 2: it is there
  char reason[512];
  SharedLine lines[kMaxRanks];
};

}  // namespace lathe

#endif  // LATHE_SHARED_LAYOUT_H_
