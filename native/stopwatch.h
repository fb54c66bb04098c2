#ifndef LATHE_STOPWATCH_H_
#define LATHE_STOPWATCH_H_

#include <atomic>
#include <chrono>
#include <cstdint>

namespace lathe {

// Adds the time that it lives to a total, in nanoseconds.
class Stopwatch {
 public:
  explicit Stopwatch(std::atomic<int64_t> *total) : total_(total) {}
  ~Stopwatch() { total_->fetch_add((std::chrono::steady_clock::now() - start_) / std::chrono::nanoseconds(1)); }

 private:
  std::atomic<int64_t> *total_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace lathe

#endif  // LATHE_STOPWATCH_H_
