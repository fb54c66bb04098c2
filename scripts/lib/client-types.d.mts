export declare const clientTypesPath: string;
export declare function generateClientTypes(yaml?: string): Promise<string>;
