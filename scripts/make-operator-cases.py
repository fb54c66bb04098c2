"""Writes test/data/attention.json: one Attention node a case, its inputs, and what onnx's reference evaluator makes of them.

Where the evaluator of onnx 1.23 departs from the text and function body of the schema, the text holds: it is given masks spread over all rows
(it takes the number of queries from the mask), and the raw scores of mode 0 come from a run without soft cap.
Needs PyPI's onnx 1.23, ml_dtypes. Run: python3 scripts/make-attention-cases.py
"""
import json
import warnings
from pathlib import Path

import ml_dtypes
import numpy as np
from onnx import helper
from onnx.reference import ReferenceEvaluator

warnings.filterwarnings('ignore')
TYPES = {'float32': np.float32, 'float16': np.float16, 'bfloat16': ml_dtypes.bfloat16}
INPUTS = ['Q', 'K', 'V', 'mask', 'past_key', 'past_value', 'lengths']
OUTPUTS = ['Y', 'present_key', 'present_value', 'scores']
INF, NAN = float('inf'), float('nan')


def sixteenths(random, *shape):
    """Numbers that bfloat16 holds as they are."""
    return np.round(16 * random.standard_normal(shape)) / 16


def operands(random, dtype, *, rank=4, batch=2, heads=2, keys=2, rows=3, columns=4, size=4, value=3, past=0):
    """Queries, keys and values, and earlier keys and values where there are any."""
    draw = lambda *shape: sixteenths(random, *shape).astype(TYPES[dtype])
    if rank == 3:
        named = {'Q': draw(batch, rows, heads * size), 'K': draw(batch, columns, keys * size), 'V': draw(batch, columns, keys * value)}
    else:
        named = {'Q': draw(batch, heads, rows, size), 'K': draw(batch, keys, columns, size), 'V': draw(batch, keys, columns, value)}
    return named | ({'past_key': draw(batch, keys, past, size), 'past_value': draw(batch, keys, past, value)} if past else {})


def evaluate(opset, dtype, attributes, given, outputs):
    code = lambda array: helper.np_dtype_to_tensor_dtype(array.dtype)
    names = [name if name in given else '' for name in INPUTS[:max(INPUTS.index(name) for name in given) + 1]]
    node = helper.make_node('Attention', names, [name if name in outputs else '' for name in OUTPUTS[:max(map(OUTPUTS.index, outputs)) + 1]], **attributes)
    graph = helper.make_graph([node], 'g', [helper.make_tensor_value_info(name, code(array), array.shape) for name, array in given.items()],
                              [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(TYPES[dtype])), None) for name in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=10)
    return dict(zip(outputs, ReferenceEvaluator(model).run(None, given)))


def expected(opset, dtype, attributes, given, outputs):
    spread = dict(given)
    if 'mask' in given:
        mask, rows = np.atleast_2d(given['mask']), given['Q'].shape[-2 if given['Q'].ndim == 4 else 1]
        spread['mask'] = np.broadcast_to(mask, mask.shape[:-2] + (rows, mask.shape[-1])).copy()
    found = evaluate(opset, dtype, attributes, spread, outputs)
    if 'scores' in outputs and attributes.get('qk_matmul_output_mode', 0) == 0 and attributes.get('softcap'):
        found['scores'] = evaluate(opset, dtype, attributes | {'softcap': 0.0}, spread, outputs)['scores']
    return found


def tensor(array):
    """Values as numbers, those that JSON has no numbers for by name."""
    values = [float(value) for value in np.asarray(array, np.float64 if array.dtype != np.bool_ else np.uint8).ravel()]
    names = {np.dtype(TYPES[name]): name for name in TYPES} | {np.dtype(np.bool_): 'bool', np.dtype(np.int64): 'int64'}
    return {'dtype': names[array.dtype], 'dims': list(array.shape), 'values': [float(f'{value:.8g}') if np.isfinite(value) else str(value) for value in values]}


def case(note, opset=25, dtype='float32', mask=None, lengths=None, outputs=('Y',), sizes=None, **attributes):
    random = np.random.default_rng(abs(hash_of(note)))
    given = operands(random, dtype, **(sizes or {}))
    if mask is not None:
        given['mask'] = np.asarray(mask(random) if callable(mask) else mask)
        if given['mask'].dtype != np.bool_:
            given['mask'] = given['mask'].astype(TYPES[dtype])
    if lengths is not None:
        given['lengths'] = np.asarray(lengths, np.int64)
    found = expected(opset, dtype, attributes, given, list(outputs))
    integers = {name: value for name, value in attributes.items() if isinstance(value, int)}
    floats = {name: value for name, value in attributes.items() if isinstance(value, float)}
    return {'note': note, 'opset': opset, 'dtype': dtype, 'ints': integers, 'floats': floats, 'inputs': {name: tensor(array) for name, array in given.items()},
            'outputs': {name: tensor(np.asarray(found[name])) for name in outputs}}


def hash_of(text):
    """The same seed in every run (str's own hash is salted)."""
    return sum(ord(letter) * 31 ** (i % 6) for i, letter in enumerate(text))


flat = lambda heads, keys: {'q_num_heads': heads, 'kv_num_heads': keys}
grouped = {'heads': 6, 'keys': 2}
truths = lambda *shape: lambda random: random.random(shape) < 0.6
numbers = lambda *shape: lambda random: sixteenths(random, *shape)
ALL = ('Y', 'present_key', 'present_value', 'scores')
CASES = [
    case('plain', opset=23), case('heads together', opset=23, sizes={'rank': 3}, **flat(2, 2)),
    case('grouped heads', opset=23, sizes=grouped), case('grouped heads, together', opset=23, sizes=grouped | {'rank': 3}, **flat(6, 2)),
    case('one head of keys for all', opset=24, sizes={'heads': 3, 'keys': 1}, scale=0.7),
    case('causal, more keys than queries', opset=23, is_causal=1), case('causal, fewer keys than queries', opset=23, is_causal=1, sizes={'rows': 5, 'columns': 2}),
    case('causal after a past', opset=23, is_causal=1, sizes={'past': 2}, outputs=ALL[:3]), case('causal after a past, together, grouped', opset=24, is_causal=1, sizes=grouped | {'past': 3, 'rank': 3}, outputs=ALL[:3], **flat(6, 2)),
    case('a past, of which only the values are wanted', opset=23, sizes={'past': 2}, outputs=('Y', 'present_value')), case('a past, nothing of it wanted', opset=23, sizes={'past': 2}),
    case('present without a past', opset=23, sizes={'rank': 3}, outputs=ALL[:3], **flat(2, 2)),
    case('a mask of truths', opset=23, mask=truths(3, 4)), case('a mask of truths with a row of none', opset=23, mask=[[True, False, True, True], [False] * 4, [True] * 4]),
    case('no truth at all', opset=23, mask=np.zeros((3, 4), bool)), case('a row of none, together', opset=24, sizes={'rank': 3}, mask=[[False] * 4, [True] * 4, [True] * 4], **flat(2, 2)),
    case('a mask of truths, causal, with rows of none', opset=23, is_causal=1, mask=[[False, True, True, True], [False, True, False, True], [True, False, False, False]]),
    case('a mask of numbers of each head', opset=23, mask=numbers(2, 3, 4)), case('a mask of numbers of each sample', opset=23, mask=numbers(2, 1, 3, 4)),
    case('a mask of numbers with -infinity', opset=23, mask=[[0, -INF, 0.5, -INF], [-INF] * 4, [1, -2, -INF, 0]]), case('a mask of numbers with NaN', opset=23, mask=[[0, NAN, 0.5, -INF], [-INF] * 4, [1, -2, -INF, 0]]),
    case('one row of a mask for all queries, causal', is_causal=1, mask=truths(2, 1, 1, 4)), case('a mask of one axis', opset=24, mask=[True, False, True, True]),
    case('a mask shorter than the keys', opset=24, mask=truths(3, 2)), case('a mask of numbers shorter than the keys, causal', opset=25, is_causal=1, mask=numbers(2, 1, 3, 3)),
    case('a mask shorter than past and keys', opset=24, sizes={'past': 2}, mask=numbers(3, 5), outputs=ALL[:3]),
    case('lengths', opset=24, lengths=[3, 1]), case('a length of nothing', opset=24, lengths=[0, 4]), case('lengths, causal', opset=24, is_causal=1, lengths=[4, 3]),
    case('lengths below the number of queries, causal', opset=24, is_causal=1, lengths=[1, 2]), case('lengths, a mask, grouped, together', opset=24, is_causal=1, lengths=[4, 2], mask=truths(3, 4), sizes=grouped | {'rank': 3}, **flat(6, 2)),
    case('one query of a cache', opset=24, is_causal=1, lengths=[2, 4], sizes={'rows': 1} | grouped), case('lengths and a mask of each sample', lengths=[2, 3], mask=numbers(2, 2, 3, 4)),
    case('soft cap', opset=23, softcap=0.8), case('soft cap and a mask with -infinity', opset=23, softcap=0.8, mask=[[0, -INF, 0.5, -INF], [-INF] * 4, [1, -2, -INF, 0]]),
    case('soft cap, causal, grouped', softcap=2.0, is_causal=1, sizes=grouped),
    *[case(f'mode {mode}, {what}', opset=opset, qk_matmul_output_mode=mode, outputs=('Y', 'scores'), mask=[[True, False, True, True], [False] * 4, [True] * 4], **extra)
      for mode in range(4) for opset, what, extra in ((23, 'soft cap', {'softcap': 0.8}), (24, 'causal', {'is_causal': 1}))],
    case('everything out', qk_matmul_output_mode=2, is_causal=1, softcap=1.5, sizes=grouped | {'past': 2, 'rank': 3}, outputs=ALL, **flat(6, 2)),
    case('a window to the left', left_window_size=1, sizes={'rows': 5, 'columns': 5}), case('a window to the right', right_window_size=1, sizes={'rows': 5, 'columns': 5}),
    case('a window of oneself', left_window_size=0, right_window_size=0, sizes={'rows': 4}), case('a window beyond the keys', left_window_size=1, right_window_size=0, sizes={'rows': 6, 'columns': 3}),
    case('a window and causal', left_window_size=2, right_window_size=1, is_causal=1, sizes={'rows': 5, 'columns': 5, 'rank': 3}, **flat(2, 2)), case('a window after a past', left_window_size=2, sizes={'past': 3}, outputs=ALL[:3]),
    case('a window and lengths', left_window_size=1, right_window_size=0, lengths=[4, 2]), case('a window, lengths and a mask, grouped', opset=28, left_window_size=1, is_causal=1, lengths=[4, 3], mask=truths(2, 1, 3, 4), sizes=grouped),
    case('a window with bounds of none', left_window_size=-1, right_window_size=-1),
    *[case(f'{dtype}{what}', opset=opset, dtype=dtype, **extra) for dtype in ('float16', 'bfloat16') for opset, what, extra in (
        (23, '', {}), (24, ', causal, lengths', {'is_causal': 1, 'lengths': [1, 4]}), (25, ', soft cap, grouped', {'softcap': 1.5, 'sizes': grouped}), (23, ', softmax in float32', {'softmax_precision': 1, 'mask': numbers(3, 4)}))],
    case('softmax in float16', opset=23, softmax_precision=10), case('softmax in bfloat16', opset=24, softmax_precision=16, outputs=('Y', 'scores'), qk_matmul_output_mode=3), case('softmax in float64', opset=23, softmax_precision=11),
]
Path(__file__).parent.parent.joinpath('test/data/attention.json').write_text('[\n' + ',\n'.join(json.dumps(item) for item in CASES) + '\n]\n')
