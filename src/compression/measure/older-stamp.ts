/**
 * Restamps models whose opset or IR version is too new for the installed onnxruntime, which names the versions it
 * reads. The file means the same under that version: what a later opset added or changed is unknown in the older one,
 * so onnxruntime refuses the node instead of computing something else.
 */
import { readOpset } from '../formats/onnx/opset.ts';
import { MessageReader, MessageWriter } from '../formats/onnx/wire.ts';

/** Newest supported versions, as the error message names them. */
interface Limits {
  readonly opset?: number;
  readonly ir?: number;
}

function limitsIn(refusal: string): Limits {
  const opset = /official support for domain ai\.onnx is till opset (\d+)/.exec(refusal)?.[1];
  const ir = /max supported IR version: (\d+)/.exec(refusal)?.[1];
  return { ...(opset && { opset: Number(opset) }), ...(ir && { ir: Number(ir) }) };
}

/** Whether onnxruntime refuses a file for its versions alone. */
export function isVersionRefusal({ message }: Error): boolean {
  const { opset, ir } = limitsIn(message);
  return opset !== undefined || ir !== undefined;
}

/**
 * The file with the versions that the error message asks for, all else byte for byte; null where it was refused for
 * another reason.
 */
export function olderStamp(file: Uint8Array, refusal: string): Uint8Array | null {
  const { opset, ir } = limitsIn(refusal);
  if (opset === undefined && ir === undefined) return null;
  const reader = new MessageReader(new Uint8Array(file.buffer, file.byteOffset, file.byteLength), () => 'model');
  const writer = new MessageWriter();
  while (reader.next()) {
    if (reader.field === 1 && ir !== undefined) writer.int(1, Math.min(reader.int(), ir));
    else if (reader.field === 8 && opset !== undefined) writer.message(8, stamped(readOpset(reader), opset));
    else writer.raw(reader.record());
  }
  return writer.finish();
}

/** Only the import of ONNX's own domain has its version bounded. */
function stamped([domain, version]: [string, number], maxVersion: number): MessageWriter {
  return new MessageWriter().text(1, domain).int(2, domain === '' ? Math.min(version, maxVersion) : version);
}
