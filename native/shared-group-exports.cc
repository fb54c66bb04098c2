// SharedGroup for JavaScript: what is no operation on tensors.
#include "shared-group-exports.h"

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>

#include "shared-group-registry.h"

namespace lathe {
namespace {

constexpr size_t kMaxArguments = 6;

class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    napi_get_cb_info(env, info, &count_, values_, nullptr, nullptr);
  }
  int64_t Integer(size_t index) const {
    int64_t value = 0;
    napi_get_value_int64(env_, values_[index], &value);
    return value;
  }
  std::string Text(size_t index) const {
    size_t length = 0;
    if (napi_get_value_string_utf8(env_, values_[index], nullptr, 0, &length) != napi_ok) return "";
    std::string text(length, '\0');
    napi_get_value_string_utf8(env_, values_[index], text.data(), length + 1, &length);
    return text;
  }

 private:
  napi_env env_;
  size_t count_ = kMaxArguments;
  napi_value values_[kMaxArguments] = {};
};

// (path, rank, size, buffer bytes, timeout in ms) from `first` on.
SharedGroupOptions OptionsOf(const Arguments &arguments, size_t first) {
  SharedGroupOptions options;
  options.path = arguments.Text(first);
  options.rank = static_cast<int>(arguments.Integer(first + 1));
  options.size = static_cast<int>(arguments.Integer(first + 2));
  options.buffer_bytes = arguments.Integer(first + 3);
  options.timeout_ms = arguments.Integer(first + 4);
  return options;
}

std::string MessageOf(const std::exception &error) { return std::string("shared group: ") + error.what(); }

template <typename F>
napi_value Guarded(napi_env env, const F &act) {
  try {
    return act();
  } catch (const std::exception &error) {
    napi_throw_error(env, nullptr, MessageOf(error).c_str());
    return nullptr;
  }
}

napi_value Join(napi_env env, napi_callback_info info) {
  return Guarded(env, [&] {
    napi_value id = nullptr;
    napi_create_int64(env, AddSharedGroup(OptionsOf(Arguments(env, info), 0)), &id);
    return id;
  });
}

napi_value Rejoin(napi_env env, napi_callback_info info) {
  return Guarded(env, [&]() -> napi_value {
    const Arguments arguments(env, info);
    ReplaceSharedGroup(arguments.Integer(0), OptionsOf(arguments, 1));
    return nullptr;
  });
}

napi_value Abort(napi_env env, napi_callback_info info) {
  return Guarded(env, [&]() -> napi_value {
    const Arguments arguments(env, info);
    FindSharedGroup(arguments.Integer(0))->Abort(arguments.Text(1));
    return nullptr;
  });
}

napi_value Failure(napi_env env, napi_callback_info info) {
  return Guarded(env, [&] {
    const std::string reason = FindSharedGroup(Arguments(env, info).Integer(0))->Failure();
    napi_value text = nullptr;
    napi_create_string_utf8(env, reason.c_str(), reason.size(), &text);
    return text;
  });
}

napi_value Mute(napi_env env, napi_callback_info info) {
  return Guarded(env, [&]() -> napi_value {
    const Arguments arguments(env, info);
    FindSharedGroup(arguments.Integer(0))->Mute(arguments.Integer(1) != 0);
    return nullptr;
  });
}

// [exchange, wait] in ms.
napi_value Times(napi_env env, napi_callback_info info) {
  return Guarded(env, [&] {
    const auto group = FindSharedGroup(Arguments(env, info).Integer(0));
    napi_value times = nullptr, exchange = nullptr, wait = nullptr;
    napi_create_array_with_length(env, 2, &times);
    napi_create_double(env, group->exchange_ns() / 1e6, &exchange);
    napi_create_double(env, group->wait_ns() / 1e6, &wait);
    napi_set_element(env, times, 0, exchange);
    napi_set_element(env, times, 1, wait);
    return times;
  });
}

napi_value Close(napi_env env, napi_callback_info info) {
  CloseSharedGroup(Arguments(env, info).Integer(0));
  return nullptr;
}

// A barrier that a promise stands for: the group's thread takes it in turn, one of Node's waits for it.
struct PendingBarrier {
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  std::mutex mutex;
  std::condition_variable wake;
  bool done = false;
  std::string failure;

  void Finish(const std::string &reason) {
    std::lock_guard<std::mutex> lock(mutex);
    done = true;
    failure = reason;
    wake.notify_all();
  }
};

void AwaitBarrier(napi_env, void *data) {
  auto &barrier = **static_cast<std::shared_ptr<PendingBarrier> *>(data);
  std::unique_lock<std::mutex> lock(barrier.mutex);
  barrier.wake.wait(lock, [&] { return barrier.done; });
}

void SettleBarrier(napi_env env, napi_status, void *data) {
  std::unique_ptr<std::shared_ptr<PendingBarrier>> owner(static_cast<std::shared_ptr<PendingBarrier> *>(data));
  PendingBarrier &barrier = **owner;
  napi_value value = nullptr;
  if (barrier.failure.empty()) {
    napi_get_undefined(env, &value);
    napi_resolve_deferred(env, barrier.deferred, value);
  } else {
    napi_value message = nullptr;
    napi_create_string_utf8(env, barrier.failure.c_str(), barrier.failure.size(), &message);
    napi_create_error(env, nullptr, message, &value);
    napi_reject_deferred(env, barrier.deferred, value);
  }
  napi_delete_async_work(env, barrier.work);
}

napi_value Barrier(napi_env env, napi_callback_info info) {
  return Guarded(env, [&] {
    const auto group = FindSharedGroup(Arguments(env, info).Integer(0));
    const auto barrier = std::make_shared<PendingBarrier>();
    napi_value promise = nullptr, name = nullptr;
    napi_create_promise(env, &barrier->deferred, &promise);
    napi_create_string_utf8(env, "sharedGroupBarrier", NAPI_AUTO_LENGTH, &name);
    napi_create_async_work(env, nullptr, name, AwaitBarrier, SettleBarrier,
                           new std::shared_ptr<PendingBarrier>(barrier), &barrier->work);
    napi_queue_async_work(env, barrier->work);
    group->tasks().Add([group, barrier] {
      try {
        group->Barrier();
        barrier->Finish("");
      } catch (const std::exception &error) {
        barrier->Finish(MessageOf(error));
      }
    });
    return promise;
  });
}

void Export(napi_env env, napi_value exports, const char *name, napi_callback callback) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

}  // namespace

void ExportSharedGroups(napi_env env, napi_value exports) {
  Export(env, exports, "joinSharedGroup", Join);
  Export(env, exports, "rejoinSharedGroup", Rejoin);
  Export(env, exports, "sharedGroupBarrier", Barrier);
  Export(env, exports, "abortSharedGroup", Abort);
  Export(env, exports, "sharedGroupFailure", Failure);
  Export(env, exports, "muteSharedGroup", Mute);
  Export(env, exports, "sharedGroupTimes", Times);
  Export(env, exports, "closeSharedGroup", Close);
}

}  // namespace lathe
