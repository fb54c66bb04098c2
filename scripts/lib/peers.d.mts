export function peersPython(): string;
export function makePeers(say: (line: string) => void): Promise<void>;
