"""Writes test/data/operator-cases.json: one node a case, its inputs, and what onnx's reference evaluator makes of them. For operators, and forms of
them, that onnxruntime does not know yet or computes otherwise than the standard says.

Where the evaluator of onnx 1.23 departs from the text and function body of Attention's schema, the text holds: it is given masks spread over all rows
(it takes the number of queries from the mask), and the raw scores of mode 0 come from a run without soft cap.
Needs PyPI's onnx 1.23, ml_dtypes. Run: python3 test/generators/make-operator-cases.py
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


def evaluate(type, opset, attributes, inputs, count):
    """Outputs of one node; inputs that are left out are None."""
    code = lambda array: helper.np_dtype_to_tensor_dtype(array.dtype)
    names = ['' if array is None else f'input{i}' for i, array in enumerate(inputs)]
    given = {name: array for name, array in zip(names, inputs) if name}
    outputs = [f'output{i}' for i in range(count)]
    graph = helper.make_graph([helper.make_node(type, names, outputs, **attributes)], 'g', [helper.make_tensor_value_info(name, code(array), array.shape) for name, array in given.items()],
                              [helper.make_tensor_value_info(name, code(inputs[0]), None) for name in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=10)
    return [np.asarray(output) for output in ReferenceEvaluator(model).run(None, given)]


def attended(opset, attributes, given, outputs):
    """What Attention gives, by the names of its outputs."""
    spread = dict(given)
    if 'mask' in given:
        mask, rows = np.atleast_2d(given['mask']), given['Q'].shape[-2 if given['Q'].ndim == 4 else 1]
        spread['mask'] = np.broadcast_to(mask, mask.shape[:-2] + (rows, mask.shape[-1])).copy()
    run = lambda changed={}: dict(zip(OUTPUTS, evaluate('Attention', opset, attributes | changed, [spread.get(name) for name in INPUTS], len(OUTPUTS))))
    found = run()
    if attributes.get('qk_matmul_output_mode', 0) == 0 and attributes.get('softcap'):
        found['scores'] = run({'softcap': 0.0})['scores']
    return [found[name] if name in outputs else None for name in OUTPUTS]


def number(value):
    return str(value) if not np.isfinite(value) else int(value) if value == int(value) else float(f'{value:.8g}')


def tensor(array):
    """Values as numbers, those that JSON has no numbers for by name."""
    values = [float(value) for value in np.asarray(array).ravel()]
    names = {np.dtype(TYPES[name]): name for name in TYPES} | {np.dtype(name): name for name in ('bool', 'int8', 'int32', 'int64', 'uint64')}
    return {'dtype': names[array.dtype], 'dims': list(array.shape), 'values': [number(value) for value in values]}


def stored(type, note, opset, attributes, inputs, outputs):
    while inputs[-1] is None:
        inputs = inputs[:-1]
    while outputs[-1] is None:
        outputs = outputs[:-1]
    written = lambda arrays: [None if array is None else tensor(array) for array in arrays]
    of = lambda kind: {name: value for name, value in attributes.items() if isinstance(value, kind)}
    return {'type': type, 'note': note, 'opset': opset, 'ints': of(int), 'floats': of(float), 'strings': of(str), 'inputs': written(inputs), 'outputs': written(outputs)}


def attention(note, opset=25, dtype='float32', mask=None, lengths=None, outputs=('Y',), sizes=None, **attributes):
    random = np.random.default_rng(hash_of(note))
    given = operands(random, dtype, **(sizes or {}))
    if mask is not None:
        given['mask'] = np.asarray(mask(random) if callable(mask) else mask)
        if given['mask'].dtype != np.bool_:
            given['mask'] = given['mask'].astype(TYPES[dtype])
    if lengths is not None:
        given['lengths'] = np.asarray(lengths, np.int64)
    return stored('Attention', note, opset, attributes, [given.get(name) for name in INPUTS], attended(opset, attributes, given, outputs))


def case(type, note, inputs, outputs=1, opset=28, **attributes):
    """Inputs: shapes of random ones, arrays, or None."""
    random = np.random.default_rng(hash_of(type + note))
    arrays = [sixteenths(random, *item).astype(np.float32) if isinstance(item, tuple) else item for item in inputs]
    return stored(type, note, opset, attributes, arrays, evaluate(type, opset, attributes, arrays, outputs))


def hash_of(text):
    """The same seed in every run (str's own hash is salted)."""
    return sum(ord(letter) * 31 ** (i % 6) for i, letter in enumerate(text))


flat = lambda heads, keys: {'q_num_heads': heads, 'kv_num_heads': keys}
grouped = {'heads': 6, 'keys': 2}
truths = lambda *shape: lambda random: random.random(shape) < 0.6
numbers = lambda *shape: lambda random: sixteenths(random, *shape)
ALL = ('Y', 'present_key', 'present_value', 'scores')
CASES = [
    attention('plain', opset=23), attention('heads together', opset=23, sizes={'rank': 3}, **flat(2, 2)),
    attention('grouped heads', opset=23, sizes=grouped), attention('grouped heads, together', opset=23, sizes=grouped | {'rank': 3}, **flat(6, 2)),
    attention('one head of keys for all', opset=24, sizes={'heads': 3, 'keys': 1}, scale=0.7),
    attention('causal, more keys than queries', opset=23, is_causal=1), attention('causal, fewer keys than queries', opset=23, is_causal=1, sizes={'rows': 5, 'columns': 2}),
    attention('causal after a past', opset=23, is_causal=1, sizes={'past': 2}, outputs=ALL[:3]), attention('causal after a past, together, grouped', opset=24, is_causal=1, sizes=grouped | {'past': 3, 'rank': 3}, outputs=ALL[:3], **flat(6, 2)),
    attention('a past, of which only the values are wanted', opset=23, sizes={'past': 2}, outputs=('Y', 'present_value')), attention('a past, nothing of it wanted', opset=23, sizes={'past': 2}),
    attention('present without a past', opset=23, sizes={'rank': 3}, outputs=ALL[:3], **flat(2, 2)),
    attention('a mask of truths', opset=23, mask=truths(3, 4)), attention('a mask of truths with a row of none', opset=23, mask=[[True, False, True, True], [False] * 4, [True] * 4]),
    attention('no truth at all', opset=23, mask=np.zeros((3, 4), bool)), attention('a row of none, together', opset=24, sizes={'rank': 3}, mask=[[False] * 4, [True] * 4, [True] * 4], **flat(2, 2)),
    attention('a mask of truths, causal, with rows of none', opset=23, is_causal=1, mask=[[False, True, True, True], [False, True, False, True], [True, False, False, False]]),
    attention('a mask of numbers of each head', opset=23, mask=numbers(2, 3, 4)), attention('a mask of numbers of each sample', opset=23, mask=numbers(2, 1, 3, 4)),
    attention('a mask of numbers with -infinity', opset=23, mask=[[0, -INF, 0.5, -INF], [-INF] * 4, [1, -2, -INF, 0]]), attention('a mask of numbers with NaN', opset=23, mask=[[0, NAN, 0.5, -INF], [-INF] * 4, [1, -2, -INF, 0]]),
    attention('one row of a mask for all queries, causal', is_causal=1, mask=truths(2, 1, 1, 4)), attention('a mask of one axis', opset=24, mask=[True, False, True, True]),
    attention('a mask shorter than the keys', opset=24, mask=truths(3, 2)), attention('a mask of numbers shorter than the keys, causal', opset=25, is_causal=1, mask=numbers(2, 1, 3, 3)),
    attention('a mask shorter than past and keys', opset=24, sizes={'past': 2}, mask=numbers(3, 5), outputs=ALL[:3]),
    attention('lengths', opset=24, lengths=[3, 1]), attention('a length of nothing', opset=24, lengths=[0, 4]), attention('lengths, causal', opset=24, is_causal=1, lengths=[4, 3]),
    attention('lengths below the number of queries, causal', opset=24, is_causal=1, lengths=[1, 2]), attention('lengths, a mask, grouped, together', opset=24, is_causal=1, lengths=[4, 2], mask=truths(3, 4), sizes=grouped | {'rank': 3}, **flat(6, 2)),
    attention('one query of a cache', opset=24, is_causal=1, lengths=[2, 4], sizes={'rows': 1} | grouped), attention('lengths and a mask of each sample', lengths=[2, 3], mask=numbers(2, 2, 3, 4)),
    attention('soft cap', opset=23, softcap=0.8), attention('soft cap and a mask with -infinity', opset=23, softcap=0.8, mask=[[0, -INF, 0.5, -INF], [-INF] * 4, [1, -2, -INF, 0]]),
    attention('soft cap, causal, grouped', softcap=2.0, is_causal=1, sizes=grouped),
    *[attention(f'mode {mode}, {what}', opset=opset, qk_matmul_output_mode=mode, outputs=('Y', 'scores'), mask=[[True, False, True, True], [False] * 4, [True] * 4], **extra)
      for mode in range(4) for opset, what, extra in ((23, 'soft cap', {'softcap': 0.8}), (24, 'causal', {'is_causal': 1}))],
    attention('everything out', qk_matmul_output_mode=2, is_causal=1, softcap=1.5, sizes=grouped | {'past': 2, 'rank': 3}, outputs=ALL, **flat(6, 2)),
    attention('a window to the left', left_window_size=1, sizes={'rows': 5, 'columns': 5}), attention('a window to the right', right_window_size=1, sizes={'rows': 5, 'columns': 5}),
    attention('a window of oneself', left_window_size=0, right_window_size=0, sizes={'rows': 4}), attention('a window beyond the keys', left_window_size=1, right_window_size=0, sizes={'rows': 6, 'columns': 3}),
    attention('a window and causal', left_window_size=2, right_window_size=1, is_causal=1, sizes={'rows': 5, 'columns': 5, 'rank': 3}, **flat(2, 2)), attention('a window after a past', left_window_size=2, sizes={'past': 3}, outputs=ALL[:3]),
    attention('a window and lengths', left_window_size=1, right_window_size=0, lengths=[4, 2]), attention('a window, lengths and a mask, grouped', opset=28, left_window_size=1, is_causal=1, lengths=[4, 3], mask=truths(2, 1, 3, 4), sizes=grouped),
    attention('a window with bounds of none', left_window_size=-1, right_window_size=-1),
    *[attention(f'{dtype}{what}', opset=opset, dtype=dtype, **extra) for dtype in ('float16', 'bfloat16') for opset, what, extra in (
        (23, '', {}), (24, ', causal, lengths', {'is_causal': 1, 'lengths': [1, 4]}), (25, ', soft cap, grouped', {'softcap': 1.5, 'sizes': grouped}), (23, ', softmax in float32', {'softmax_precision': 1, 'mask': numbers(3, 4)}))],
    attention('softmax in float16', opset=23, softmax_precision=10), attention('softmax in bfloat16', opset=24, softmax_precision=16, outputs=('Y', 'scores'), qk_matmul_output_mode=3), attention('softmax in float64', opset=23, softmax_precision=11),
]
floats = lambda *values: np.array(values, np.float32)
heads = {'q_num_heads': 4, 'kv_num_heads': 2}
sequence, decays, rates = [(2, 5, 12), (2, 5, 6), (2, 5, 4)], (2, 5, 2), (2, 5, 2)
CASES += [
    case('LinearAttention', 'linear', [*sequence], 2, update_rule='linear', **heads), case('LinearAttention', 'gated, of each feature, after a past', [*sequence, (2, 2, 3, 2), (2, 5, 6)], 2, update_rule='gated', **heads),
    case('LinearAttention', 'by the delta rule, one rate', [*sequence, None, None, (2, 5, 1)], 2, update_rule='delta', scale=0.4, **heads), case('LinearAttention', 'gated, by the delta rule', [*sequence, (2, 2, 3, 2), decays, rates], 2, **heads),
    case('LinearAttention', 'heads of their own', [(1, 3, 4), (1, 3, 4), (1, 3, 6), None, (1, 3, 2), (1, 3, 2)], 2, opset=27, q_num_heads=2, kv_num_heads=2, chunk_size=2),
    case('CausalConvWithState', 'plain', [(2, 3, 5), (3, 1, 4)], 2, opset=27), case('CausalConvWithState', 'biased, activated, after a past', [(2, 3, 5), (3, 1, 4), (3,), (2, 3, 3)], 2, activation='silu'),
    case('CausalConvWithState', 'shorter than its kernel', [(1, 2, 1), (2, 1, 3), None, (1, 2, 2)], 2, activation='swish'), case('CausalConvWithState', 'a kernel of one', [(1, 2, 4), (2, 1, 1), (2,)], 2),
    case('SwiGLU', 'plain', [(2, 3, 4), (2, 3, 4)]), case('SwiGLU', 'steeper', [(2, 6), (2, 6)], alpha=1.7),
    case('SpaceToDepth', 'depth first', [(2, 3, 4, 6)], blocksize=2, mode='CRD'), case('SpaceToDepth', 'depth last', [(2, 3, 4, 6)], blocksize=2, mode='DCR'),
    case('DFT', 'back to a real signal', [(2, 5, 2), None, np.array(1, np.int64)], opset=20, inverse=1, onesided=1), case('DFT', 'back to a real signal of odd length', [(2, 4, 2), np.array(7, np.int64), np.array(1, np.int64)], opset=20, inverse=1, onesided=1),
    case('DFT', 'back to a longer real signal, another axis', [(3, 4, 2), np.array(8, np.int64)], opset=19, axis=0, inverse=1, onesided=1),
    case('LpNormalization', 'vectors of no length', [np.array([[3, -4], [0, 0]], np.float32)], opset=22), case('LpNormalization', 'sums', [np.array([[3, 0, 1], [1, 0, 4]], np.float32)], opset=22, p=1, axis=0),
    case('Mod', 'of floats, by infinities and zeros', [floats(0, -3, 3, -1, 1, INF, -INF, 1, NAN, 5.5, -5.5), floats(-2, INF, INF, -INF, -INF, 2, 2, 0, 2, 2.25, 2.25)]),
    case('Mod', 'of floats, cut, by infinities and zeros', [floats(0, -3, 3, -1, 1, INF, -INF, 1, NAN, 5.5, -5.5), floats(-2, INF, INF, -INF, -INF, 2, 2, 0, 2, 2.25, 2.25)], fmod=1),
    *[case('BitShift', f'{dtype}, {direction}', [np.array([-8, 4, -1, 127, 3], dtype), np.array([1, 9, -1, 1, 64], dtype)], direction=direction) for dtype in ('int8', 'int32', 'int64') for direction in ('LEFT', 'RIGHT')],
    *[case(type, f'no elements, {dtype}', [np.zeros((2, 0, 3), dtype), np.array([1], np.int64)], opset=20) for type in ('ReduceMax', 'ReduceMin') for dtype in ('bool', 'int8', 'int32', 'float32')],
    *[case('Range', f'{dtype}, counted in float32', [np.array(value, TYPES[dtype]) for value in (0.5, 7, 0.75)], opset=27) for dtype in ('float16', 'bfloat16')],
]
Path(__file__).parent.parent.joinpath('data/operator-cases.json').write_text('[\n' + ',\n'.join(json.dumps(item) for item in CASES) + '\n]\n')
