// The kernels for one instruction set, which the build names: LATHE_SET is plain, avx2, avx512 or neon. The file is
// compiled once for each that the architecture has (addon.mjs), and kernels.cc registers one of them when the addon is
// loaded. So the addon runs on processors other than the one that built it, and never on instructions that a processor
// lacks.
//
// Headers that sets share come first: what they define inline is compiled for every processor, whichever copy the
// linker keeps.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <vector>

#include "op.h"
#include "parallel.h"

#if defined(__SSE__)
#include <immintrin.h>
#endif

#if defined(LATHE_WITH_AVX512)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")
#endif
#elif defined(LATHE_WITH_AVX2)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#endif

#include "gemm.cc"
#include "bias.cc"
#include "product.cc"
#include "correlate.cc"
#include "conv.cc"
#include "depthwise.cc"
#include "batch-norm.cc"
#include "optimizer.cc"
#include "pooling.cc"
#include "rows.cc"
#include "lstm.cc"
#include "winograd.cc"
#include "attention-heads.cc"
#include "attention.cc"

namespace lathe::LATHE_SET {

void Register(TF_Status *status) {
  RegisterBias(status);
  RegisterProduct(status);
  RegisterConv(status);
  RegisterDepthwise(status);
  RegisterBatchNorm(status);
  RegisterOptimizers(status);
  RegisterPooling(status);
  RegisterRows(status);
  RegisterLstm(status);
  RegisterWinograd(status);
  RegisterAttention(status);
}

}  // namespace lathe::LATHE_SET

#if defined(LATHE_WITH_AVX512) || defined(LATHE_WITH_AVX2)
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
