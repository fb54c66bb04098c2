#ifndef LATHE_KERNELS_H_
#define LATHE_KERNELS_H_

#include <string>

namespace lathe {

// Registers every operation of the engine's own (CPU, float), with the kernels for this processor's best instruction
// set or those that LATHE_KERNELS names. Returns what went wrong, or "".
std::string RegisterKernels();

// The instruction set whose kernels are registered: "avx512", "avx2", "plain" (x86-64's base, SSE2), "neon".
const char *KernelSetName();

}  // namespace lathe

#endif  // LATHE_KERNELS_H_
