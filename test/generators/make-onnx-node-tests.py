"""Writes ONNX's node tests as folders that `npm run conformance` reads: NAME/model.onnx, NAME/test_data_set_0/input_0.pb, output_0.pb, ...

PyPI's onnx up to 1.22 brings them as files (onnx/backend/test/data/node); later ones hold only the code that makes them.
Needs onnx, pillow, ml_dtypes. Run: python3 test/generators/make-onnx-node-tests.py DIR
"""
import sys
from pathlib import Path

from onnx import TensorProto, numpy_helper
from onnx.backend.test.loader import load_node_model_tests


def proto(value, info):
    """The value of one input or output as the message that its declared type asks for."""
    kind = info.type.WhichOneof('value')
    if isinstance(value, TensorProto):
        return value
    make = {'map_type': numpy_helper.from_dict, 'sequence_type': numpy_helper.from_list, 'optional_type': numpy_helper.from_optional}
    return make.get(kind, numpy_helper.from_array)(value, info.name)


def write(folder: Path, case) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'model.onnx').write_bytes(case.model.SerializeToString())
    for number, (inputs, outputs) in enumerate(case.data_sets):
        data = folder / f'test_data_set_{number}'
        data.mkdir(exist_ok=True)
        for kind, values, infos in (('input', inputs, case.model.graph.input), ('output', outputs, case.model.graph.output)):
            for index, (value, info) in enumerate(zip(values, infos)):
                (data / f'{kind}_{index}.pb').write_bytes(proto(value, info).SerializeToString())


if len(sys.argv) != 2:
    sys.exit('usage: make-onnx-node-tests.py DIR')
cases = load_node_model_tests()
for case in cases:
    write(Path(sys.argv[1]) / case.name, case)
print(f'{len(cases)} cases')
