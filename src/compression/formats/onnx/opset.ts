/** Opset imports: which version of which domain's operators a model or function is written in. */
import { LatheError } from '../../../errors.ts';
import type { MessageReader } from './wire.ts';

/** The newest opset of ONNX's own domain that the representation knows. */
export const MAX_OPSET = 28;

/** ONNX's own domain has two names. */
export function ownDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

/** An opset import: domain ('' for ONNX's own) and version. */
export function readOpset(parent: MessageReader): [string, number] {
  const reader = parent.message(() => 'opset import');
  let domain = '';
  let version = 0;
  while (reader.next()) {
    if (reader.field === 1) domain = reader.text();
    else if (reader.field === 2) version = reader.int();
    else reader.record();
  }
  return [ownDomain(domain), version];
}

/** @throws LatheError where the model names no version, or one that is not known */
export function checkOpset(reader: MessageReader, opsets: ReadonlyMap<string, number>): void {
  const opset = opsets.get('');
  if (opset === undefined) {
    if (opsets.size === 0) throw reader.error('no opset import: the version of the operators is unknown');
    return; // a model of other domains only
  }
  if (opset < 1) throw reader.error(`opset ${opset} does not exist; versions 1 to ${MAX_OPSET} are known`);
  checkNotNewer(opset, 'opset import');
}

/** A later opset may change what an operator computes, so such a file is refused whole. */
export function checkNotNewer(opset: number, place: string): void {
  if (opset <= MAX_OPSET) return;
  const message =
    `opset ${opset} is newer than the ${MAX_OPSET} this release knows; ` +
    `export the model with opset ${MAX_OPSET} or older`;
  throw new LatheError('unsupported-operator', `${place}: ${message}`, [{ path: place, message }]);
}
