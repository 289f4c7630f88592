export declare const ATTEMPTS: Readonly<Record<string, () => unknown>>;
export declare function isRefused(attempt: () => unknown): Promise<boolean>;
