// Which kernels the engine's own operations are computed with: one set for each instruction set (kernel-set.cc), chosen
// by what the processor says of itself when the addon is loaded.
#include "kernels.h"

#include <cstdlib>

#include "shared-group-ops.h"
#include "tensorflow/c/tf_status.h"

namespace lathe {

#if defined(__x86_64__)
namespace avx512 {
void Register(TF_Status *status);
}
namespace avx2 {
void Register(TF_Status *status);
}
namespace plain {
void Register(TF_Status *status);
}
#else
namespace neon {
void Register(TF_Status *status);
}
#endif

namespace {

struct KernelSet {
  const char *name;
  bool runs;  // this processor has the instructions
  void (*register_all)(TF_Status *);
};

// The fastest first.
#if defined(__x86_64__)
bool HasAvx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
bool HasAvx512() {
  return HasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
const KernelSet kSets[] = {
    {"avx512", HasAvx512(), avx512::Register}, {"avx2", HasAvx2(), avx2::Register}, {"plain", true, plain::Register}};
#else
const KernelSet kSets[] = {{"neon", true, neon::Register}};
#endif

const KernelSet *chosen = nullptr;

// The requested set, or the first that runs; null where the processor lacks it.
const KernelSet *Choose(const std::string &asked) {
  for (const KernelSet &set : kSets) {
    if (set.runs && (asked.empty() || asked == set.name)) return &set;
  }
  return nullptr;
}

std::string Refusal(const std::string &asked) {
  std::string names;
  for (const KernelSet &set : kSets) {
    if (set.runs) names += (names.empty() ? "" : ", ") + std::string(set.name);
  }
  return "LATHE_KERNELS is \"" + asked + "\"; this processor runs " + names;
}

}  // namespace

std::string RegisterKernels() {
  if (chosen) return "";  // once per process: worker threads load the addon again
  const char *variable = std::getenv("LATHE_KERNELS");
  const std::string asked = variable ? variable : "";
  const KernelSet *set = Choose(asked);
  if (!set) return Refusal(asked);
  chosen = set;
  TF_Status *status = TF_NewStatus();
  set->register_all(status);
  if (TF_GetCode(status) == TF_OK) RegisterSharedGroupOps(status);
  std::string problem = TF_GetCode(status) == TF_OK ? "" : TF_Message(status);
  TF_DeleteStatus(status);
  return problem;
}

const char *KernelSetName() { return chosen ? chosen->name : ""; }

}  // namespace lathe
