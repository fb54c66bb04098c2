#include "shared-group.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <stdexcept>
#include <thread>

#include "spin.h"

namespace lathe {
namespace {

constexpr uint32_t kMagic = 0x4c535247, kLayout = 1;
constexpr size_t kLineBytes = 64;  // a processor's cache line
// How often a sleeper looks whether the others live.
constexpr int kCheckMs = 100;
constexpr int kJoinPollMs = 2;

int64_t NowMs() {
  using std::chrono::steady_clock;
  return std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch()).count();
}

int64_t RoundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// to[i] = sources[0][i] + sources[1][i] + ..., in this order.
void AddInOrder(const float *const *sources, int count, int64_t n, float *__restrict to) {
  const float *first = sources[0], *second = sources[1];
#pragma omp simd
  for (int64_t i = 0; i < n; i++) to[i] = first[i] + second[i];
  for (int k = 2; k < count; k++) {
    const float *next = sources[k];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) to[i] += next[i];
  }
}

}  // namespace

// What a rank calls, so that the others can compare.
struct SharedGroup::Call {
  uint32_t kind = 0;  // of kKinds
  int32_t root = 0;
  int64_t bytes = 0;
  uint64_t sizes = 0;  // a hash of each tensor's size
  bool operator==(const Call &other) const {
    return kind == other.kind && root == other.root && bytes == other.bytes && sizes == other.sizes;
  }
};

namespace {
constexpr const char *kKinds[] = {"sum", "broadcast", "barrier"};
constexpr uint32_t kSum = 0, kBroadcast = 1, kBarrier = 2;
}  // namespace

// What a rank tells the others. Words that one rank writes lie apart from those that others write.
struct SharedGroup::Line {
  alignas(kLineBytes) std::atomic<uint32_t> arrived;  // rounds whose values lie in its buffer
  std::atomic<uint32_t> reduced;                      // rounds whose sums lie there
  std::atomic<uint32_t> process;                      // 0: has not joined
  std::atomic<uint32_t> left;
  Call calls[2];  // used in turns, as the buffers
  alignas(kLineBytes) std::atomic<uint32_t> sleepers;
};

struct SharedGroup::Header {
  std::atomic<uint32_t> magic;  // written last
  uint32_t layout;
  int32_t size;
  int64_t buffer_bytes;
  std::atomic<uint32_t> joined;
  std::atomic<uint32_t> failed;  // 1: the reason is being written, 2: it is there
  char reason[512];
  Line lines[kMaxRanks];
};

// A call's tensors, end to end.
class SharedGroup::Stream {
 public:
  explicit Stream(const std::vector<Piece> &pieces) : pieces_(pieces) {
    for (const Piece &piece : pieces) {
      ends_.push_back(bytes_ += piece.bytes);
      sizes_ = (sizes_ ^ static_cast<uint64_t>(piece.bytes)) * 0x100000001b3;  // FNV
    }
  }

  int64_t bytes() const { return bytes_; }
  uint64_t sizes() const { return sizes_; }

  // visit(in, out, offset from begin, bytes) for the parts of tensors in [begin, end).
  template <typename F>
  void Visit(int64_t begin, int64_t end, const F &visit) const {
    size_t i = std::upper_bound(ends_.begin(), ends_.end(), begin) - ends_.begin();
    for (int64_t at = begin; at < end; i++) {
      const int64_t start = ends_[i] - pieces_[i].bytes, stop = std::min(end, ends_[i]);
      if (stop > at) visit(pieces_[i].in + (at - start), pieces_[i].out + (at - start), at - begin, stop - at);
      at = std::max(at, stop);
    }
  }
  void Write(int64_t begin, int64_t end, char *to) const {
    Visit(begin, end, [to](const char *in, char *, int64_t offset, int64_t bytes) {
      std::memcpy(to + offset, in, static_cast<size_t>(bytes));
    });
  }
  void Read(int64_t begin, int64_t end, const char *from) const {
    Visit(begin, end, [from](const char *, char *out, int64_t offset, int64_t bytes) {
      std::memcpy(out, from + offset, static_cast<size_t>(bytes));
    });
  }

 private:
  const std::vector<Piece> &pieces_;
  std::vector<int64_t> ends_;
  int64_t bytes_ = 0;
  uint64_t sizes_ = 0xcbf29ce484222325;
};

SharedGroup::SharedGroup(const SharedGroupOptions &options) : options_(options) {
  if (options_.rank != 0) return;
  const size_t bytes = sizeof(Header) + static_cast<size_t>(2 * options_.buffer_bytes * options_.size);
  auto file = SharedFile::Create(options_.path, bytes);
  auto *header = reinterpret_cast<Header *>(file->data());
  header->layout = kLayout;
  header->size = options_.size;
  header->buffer_bytes = options_.buffer_bytes;
  header->magic.store(kMagic, std::memory_order_release);
  Attach(std::move(file));
}

SharedGroup::~SharedGroup() { Close(); }

// Joins the group whose file this is.
void SharedGroup::Attach(std::unique_ptr<SharedFile> file) {
  const int rank = options_.rank;
  auto *header = reinterpret_cast<Header *>(file->data());
  const auto refuse = [](const std::string &reason) { throw std::runtime_error(reason); };
  if (header->layout != kLayout || header->buffer_bytes != options_.buffer_bytes)
    refuse("the group at " + options_.path + " was made with other buffers, or by another version");
  if (header->size != options_.size)
    refuse("the group at " + options_.path + " has " + std::to_string(header->size) + " ranks; rank " +
           std::to_string(rank) + " was told " + std::to_string(options_.size));
  if (header->lines[rank].process.load() != 0 || (rank != 0 && !file->Hold(rank)))
    refuse("rank " + std::to_string(rank) + " has already joined the group at " + options_.path);
  header->lines[rank].process.store(static_cast<uint32_t>(getpid()));
  std::lock_guard<std::mutex> lock(mutex_);
  file_ = std::move(file);
  header_ = header;
  header->joined.fetch_add(1);
  WakeAll(header->joined);
  if (!failure_.empty()) Publish(failure_);
}

// Waits until everybody has joined.
void SharedGroup::Form() {
  ThrowIfFailed();
  if (formed_) return;
  const int64_t deadline = NowMs() + options_.timeout_ms;
  while (!header_) {
    auto file = SharedFile::Open(options_.path, sizeof(Header));
    if (file && reinterpret_cast<Header *>(file->data())->magic.load(std::memory_order_acquire) == kMagic) {
      Attach(std::move(file));
      break;
    }
    ThrowIfFailed();
    if (NowMs() > deadline)
      FailAll("rank 0 did not make " + options_.path + " within " + std::to_string(options_.timeout_ms) + " ms");
    std::this_thread::sleep_for(std::chrono::milliseconds(kJoinPollMs));
  }
  const uint32_t size = static_cast<uint32_t>(options_.size);
  for (uint32_t joined = header_->joined; joined < size; joined = header_->joined) {
    for (int rank = 0; rank < options_.size; rank++) {
      const std::string absence = Absence(rank);
      if (!absence.empty() && header_->joined < size) FailAll(absence);
    }
    SleepWhile(header_->joined, joined, kCheckMs);
    ThrowIfFailed();
    if (NowMs() <= deadline || header_->joined >= size) continue;
    std::string missing;
    for (int rank = 0; rank < options_.size; rank++)
      if (header_->lines[rank].process == 0) missing += (missing.empty() ? "rank " : ", rank ") + std::to_string(rank);
    FailAll(missing + " did not join within " + std::to_string(options_.timeout_ms) + " ms");
  }
  file_->Unlink();
  formed_ = true;
}

void SharedGroup::Sum(const std::vector<Piece> &pieces) {
  const Stream stream(pieces);
  const Call call = {kSum, 0, stream.bytes(), stream.sizes()};
  Enter(call);
  if (options_.size == 1) {
    if (stream.bytes() > 0)
      stream.Visit(0, stream.bytes(), [](const char *in, char *out, int64_t, int64_t bytes) {
        std::memmove(out, in, static_cast<size_t>(bytes));
      });
    return;
  }
  if (stream.bytes() <= std::min(kShortBytes, options_.buffer_bytes))
    SumShort(call, stream);
  else
    SumLong(call, stream);
}

void SharedGroup::Broadcast(const std::vector<Piece> &pieces, int root) {
  const Stream stream(pieces);
  const Call call = {kBroadcast, root, stream.bytes(), stream.sizes()};
  Enter(call);
  for (int64_t from = 0; from == 0 || from < stream.bytes(); from += options_.buffer_bytes) {
    const int64_t to = std::min(from + options_.buffer_bytes, stream.bytes());
    const uint32_t round = rounds_++;
    if (options_.rank == root) stream.Write(from, to, Buffer(root, round));
    Announce(Stage::kArrived, rounds_);
    AwaitAll(Stage::kArrived, rounds_);
    if (from == 0) CheckCalls(call);
    stream.Read(from, to, Buffer(root, round));
    Announce(Stage::kReduced, rounds_);
    AwaitAll(Stage::kReduced, rounds_);
  }
}

void SharedGroup::Barrier() {
  const Call call = {kBarrier, 0, 0, 0};
  Enter(call);
  rounds_++;
  Announce(Stage::kArrived, rounds_);
  AwaitAll(Stage::kArrived, rounds_);
  CheckCalls(call);
}

// Says what this rank calls. The same place is written two calls later: whoever has arrived in the call between has
// read it.
void SharedGroup::Enter(const Call &call) {
  Form();
  header_->lines[options_.rank].calls[calls_++ % 2] = call;
}

void SharedGroup::CheckCalls(const Call &call) {
  for (int rank = 0; rank < options_.size; rank++) {
    const Call &other = header_->lines[rank].calls[(calls_ - 1) % 2];
    if (other == call) continue;
    const auto describe = [](const Call &it) {
      return std::string(kKinds[it.kind % 3]) + " of " + std::to_string(it.bytes) + " bytes" +
             (it.kind == kBroadcast ? " from rank " + std::to_string(it.root) : "");
    };
    FailAll(Name(rank) + " calls " + describe(other) + " where " + Name(options_.rank) + " calls " + describe(call) +
            (other.bytes == call.bytes ? " with tensors of other sizes" : ""));
  }
}

// Everybody reads everybody's values. Round k uses buffer k % 2, last read in round k - 2: to arrive in round k - 1, in
// which this rank has waited for all, they had finished that call.
void SharedGroup::SumShort(const Call &call, const Stream &stream) {
  const uint32_t round = rounds_++;
  stream.Write(0, stream.bytes(), Buffer(options_.rank, round));
  Announce(Stage::kArrived, rounds_);
  AwaitAll(Stage::kArrived, rounds_);
  CheckCalls(call);
  const float *sources[kMaxRanks];
  stream.Visit(0, stream.bytes(), [&](const char *, char *out, int64_t offset, int64_t bytes) {
    for (int rank = 0; rank < options_.size; rank++)
      sources[rank] = reinterpret_cast<const float *>(Buffer(rank, round) + offset);
    AddInOrder(sources, options_.size, bytes / 4, reinterpret_cast<float *>(out));
  });
}

// Writing the next round's values comes between announcing this round's sums and waiting for the others', so that
// nobody waits while there is something to do. What is overwritten was read:
// - values of round k + 1 take the place of round k - 1's, whose readers have announced their sums of round k - 1 (this
//   rank waited for that, or for their arrival in round k where k - 1 belongs to an earlier call);
// - sums of round k + 1 take the place of round k - 1's: whoever has arrived in round k + 1 has read those.
// Both hold since a segment's place is the same in all rounds.
void SharedGroup::SumLong(const Call &call, const Stream &stream) {
  const int64_t total = stream.bytes() / 4, capacity = options_.size * SegmentBytes() / 4;
  const auto floats = [&](int64_t from) { return std::min(capacity, total - from); };
  WriteOthers(stream, 0, floats(0), rounds_);
  Announce(Stage::kArrived, rounds_ + 1);
  for (int64_t from = 0; from < total; from += capacity) {
    const uint32_t round = rounds_++;
    AwaitAll(Stage::kArrived, round + 1);
    if (from == 0) CheckCalls(call);
    Reduce(stream, from, floats(from), round);
    Announce(Stage::kReduced, round + 1);
    const int64_t next = from + capacity;
    if (next < total) {
      WriteOthers(stream, next, floats(next), round + 1);
      Announce(Stage::kArrived, round + 2);
    }
    AwaitAll(Stage::kReduced, round + 1);
    ReadOthers(stream, from, floats(from), round);
  }
}

// Of a buffer. A segment's place is the same in every round: shorter rounds fill it in part.
int64_t SharedGroup::SegmentBytes() const {
  return options_.buffer_bytes / options_.size / static_cast<int64_t>(kLineBytes) * kLineBytes;
}

void SharedGroup::Segment(int rank, int64_t floats, int64_t *begin, int64_t *end) const {
  const int64_t length = RoundUp((floats + options_.size - 1) / options_.size, kLineBytes / 4);
  *begin = std::min(floats, rank * length);
  *end = std::min(floats, *begin + length);
}

void SharedGroup::WriteOthers(const Stream &stream, int64_t from, int64_t floats, uint32_t round) {
  for (int rank = 0; rank < options_.size; rank++) {
    int64_t begin, end;
    Segment(rank, floats, &begin, &end);
    if (rank != options_.rank)
      stream.Write((from + begin) * 4, (from + end) * 4, Buffer(options_.rank, round) + rank * SegmentBytes());
  }
}

void SharedGroup::Reduce(const Stream &stream, int64_t from, int64_t floats, uint32_t round) {
  constexpr int64_t kBlock = 1024;  // floats: stays in the first cache
  int64_t begin, end;
  Segment(options_.rank, floats, &begin, &end);
  float sum[kBlock];
  const float *sources[kMaxRanks];
  stream.Visit((from + begin) * 4, (from + end) * 4, [&](const char *in, char *out, int64_t offset, int64_t bytes) {
    for (int64_t at = 0; at < bytes; at += kBlock * 4) {
      const int64_t length = std::min(kBlock * 4, bytes - at), place = options_.rank * SegmentBytes() + offset + at;
      for (int rank = 0; rank < options_.size; rank++)
        sources[rank] = reinterpret_cast<const float *>(rank == options_.rank ? in + at : Buffer(rank, round) + place);
      AddInOrder(sources, options_.size, length / 4, sum);
      std::memcpy(out + at, sum, static_cast<size_t>(length));
      std::memcpy(Buffer(options_.rank, round) + place, sum, static_cast<size_t>(length));
    }
  });
}

void SharedGroup::ReadOthers(const Stream &stream, int64_t from, int64_t floats, uint32_t round) {
  for (int rank = 0; rank < options_.size; rank++) {
    int64_t begin, end;
    Segment(rank, floats, &begin, &end);
    if (rank != options_.rank)
      stream.Read((from + begin) * 4, (from + end) * 4, Buffer(rank, round) + rank * SegmentBytes());
  }
}

char *SharedGroup::Buffer(int rank, uint32_t round) const {
  return file_->data() + sizeof(Header) + (2 * rank + round % 2) * options_.buffer_bytes;
}

std::atomic<uint32_t> &SharedGroup::Counter(int rank, Stage stage) const {
  Line &line = header_->lines[rank];
  return stage == Stage::kArrived ? line.arrived : line.reduced;
}

// Sequentially consistent, as is Await: either the sleeper sees the counter or this sees the sleeper.
void SharedGroup::Announce(Stage stage, uint32_t rounds) {
  auto &counter = Counter(options_.rank, stage);
  counter.store(rounds);
  if (header_->lines[options_.rank].sleepers.load() > 0) WakeAll(counter);
}

void SharedGroup::AwaitAll(Stage stage, uint32_t rounds) {
  for (int rank = 0; rank < options_.size; rank++)
    if (rank != options_.rank) Await(rank, stage, rounds);
}

void SharedGroup::Await(int rank, Stage stage, uint32_t rounds) {
  auto &counter = Counter(rank, stage);
  const auto is_there = [&] { return static_cast<int32_t>(counter.load() - rounds) >= 0; };
  if (Spin(is_there)) return;
  const int64_t deadline = NowMs() + options_.timeout_ms;
  auto &sleepers = header_->lines[rank].sleepers;
  while (!is_there()) {
    ThrowIfFailed();
    if (NowMs() > deadline)
      FailAll(Name(rank) + " did not answer within " + std::to_string(options_.timeout_ms) + " ms");
    sleepers.fetch_add(1);
    const uint32_t seen = counter.load();
    const int64_t before = NowMs();
    if (static_cast<int32_t>(seen - rounds) < 0) SleepWhile(counter, seen, kCheckMs);
    sleepers.fetch_sub(1);
    if (NowMs() - before < kCheckMs / 2) continue;
    const std::string absence = Absence(rank);
    if (!absence.empty() && !is_there()) FailAll(absence);
  }
}

// Why a rank that has joined will answer no more, or "".
std::string SharedGroup::Absence(int rank) const {
  const Line &line = header_->lines[rank];
  if (rank == options_.rank || line.process == 0) return "";
  if (line.left != 0) return Name(rank) + " has left the group";
  return file_->IsHeld(rank) ? "" : Name(rank) + " has ended";
}

std::string SharedGroup::Name(int rank) const {
  return "rank " + std::to_string(rank) + " (process " + std::to_string(header_->lines[rank].process) + ")";
}

void SharedGroup::FailAll(const std::string &reason) {
  Abort(reason);
  ThrowIfFailed();
  throw std::runtime_error(reason);
}

void SharedGroup::ThrowIfFailed() {
  if (!has_failed_ && !(header_ && header_->failed != 0)) return;
  throw std::runtime_error(Failure());
}

void SharedGroup::Abort(const std::string &reason) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (failure_.empty()) failure_ = header_ ? Publish(reason) : reason;
  has_failed_ = true;
}

std::string SharedGroup::Failure() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (failure_.empty() && header_ && header_->failed != 0) failure_ = PublishedReason();
  return failure_;
}

// Gives all ranks a reason. Returns the first that was given.
std::string SharedGroup::Publish(const std::string &reason) {
  uint32_t none = 0;
  if (!header_->failed.compare_exchange_strong(none, 1)) return PublishedReason();
  std::strncpy(header_->reason, reason.c_str(), sizeof(header_->reason) - 1);
  header_->failed = 2;
  if (!formed_) file_->Unlink();
  WakeEverybody();
  return reason;
}

std::string SharedGroup::PublishedReason() const {
  const bool is_written = Spin([this] { return header_->failed == 2; });
  return is_written ? header_->reason : "another rank failed";
}

void SharedGroup::WakeEverybody() {
  WakeAll(header_->joined);
  for (int rank = 0; rank < options_.size; rank++) {
    WakeAll(header_->lines[rank].arrived);
    WakeAll(header_->lines[rank].reduced);
  }
}

void SharedGroup::Close() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (failure_.empty()) failure_ = "rank " + std::to_string(options_.rank) + " has closed the group";
  has_failed_ = true;
  if (!header_ || header_->lines[options_.rank].left.exchange(1) != 0) return;
  file_->Unlink();
  file_->Release(options_.rank);
  WakeEverybody();
}

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
