/**
 * API keys: 256 random bits, kept as an HMAC under the server's secret. A stolen database gives nobody a key, nor a way
 * to test guesses.
 */
import { createHmac, randomBytes } from 'node:crypto';

const PREFIX = 'lathe_';
const VISIBLE_CHARACTERS = PREFIX.length + 4;

export interface GeneratedKey {
  readonly key: string;
  /** First characters, to recognise the key in a list. */
  readonly prefix: string;
  readonly mac: string;
}

export class KeyGenerator {
  readonly #secret: string;

  constructor(secret: string) {
    this.#secret = secret;
  }

  make(): GeneratedKey {
    return this.of(`${PREFIX}${randomBytes(32).toString('base64url')}`);
  }

  of(key: string): GeneratedKey {
    return { key, prefix: key.slice(0, VISIBLE_CHARACTERS), mac: this.mac(key) };
  }

  mac(key: string): string {
    return createHmac('sha256', this.#secret).update(key).digest('hex');
  }
}
