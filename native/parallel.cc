#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "spin.h"

namespace lathe {
namespace {

int ThreadCount() {
  const char *asked = std::getenv("TF_NUM_INTRAOP_THREADS");
  const int count = asked ? std::atoi(asked) : 0;
  return count > 0 ? count : std::max(1u, std::thread::hardware_concurrency());
}

class Threads {
 public:
  explicit Threads(int helpers) : helpers_(helpers) {
    for (int i = 0; i < helpers; i++) std::thread([this] { Help(); }).detach();
  }

  int count() const { return helpers_ + 1; }

  // False where somebody else has them. A helper that wakes up too late finds its part done: nobody waits for it.
  bool Run(int64_t parts, const std::function<void(int64_t)> &part) {
    std::unique_lock<std::mutex> turn(turn_, std::try_to_lock);
    if (!turn.owns_lock()) return false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      part_ = &part;
      parts_ = parts;
      next_ = 0;
      generation_++;
    }
    wake_.notify_all();
    Take();
    const auto is_done = [this] { return busy_ == 0; };
    Spin(is_done);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, is_done);
    return true;
  }

 private:
  void Help() {
    for (int64_t seen = 0;;) {
      const auto is_called = [&] { return generation_ != seen; };
      Spin(is_called);
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, is_called);
        seen = generation_;
        if (next_ >= parts_) continue;
        busy_++;
      }
      Take();
      std::lock_guard<std::mutex> lock(mutex_);
      if (--busy_ == 0) done_.notify_one();
    }
  }

  void Take() {
    for (int64_t i = next_++; i < parts_; i = next_++) (*part_)(i);
  }

  const int helpers_;
  std::mutex turn_, mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int64_t)> *part_ = nullptr;
  std::atomic<int64_t> next_{0}, parts_{0}, generation_{0};
  std::atomic<int> busy_{0};
};

}  // namespace

void ParallelFor(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)> &work) {
  static Threads *threads = new Threads(ThreadCount() - 1);  // lives as long as the process: its threads never end
  const int64_t parts = std::min<int64_t>(count / std::max<int64_t>(grain, 1), threads->count());
  if (parts < 2) return work(0, count);
  const auto part = [&](int64_t i) { work(count * i / parts, count * (i + 1) / parts); };
  if (threads->Run(parts, part)) return;
  for (int64_t i = 0; i < parts; i++) part(i);
}

}  // namespace lathe
