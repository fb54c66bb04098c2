/** Two mermaid charts of the rooms, drawn from the imports. */
export function picture(): string;
/** The page with the picture between its two markers. */
export function withPicture(page: string, drawn: string): string;
