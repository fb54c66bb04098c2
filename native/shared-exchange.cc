// SharedGroup's exchanges of values: the rounds through the buffers.
#include <algorithm>
#include <cstring>

#include "shared-group.h"
#include "stopwatch.h"

namespace lathe {
namespace {

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

void SharedGroup::Sum(const std::vector<Piece> &pieces) {
  const Stream stream(pieces);
  const SharedCall call = {kSum, 0, stream.bytes(), stream.sizes()};
  const Stopwatch watch(&exchange_ns_);
  if (!muted_) Enter(call);
  if (options_.size == 1 || muted_) {
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
  const SharedCall call = {kBroadcast, root, stream.bytes(), stream.sizes()};
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
  const SharedCall call = {kBarrier, 0, 0, 0};
  Enter(call);
  rounds_++;
  Announce(Stage::kArrived, rounds_);
  AwaitAll(Stage::kArrived, rounds_);
  CheckCalls(call);
}

// Says what this rank calls. The same place is written two calls later: whoever has arrived in the call between has
// read it.
void SharedGroup::Enter(const SharedCall &call) {
  Form();
  header_->lines[options_.rank].calls[calls_++ % 2] = call;
}

void SharedGroup::CheckCalls(const SharedCall &call) {
  for (int rank = 0; rank < options_.size; rank++) {
    const SharedCall &other = header_->lines[rank].calls[(calls_ - 1) % 2];
    if (other == call) continue;
    const auto describe = [](const SharedCall &it) {
      return std::string(kKindNames[it.kind % 3]) + " of " + std::to_string(it.bytes) + " bytes" +
             (it.kind == kBroadcast ? " from rank " + std::to_string(it.root) : "");
    };
    FailAll(Name(rank) + " calls " + describe(other) + " where " + Name(options_.rank) + " calls " + describe(call) +
            (other.bytes == call.bytes ? " with tensors of other sizes" : ""));
  }
}

// Everybody reads everybody's values. Round k uses buffer k % 2, last read in round k - 2: to arrive in round k - 1, in
// which this rank has waited for all, they had finished that call.
void SharedGroup::SumShort(const SharedCall &call, const Stream &stream) {
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
void SharedGroup::SumLong(const SharedCall &call, const Stream &stream) {
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
  return file_->data() + sizeof(SharedHeader) + (2 * rank + round % 2) * options_.buffer_bytes;
}

}  // namespace lathe
