#ifndef LATHE_IMAGE_H_
#define LATHE_IMAGE_H_

#include <cstdint>

#include "op.h"

namespace lathe::LATHE_SET {

// An image batch [n, height, width, channels].
struct Shape {
  int64_t n, height, width, channels;
  int64_t Size() const { return n * height * width * channels; }
};

inline Shape ShapeOf(Tensors &tensors, int input) {
  return {tensors.Dim(input, 0), tensors.Dim(input, 1), tensors.Dim(input, 2), tensors.Dim(input, 3)};
}

}  // namespace lathe::LATHE_SET

#endif  // LATHE_IMAGE_H_
