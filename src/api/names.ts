/** Names of files as clients send them: without folders, bounded, and fit for a header. */
const MAX_LENGTH = 200;

/** `null`: no usable character is left. */
export function storableName(name: string | undefined): string | null {
  const base = (name ?? '')
    .split(/[/\\]/)
    .at(-1)
    ?.replace(/\p{Cc}/gu, '')
    .trim()
    .slice(0, MAX_LENGTH);
  return base ? base : null;
}

/** Content-Disposition (RFC 6266): the plain form for old clients, the extended one for all characters. */
export function attachment(name: string): string {
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  const extended = encodeURIComponent(name.replace(/[\ud800-\udfff]/g, '_')).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${extended}`;
}
