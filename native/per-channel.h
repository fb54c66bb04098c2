#ifndef LATHE_PER_CHANNEL_H_
#define LATHE_PER_CHANNEL_H_

// Loops over tensors [rows, channels] that do or sum something for each channel.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "gemm.h"
#include "parallel.h"

namespace lathe::LATHE_SET {

// x as rows of c channels, taken some at a time so that loops over short rows are long: `width` floats, whole rows.
struct Rows {
  int64_t channels, count, repeats, width;
  Rows(int64_t channels, int64_t count)
      : channels(channels), count(count), repeats(std::max<int64_t>(1, 256 / channels)), width(channels * repeats) {}
  int64_t Size() const { return channels * count; }
  // Of one block: what is summed in float before it goes to double, and stays in the first cache where it is read
  // twice.
  int64_t Block() const { return width * std::max<int64_t>(1, 4096 / width); }
  int64_t Blocks() const { return (Size() + Block() - 1) / Block(); }
  int64_t Grain() const { return std::max<int64_t>(1, (1 << 15) / Block()); }
};

// A value for each channel, repeated over a width.
class PerChannel {
 public:
  explicit PerChannel(const Rows &rows) : rows_(rows), values_(rows.width) {}
  template <typename F>
  void Set(const F &value) {
    for (int64_t c = 0; c < rows_.channels; c++) values_.data()[c] = value(c);
    for (int64_t i = rows_.channels; i < rows_.width; i++) values_.data()[i] = values_.data()[i - rows_.channels];
  }
  void Zero() { std::fill_n(values_.data(), rows_.width, 0.0f); }
  float Sum(int64_t channel) const {
    float sum = 0;
    for (int64_t i = channel; i < rows_.width; i += rows_.channels) sum += values_.data()[i];
    return sum;
  }
  float *data() { return values_.data(); }
  const float *data() const { return values_.data(); }

 private:
  const Rows &rows_;
  Scratch values_;
};

inline void AddTo(int64_t n, const float *x, float *sums) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) sums[i] += x[i];
}

// Calls work(i, n) for pieces of one width each.
template <typename F>
void ForWidths(const Rows &rows, const F &work) {
  ParallelFor(rows.Blocks(), rows.Grain(), [&](int64_t block, int64_t end) {
    const int64_t last = std::min(end * rows.Block(), rows.Size());
    for (int64_t i = block * rows.Block(); i < last; i += rows.width) work(i, std::min(rows.width, last - i));
  });
}

// kCount sums of each channel, over all rows, of what add(i, n, sums) adds for each piece; in double: [kCount *
// channels].
template <int kCount, typename F>
std::vector<double> SumsOver(const Rows &rows, const F &add) {
  OrderedParts<std::vector<double>> parts;
  ParallelFor(rows.Blocks(), rows.Grain(), [&](int64_t block, int64_t end) {
    std::vector<double> part(kCount * rows.channels);
    Scratch memory(kCount * rows.width);
    float *sums[kCount];
    for (int s = 0; s < kCount; s++) sums[s] = memory.data() + s * rows.width;
    for (; block < end; block++) {
      const int64_t first = block * rows.Block(), last = std::min(first + rows.Block(), rows.Size());
      std::fill_n(memory.data(), kCount * rows.width, 0.0f);
      for (int64_t i = first; i < last; i += rows.width) add(i, std::min(rows.width, last - i), sums);
      for (int s = 0; s < kCount; s++) {
        for (int64_t i = 0; i < rows.width; i++) part[s * rows.channels + i % rows.channels] += sums[s][i];
      }
    }
    parts.Add(end, std::move(part));
  });
  std::vector<double> total(kCount * rows.channels);
  for (const auto &[key, part] : parts.parts()) {
    for (size_t i = 0; i < total.size(); i++) total[i] += part[i];
  }
  return total;
}

}  // namespace lathe::LATHE_SET

#endif  // LATHE_PER_CHANNEL_H_
