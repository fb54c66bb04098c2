#include "ordered-tasks.h"

#include <thread>
#include <utility>

namespace lathe {

OrderedTasks::~OrderedTasks() {
  std::lock_guard<std::mutex> lock(state_->mutex);
  state_->ended = true;
  state_->wake.notify_all();
}

void OrderedTasks::Add(std::function<void()> task) {
  std::lock_guard<std::mutex> lock(state_->mutex);
  Push(std::move(task));
}

void OrderedTasks::RunOrAdd(std::function<void()> task) {
  const auto state = state_;  // the task may end this object
  std::unique_lock<std::mutex> lock(state->mutex);
  if (state->busy || !state->tasks.empty()) return Push(std::move(task));
  state->busy = true;
  lock.unlock();
  task();
  lock.lock();
  state->busy = false;
  state->wake.notify_all();
}

void OrderedTasks::Push(std::function<void()> task) {
  state_->tasks.push_back(std::move(task));
  if (!state_->started) std::thread(Work, state_).detach();
  state_->started = true;
  state_->wake.notify_all();
}

void OrderedTasks::Work(std::shared_ptr<State> state) {
  std::unique_lock<std::mutex> lock(state->mutex);
  for (;;) {
    state->wake.wait(lock, [&] { return !state->busy && (state->ended || !state->tasks.empty()); });
    if (state->tasks.empty()) return;
    std::function<void()> task = std::move(state->tasks.front());
    state->tasks.pop_front();
    state->busy = true;
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
    state->busy = false;
  }
}

}  // namespace lathe
