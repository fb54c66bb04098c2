/** Classifies an archive's members by their names. */
const READABLE = /\.(png|jpe?g|webp)$/i;
const OTHER_IMAGES = /\.(gif|bmp|tiff?|heic|avif|jp2|svg)$/i;

/** Of a format that is read. */
export const isReadableImage = (path: string): boolean => READABLE.test(path);

export const isImageName = (path: string): boolean => isReadableImage(path) || OTHER_IMAGES.test(path);

/** System files that archivers add. */
export const isSystemFile = (path: string): boolean =>
  path.split('/').some((part) => part.startsWith('.') || part === '__MACOSX' || part === 'Thumbs.db');
