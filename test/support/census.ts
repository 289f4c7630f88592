/**
 * How many things hang on an object, private fields included: by way of the debugger's protocol, which sees them all. For proving that
 * what runs for long does not grow, exactly and without a look at the heap's size.
 */

import { type Runtime, Session } from 'node:inspector';

/** By path, as `#gate.#waiting` or `#peers[].timers`: members of maps, sets and arrays there, all together. */
export type Census = ReadonlyMap<string, number>;

/** The types that come with Node do not know private fields. */
interface Properties extends Runtime.GetPropertiesReturnType {
  readonly privateProperties?: { readonly name: string; readonly value?: Runtime.RemoteObject }[];
}

const LIMIT = 200_000;

/** Counts what can be reached from `root` without passing through `stops`, which others keep. Accessors are not called. */
export function takeCensus(root: object, stops: readonly object[] = []): Census {
  const session = new Session();
  session.connect();
  const store = globalThis as { census?: { root: object; seen: WeakSet<object> } };
  store.census = { root, seen: new WeakSet(stops) };
  try {
    return new Walk(session).from('globalThis.census.root');
  } finally {
    delete store.census;
    session.disconnect();
  }
}

class Walk {
  readonly #session: Session;
  readonly #counts: Map<string, number> = new Map();
  #steps = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  from(expression: string): Census {
    const { result } = this.#post('Runtime.evaluate', { expression, objectGroup: 'census' });
    this.#visit(result, '');
    this.#post('Runtime.releaseObjectGroup', { objectGroup: 'census' });
    return this.#counts;
  }

  #visit(value: Runtime.RemoteObject | undefined, path: string): void {
    if (value?.type !== 'object' || value.objectId === undefined || !this.#isNew(value.objectId)) return;
    if (++this.#steps > LIMIT) throw new Error(`more than ${LIMIT} objects hang on ${path}`);
    const size = /^(?:Map|Set|Array)\((\d+)\)$/.exec(value.description ?? '')?.[1];
    if (size !== undefined) this.#counts.set(path, (this.#counts.get(path) ?? 0) + Number(size));
    if (value.subtype === 'typedarray' || value.subtype === 'arraybuffer') return;
    const { result, privateProperties = [], internalProperties = [] } = this.#properties(value.objectId);
    const inner = value.subtype === 'array' || value.subtype === 'map' || value.subtype === 'set';
    for (const property of result) {
      if (property.name === '__proto__') continue;
      this.#visit(property.value, inner ? `${path}[]` : join(path, property.name));
    }
    for (const property of privateProperties) this.#visit(property.value, join(path, property.name));
    for (const property of internalProperties)
      if (property.name === '[[Entries]]') this.#visitEntries(property.value, `${path}[]`);
  }

  /** The entries of a map or set: objects that the debugger makes, with `key` and `value`. */
  #visitEntries(entries: Runtime.RemoteObject | undefined, path: string): void {
    if (entries?.objectId === undefined) return;
    for (const entry of this.#properties(entries.objectId).result)
      if (entry.value?.objectId !== undefined && /^\d+$/.test(entry.name))
        for (const part of this.#properties(entry.value.objectId).result)
          if (part.name === 'key' || part.name === 'value') this.#visit(part.value, path);
  }

  #isNew(objectId: string): boolean {
    const functionDeclaration =
      'function() { const { seen } = globalThis.census; if (seen.has(this)) return false; seen.add(this); return true; }';
    return this.#post('Runtime.callFunctionOn', { objectId, functionDeclaration, returnByValue: true }).result.value;
  }

  #properties(objectId: string): Properties {
    return this.#post('Runtime.getProperties', { objectId, ownProperties: true });
  }

  /** In the same thread, an answer comes before `post` returns. */
  #post(method: 'Runtime.evaluate', params: Runtime.EvaluateParameterType): Runtime.EvaluateReturnType;
  #post(
    method: 'Runtime.callFunctionOn',
    params: Runtime.CallFunctionOnParameterType,
  ): Runtime.CallFunctionOnReturnType;
  #post(method: 'Runtime.getProperties', params: Runtime.GetPropertiesParameterType): Properties;
  #post(method: 'Runtime.releaseObjectGroup', params: Runtime.ReleaseObjectGroupParameterType): unknown;
  #post(method: string, params: object): unknown {
    let answer: unknown;
    this.#session.post(method, params, (error, result) => {
      if (error) throw new Error(`${method}: ${error.message}`);
      answer = result;
    });
    return answer;
  }
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
