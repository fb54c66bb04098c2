#include "correlate.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "gemm.h"
#include "parallel.h"

namespace lathe::LATHE_SET {
namespace {

// Windows whose results are computed together: enough that the kernel is read rarely, few enough that the image's rows
// stay in a core's second cache.
constexpr int64_t kPixels = 128, kCopiedFloats = 1 << 16;
// Multiplications below which another thread costs more than it saves.
constexpr int64_t kLeastWork = 1 << 19;
// Floats of a kernel's gradient beyond which threads share it by columns instead of each making one of its own.
constexpr int64_t kLargeGradient = 1 << 16;

// Some rows of windows, of one image, or all rows of several.
struct Band {
  int64_t image, images, row, rows;
};

// How all windows are divided into bands.
struct Bands {
  int64_t images, rows;  // of each
  int64_t by_rows, count;

  explicit Bands(const Windows &w, int64_t pixels) {
    const int64_t line = ((w.out_width - 1) * w.strides[1] + w.width) * w.in.channels * w.strides[0];
    const int64_t most = std::max<int64_t>(
        1, std::min(pixels / std::max<int64_t>(1, w.out_width), kCopiedFloats / std::max<int64_t>(1, line)));
    by_rows = (w.out_height + most - 1) / most;
    rows = (w.out_height + by_rows - 1) / by_rows;
    images = by_rows > 1 ? 1 : std::max<int64_t>(1, most / w.out_height);
    count = (w.in.n + images - 1) / images * by_rows;
  }
  Band At(const Windows &w, int64_t index) const {
    const int64_t image = index / by_rows * images, row = index % by_rows * rows;
    return {image, std::min(images, w.in.n - image), row, std::min(rows, w.out_height - row)};
  }
};

// The rows of an image that a band's windows read, pads as zeros: floats from one image and row to the next.
struct Source {
  const float *data;
  int64_t image, row;
};

bool ReadsPads(const Windows &w) {
  const bool before = w.begins[0] > 0 || w.begins[1] > 0;
  return before || (w.out_height - 1) * w.strides[0] - w.begins[0] + w.height > w.in.height ||
         (w.out_width - 1) * w.strides[1] - w.begins[1] + w.width > w.in.width;
}

int64_t CopyWidth(const Windows &w) { return (w.out_width - 1) * w.strides[1] + w.width; }
int64_t CopyHeight(const Windows &w, int64_t rows) { return (rows - 1) * w.strides[0] + w.height; }

// Columns [left, left + width) of a row; zeros beyond it.
void CopyRow(const Shape &in, const float *row, int64_t left, int64_t width, float *to) {
  const int64_t begin = std::clamp<int64_t>(left, 0, in.width),
                end = std::clamp<int64_t>(left + width, begin, in.width);
  const int64_t zeros = std::min(width, std::max<int64_t>(0, -left)) * in.channels,
                copied = (end - begin) * in.channels;
  std::fill_n(to, zeros, 0.0f);
  std::copy_n(row + begin * in.channels, copied, to + zeros);
  std::fill(to + zeros + copied, to + width * in.channels, 0.0f);
}

Source SourceOf(const Windows &w, const Band &band, const float *x, bool pads, float *memory) {
  const int64_t line = w.in.width * w.in.channels, image = w.in.height * line,
                top = band.row * w.strides[0] - w.begins[0];
  if (!pads) return {x + band.image * image + top * line - w.begins[1] * w.in.channels, image, line};
  const int64_t width = CopyWidth(w), height = CopyHeight(w, band.rows), row = width * w.in.channels;
  float *to = memory;
  for (int64_t n = 0; n < band.images; n++) {
    for (int64_t r = 0; r < height; r++, to += row) {
      const bool inside = top + r >= 0 && top + r < w.in.height;
      if (inside)
        CopyRow(w.in, x + (band.image + n) * image + (top + r) * line, -w.begins[1], width, to);
      else
        std::fill_n(to, row, 0.0f);
    }
  }
  return {memory, height * row, row};
}

int64_t CopySize(const Windows &w, const Bands &bands, bool pads) {
  return pads ? bands.images * CopyHeight(w, bands.rows) * CopyWidth(w) * w.in.channels : 0;
}

// A part of a window, small enough that its rows of a panel stay in the first cache: some whole rows, or a piece of
// one.
struct Piece {
  int64_t row, rows, from, depth;
};

std::vector<Piece> Pieces(const Windows &w) {
  const int64_t line = w.width * w.in.channels, most = kDepth * 3 / 2;
  std::vector<Piece> pieces;
  if (line <= most) {
    const int64_t rows = std::max<int64_t>(1, most / std::max<int64_t>(1, line));
    for (int64_t row = 0; row < w.height; row += rows) pieces.push_back({row, std::min(rows, w.height - row), 0, line});
    return pieces;
  }
  const int64_t parts = (line + most - 1) / most;
  for (int64_t row = 0; row < w.height; row++) {
    for (int64_t part = 0; part < parts; part++)
      pieces.push_back({row, 1, line * part / parts, line * (part + 1) / parts - line * part / parts});
  }
  return pieces;
}

void CorrelateBand(const Windows &w, const std::vector<Piece> &pieces, const Band &band, const Source &source,
                   const float *panels, int64_t co, const Places &y, const Finish &finish) {
  const int64_t width = PanelWidth(), line = w.width * w.in.channels;
  for (size_t piece = 0; piece < pieces.size(); piece++) {
    const Piece &at = pieces[piece];
    for (int64_t j = 0; j < co; j += width) {
      const float *panel = panels + j * w.Taps() + (at.row * line + at.from) * width;
      for (int64_t n = 0; n < band.images; n++) {
        for (int64_t r = 0; r < band.rows; r++) {
          const float *from = source.data + n * source.image + (r * w.strides[0] + at.row) * source.row + at.from;
          float *to = y.data + (band.image + n) * y.image + (band.row + r) * y.row + j;
          MultiplyLeft(w.out_width, std::min(width, co - j),
                       {from, w.strides[1] * w.in.channels, 1, at.depth, at.rows, source.row}, {panel, 0, width}, to,
                       y.pixel, piece > 0);
        }
      }
    }
  }
  for (int64_t n = 0; n < band.images; n++) {
    for (int64_t r = 0; r < band.rows; r++)
      FinishRows(w.out_width, co, finish, y.data + (band.image + n) * y.image + (band.row + r) * y.row, y.pixel);
  }
}

// Adds a band's windows^T dy to dw, columns [j, j + columns) of co, or sets it. `panels`: the band's rows of dy.
void AddGradient(const Windows &w, const Band &band, const Source &source, const float *panels, int64_t columns,
                 int64_t co, float *dw, bool accumulate) {
  const int64_t line = w.width * w.in.channels, stride = band.images * band.rows * w.out_width * PanelWidth();
  for (int64_t j = 0; j < columns; j += PanelWidth(), panels += stride) {
    for (int64_t row = 0; row < w.height; row++) {
      const Left left = {source.data + row * source.row,
                         1,
                         w.strides[1] * w.in.channels,
                         w.out_width,
                         band.rows,
                         w.strides[0] * source.row,
                         band.images,
                         source.image};
      MultiplyLeft(line, std::min(PanelWidth(), columns - j), left, {panels, 0, PanelWidth()}, dw + row * line * co + j,
                   co, accumulate);
    }
  }
}

// Bands [index, end), columns [j, j + columns) of dy.
void GradientOfBands(const Windows &w, const Bands &bands, int64_t index, int64_t end, const float *x, const float *dy,
                     int64_t j, int64_t columns, int64_t co, float *dw) {
  const bool pads = ReadsPads(w);
  Scratch copy(CopySize(w, bands, pads)), panels(PanelsSize(bands.images * bands.rows * w.out_width, columns));
  for (int64_t first = index; index < end; index++) {
    const Band band = bands.At(w, index);
    const Source source = SourceOf(w, band, x, pads, copy.data());
    const int64_t pixels = band.images * band.rows * w.out_width;
    PackPanels(pixels, columns, dy + (band.image * w.Pixels() + band.row * w.out_width) * co + j, co, 1, panels.data());
    AddGradient(w, band, source, panels.data(), columns, co, dw + j, index > first);
  }
}

// One row of every window of a row of dy, added to the row of dx that they lie in.
void AddWindows(const Windows &w, const float *windows, float *dx) {
  const int64_t ci = w.in.channels, line = w.width * ci;
  for (int64_t x = 0; x < w.out_width; x++, windows += line) {
    const int64_t left = x * w.strides[1] - w.begins[1], begin = std::max<int64_t>(0, -left) * ci,
                  end = std::min(w.width, w.in.width - left) * ci;
    float *to = dx + left * ci;
#pragma GCC ivdep
    for (int64_t i = begin; i < end; i++) to[i] += windows[i];
  }
}

int64_t BandGrain(const Windows &w, const Bands &bands, int64_t co) {
  return std::max<int64_t>(1,
                           kLeastWork / std::max<int64_t>(1, bands.images * bands.rows * w.out_width * w.Taps() * co));
}

}  // namespace

void Correlate(const Windows &w, const float *x, const float *panels, int64_t co, const Places &y,
               const Finish &finish) {
  if (w.in.n * w.Pixels() == 0) return;
  const bool pads = ReadsPads(w);
  const Bands bands(w, kPixels);
  const std::vector<Piece> pieces = Pieces(w);
  ParallelFor(bands.count, BandGrain(w, bands, co), [&](int64_t index, int64_t end) {
    Scratch copy(CopySize(w, bands, pads));
    for (; index < end; index++) {
      const Band band = bands.At(w, index);
      CorrelateBand(w, pieces, band, SourceOf(w, band, x, pads, copy.data()), panels, co, y, finish);
    }
  });
}

void CorrelateGradient(const Windows &w, const float *x, const float *dy, int64_t co, float *dw) {
  const int64_t size = w.Taps() * co, width = PanelWidth();
  if (w.in.n * w.Pixels() == 0) return (void)std::fill_n(dw, size, 0.0f);
  if (size > kLargeGradient && co >= 2 * width) {
    const Bands bands(w, 2 * kPixels);
    return ParallelFor((co + width - 1) / width, 1, [&](int64_t panel, int64_t end) {
      GradientOfBands(w, bands, 0, bands.count, x, dy, panel * width, std::min(end * width, co) - panel * width, co,
                      dw);
    });
  }
  const Bands bands(w, kPixels);
  SumOfParts sums(size);
  ParallelFor(bands.count, BandGrain(w, bands, co), [&](int64_t index, int64_t end) {
    std::vector<float> part(size);
    GradientOfBands(w, bands, index, end, x, dy, 0, co, co, part.data());
    sums.Add(end, std::move(part));
  });
  const std::vector<float> total = sums.Total();
  std::copy(total.begin(), total.end(), dw);
}

void ScatterImage(const Windows &w, const float *panels, const float *dy, int64_t co, float *dx) {
  const int64_t ci = w.in.channels, line = w.width * ci, size = PanelsSize(co, line);
  const int64_t rows = std::max<int64_t>(1, std::min(w.out_height, kPixels / std::max<int64_t>(1, w.out_width)));
  Scratch windows(rows * w.out_width * line);
  std::fill_n(dx, w.in.height * w.in.width * ci, 0.0f);
  for (int64_t first = 0; first < w.out_height; first += rows) {
    const int64_t count = std::min(rows, w.out_height - first), pixels = count * w.out_width;
    for (int64_t row = 0; row < w.height; row++) {
      MultiplyLeft(pixels, line, {dy + first * w.out_width * co, co, 1, co},
                   {panels + row * size, co * PanelWidth(), PanelWidth()}, windows.data(), line, false);
      for (int64_t r = 0; r < count; r++) {
        const int64_t y = (first + r) * w.strides[0] - w.begins[0] + row;
        if (y >= 0 && y < w.in.height) AddWindows(w, windows.data() + r * w.out_width * line, dx + y * w.in.width * ci);
      }
    }
  }
}

}  // namespace lathe::LATHE_SET
