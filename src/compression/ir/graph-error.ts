import { LatheError } from '../../errors.ts';

/**
 * A contradiction at one node of a graph: wrong ranks, impossible attributes, missing inputs. Operators throw it
 * without a place; the code that walks the graph adds the node with `atNode`.
 */
export class GraphError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GraphError';
  }
}

/** A node's label in messages: its name, or its first named output where it has none. */
export function nodeLabel(node: {
  readonly name: string;
  readonly opType: string;
  readonly outputs: readonly string[];
}): string {
  const name = node.name || node.outputs.find((output) => output !== '') || '';
  return `node "${printable(name)}" (${printable(node.opType)})`;
}

/** The user-facing form of a graph error: `malformed-model` with the node in the path. */
export function atNode(node: Parameters<typeof nodeLabel>[0], error: unknown): LatheError {
  const message = error instanceof Error ? error.message : String(error);
  return malformed(nodeLabel(node), message, error);
}

/** Adds the node to an operator's error, once, at the innermost node. */
export function located(node: Parameters<typeof nodeLabel>[0], error: unknown): unknown {
  if (error instanceof GraphError) return atNode(node, error);
  if (!(error instanceof LatheError) || error.errors.length > 0) return error;
  const place = nodeLabel(node);
  return new LatheError(error.code, `${place}: ${error.message}`, [{ path: place, message: error.message }], {
    cause: error,
  });
}

/** A `malformed-model` error that names the place. */
export function malformed(place: string, message: string, cause?: unknown): LatheError {
  return new LatheError('malformed-model', `${place}: ${message}`, [{ path: place, message }], { cause });
}

/** Escapes control characters and cuts long names, since names come from files and messages must stay one line. */
export function printable(name: string): string {
  const escaped = name.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return escaped.length > 120 ? `${escaped.slice(0, 117)}...` : escaped;
}
