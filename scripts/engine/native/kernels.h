#ifndef LATHE_KERNELS_H_
#define LATHE_KERNELS_H_

#include <string>

namespace lathe {

// Registers every operation of the engine's own (CPU, float). Returns what went wrong, or "".
std::string RegisterKernels();

}  // namespace lathe

#endif  // LATHE_KERNELS_H_
