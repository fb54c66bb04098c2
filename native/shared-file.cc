#include "shared-file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#endif

namespace lathe {
namespace {

// Locks of the open file (Linux) rather than of the process: closing another descriptor of the file drops none.
#if defined(F_OFD_SETLK)
constexpr int kSetLock = F_OFD_SETLK, kGetLock = F_OFD_GETLK;
#else
constexpr int kSetLock = F_SETLK, kGetLock = F_GETLK;
#endif

struct flock Lock(short type, int mark) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = mark;
  lock.l_len = 1;
  return lock;
}

[[noreturn]] void Fail(const std::string &what, int error) {
  throw std::runtime_error(what + ": " + std::strerror(error));
}

// Memory that is only promised ends a process at its first touch where there is none left (Docker gives /dev/shm 64
// MB).
int Reserve(int descriptor, size_t bytes) {
#if defined(__linux__)
  return posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
#else
  return ftruncate(descriptor, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
#endif
}

}  // namespace

std::unique_ptr<SharedFile> SharedFile::Create(const std::string &path, size_t bytes) {
  int descriptor = -1;
  for (int attempt = 0; descriptor < 0; attempt++) {
    descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor >= 0) break;
    if (errno != EEXIST || attempt > 0) Fail("cannot create " + path, errno);
    if (Open(path, 0)) throw std::runtime_error("another group is being formed at " + path);
    unlink(path.c_str());
  }
  std::unique_ptr<SharedFile> file(new SharedFile(path, descriptor));
  const int error = file->Hold(0) ? Reserve(descriptor, bytes) : EEXIST;
  if (error == 0 && file->Map(bytes)) return file;
  const int reason = error ? error : errno;
  file->Unlink();
  Fail("cannot reserve " + std::to_string(bytes) + " bytes of shared memory at " + path, reason);
}

std::unique_ptr<SharedFile> SharedFile::Open(const std::string &path, size_t min_bytes) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0 && errno == ENOENT) return nullptr;
  if (descriptor < 0) Fail("cannot open " + path, errno);
  std::unique_ptr<SharedFile> file(new SharedFile(path, descriptor));
  struct stat status = {};
  if (fstat(descriptor, &status) != 0 || !file->IsHeld(0)) return nullptr;
  const size_t bytes = static_cast<size_t>(status.st_size);
  if (bytes < min_bytes) return nullptr;
  if (bytes > 0 && !file->Map(bytes)) Fail("cannot map " + path, errno);
  return file;
}

SharedFile::~SharedFile() {
  if (data_) munmap(data_, bytes_);
  close(descriptor_);
}

bool SharedFile::Map(size_t bytes) {
  void *mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (mapped == MAP_FAILED) return false;
  data_ = static_cast<char *>(mapped);
  bytes_ = bytes;
  return true;
}

bool SharedFile::Hold(int mark) {
  struct flock lock = Lock(F_WRLCK, mark);
  return fcntl(descriptor_, kSetLock, &lock) == 0;
}

void SharedFile::Release(int mark) {
  struct flock lock = Lock(F_UNLCK, mark);
  fcntl(descriptor_, kSetLock, &lock);
}

bool SharedFile::IsHeld(int mark) const {
  struct flock lock = Lock(F_WRLCK, mark);
  return fcntl(descriptor_, kGetLock, &lock) == 0 && lock.l_type != F_UNLCK;
}

void SharedFile::Unlink() {
  struct stat own = {}, named = {};
  if (fstat(descriptor_, &own) != 0 || stat(path_.c_str(), &named) != 0) return;
  if (own.st_ino == named.st_ino && own.st_dev == named.st_dev) unlink(path_.c_str());
}

static_assert(std::atomic<uint32_t>::is_always_lock_free && sizeof(std::atomic<uint32_t>) == sizeof(uint32_t),
              "processes share plain words");

#if defined(__linux__)
void SleepWhile(std::atomic<uint32_t> &word, uint32_t value, int timeout_ms) {
  const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAIT, value, &timeout, nullptr, 0);
}

void WakeAll(std::atomic<uint32_t> &word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}
#else
// No published call wakes another process at a word there: looks every 0.1 ms.
void SleepWhile(std::atomic<uint32_t> &word, uint32_t value, int timeout_ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (word.load(std::memory_order_acquire) == value && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::microseconds(100));
}

void WakeAll(std::atomic<uint32_t> &) {}
#endif

}  // namespace lathe
