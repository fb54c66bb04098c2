#ifndef LATHE_PARALLEL_H_
#define LATHE_PARALLEL_H_

#include <cstdint>
#include <functional>

namespace lathe {

// Calls work(begin, end) on parts of [0, count) of at least `grain`, on as many threads as TensorFlow computes an operation with
// (TF_NUM_INTRAOP_THREADS). TensorFlow's own threads cannot be reached through its C API. Where another operation holds the threads
// at the moment, the caller does all of it alone.
void ParallelFor(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)> &work);

}  // namespace lathe

#endif  // LATHE_PARALLEL_H_
