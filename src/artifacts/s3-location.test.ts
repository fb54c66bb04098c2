import { expect, test } from 'vitest';
import { parseS3Url } from './s3-location.ts';

const OWN = { endpoint: null, region: null, credentials: null };

test.each([
  ['s3://models', { ...OWN, bucket: 'models', prefix: '' }],
  [
    's3://models/lathe/blobs/?region=eu-central-1',
    { ...OWN, bucket: 'models', prefix: 'lathe/blobs/', region: 'eu-central-1' },
  ],
  [
    's3://models?endpoint=http://minio:9000',
    { ...OWN, bucket: 'models', prefix: '', endpoint: 'http://minio:9000', region: 'us-east-1' },
  ],
  [
    'http://key:se%2Fcret@127.0.0.1:9000/models/a',
    {
      bucket: 'models',
      prefix: 'a/',
      endpoint: 'http://127.0.0.1:9000',
      region: 'us-east-1',
      credentials: { accessKeyId: 'key', secretAccessKey: 'se/cret' },
    },
  ],
])('%s is a place', (text, place) => {
  expect(parseS3Url(text)).toEqual(place);
});

test.each([
  'bucket',
  'ftp://bucket',
  's3://',
  's3://UPPER_case',
  'http://host',
  's3://models?acl=public',
  's3://models?endpoint=minio',
  'http://host/models?endpoint=http://other',
])('%s is none', (text) => {
  expect(parseS3Url(text)).toBeNull();
});
