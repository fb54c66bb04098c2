#ifndef LATHE_CORRELATE_H_
#define LATHE_CORRELATE_H_

// Windows of an image times a kernel as products of matrices that read the image where it lies: a window's row is [taps
// * channels] floats in a row, the next window's begins `stride * channels` further on. So nothing is gathered into
// columns; only images with pads are copied, some rows at a time.

#include <cstdint>

#include "bias.h"
#include "image.h"

namespace lathe::LATHE_SET {

// Windows [height, width] from (row * strides - begins) on, for each of out's rows and columns.
struct Windows {
  Shape in;
  int64_t height, width;
  int64_t strides[2], begins[2];
  int64_t out_height, out_width;

  int64_t Taps() const { return height * width * in.channels; }
  int64_t Pixels() const { return out_height * out_width; }
};

// Where results go: floats from one image, row and pixel to the next.
struct Places {
  float *data;
  int64_t image, row, pixel;
};

// Each window's product with the kernel's panels [height * width * channels, co], finished, on all threads.
void Correlate(const Windows &windows, const float *x, const float *panels, int64_t co, const Places &y,
               const Finish &finish = {});

// dw [height, width, channels, co] = sum over all windows of window^T dy [n, out_height, out_width, co], on all
// threads.
void CorrelateGradient(const Windows &windows, const float *x, const float *dy, int64_t co, float *dw);

// dx [height, width, channels] of one image, on one thread: sets it to the sum of every pixel's dy [out_height,
// out_width, co] times the kernel. `panels`: for each row of the kernel, PanelsSize(co, width * channels) floats.
void ScatterImage(const Windows &windows, const float *panels, const float *dy, int64_t co, float *dx);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_CORRELATE_H_
