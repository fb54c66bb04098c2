#ifndef LATHE_SHARED_FILE_H_
#define LATHE_SHARED_FILE_H_

// A file that several processes of one machine have mapped, and what they need to wait for each other in it.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace lathe {

class SharedFile {
 public:
  // A new file of zeros whose memory is reserved. A file of that name whose maker has ended is replaced.
  // Throws std::runtime_error: the folder, space, a living group's file.
  static std::unique_ptr<SharedFile> Create(const std::string &path, size_t bytes);
  // Null while there is none, or only one whose maker (who holds mark 0) has ended.
  static std::unique_ptr<SharedFile> Open(const std::string &path, size_t min_bytes);
  ~SharedFile();

  char *data() const { return data_; }
  size_t bytes() const { return bytes_; }

  // Marks are held until Release or until the process ends, however it ends: the kernel drops them. False: another
  // process holds it.
  bool Hold(int mark);
  void Release(int mark);
  // Whether another one holds it.
  bool IsHeld(int mark) const;

  // Removes the name where it still leads to this file; whoever has it mapped keeps it.
  void Unlink();

 private:
  SharedFile(const std::string &path, int descriptor) : path_(path), descriptor_(descriptor) {}
  bool Map(size_t bytes);

  const std::string path_;
  const int descriptor_;
  char *data_ = nullptr;
  size_t bytes_ = 0;
};

// Sleeps while the word has this value, at most so long; may wake early.
void SleepWhile(std::atomic<uint32_t> &word, uint32_t value, int timeout_ms);
// Wakes all processes that sleep at this word.
void WakeAll(std::atomic<uint32_t> &word);

}  // namespace lathe

#endif  // LATHE_SHARED_FILE_H_
