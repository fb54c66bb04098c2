#ifndef LATHE_SHARED_GROUP_H_
#define LATHE_SHARED_GROUP_H_

// Processes of one machine that sum and broadcast tensors through memory that they share
// (docs/decisions/collective.md).
//
// Every process (rank) of a group calls the same operations in the same order. An operation's tensors are taken as one
// stream, exchanged in rounds of a buffer each. In a round of a large stream (reduce-scatter, all-gather) the buffer is
// cut into a segment for each rank:
//
//   rank r writes the others' segments of its values into its buffer and announces its arrival;
//   when all have arrived it sums segment r over the ranks, in rank order, over its own buffer's segment r;
//   when all have reduced it reads the others' sums.
//
// A short stream takes one round with one wait: every rank reads all values and sums them alike. Each rank has two
// buffers, used in turns, so that it writes the next round's values while others still reduce: see Sum for why no value
// is overwritten too early.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ordered-tasks.h"
#include "shared-file.h"
#include "shared-layout.h"
#include "shared-stream.h"

namespace lathe {

// Streams up to this many bytes are short.
constexpr int64_t kShortBytes = 16 << 10;

struct SharedGroupOptions {
  std::string path;
  int rank = 0;
  int size = 1;
  int64_t buffer_bytes = 0;
  int64_t timeout_ms = 0;
};

class SharedGroup {
 public:
  // Rank 0 makes the file at once; all others look for it with the first operation, which waits for everybody.
  // Throws std::runtime_error.
  explicit SharedGroup(const SharedGroupOptions &options);
  ~SharedGroup();

  // These throw std::runtime_error with the reason: a rank that has ended, left, aborted, is late, or calls something
  // else. One at a time: see tasks().
  void Sum(const std::vector<Piece> &pieces);  // float32
  void Broadcast(const std::vector<Piece> &pieces, int root);
  void Barrier();

  // Ends the pending and all later operations of every rank. From any thread.
  void Abort(const std::string &reason);
  void Close();
  // Why operations fail from now on, or "".
  std::string Failure();

  // While muted, a sum is this rank's own values: a step can run without effect on the others.
  void Mute(bool muted) { muted_ = muted; }
  // Spent in sums so far, and the part of it in which other ranks were waited for.
  int64_t exchange_ns() const { return exchange_ns_; }
  int64_t wait_ns() const { return wait_ns_; }

  int size() const { return options_.size; }
  OrderedTasks &tasks() { return tasks_; }

 private:
  void Form();
  void Attach(std::unique_ptr<SharedFile> file);
  void Enter(const SharedCall &call);
  void CheckCalls(const SharedCall &call);

  void SumShort(const SharedCall &call, const Stream &stream);
  void SumLong(const SharedCall &call, const Stream &stream);
  int64_t SegmentBytes() const;
  // Floats [begin, end) of a round's buffer that a rank reduces.
  void Segment(int rank, int64_t floats, int64_t *begin, int64_t *end) const;
  void WriteOthers(const Stream &stream, int64_t from, int64_t floats, uint32_t round);
  void Reduce(const Stream &stream, int64_t from, int64_t floats, uint32_t round);
  void ReadOthers(const Stream &stream, int64_t from, int64_t floats, uint32_t round);
  char *Buffer(int rank, uint32_t round) const;

  enum class Stage { kArrived, kReduced };
  std::atomic<uint32_t> &Counter(int rank, Stage stage) const;
  void Announce(Stage stage, uint32_t rounds);
  void AwaitAll(Stage stage, uint32_t rounds);
  void Await(int rank, Stage stage, uint32_t rounds);
  std::string Absence(int rank) const;
  void ThrowIfFailed();
  [[noreturn]] void FailAll(const std::string &reason);
  std::string Name(int rank) const;
  std::string Publish(const std::string &reason);
  std::string PublishedReason() const;
  void WakeEverybody();

  const SharedGroupOptions options_;
  std::mutex mutex_;  // of failure_, and of file_ until it is there
  std::string failure_;
  std::unique_ptr<SharedFile> file_;
  SharedHeader *header_ = nullptr;
  std::atomic<bool> has_failed_{false}, formed_{false}, muted_{false};
  std::atomic<int64_t> exchange_ns_{0}, wait_ns_{0};
  uint32_t rounds_ = 0;  // taken so far
  uint32_t calls_ = 0;
  OrderedTasks tasks_;
};

}  // namespace lathe

#endif  // LATHE_SHARED_GROUP_H_
