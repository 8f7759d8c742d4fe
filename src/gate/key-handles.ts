/**
 * How the machine finds keys without their names: numbers that it told, by resource and tenant.
 *
 * A key that was closed since is told apart by its serial, so that what is kept here may be old. At
 * most `max` are kept; past it all are forgotten, and each is asked for by name once more.
 */

export interface KeyHandle {
  /** Its place in the machine. */
  key: number;
  /** Which of all keys that had that place. */
  serial: number;
}

export class KeyHandles {
  readonly #max: number;
  readonly #of = new Map<string, Map<string, KeyHandle>>();
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#count;
  }

  of(resource: string, tenant: string): KeyHandle | undefined {
    return this.#of.get(resource)?.get(tenant);
  }

  keep(resource: string, tenant: string, key: number, serial: number): void {
    const old = this.of(resource, tenant);
    if (old !== undefined) {
      old.key = key;
      old.serial = serial;
      return;
    }
    if (this.#count >= this.#max) this.#forgetAll();
    let tenants = this.#of.get(resource);
    if (tenants === undefined) {
      tenants = new Map();
      this.#of.set(resource, tenants);
    }
    tenants.set(tenant, { key, serial });
    this.#count += 1;
  }

  #forgetAll(): void {
    this.#of.clear();
    this.#count = 0;
  }
}
