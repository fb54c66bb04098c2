// The engine's addon: tfjs-node's own binding (its two sources, taken from the npm package as they are) in one
// translation unit with what the compiled training step needs besides: the binding's eager context, functions added to
// it, and the definitions of TensorFlow's operations.
#include <node_api.h>

#include <string>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/eager/c_api.h"

#include "kernels.h"
#include "shared-group-exports.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace lathe {

// The binding makes exactly one context and keeps it private; its sources below are compiled to make it here instead.
static TFE_Context *context = nullptr;

static TFE_Context *NewContext(const TFE_ContextOptions *options, TF_Status *status) {
  context = TFE_NewContext(options, status);
  return context;
}

}  // namespace lathe

#define TFE_NewContext lathe::NewContext
#include "binding/tfjs_backend.cc"
#undef TFE_NewContext

#undef NAPI_MODULE
#define NAPI_MODULE(name, init)
#include "binding/tfjs_binding.cc"

namespace lathe {

static bool Check(napi_env env, TF_Status *status) {
  if (TF_GetCode(status) == TF_OK) return true;
  napi_throw_error(env, nullptr, TF_Message(status));
  return false;
}

// addFunction(bytes: Uint8Array): adds a serialized tensorflow.FunctionDef to the context; it then runs like any
// operation.
static napi_value AddFunction(napi_env env, napi_callback_info info) {
  size_t count = 1, length = 0;
  napi_value argument;
  void *bytes = nullptr;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  if (napi_get_typedarray_info(env, argument, nullptr, &length, &bytes, nullptr, nullptr) != napi_ok) {
    napi_throw_type_error(env, nullptr, "addFunction needs a Uint8Array");
    return nullptr;
  }
  tfnodejs::TF_AutoStatus status;
  TFE_ContextAddFunctionDef(context, static_cast<const char *>(bytes), length, status.status);
  Check(env, status.status);
  return nullptr;
}

static std::string StringArgument(napi_env env, napi_callback_info info) {
  size_t count = 1, length = 0;
  napi_value argument;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  if (napi_get_value_string_utf8(env, argument, nullptr, 0, &length) != napi_ok) return "";
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, argument, text.data(), length + 1, &length);
  return text;
}

// removeFunction(name: string)
static napi_value RemoveFunction(napi_env env, napi_callback_info info) {
  tfnodejs::TF_AutoStatus status;
  TFE_ContextRemoveFunction(context, StringArgument(env, info).c_str(), status.status);
  Check(env, status.status);
  return nullptr;
}

// opDefinitions(): Buffer with a serialized tensorflow.OpList of every registered operation.
static napi_value OpDefinitions(napi_env env, napi_callback_info) {
  TF_Buffer *list = TF_GetAllOpList();
  napi_value result = nullptr;
  napi_create_buffer_copy(env, list->length, list->data, nullptr, &result);
  TF_DeleteBuffer(list);
  return result;
}

// devices(): names such as "/job:localhost/replica:0/task:0/device:CPU:0".
static napi_value Devices(napi_env env, napi_callback_info) {
  tfnodejs::TF_AutoStatus status;
  TF_DeviceList *list = TFE_ContextListDevices(context, status.status);
  if (!Check(env, status.status)) return nullptr;
  napi_value names = nullptr;
  napi_create_array(env, &names);
  for (int i = 0; i < TF_DeviceListCount(list); i++) {
    napi_value name = nullptr;
    napi_create_string_utf8(env, TF_DeviceListName(list, i, status.status), NAPI_AUTO_LENGTH, &name);
    napi_set_element(env, names, i, name);
  }
  TF_DeleteDeviceList(list);
  return names;
}

// kernelSet(): the instruction set that the engine's own operations are computed with (kernels.h).
static napi_value KernelSet(napi_env env, napi_callback_info) {
  napi_value name = nullptr;
  napi_create_string_utf8(env, KernelSetName(), NAPI_AUTO_LENGTH, &name);
  return name;
}

// A training step allocates and frees the same large blocks over and over. glibc's defaults hand them back to the
// kernel each time, and every step pays the page faults anew.
static void KeepFreedMemory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

static void Export(napi_env env, napi_value exports, const char *name, napi_callback callback) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

}  // namespace lathe

NAPI_MODULE_INIT() {
  lathe::KeepFreedMemory();
  std::string problem = lathe::RegisterKernels();
  if (!problem.empty()) {
    napi_throw_error(env, nullptr, problem.c_str());
    return nullptr;
  }
  tfnodejs::InitTFNodeJSBinding(env, exports);
  lathe::Export(env, exports, "addFunction", lathe::AddFunction);
  lathe::Export(env, exports, "removeFunction", lathe::RemoveFunction);
  lathe::Export(env, exports, "opDefinitions", lathe::OpDefinitions);
  lathe::Export(env, exports, "devices", lathe::Devices);
  lathe::Export(env, exports, "kernelSet", lathe::KernelSet);
  lathe::ExportSharedGroups(env, exports);
  return exports;
}
