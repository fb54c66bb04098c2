// SharedGroup's membership: who has joined, waiting for each other, and how a group fails.
#include "shared-group.h"

#include <unistd.h>

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "spin.h"
#include "stopwatch.h"

namespace lathe {
namespace {

// How often a sleeper looks whether the others live.
constexpr int kCheckMs = 100;
constexpr int kJoinPollMs = 2;

int64_t NowMs() {
  using std::chrono::steady_clock;
  return std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

SharedGroup::SharedGroup(const SharedGroupOptions &options) : options_(options) {
  if (options_.rank != 0) return;
  const size_t bytes = sizeof(SharedHeader) + static_cast<size_t>(2 * options_.buffer_bytes * options_.size);
  auto file = SharedFile::Create(options_.path, bytes);
  auto *header = reinterpret_cast<SharedHeader *>(file->data());
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
  auto *header = reinterpret_cast<SharedHeader *>(file->data());
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
    auto file = SharedFile::Open(options_.path, sizeof(SharedHeader));
    if (file && reinterpret_cast<SharedHeader *>(file->data())->magic.load(std::memory_order_acquire) == kMagic) {
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

std::atomic<uint32_t> &SharedGroup::Counter(int rank, Stage stage) const {
  SharedLine &line = header_->lines[rank];
  return stage == Stage::kArrived ? line.arrived : line.reduced;
}

// Sequentially consistent, as is Await: either the sleeper sees the counter or this sees the sleeper.
void SharedGroup::Announce(Stage stage, uint32_t rounds) {
  auto &counter = Counter(options_.rank, stage);
  counter.store(rounds);
  if (header_->lines[options_.rank].sleepers.load() > 0) WakeAll(counter);
}

void SharedGroup::AwaitAll(Stage stage, uint32_t rounds) {
  const Stopwatch watch(&wait_ns_);
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
  const SharedLine &line = header_->lines[rank];
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

}  // namespace lathe
