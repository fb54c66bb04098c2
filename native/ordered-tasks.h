#ifndef LATHE_ORDERED_TASKS_H_
#define LATHE_ORDERED_TASKS_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace lathe {

// Runs tasks one at a time in the order in which they were given, on a thread of its own, which starts with the first
// and ends with the object. Tasks must not throw.
class OrderedTasks {
 public:
  ~OrderedTasks();

  // On the thread.
  void Add(std::function<void()> task);
  // In the caller where nothing is before it, else as Add: no thread has to wake for it.
  void RunOrAdd(std::function<void()> task);

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<std::function<void()>> tasks;
    bool busy = false, started = false, ended = false;
  };
  void Push(std::function<void()> task);  // the mutex is held
  static void Work(std::shared_ptr<State> state);

  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace lathe

#endif  // LATHE_ORDERED_TASKS_H_
