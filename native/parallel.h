#ifndef LATHE_PARALLEL_H_
#define LATHE_PARALLEL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

namespace lathe {

// Calls work(begin, end) on parts of [0, count) of at least `grain`, on as many threads as TensorFlow computes an
// operation with (TF_NUM_INTRAOP_THREADS). TensorFlow's own threads cannot be reached through its C API. Where another
// operation holds the threads at the moment, the caller does all of it alone, in the same parts: sums do not depend on
// who was free.
void ParallelFor(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)> &work);

// What the parts of a ParallelFor make, each for itself, in the parts' order: the same whoever was first.
template <typename T>
class OrderedParts {
 public:
  // `key`: where the part ends.
  void Add(int64_t key, T part) {
    std::lock_guard<std::mutex> lock(mutex_);
    parts_.emplace(key, std::move(part));
  }
  const std::map<int64_t, T> &parts() const { return parts_; }

 private:
  std::mutex mutex_;
  std::map<int64_t, T> parts_;
};

// Sums of parts.
class SumOfParts {
 public:
  explicit SumOfParts(int64_t size) : size_(size) {}

  void Add(int64_t key, std::vector<float> part) { parts_.Add(key, std::move(part)); }

  std::vector<float> Total() const {
    std::vector<float> total(size_);
    for (const auto &[key, part] : parts_.parts()) {
      for (int64_t i = 0; i < size_; i++) total[i] += part[i];
    }
    return total;
  }

 private:
  const int64_t size_;
  OrderedParts<std::vector<float>> parts_;
};

}  // namespace lathe

#endif  // LATHE_PARALLEL_H_
