// Sums and broadcasts of a SharedGroup as operations of TensorFlow. They are stateful: TensorFlow neither merges nor
// drops them; a compiled step runs them in the order in which they were recorded (tensor/compiled/function-def.ts).
//
// They are asynchronous: what waits for other processes holds none of the threads that compute. Only short sums, which
// are on the way of what comes next (the statistics of a batch normalization), run in the thread that is there.
#include "shared-group-ops.h"

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "op.h"
#include "shared-group-registry.h"

namespace lathe {
namespace {

struct Attributes {
  int64_t group = 0;
  int64_t root = 0;
};

void *Create(TF_OpKernelConstruction *construction, bool has_root) {
  auto *attributes = new Attributes;
  TF_Status *status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrInt64(construction, "group", &attributes->group, status);
  if (has_root) TF_OpKernelConstruction_GetAttrInt64(construction, "root", &attributes->root, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return attributes;
}
void *CreateSum(TF_OpKernelConstruction *construction) { return Create(construction, false); }
void *CreateBroadcast(TF_OpKernelConstruction *construction) { return Create(construction, true); }
void Delete(void *kernel) { delete static_cast<Attributes *>(kernel); }

void Fail(TF_OpKernelContext *context, const std::string &reason) {
  TF_Status *status = TF_NewStatus();
  TF_SetStatus(status, TF_ABORTED, ("shared group: " + reason).c_str());
  TF_OpKernelContext_Failure(context, status);
  TF_DeleteStatus(status);
}

// Outputs take over the memory of their inputs where nobody else holds it.
bool PiecesOf(TF_OpKernelContext *context, std::vector<Piece> *pieces) {
  const int count = TF_NumInputs(context);
  for (int i = 0; i < count; i++) {
    Tensors tensors(context);
    char *out = reinterpret_cast<char *>(tensors.OutputOver(i, i));
    if (!tensors.Ok()) return tensors.Report(), false;
    // every type that is exchanged has four bytes
    pieces->push_back({reinterpret_cast<const char *>(tensors.Input(i)), out, tensors.Count(i) * 4});
  }
  return true;
}

// TensorFlow hands out the address of its argument, a std::function that ends with this call (tensorflow/c/kernels.cc),
// so it is copied. Both sides must mean the same std::function: on Linux libstdc++'s.
using Done = std::function<void()>;
#if defined(__linux__) && !defined(__GLIBCXX__)
#error "compile the engine with libstdc++, as TensorFlow's library is"
#endif
Done KeptDone(TF_AsyncOpKernelDoneCallback *done) { return *reinterpret_cast<Done *>(done); }

template <typename F>
void Exchange(void *kernel, TF_OpKernelContext *context, TF_AsyncOpKernelDoneCallback *done, int64_t short_bytes,
              const F &exchange) {
  const Attributes attributes = *static_cast<Attributes *>(kernel);
  auto pieces = std::make_shared<std::vector<Piece>>();
  if (!PiecesOf(context, pieces.get())) return TF_RunAsyncOpKernelDoneCallback(done);
  std::shared_ptr<SharedGroup> group;
  try {
    group = FindSharedGroup(attributes.group);
  } catch (const std::exception &error) {
    Fail(context, error.what());
    return TF_RunAsyncOpKernelDoneCallback(done);
  }
  int64_t bytes = 0;
  for (const Piece &piece : *pieces) bytes += piece.bytes;
  OrderedTasks &tasks = group->tasks();
  auto task = [=, done = KeptDone(done)] {
    try {
      exchange(*group, *pieces, attributes);
    } catch (const std::exception &error) {
      Fail(context, error.what());
    }
    done();
  };
  if (bytes <= short_bytes)
    tasks.RunOrAdd(std::move(task));
  else
    tasks.Add(std::move(task));
}

void Sum(void *kernel, TF_OpKernelContext *context, TF_AsyncOpKernelDoneCallback *done) {
  Exchange(kernel, context, done, kShortBytes,
           [](SharedGroup &group, const std::vector<Piece> &pieces, const Attributes &) { group.Sum(pieces); });
}

void Broadcast(void *kernel, TF_OpKernelContext *context, TF_AsyncOpKernelDoneCallback *done) {
  Exchange(kernel, context, done, 0,
           [](SharedGroup &group, const std::vector<Piece> &pieces, const Attributes &attributes) {
             group.Broadcast(pieces, static_cast<int>(attributes.root));
           });
}

void Shapes(TF_ShapeInferenceContext *context, TF_Status *status) {
  const int64_t count = TF_ShapeInferenceContextNumInputs(context);
  for (int i = 0; i < count; i++) ShapeOfInput(context, i, i, status);
}

void Register(const char *name, Strings inputs, Strings outputs, Strings attributes,
              void *(*create)(TF_OpKernelConstruction *),
              void (*compute)(void *, TF_OpKernelContext *, TF_AsyncOpKernelDoneCallback *), TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) return;
  Define(name, inputs, outputs, attributes, Shapes, status, /*stateful=*/true);
  if (TF_GetCode(status) != TF_OK) return;
  TF_RegisterKernelBuilder(name, TF_NewAsyncKernelBuilder(name, "CPU", create, compute, Delete), status);
}

}  // namespace

void RegisterSharedGroupOps(TF_Status *status) {
  Register("LatheSharedSum", {"x: count * float"}, {"sum: count * float"}, {"count: int >= 1", "group: int"}, CreateSum,
           Sum, status);
  Register("LatheSharedBroadcast", {"x: count * T"}, {"y: count * T"},
           {"count: int >= 1", "T: {float, int32}", "group: int", "root: int"}, CreateBroadcast, Broadcast, status);
}

}  // namespace lathe
