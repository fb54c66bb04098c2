/** Layers of keras.layers that are refused, each with the reason for the error message. */
const CODE = 'it holds code, which is never evaluated';
const STRINGS = 'it works on strings, which the engine has no tensors for: do this step before the model';
const BATCH =
  'it mixes or changes images by their values (a preparation of training data): take it out of the model ' +
  'that is served';

export const REFUSED_LAYERS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    Lambda: 'it holds Python code, which is never evaluated',
    JaxLayer: CODE,
    FlaxLayer: CODE,
    TorchModuleWrapper: CODE,
    TFSMLayer: 'it loads a SavedModel from a path outside the file',
    TextVectorization: STRINGS,
    StringLookup: STRINGS,
    Hashing: 'its hash function has no ONNX operator: hash before the model',
    HashedCrossing: 'its hash function has no ONNX operator: hash before the model',
    MaxNumBoundingBoxes: 'it takes dictionaries of bounding boxes, not tensors',
    AutoContrast: BATCH,
    Equalization: BATCH,
    ContrastLimitedAdaptiveHistogramEqualization: BATCH,
    StackedRNNCells: 'a cell is no layer of its own: put it into an RNN',
    LSTMCell: 'a cell is no layer of its own: put it into an RNN',
    GRUCell: 'a cell is no layer of its own: put it into an RNN',
    SimpleRNNCell: 'a cell is no layer of its own: put it into an RNN',
    Wrapper: 'it says nothing of its own: its subclasses do',
    Layer: 'it computes nothing: its subclasses do',
    LocallyConnected1D: 'its kernel differs at every place, which no ONNX operator says; Keras 3 has dropped it',
    LocallyConnected2D: 'its kernel differs at every place, which no ONNX operator says; Keras 3 has dropped it',
    TensorFlowOpLayer: 'it holds a node of a TensorFlow graph: export the model as a TF.js graph-model or ONNX',
  }),
);
