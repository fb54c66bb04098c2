#ifndef LATHE_SHARED_STREAM_H_
#define LATHE_SHARED_STREAM_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace lathe {

// One of a call's tensors; `out` may be `in`.
struct Piece {
  const char *in;
  char *out;
  int64_t bytes;
};

// A call's tensors, end to end.
class Stream {
 public:
  explicit Stream(const std::vector<Piece> &pieces) : pieces_(pieces) {
    for (const Piece &piece : pieces) {
      ends_.push_back(bytes_ += piece.bytes);
      sizes_ = (sizes_ ^ static_cast<uint64_t>(piece.bytes)) * 0x100000001b3;  // FNV
    }
  }

  int64_t bytes() const { return bytes_; }
  uint64_t sizes() const { return sizes_; }

  // visit(in, out, offset from begin, bytes) for the parts of tensors in [begin, end).
  template <typename F>
  void Visit(int64_t begin, int64_t end, const F &visit) const {
    size_t i = std::upper_bound(ends_.begin(), ends_.end(), begin) - ends_.begin();
    for (int64_t at = begin; at < end; i++) {
      const int64_t start = ends_[i] - pieces_[i].bytes, stop = std::min(end, ends_[i]);
      if (stop > at) visit(pieces_[i].in + (at - start), pieces_[i].out + (at - start), at - begin, stop - at);
      at = std::max(at, stop);
    }
  }
  void Write(int64_t begin, int64_t end, char *to) const {
    Visit(begin, end, [to](const char *in, char *, int64_t offset, int64_t bytes) {
      std::memcpy(to + offset, in, static_cast<size_t>(bytes));
    });
  }
  void Read(int64_t begin, int64_t end, const char *from) const {
    Visit(begin, end, [from](const char *, char *out, int64_t offset, int64_t bytes) {
      std::memcpy(out, from + offset, static_cast<size_t>(bytes));
    });
  }

 private:
  const std::vector<Piece> &pieces_;
  std::vector<int64_t> ends_;
  int64_t bytes_ = 0;
  uint64_t sizes_ = 0xcbf29ce484222325;
};

}  // namespace lathe

#endif  // LATHE_SHARED_STREAM_H_
