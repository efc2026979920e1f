// An op for tests, ServableHalve, by TensorFlow's C API alone: no headers and no C++, so that any C compiler makes a library
// of it that fits every TensorFlow. What is declared here is of tensorflow/c/{ops,kernels,tf_status,tf_tensor}.h.
#include <stddef.h>
#include <stdint.h>

typedef struct TF_Status TF_Status;
typedef struct TF_Tensor TF_Tensor;
typedef struct TF_OpKernelContext TF_OpKernelContext;
typedef struct TF_OpDefinitionBuilder TF_OpDefinitionBuilder;
typedef struct TF_KernelBuilder TF_KernelBuilder;

enum { OK = 0, FLOAT = 1, MOST_DIMENSIONS = 8 };

TF_Status *TF_NewStatus(void);
int TF_GetCode(const TF_Status *);
void TF_DeleteStatus(TF_Status *);
int TF_NumDims(const TF_Tensor *);
int64_t TF_Dim(const TF_Tensor *, int);
size_t TF_TensorByteSize(const TF_Tensor *);
void *TF_TensorData(const TF_Tensor *);
void TF_DeleteTensor(TF_Tensor *);
void TF_GetInput(TF_OpKernelContext *, int, TF_Tensor **, TF_Status *);
TF_Tensor *TF_AllocateOutput(TF_OpKernelContext *, int, int, const int64_t *, int, size_t, TF_Status *);
TF_OpDefinitionBuilder *TF_NewOpDefinitionBuilder(const char *);
void TF_OpDefinitionBuilderAddInput(TF_OpDefinitionBuilder *, const char *);
void TF_OpDefinitionBuilderAddOutput(TF_OpDefinitionBuilder *, const char *);
void TF_RegisterOpDefinition(TF_OpDefinitionBuilder *, TF_Status *);
TF_KernelBuilder *TF_NewKernelBuilder(const char *, const char *, void *(*)(void *), void (*)(void *, TF_OpKernelContext *),
                                      void (*)(void *));
void TF_RegisterKernelBuilder(const char *, TF_KernelBuilder *, TF_Status *);

static void halve(void *kernel, TF_OpKernelContext *context) {
  TF_Status *status = TF_NewStatus();
  TF_Tensor *input = NULL;
  TF_GetInput(context, 0, &input, status);
  int64_t sizes[MOST_DIMENSIONS];
  int rank = TF_NumDims(input);
  for (int axis = 0; axis < rank && axis < MOST_DIMENSIONS; axis++) sizes[axis] = TF_Dim(input, axis);
  size_t bytes = TF_TensorByteSize(input);
  TF_Tensor *output = TF_AllocateOutput(context, 0, FLOAT, sizes, rank, bytes, status);
  const float *x = TF_TensorData(input);
  float *y = TF_TensorData(output);
  for (size_t index = 0; index < bytes / sizeof(float); index++) y[index] = x[index] / 2;
  TF_DeleteTensor(output);
  TF_DeleteTensor(input);
  TF_DeleteStatus(status);
}

__attribute__((constructor)) static void register_op(void) {
  TF_Status *status = TF_NewStatus();
  TF_OpDefinitionBuilder *op = TF_NewOpDefinitionBuilder("ServableHalve");
  TF_OpDefinitionBuilderAddInput(op, "x: float");
  TF_OpDefinitionBuilderAddOutput(op, "y: float");
  TF_RegisterOpDefinition(op, status);
  TF_RegisterKernelBuilder("ServableHalve", TF_NewKernelBuilder("ServableHalve", "CPU", NULL, &halve, NULL), status);
  TF_DeleteStatus(status);
}
