declare module 'nat-pmp' {
  export interface Mapping {
    readonly resultCode: number;
    readonly epoch: number;
    readonly private: number;
    readonly public: number;
    readonly ttl: number;
    readonly type: 'tcp' | 'udp';
  }
  export interface MappingOptions {
    readonly type: 'tcp' | 'udp';
    readonly private: number;
    readonly public?: number;
    readonly ttl?: number;
  }
  type Callback<T> = (error: (Error & { code?: number }) | null, value: T) => void;
  export class Client {
    constructor(gateway: string);
    externalIp(callback: Callback<{ readonly ip: readonly number[]; readonly epoch: number }>): void;
    portMapping(options: MappingOptions, callback: Callback<Mapping>): void;
    portUnmapping(options: MappingOptions, callback: Callback<Mapping>): void;
    close(): void;
  }
}
