#ifndef LATHE_ATTENTION_HEADS_H_
#define LATHE_ATTENTION_HEADS_H_

// Scaled dot-product attention of one head of one sample (Vaswani et al. 2017, equation 1), and its gradient, on one
// thread. Some rows of scores are made, turned into shares and multiplied with the values before the next ones are
// made, so all of it happens in the cache.

#include <cstdint>

namespace lathe::LATHE_SET {

// A matrix [tokens, features] with rows `token` floats apart, each whole.
struct Head {
  const float *data;
  int64_t token;
};
struct HeadOut {
  float *data;
  int64_t token;
};

// queries [rows, size], keys [columns, size], values [columns, value_size].
struct HeadSizes {
  int64_t rows, columns, size, value_size;
  float scale;
};

// Added to the scaled scores: rows `token` floats apart (0: the same for all). data null: nothing.
using HeadMask = Head;

// Floats from one row of scores to the next: whole panels (gemm.h), so that products have no narrow last strip.
int64_t ScoresWidth(int64_t columns);

// Floats of memory that a thread needs for any number of heads of these sizes.
int64_t AttentionMemory(const HeadSizes &sizes, bool keeps_shares);
int64_t AttentionGradientMemory(const HeadSizes &sizes);

// What the gradient needs. shares [rows, ScoresWidth]: exp(score - largest of the row); null: they are not kept.
// factors [rows]: 1 / sum of the row.
struct Shares {
  float *shares, *factors;
};

// y [rows, value_size].
void AttendHead(const HeadSizes &sizes, Head q, Head k, Head v, HeadMask mask, HeadOut y, Shares kept, float *memory);

struct HeadGradients {
  HeadOut q, k, v, mask;  // mask [rows, columns]; its data null: not wanted
};
struct KeptShares {
  const float *shares, *factors;
};
void AttendHeadGradient(const HeadSizes &sizes, Head q, Head k, Head v, KeptShares kept, Head dy,
                        const HeadGradients &gradients, float *memory);

}  // namespace lathe::LATHE_SET

#endif  // LATHE_ATTENTION_HEADS_H_
