/** LATHE_S3_URL: where artifacts are kept when not on local disk. */

export interface S3Location {
  readonly bucket: string;
  /** Empty, or ends with a slash. */
  readonly prefix: string;
  /** `null`: Amazon's own, of the region. */
  readonly endpoint: string | null;
  /** `null`: from the environment (AWS_REGION), as the AWS tools have it. */
  readonly region: string | null;
  /** `null`: from the environment (AWS_ACCESS_KEY_ID, a profile, the machine's role). */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | null;
}

export const S3_URL_FORMS =
  's3://BUCKET/PREFIX?region=REGION&endpoint=URL (Amazon, or any server) or ' +
  'http(s)://KEY:SECRET@HOST:PORT/BUCKET/PREFIX?region=REGION (a server of your own)';

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PARAMETERS: ReadonlySet<string> = new Set(['region', 'endpoint']);
/** Region that self-hosted servers expect. */
const ANY_REGION = 'us-east-1';

/** `null`: the text is not such a URL. */
export function parseS3Url(text: string): S3Location | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (![...url.searchParams.keys()].every((name) => PARAMETERS.has(name))) return null;
  const given =
    url.protocol === 's3:'
      ? parseBucketUrl(url)
      : url.protocol === 'http:' || url.protocol === 'https:'
        ? parseServerUrl(url)
        : null;
  return given && BUCKET.test(given.bucket) ? given : null;
}

function parseBucketUrl(url: URL): S3Location | null {
  const endpoint = url.searchParams.get('endpoint');
  if (endpoint !== null && !URL.canParse(endpoint)) return null;
  return {
    bucket: url.hostname,
    prefix: prefixOf(url.pathname.split('/').slice(1)),
    endpoint,
    region: url.searchParams.get('region') ?? (endpoint === null ? null : ANY_REGION),
    credentials: credentialsOf(url),
  };
}

function parseServerUrl(url: URL): S3Location | null {
  if (url.searchParams.has('endpoint')) return null;
  const [bucket = '', ...rest] = url.pathname.split('/').slice(1);
  return {
    bucket,
    prefix: prefixOf(rest),
    endpoint: url.origin,
    region: url.searchParams.get('region') ?? ANY_REGION,
    credentials: credentialsOf(url),
  };
}

function prefixOf(segments: readonly string[]): string {
  return segments
    .filter((segment) => segment !== '')
    .map((segment) => `${decodeURIComponent(segment)}/`)
    .join('');
}

function credentialsOf({ username, password }: URL): S3Location['credentials'] {
  return username && password
    ? { accessKeyId: decodeURIComponent(username), secretAccessKey: decodeURIComponent(password) }
    : null;
}
