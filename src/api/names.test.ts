import { expect, test } from 'vitest';
import { attachment, storableName } from './names.ts';

test("a file's name loses its folders and control characters", () => {
  expect(storableName('C:\\models\\net.onnx')).toBe('net.onnx');
  expect(storableName('../../etc/passwd')).toBe('passwd');
  expect(storableName('a\0b\n.onnx')).toBe('ab.onnx');
  expect(storableName('')).toBeNull();
  expect(storableName(undefined)).toBeNull();
  expect(storableName('x'.repeat(500))).toHaveLength(200);
});

test('a name of any characters fits a header', () => {
  expect(attachment('net.onnx')).toBe('attachment; filename="net.onnx"; filename*=UTF-8\'\'net.onnx');
  expect(attachment('a"b\\c.onnx')).toContain('filename="a_b_c.onnx"');
  expect(attachment('模型.onnx')).toBe('attachment; filename="__.onnx"; filename*=UTF-8\'\'%E6%A8%A1%E5%9E%8B.onnx');
  expect(attachment('\ud800.onnx')).toContain("UTF-8''_.onnx");
});
